"""Supervised fine-tuning on reasoning traces.

    python -m sft.train --config demo.yaml [key.path=value …] [--resume] [--dry-run]

Departs from s1 (arXiv 2501.19393 §2.2): LoRA instead of all weights, and rows that are too long stop the run instead of
being cut. Needs nothing but the recipe; writes a run directory with the trained adapter.
"""

import argparse


def main(argv: list[str]) -> None:
    """Load → data → train → save."""
    parser = argparse.ArgumentParser(prog="python -m sft.train", description="SFT on reasoning traces.")
    parser.add_argument("--config", required=True, help="a recipe: a path, or a name in configs/sft")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved config and the plan, train nothing")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="changes to the recipe")
    args = parser.parse_args(argv)

    from configs.command import quiet_libraries
    from configs.recipe import load
    from configs.rundir import RunDir, write_json
    from data import think
    from data.arithmetic import traces
    from data.heldout import split
    from models.load import check, load_model, load_tokenizer
    from sft import dataset

    config = load("sft", args.config, args.overrides)
    run = RunDir(config.output_dir)
    check(config.model)
    run.check(args.resume)
    problems, held_out = split(config.data, config.eval)
    think_format = think.resolve(config.think_format)

    quiet_libraries()
    tokenizer = load_tokenizer(config.model)
    encoded = [dataset.encode(trace, tokenizer, think_format) for trace in traces(problems)]
    ledger = dataset.ledger(encoded, config.model.max_length, config.truncation)
    examples = dataset.fit(encoded, config.model.max_length, config.truncation)
    print(f"The first row; loss on what is between ⟦ and ⟧:\n{dataset.show_loss(examples[0], tokenizer)}\n")
    if args.dry_run:
        from models import plan

        print(plan.of_sft(config, ledger, len(held_out)))
        return

    loaded = load_model(config.model, config.adapter, config.seed)
    print(loaded.choice)

    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from models import heldout, training

    run.start(config, args.resume)
    write_json(run / "truncation.json", ledger.as_dict())
    trainer = SFTTrainer(
        model=loaded.model,
        args=training.trainer_arguments(SFTConfig, config, run),
        train_dataset=Dataset.from_list([{"input_ids": e.input_ids, "labels": e.labels} for e in examples]),
        processing_class=tokenizer,
        callbacks=[training.RunCallback(run, ("loss", "token_accuracy"))],
    )
    measure = heldout.Measure(run, training.engine_of(loaded, config, think_format), config, held_out)
    measure("before")
    training.train(trainer, run, args.resume)
    product = training.save_product(trainer.model, tokenizer, run)
    measure("after")
    training.finish(run, product)


if __name__ == "__main__":
    from configs.command import run as run_command

    run_command(main)
