"""From raw questions and traces to a small, hard, diverse and clean set to train on.

    python -m curation.curate --config s1k.yaml [key.path=value …] [--resume] [--dry-run]

The order is s1's (arXiv 2501.19393 §2.2): quality, difficulty, diversity; here duplicates and benchmark questions go
before any model is asked. Departs from it: contamination is n-gram coverage and similarity, not one shared 8-gram.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from configs.command import prepare_libraries, recipe_parser, run_command

if TYPE_CHECKING:
    from configs.schema.curation import CurateConfig


def main(argv: list[str]) -> None:
    """Parse the command line and curate."""
    parser = recipe_parser(
        "curation.curate",
        "curate",
        "Curate a training set.",
        resume="go on after the last finished stage",
        dry_run="print the resolved config, curate nothing",
    )
    args = parser.parse_intermixed_args(argv)

    curate(args.config, args.overrides, resume=args.resume, dry_run=args.dry_run)


def curate(
    recipe: "CurateConfig | str", overrides: Sequence[str] = (), *, resume: bool = False, dry_run: bool = False
) -> None:
    """Make a training set from the recipe's sources into `config.output_dir`.

    `recipe` is a config, or the name or path of a recipe; `overrides` are changes to it, as `n=100`.
    `resume` goes on after the last finished stage; `dry_run` prints the config. Raises `DataError` and `RunError`.
    """
    from configs.recipe import load_recipe

    config: CurateConfig = load_recipe("curate", recipe, overrides)

    from configs.run_directory import RunDir

    run = RunDir(config.output_dir)
    run.check(resume)
    if dry_run:
        print(config.model_dump_json(indent=2))
        return
    prepare_libraries()
    from curation.run import run_curation

    run_curation(config, run, resume)


if __name__ == "__main__":
    run_command(main)
