"""A model poses problems, solves them, checks them, and learns from what it got right, round by round.

    python -m self_improve.run --config demo.yaml [key.path=value …] [--resume] [--dry-run]

Rejection-sampling SFT (STaR: arXiv 2203.14465; RFT: arXiv 2308.01825) in a loop. Every step is an ordinary run of
`curation.distill`, `sft.train` or `evaluation.evaluate`, in a process and a folder of its own: `round_1/posed`,
`round_1/solved`, `round_1/sft`, `round_1/eval`. A round that does not help is not built upon.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from configs.command import recipe_parser, run_command

if TYPE_CHECKING:
    from configs.schema.self_improve import SelfImproveConfig


def main(argv: list[str]) -> None:
    """Parse the command line and run the rounds."""
    parser = recipe_parser(
        "self_improve.run",
        "self_improve",
        "Rounds of posing, solving, checking, training and measuring.",
        resume="go on with the step that was interrupted, or with more rounds",
        dry_run="print the resolved config and the steps of a round, run nothing",
    )
    args = parser.parse_intermixed_args(argv)

    self_improve(args.config, args.overrides, resume=args.resume, dry_run=args.dry_run)


def self_improve(
    recipe: "SelfImproveConfig | str", overrides: Sequence[str] = (), *, resume: bool = False, dry_run: bool = False
) -> None:
    """Run the recipe's rounds into `config.output_dir`.

    `recipe` is a config, or the name or path of a recipe; `overrides` are changes to it, as `rounds=2`. `resume` goes
    on with the step that was interrupted; `dry_run` prints the plan and runs nothing. Raises a `MullError` for what any
    step would refuse of the recipe, before the first one starts, and for a step that fails.
    """
    from configs.recipe import load_recipe

    config: SelfImproveConfig = load_recipe("self_improve", recipe, overrides)

    from configs.run_directory import RunDir
    from models.backend import check_model_config
    from self_improve.loop import Loop, check_data
    from self_improve.plan import check_steps, describe

    # 1. refuse what can be refused at once
    run = RunDir(config.output_dir)
    check_steps(config)
    check_model_config(config.model, runs_here="python -m self_improve.run --config demo.yaml")
    if config.check.judge is not None:
        from models.server import api_key

        api_key(config.check.judge.server)
    if not dry_run:
        run.check(resume)
    data = check_data(config)
    if dry_run:
        print(describe(config))
        return

    # 2. the steps load torch, each in a process of its own; this one only leads them
    Loop(config, run, data).run_rounds(resume)


if __name__ == "__main__":
    run_command(main)
