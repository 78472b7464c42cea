"""Supervised fine-tuning on reasoning traces.

    python -m sft.train --config demo.yaml [key.path=value …] [--resume] [--dry-run]

Departs from s1 (arXiv 2501.19393 §2.2): LoRA by default instead of all weights, and rows that are too long stop the run
instead of being cut. Needs nothing but the recipe; writes a run directory with the trained adapter, or model.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from configs.command import is_lead, prepare_libraries, recipe_parser, run_command

if TYPE_CHECKING:
    from configs.schema.sft import SftConfig


def main(argv: list[str]) -> None:
    """Parse the command line and train."""
    parser = recipe_parser(
        "sft.train",
        "sft",
        "SFT on reasoning traces.",
        resume="go on from the run's last checkpoint",
        dry_run="print the resolved config and the plan, train nothing",
    )
    args = parser.parse_intermixed_args(argv)

    train_sft(args.config, args.overrides, resume=args.resume, dry_run=args.dry_run)


def train_sft(
    recipe: "SftConfig | str", overrides: Sequence[str] = (), *, resume: bool = False, dry_run: bool = False
) -> None:
    """Train `config.model` on the recipe's traces into `config.output_dir`.

    `recipe` is a config, or the name or path of a recipe; `overrides` are changes to it, as `trainer.max_steps=10`.
    `resume` goes on from the run's last checkpoint; `dry_run` prints the plan and trains nothing. Raises a `MullError`,
    before torch is imported, for all that can be seen without it.
    """
    from configs.recipe import load_recipe

    config: SftConfig = load_recipe("sft", recipe, overrides)

    from configs.data_files import check_data_files
    from configs.resume import resumed_config
    from configs.run_directory import RunDir
    from models.backend import check_model_config, import_backend
    from training.launch_check import check_launch
    from training.tracking import check_tracker

    # 1. refuse what can be refused at once
    run = RunDir(config.output_dir)
    check_model_config(config.model, config, "python -m sft.train --config gsm8k_traces.yaml")
    check_tracker(config.tracking)
    check_launch(config)
    for section in (config.data, *config.mix):
        if section.path is not None:
            check_data_files(section.path)
    if is_lead():
        run.check(resume)
    if resume:
        config = resumed_config(config, run)

    # 2. Unsloth patches Transformers and TRL, so it is imported before them
    prepare_libraries()
    import_backend(config.model, config)

    # 3. the rest needs torch
    from sft.run import run_sft

    run_sft(config, run, resume, dry_run)


if __name__ == "__main__":
    run_command(main)
