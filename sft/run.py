"""One SFT run, top to bottom: rows → model → trainer → measure → train → measure → save."""

from contextlib import nullcontext

from configs.command import is_lead
from configs.run_directory import RunDir, write_json, write_jsonl
from configs.schema.sft import SftConfig
from data.think_format import NONE, resolve_think_format
from models.adapters import count_virtual_tokens
from models.tokenizer import load_tokenizer
from sft.dataset import show_loss
from sft.prepare import prepare
from sft.trainer import build_sft_trainer, check_first_batch, summarise, train
from training import heldout, preflight
from training.dry_run import sft_plan
from training.fsdp_internals import whole_weights
from training.trainer import as_in_training, engine_of, finish_run, load_for_training, save_product, start_run
from training.trainer_internals import gathered_weights
from training.watch import check_watched, watch_training


def run_sft(config: SftConfig, run: RunDir, resume: bool, dry_run: bool) -> None:
    """Train, or print the plan. Raises `MullError`s."""
    # 1. rows: what is too long is refused, dropped or cut as the recipe says, and counted
    tokenizer = load_tokenizer(config.model)
    data = prepare(config, tokenizer, resolve_think_format(config.think_format))
    think_format = data.think_format
    if think_format is NONE and config.think_format != "none":
        config = config.model_copy(update={"think_format": "none"})
        print("think_format: none, as no row has thinking: trained, measured and served without")
    print(data.summary())
    data.check(config)
    held_out = heldout.fitting(config, data.held_out, tokenizer, think_format)
    check_watched(config, held_out)
    general = heldout.general_problems(config, tokenizer, think_format)
    shown = max(data.train, key=lambda example: len(example.loss_spans))  # of those with most, the first
    print(f"A row; loss on what is between ⟦ and ⟧:\n{show_loss(shown, tokenizer)}\n")
    if dry_run:
        print(sft_plan(config, data.ledger, data.sequences(config), len(held_out)))
        return

    # 2. model and trainer; the first batch is looked at before anything is trained
    lead = is_lead()  # one process of several checks, prints, measures and writes
    if lead:
        preflight.refuse([preflight.gpu(config), preflight.memory(config)])
    loaded = load_for_training(config)
    print(loaded.choice)
    with run.removed_if_unused():
        trainer = build_sft_trainer(config, loaded, data, run)
        check_first_batch(trainer, config, data)
        engine = engine_of(loaded, config, think_format) if config.generates else None
        measure = heldout.Measure(run, engine, config, held_out, general)
        # a fresh LoRA leaves the base model as it is, fresh virtual tokens stand in its way
        is_in_the_way = config.model.adapter is None and count_virtual_tokens(trainer.model) > 0
        watch = watch_training(trainer, measure, has_start=not is_in_the_way)

    # 3. measure, train
    if lead:
        start_run(run, config, loaded, held_out, resume)
        write_json(run / "truncation.json", data.ledger.as_dict())
        if data.rejected:
            write_jsonl(run / "rejected.jsonl", data.rejected)
        with as_in_training(trainer, engine), trainer.model.disable_adapter() if is_in_the_way else nullcontext():
            measure("before")
    train(trainer, config, run, resume)

    # 4. save, measure, report
    if lead:
        run.add_summary(**summarise(trainer, run))
    if watch:
        watch.load_best()
    weights = gathered_weights(trainer)
    with whole_weights(trainer.model):
        if lead:
            product = save_product(trainer.model, tokenizer, run, weights)
            measure("after")
            if watch:
                watch.report_unwatched()
            finish_run(run, product)
