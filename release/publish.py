"""A trained model onto the hub: export, gate, model card, one commit.

    python -m release.publish --config demo.yaml run=RUN [--repo me/name] [--public] [--dry-run] [key.path=value …]

Private unless told otherwise. A gate that fails publishes nothing. `--dry-run` leaves the exact folder, sends nothing.
"""

from configs.command import prepare_libraries, recipe_parser, run_command


def main(argv: list[str]) -> None:
    """Export → gate → card → commit."""
    parser = recipe_parser(
        "release.publish", "publish", "Publish a trained model.", dry_run="put the folder together and send nothing"
    )
    parser.add_argument("--repo", help="owner/name on the hub")
    parser.add_argument("--public", action="store_true", help="visible to all; private otherwise")
    args = parser.parse_intermixed_args(argv)

    from pathlib import Path

    from configs.errors import ConfigError
    from configs.recipe import load

    given = [f"repo={args.repo}"] if args.repo else []
    config = load("publish", args.config, [*args.overrides, *given, *(["public=true"] if args.public else [])])
    if config.repo is None and not args.dry_run:
        raise ConfigError("repo: missing; pass --repo owner/name, or --dry-run to look at the folder first")

    prepare_libraries()
    from release import formats, gate
    from release.folder import assemble, base_model, check, clear, is_export_of, size
    from release.upload import check_access, upload
    from training.finished_run import open_run

    run = open_run(config.run)
    formats.check_targets(config.exports, run)
    check(run, config)
    gate.held_out(run)
    if not args.dry_run:
        check_access(config.repo)
    # all that can be refused has been: from here on it takes minutes

    exports = Path(config.output_dir) / "exports"
    if is_export_of(exports, run, config.exports):
        print(f"exports: {exports}, made before")
    else:
        clear(exports)
        formats.export(config.run, config.exports, exports)
    report = gate.passed_before(exports) or gate.gate(exports, config.run)
    report.require()
    folder = assemble(run, config, exports, report)
    print(f"folder: {folder} ({size(folder):,} bytes)")
    if args.dry_run:
        return
    address = upload(folder, config.repo, config.public, f"{run.stage} of {base_model(run, config)}")
    print(f"published, {'public' if config.public else 'private'}: {address}")


if __name__ == "__main__":
    run_command(main)
