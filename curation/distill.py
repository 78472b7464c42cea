"""Questions → traces of a teacher, graded: rejection-sampling data for SFT.

    python -m curation.distill --config teacher.yaml [key.path=value …] [--resume] [--dry-run]

The teacher is an OpenAI-compatible server or a model on one of our engines. Every answer is kept in `samples.jsonl`
with its verdict; the right ones that end by themselves, `keep` a question and the shortest first, become
`traces.jsonl`. Answers to questions without a gold answer are kept as `without_gold` says, and marked as ungraded.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from configs.command import prepare_libraries, recipe_parser, run_command

if TYPE_CHECKING:
    from configs.schema.curation import DistillConfig


def main(argv: list[str]) -> None:
    """Parse the command line and distill."""
    parser = recipe_parser(
        "curation.distill",
        "distill",
        "Distill traces from a teacher.",
        resume="ask only what has no answer yet",
        dry_run="print the resolved config, ask nothing",
    )
    args = parser.parse_intermixed_args(argv)

    distill(args.config, args.overrides, resume=args.resume, dry_run=args.dry_run)


def distill(
    recipe: "DistillConfig | str", overrides: Sequence[str] = (), *, resume: bool = False, dry_run: bool = False
) -> None:
    """Have the recipe's teacher answer its problems, grade the answers, and keep the right ones as traces.

    `recipe` is a config, or the name or path of a recipe; `overrides` are changes to it, as `samples=4`. `resume` asks
    only what has no answer yet; `dry_run` prints the config. Raises a `MullError`.
    """
    from configs.recipe import load_recipe

    config: DistillConfig = load_recipe("distill", recipe, overrides)

    from configs.errors import DataError
    from configs.run_directory import RunDir
    from data.formats import Reject, stop
    from data.problem_columns import NO_ANSWER
    from data.sources import load_problems
    from rewards.grading.graders import check_graders

    # 1. refuse what can be refused at once
    run = RunDir(config.output_dir)
    run.check(resume)

    def refuse(reject: Reject) -> None:
        if not reject.expected and reject.reason.startswith(NO_ANSWER):
            kept = "without_gold=keep, or without_gold=majority"
            raise DataError(f"{reject.place}: {reject.reason}; to distill without gold answers: {kept}")
        stop(reject)

    problems = load_problems(config.data, refuse, needs_answer=config.without_gold == "stop")
    check_graders(problems)
    if dry_run:
        print(config.model_dump_json(indent=2))
        print(f"{len(problems):,} problems × {config.samples} samples")
        return

    # 2. ask, grade, keep
    prepare_libraries()
    from curation.distillation import run_distillation

    run.start(config, resume)
    run_distillation(config, run, problems)


if __name__ == "__main__":
    run_command(main)
