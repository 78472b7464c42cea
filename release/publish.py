"""A trained model onto the hub: export, gate, model card, one commit.

    python -m release.publish --config demo.yaml run=RUN [--repo me/name] [--public] [--dry-run] [key.path=value …]

Private unless told otherwise. A gate that fails publishes nothing. `--dry-run` leaves the exact folder, sends nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from configs.command import prepare_libraries, recipe_parser, run_command
from configs.errors import ConfigError

if TYPE_CHECKING:
    from configs.schema.publish import PublishConfig


def main(argv: list[str]) -> None:
    """Parse the command line and publish."""
    parser = recipe_parser(
        "release.publish", "publish", "Publish a trained model.", dry_run="put the folder together and send nothing"
    )
    parser.add_argument("--repo", help="owner/name on the hub")
    parser.add_argument("--public", action="store_true", help="visible to all; private otherwise")
    args = parser.parse_intermixed_args(argv)

    given = [f"repo={args.repo}"] if args.repo else []
    given += ["public=true"] if args.public else []
    publish(args.config, [*args.overrides, *given], dry_run=args.dry_run)


def publish(recipe: "PublishConfig | str", overrides: Sequence[str] = (), *, dry_run: bool = False) -> str | None:
    """Export the run, check the exports, write the card, send one commit; returns the repository's address.

    `recipe` is a config, or the name or path of a recipe; `overrides` are changes to it. `dry_run` leaves the exact
    folder and sends nothing. Raises a `MullError`; then nothing was sent.
    """
    from configs.recipe import load_recipe

    config: PublishConfig = load_recipe("publish", recipe, overrides)
    if config.repo is None and not dry_run:
        raise ConfigError("repo: missing; pass --repo owner/name, or --dry-run to look at the folder first")

    prepare_libraries()
    from release.folder import assemble, base_model, check_publishable, clear, is_export_of, size
    from release.gate import gate, held_out, passed_before
    from release.targets import check_targets
    from release.upload import check_access, upload
    from training.finished_run import open_run

    # 1. refuse what can be refused: from then on it takes minutes
    run = open_run(config.run)
    check_targets(config.exports, run)
    check_publishable(run, config)
    held_out(run)
    if config.repo is not None and not dry_run:
        check_access(config.repo)

    # 2. export, unless this run's exports are there, and check
    exports = Path(config.output_dir) / "exports"
    if is_export_of(exports, run, config.exports):
        print(f"exports: {exports}, made before")
    else:
        from release.formats import write_exports  # torch

        clear(exports)
        write_exports(config.run, config.exports, exports)
    report = passed_before(exports) or gate(exports, config.run)
    report.require()

    # 3. put the folder together, send it
    folder = assemble(run, config, exports, report)
    print(f"folder: {folder} ({size(folder):,} bytes)")
    if dry_run or config.repo is None:
        return None
    address = upload(folder, config.repo, config.public, f"{run.stage} of {base_model(run, config)}")
    print(f"published, {'public' if config.public else 'private'}: {address}")
    return address


if __name__ == "__main__":
    run_command(main)
