"""Going on with a training run: the same model, the same data, the precision that it was started with."""

from collections.abc import Iterator
from typing import Any, TypeVar

import yaml

from configs.errors import RunError
from configs.launch import launch_of
from configs.run_directory import RunDir, data_hash
from configs.run_record import RunRecord, read_record
from configs.schema.sections import ModelConfig
from configs.schema.training import TrainingConfig
from configs.schema.trl_fields import trl_default

Training = TypeVar("Training", bound=TrainingConfig)
WHOLE = "DDP or one process"


def resumed_config(config: Training, run: RunDir) -> Training:
    """The recipe to resume `run` with; `precision: auto` becomes what the run was started with.

    Raises `RunError`, with nothing written, for another model or other data: a checkpoint continues with the weights
    and the rows that it counts.
    """
    record = read_record(run.path)
    before = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    precision = _precision(config.model, before["model"], record)
    changed = [*_changed_fields(config, before), *_changed_file(config, record)]
    if config.model.precision not in ("auto", precision):
        changed.append(f"model.precision: {precision} → {config.model.precision}")
    if changed:
        raise RunError(
            f"--resume: {run.path} was started with another model or other data ({'; '.join(changed)}); go on with the "
            "same, or train anew in another output_dir=…"
        )
    _check_sharding(record)
    _check_rows_a_step(config, before.get("trainer") or {}, record)
    if config.model.precision == precision:
        return config
    print(f"precision: {precision}, which the run was started with, whatever `auto` would choose here")
    return config.model_copy(update={"model": config.model.model_copy(update={"precision": precision})})


def _precision(model: ModelConfig, before: dict[str, str], record: RunRecord | None) -> str:
    """How the run was told to hold its weights, or what `auto` became when it was started."""
    asked = before.get("precision", "auto")
    if asked != "auto":
        return asked
    return record.loaded.precision if record and record.loaded else model.precision


def _changed_fields(config: TrainingConfig, before: dict[str, dict[str, object]]) -> Iterator[str]:
    now = config.model_dump()
    keys = {"model": ["name", "adapter"], "data": list(now["data"])}
    for section, names in keys.items():
        for name in names:
            old, new = before[section].get(name), now[section][name]
            if old != new:
                yield f"{section}.{name}: {old} → {new}"
    if (old := before.get("mix", [])) != (new := now.get("mix", [])):
        yield f"mix: {old} → {new}"
    adapters = (before.get("adapter", now["adapter"]), now["adapter"])
    old, new = ((adapter or {"type": None}).get("type", "lora") for adapter in adapters)  # a run before types had LoRA
    if old != new and config.model.adapter is None:
        yield f"adapter.type: {old} → {new}"


def _check_sharding(record: RunRecord | None) -> None:
    """Raise `RunError` where weights are shared out otherwise than before: checkpoints have other files then."""
    before, now = record.sharding if record else None, launch_of().sharding
    if before is not None and before != now:
        raise RunError(
            f"--resume: the run's checkpoints are for {before or WHOLE}, not for {now or WHOLE}; start it as before, "
            "or train anew in another output_dir=…"
        )


def _check_rows_a_step(config: TrainingConfig, before: dict[str, Any], record: RunRecord | None) -> None:
    """Raise `RunError` where another number of processes makes steps of another number of rows.

    A checkpoint counts steps: in rows of another size they are another place in the data.
    """
    processes, now = (record.processes if record else 1), launch_of().processes
    names = ("per_device_train_batch_size", "gradient_accumulation_steps")
    rows, accumulated = (int(before.get(name) or trl_default(config.trl_class, name)) for name in names)
    rows_now, accumulated_now = (int(config.trl_setting(name)) for name in names)
    whole = processes * rows * accumulated
    if processes == now or whole == now * rows_now * accumulated_now:
        return
    if whole % now:
        way_out = f"{now} processes can't share {whole} out evenly: start a number of them that can"
    else:
        way_out = f"set {names[0]} and {names[1]} under trainer so that their product is {whole // now}"
    raise RunError(
        f"--resume: {processes} process{'es' if processes > 1 else ''} took steps of {whole} rows, and {now} × "
        f"{rows_now} × {accumulated_now} are {now * rows_now * accumulated_now}; {way_out}"
    )


def _changed_file(config: TrainingConfig, record: RunRecord | None) -> list[str]:
    """The data file where its bytes are others than at the start."""
    known, found = record.data_sha256 if record else None, data_hash(config)
    return [f"the contents of {config.data.path} have changed"] if known and found and known != found else []
