"""What `sft.train` and `rl.grpo` share: TRL's arguments, the trainer, checkpoints to go on from, the saved product."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerState,
    TrainingArguments,
)

from configs.errors import ConfigError, EngineError, RewardError
from configs.run_directory import RunDir
from configs.run_record import HELD_OUT_FILE, LoadedWeights
from configs.schema.training import TrainingConfig
from data.problem import Problem
from data.problem_file import write_problems
from data.think_format import ThinkFormat, resolve_think_format
from models.adapter_types import check_trained
from models.adapters import type_on
from models.backend import choose_backend
from models.engines.base import Engine
from models.engines.select import load_engine
from models.engines.transformers import TransformersEngine
from models.gpu import has_bf16, visible_gpus
from models.load import LoadedModel, load_model
from report.training import write_training_report
from training.checkpoint import Newcomers, Rescue, checkpoint_to_resume, is_whole
from training.sigterm import STOPPED, Interrupt
from training.tracking import set_tracking
from training.trainer_internals import (
    build_arguments,
    callbacks_of,
    count_steps,
    is_sharded_late,
    load_weights,
    name_cpu,
    own_defaults,
)
from training.watch import watch_of

AnyTrainer = TypeVar("AnyTrainer", bound=Trainer)

WAIT = 24 * 3600
"""Seconds that several processes wait while one measures; where one dies, their launcher ends them sooner."""


def trainer_arguments(
    config_class: type[TrainingArguments], config: TrainingConfig, run: RunDir, **decided: Any
) -> TrainingArguments:
    """An instance of TRL's `config_class` from `config.trainer`, with the fields that other sections decide.

    Every other field is passed too, with TRL's own default: Unsloth's class in its place has others.
    """
    defaults: dict[str, Any] = {
        "logging_steps": 1,
        "logging_first_step": True,
        "save_strategy": "no",
        "run_name": run.path.name,
        "ddp_timeout": WAIT,
    }
    defaults |= machine_defaults(torch.cuda.is_available(), has_bf16(visible_gpus()))
    fixed = {
        "output_dir": str(run / "checkpoints"),
        "seed": config.seed,
        "report_to": "none" if config.tracking.to == "none" else config.tracking.to,
        "disable_tqdm": True,
        **decided,
    }
    set_tracking(config.tracking, run)
    if not torch.cuda.is_available():
        name_cpu()
    with refusals():
        return build_arguments(config_class, own_defaults(config_class) | defaults | config.trainer | fixed)


def machine_defaults(on_gpu: bool, has_bf16: bool) -> dict[str, bool]:
    """TRL's fields whose default depends on the machine; `has_bf16`: its GPUs'."""
    if not on_gpu:  # the model's own dtype is computed in; autocast and checkpointing only cost time on a CPU
        return {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False}
    return {} if has_bf16 else {"bf16": False, "fp16": True}


def build_trainer(trainer_class: type[AnyTrainer], **arguments: Any) -> AnyTrainer:
    """A trainer, with the optimizer that it will take. Raises `ConfigError` for what TRL or the optimizer refuses."""
    with refusals():
        trainer: AnyTrainer = trainer_class(**arguments)
        steps_in_backward = "layerwise" in trainer.args.optim  # from its making on
        if not is_sharded_late(trainer) and not steps_in_backward:
            trainer.create_optimizer()
        unused = torch.optim.SGD([torch.zeros(1)], lr=trainer.args.learning_rate)
        trainer.create_scheduler(1, unused)  # `train` replaces it
    return trainer


@contextmanager
def refusals() -> Iterator[None]:
    """Inside, what the library says against a recipe's `trainer:` is a `ConfigError` of one line."""
    try:
        yield
    except (ValueError, TypeError, ImportError, NotImplementedError) as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from error


def start_run(
    run: RunDir, config: TrainingConfig, loaded: LoadedModel, held_out: Sequence[Problem], resume: bool
) -> None:
    """Begin the run's folder: the recipe, what was really loaded, and the held-out problems."""
    shape = getattr(loaded.model, "peft_config", {}).get("default")
    base = shape.base_model_name_or_path if shape else loaded.base  # Unsloth may take a copy of another name
    run.start(
        config,
        resume,
        loaded=LoadedWeights(config.model.name, base, loaded.backend, loaded.precision),
        think_format=asdict(resolve_think_format(config.think_format)),
        held_out=HELD_OUT_FILE if held_out else None,
    )
    if held_out:
        write_problems(run / HELD_OUT_FILE, held_out)


