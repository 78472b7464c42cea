"""A finished training run, opened for export, publishing or serving."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from configs.errors import ConfigError, ModelError, RunError
from configs.recipe import validate
from configs.run_record import RUN_FILE, LoadedWeights, read_record
from configs.schema.training import TrainingConfig
from data.think_format import ThinkFormat
from models import embedded, gguf_cache
from models.adapter_files import type_of
from models.backend import check_model_config
from models.source import HUB_ID, base_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME_ONE = "name the output_dir of sft.train or rl.grpo"
QUANTISED_COPY = re.compile(r"(-unsloth)?-bnb-4bit$")  # Unsloth trains on its own 4-bit copy of a base model


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A run folder of `sft.train` or `rl.grpo` that has its product.

    base          folder or hub id of the untouched base weights
    hub_base      the base's hub id, None if it has none (a local folder)
    trained_base  what was trained on: `base`, or Unsloth's own quantised copy of it
    adapter       the adapter's folder, None where every weight was trained
    product       the adapter's folder, or the trained model's
    precision     how the base weights were held while training: "nf4", "int8", "bf16", "fp32"
    """

    path: Path
    stage: str
    config: TrainingConfig
    base: str
    hub_base: str | None
    trained_base: str
    adapter: Path | None
    product: Path
    precision: str
    think_format: ThinkFormat

    @property
    def weights(self) -> tuple[str, str | None]:
        """`model.name` and `model.adapter` of a recipe that evaluates it."""
        return (str(self.product), None) if self.adapter is None else (self.config.model.name, str(self.adapter))

    @property
    def adapter_type(self) -> str | None:
        """The adapter's type, as a recipe names it."""
        return None if self.adapter is None else type_of(_adapter_config(self.adapter))


def open_run(path: str | Path) -> TrainedRun:
    """The run in `path`. Raises `RunError` if it is none or has no product, `ModelError` if its base can't be had."""
    # 1. what the run says of itself: its record and its recipe
    path = Path(path)
    record = read_record(path)
    file = path / "config.yaml"
    if record is None or not file.is_file():
        raise RunError(f"{path}: no run folder (no {'config.yaml' if record else RUN_FILE}); {NAME_ONE}")
    if record.stage not in ("sft", "grpo") or record.loaded is None or record.think_format is None:
        raise RunError(f"{path}: a run of {record.stage}, not of a training; {NAME_ONE}")
    config = _recipe(file, record.stage)

    # 2. the product, and the base that it belongs to
    products = [path / name for name in ("adapter", "model") if (path / name).is_dir()]
    if not products:
        raise RunError(f"{path}: holds neither adapter/ nor model/; finish the training (--resume) first")
    adapter = products[0] if products[0].name == "adapter" else None
    try:
        check_model_config(config.model.model_copy(update={"adapter": None, "backend": "auto", "precision": "bf16"}))
    except ModelError as error:
        raise ModelError(f"{file}: its base model is gone: {error}; put it back, or correct model.name there") from None
    if adapter is not None:
        _check_base(adapter, _adapter_config(adapter), config.model.name, record.loaded)
    base = base_of(config.model)
    return TrainedRun(
        path=path,
        stage=record.stage,
        config=config,
        base=base,
        hub_base=_hub_base(config.model.name),
        trained_base=record.loaded.base if QUANTISED_COPY.search(record.loaded.base) else base,
        adapter=adapter,
        product=products[0],
        precision=record.loaded.precision,
        think_format=ThinkFormat.from_fields(record.think_format),
    )


def _recipe(file: Path, stage: str) -> TrainingConfig:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RunError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    try:
        config: TrainingConfig = validate(stage, values if isinstance(values, dict) else {}, str(file))
    except ConfigError as error:  # edited by hand
        raise RunError(f"{error}; {NAME_ONE}") from None
    return config


def load_run_tokenizer(run: TrainedRun) -> "PreTrainedTokenizerBase":
    """The tokenizer that was trained with."""
    from transformers import AutoTokenizer

    from models.tokenizer import finish_tokenizer

    tokenizer = AutoTokenizer.from_pretrained(run.product)
    finish_tokenizer(tokenizer, None)
    return tokenizer


def _hub_base(name: str) -> str | None:
    if name == embedded.NAME:
        return embedded.HUB_NAME
    return name if HUB_ID.fullmatch(name) and not Path(name).exists() else None


def _adapter_config(adapter: Path) -> dict[str, Any]:
    missing = [n for n in ("adapter_config.json", "adapter_model.safetensors") if not (adapter / n).is_file()]
    if missing:
        raise ModelError(f"{adapter}: no {missing[0]}, so it is no whole adapter; finish the training (--resume) first")
    return dict(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8")))


def _check_base(adapter: Path, shape: dict[str, Any], name: str, loaded: LoadedWeights) -> None:
    """Raise `ModelError` where the adapter says it was trained on another model than the recipe's.

    `loaded`: what the training loaded; Unsloth may have taken a copy of another name.
    """
    trained_on = str(shape.get("base_model_name_or_path") or name)
    names = [name, base_of_name(name)]
    if _same(loaded.name) == _same(name):
        names.append(loaded.base)
    if _same(trained_on) not in map(_same, names):
        raise ModelError(
            f"{adapter}: was trained on {trained_on}, and the run's config.yaml names {name}; "
            "correct model.name there, or put the right adapter in its place"
        )


def base_of_name(name: str) -> str:
    """The folder of a model that is converted into the cache, without converting it; any other name as it is."""
    if name == embedded.NAME:
        return f"{embedded.NAME}-instruct-v{embedded.VERSION}"
    return str(gguf_cache.folder_of(Path(name))) if gguf_cache.is_gguf(Path(name)) else name


def _same(name: str) -> str:
    """What two names of one model share: caches and Unsloth's copies differ in the rest."""
    return QUANTISED_COPY.sub("", Path(name).name.casefold())
