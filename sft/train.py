"""Supervised fine-tuning on reasoning traces.

    python -m sft.train --config demo.yaml [key.path=value …] [--resume] [--dry-run]

Departs from s1 (arXiv 2501.19393 §2.2): LoRA by default instead of all weights, and rows that are too long stop the run
instead of being cut. Needs nothing but the recipe; writes a run directory with the trained adapter, or model.
"""

import json
from typing import TYPE_CHECKING

from configs.command import prepare_libraries, recipe_parser, run_command

if TYPE_CHECKING:
    from configs.schema.sft import SftConfig


def command(argv: list[str]) -> None:
    """Parse the command line and run `main`."""
    args = recipe_parser(
        "sft.train",
        "sft",
        "SFT on reasoning traces.",
        resume="go on from the run's last checkpoint",
        dry_run="print the resolved config and the plan, train nothing",
    ).parse_intermixed_args(argv)

    from configs.recipe import load

    main(load("sft", args.config, args.overrides), args.resume, args.dry_run)


def main(config: "SftConfig", resume: bool = False, dry_run: bool = False) -> None:
    """Load → data → train → save. Raises `MullError`s."""
    from configs.run_directory import RunDir, write_json, write_text
    from data.think_format import resolve_think_format
    from models.backend import check, import_backend

    run = RunDir(config.output_dir)
    check(config.model, "python -m sft.train --config gsm8k_traces.yaml")
    run.check(resume)
    prepare_libraries()
    import_backend(config.model)

    from models.load import load_model
    from models.tokenizer import load_tokenizer

    think_format = resolve_think_format(config.think_format)
    tokenizer = load_tokenizer(config.model)

    from sft.dataset import show_loss
    from sft.prepare import prepare
    from training import heldout

    data = prepare(config, tokenizer, think_format)
    print(data.summary())
    data.check(config)
    heldout.check(config, data.held_out, tokenizer, think_format)
    print(f"The first row; loss on what is between ⟦ and ⟧:\n{show_loss(data.train[0], tokenizer)}\n")
    if dry_run:
        from training.dry_run import sft_plan

        print(sft_plan(config, data.ledger, data.sequences(config), len(data.held_out)))
        return

    loaded = load_model(config.model, config.adapter, config.seed)
    print(loaded.choice)

    from sft.trainer import build, check_first_batch, trained
    from training.trainer import engine_of, finish_run, save_product, start_run

    with run.removed_if_unused():
        trainer = build(config, loaded, data, run)
        check_first_batch(trainer, config, data)
        measure = heldout.Measure(run, engine_of(loaded, config, think_format), config, data.held_out)
    start_run(run, config, loaded, resume)
    write_json(run / "truncation.json", data.ledger.as_dict())
    if data.rejected:
        write_text(run / "rejected.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in data.rejected))
    measure("before")
    run.add_summary(**trained(trainer, config, run, resume))
    product = save_product(trainer.model, tokenizer, run)
    measure("after")
    finish_run(run, product)


if __name__ == "__main__":
    run_command(command)