def run_training(trainer: Trainer, run: RunDir, resume: bool, boundary: int = 1) -> None:
    """Train with our progress line instead of the library's own printing.

    A SIGTERM ends the step, saves a checkpoint (on a multiple of `boundary` steps) and raises `SystemExit`. An engine
    or a reward that fails leaves a checkpoint of the last whole step, and its error says how to go on.
    """
    # 1. callbacks: SIGTERM, a checkpoint of the last whole step, and what a resumed checkpoint knows nothing of
    trainer.remove_callback(PrinterCallback)
    interrupt, rescue = Interrupt(boundary), Rescue(trainer.callback_handler, boundary)
    for callback in (interrupt, rescue, Newcomers(trainer.callback_handler)):
        trainer.add_callback(callback)

    # 2. the checkpoint to go on from; one process looks for it, as that also tidies the run's files
    last_whole = checkpoint_to_resume(run) if resume and PartialState().is_main_process else None
    [checkpoint] = broadcast_object_list([last_whole])
    state = TrainerState.load_from_json(f"{checkpoint}/trainer_state.json") if checkpoint else None
    watch = watch_of(trainer)
    if state:
        restore_patience(trainer, state)
        if watch:
            watch.restore(state)
    if state and has_ended(trainer, state):
        best = Path(checkpoint).with_name(f"checkpoint-{state.best_global_step}")
        keeps_best = trainer.args.load_best_model_at_end and is_whole(best)
        load_weights(trainer, str(best) if keeps_best else checkpoint)
        trainer.state = state
        if watch and watch.is_missing(state.global_step, state.max_steps):
            watch.look(state.global_step)
        return

    if checkpoint:
        trainer.args.eval_on_start = False

    # 3. train; what fails leaves a checkpoint and says how to go on
    with interrupt.listening():
        try:
            trainer.train(resume_from_checkpoint=checkpoint)
        except (EngineError, RewardError) as error:
            saved = rescue.save(trainer)
            if (run / "metrics.jsonl").is_file() and PartialState().is_main_process:
                write_training_report(run.path)
            way_on = "" if "--resume" in str(error) or not saved else "; go on with --resume"
            error.args = (f"{error}{way_on} ({f'saved after step {saved}' if saved else 'no step is saved yet'})",)
            raise

    # 4. a SIGTERM ends the process, unless the last step was reached
    if interrupt.stopped_at is not None and interrupt.stopped_at < trainer.state.max_steps:
        if PartialState().is_main_process:
            write_training_report(run.path)
        print(f"stopped by SIGTERM after step {interrupt.stopped_at}, saved; go on with --resume", flush=True)
        PartialState().wait_for_everyone()  # a launcher ends the others when the first one leaves
        raise SystemExit(STOPPED)


def restore_patience(trainer: Trainer, state: TrainerState) -> None:
    """How long a saved run had waited for a better loss.

    Transformers' `restore_callback_states_from_checkpoint` would bring back how long it may wait, too: a resumed run
    could not be given more patience.
    """
    saved = state.stateful_callbacks.get("EarlyStoppingCallback", {}).get("attributes", {})
    for callback in early_stopping(trainer):
        callback.early_stopping_patience_counter = saved.get("early_stopping_patience_counter", 0)


def has_ended(trainer: Trainer, state: TrainerState) -> bool:
    """Whether training was over at a saved state, by its steps or for want of patience: one more is one too many."""
    watch = watch_of(trainer)
    if state.global_step >= count_steps(trainer) or (watch and watch.is_over):
        return True
    return any(c.early_stopping_patience_counter >= c.early_stopping_patience for c in early_stopping(trainer))


def early_stopping(trainer: Trainer) -> list[EarlyStoppingCallback]:
    """The callbacks that may end a training before its last step."""
    return [c for c in callbacks_of(trainer.callback_handler) if isinstance(c, EarlyStoppingCallback)]


def load_for_training(config: TrainingConfig) -> LoadedModel:
    """The recipe's model with the adapter that it trains, on the backend that suits this training."""
    loaded = load_model(config.model, config.adapter, config.seed, choose_backend(config.model, config))
    check_trained(type_on(loaded.model), config)  # a hub id's is known only now
    return loaded


def engine_of(loaded: LoadedModel, config: TrainingConfig, think_format: ThinkFormat) -> Engine:
    """An engine that decodes with the model in training; GRPO's recipe may name which."""
    return load_engine(config.engine_section, config.model, think_format, loaded)


def as_in_training(trainer: Trainer, engine: Engine | None) -> AbstractContextManager[None]:
    """The trainer's autocast, for what draws with the trained model before `train`.

    From `train` on accelerate has put it around the model's forward pass, so that rollouts are drawn in the arithmetic
    of the loss, and measured after training in it.
    """
    is_trained_model = isinstance(engine, TransformersEngine)
    return trainer.accelerator.autocast() if is_trained_model else nullcontext()


def save_product(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    run: RunDir,
    weights: dict[str, torch.Tensor] | None = None,
) -> Path:
    """The trained adapter (or the whole model) with tokenizer and chat template; returns its folder.

    `weights`: the model's, where it holds a part of them alone.
    """
    has_adapter = hasattr(model, "peft_config")
    folder = run / ("adapter" if has_adapter else "model")
    whole = {} if weights is None else {"state_dict": weights}
    model.save_pretrained(str(folder), **whole, **({"selected_adapters": ["default"]} if has_adapter else {}))
    tokenizer.save_pretrained(str(folder))
    return folder


def finish_run(run: RunDir, product: Path) -> None:
    """Write the report and say where everything is."""
    report = write_training_report(run.path)
    print(f"{product.name}: {product}")
    print(f"report: {report} (open it in a browser; it needs no network)")
