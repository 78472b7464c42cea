"""LLaMA-Factory's training arguments as a recipe of `sft.train`: taken, standing by default, or without a counterpart.

`configs.llamafactory_keys` has the keys that are read one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from configs.data_files import REGISTRY
from configs.errors import ConfigError
from configs.llamafactory_keys import (
    ABSENT,
    DEFAULTS,
    DEFAULTS_OF,
    DEFAULTS_OF_STAGE,
    HALVES,
    NUMBERS,
    OFF,
    OTHER_STAGES,
    SECRETS,
    STAGES,
    STANDS,
    TAKEN,
    TOGETHER,
    WithoutCounterpart,
    as_kind,
    switch,
    whole,
)
from configs.schema import trl_fields
from configs.schema.sft import DECIDED, VALIDATED, SftConfig

PRECISIONS = {4: "nf4", 8: "int8"}
"""Bits of a quantised base → `model.precision`."""


@dataclass(frozen=True, slots=True)
class Note:
    """What became of one key; `text`: the recipe's key, why nothing is needed, or what to do instead."""

    key: str
    value: Any
    kind: Literal["taken", "default", "none"]
    text: str

    def __str__(self) -> str:
        value = "…" if self.key in SECRETS else self.value
        return f"{self.key}: {value} " + (f"→ {self.text}" if self.kind == "taken" else f"({self.text})")


@dataclass(frozen=True, slots=True)
class Imported:
    """A recipe of `sft.train`, the curation of its mix where it has several data sets, and what became of each key."""

    recipe: dict[str, Any] = field(default_factory=dict)
    mix: dict[str, Any] | None = None
    notes: list[Note] = field(default_factory=list)
    stage: str = "sft"

    def set(self, key: str, value: Any) -> None:
        """Set `section.key`."""
        section, dot, name = key.rpartition(".")
        (self.recipe.setdefault(section, {}) if dot else self.recipe)[name] = value


def import_arguments(arguments: Mapping[str, Any], name: str) -> Imported:
    """The recipe; `name`: of the run that mixes several data sets. Raises `ConfigError` for what is no SFT."""
    arguments = {key: as_kind(value, _kinds(key)) for key, value in arguments.items()}
    stage, tuning = _checked(arguments)
    defaults = DEFAULTS | DEFAULTS_OF_STAGE[stage] | DEFAULTS_OF[tuning]
    silent = {key: value for key, value in defaults.items() if arguments.get(key) is None}
    is_validated = arguments.get("val_size") or arguments.get("eval_dataset")
    if "save_steps" in arguments and "save_strategy" not in arguments and not is_validated:
        silent["save_strategy"] = "steps"
    given = {**arguments, **silent}
    if _is_on(given, "train_on_prompt"):  # every token of a row carries loss, so none of its turns is told apart
        given["mask_history"] = True
    # 1. sections that several keys decide
    found = Imported({"model": {}}, _mix(given, stage), [Note("stage", stage, "default", STAGES[stage])], stage)
    _tuning(found, given, tuning)
    _precision(found, given, tuning)
    _data(found, given, name)
    # 2. key by key
    for key in [key for key in given if key not in TOGETHER]:
        note = _one(found, key, given[key])
        found.notes.append(note if key not in silent else replace(note, key=f"{key} (the default there)"))
    # 3. what becomes of a row that thinks, is too long, or broken; texts are split
    found.recipe.update(
        {"think_format": "none"} if stage == "pt" else {"think_format": "deepseek", "truncation": "cut"}
    )
    found.recipe["bad_rows"] = "skip"
    ordered = {section: found.recipe[section] for section in SftConfig.model_fields if section in found.recipe}
    return replace(found, recipe=ordered)


def _kinds(key: str) -> tuple[type, ...]:
    """What a key takes, where that is more than text; nothing where `TAKEN` says it."""
    if key in NUMBERS:
        return int, float
    if key in ABSENT or key in (*HALVES, "train_on_prompt"):
        return (bool,)
    annotation = trl_fields.fields(SftConfig.trl_class).get(key)
    return () if annotation is None else tuple(trl_fields.accepted(annotation))


def _is_on(given: Mapping[str, Any], key: str) -> bool:
    """Whether a switch is on. Raises `ConfigError` for what is none."""
    try:
        return given.get(key) is not None and switch(given[key])
    except ValueError:
        raise ConfigError(f"{key}: {given[key]!r} is no value of it") from None


def _checked(arguments: Mapping[str, Any]) -> tuple[str, str]:
    """(stage, tuning). Raises `ConfigError` for another stage, another tuning, and a file that does not train."""
    stage, tuning = str(arguments.get("stage", "sft")), str(arguments.get("finetuning_type", "lora"))
    if stage not in STAGES:
        way_out = OTHER_STAGES.get(stage, f"not known; {' and '.join(STAGES)} are imported")
        raise ConfigError(f"stage: {stage}: {way_out}")
    if tuning not in DEFAULTS_OF:
        raise ConfigError(f"finetuning_type: {tuning} has no counterpart; take one of {', '.join(DEFAULTS_OF)}")
    if "model" in arguments and "model_name_or_path" not in arguments:
        raise ConfigError(
            "model: the arguments of v1 are not imported; write model_name_or_path, dataset, stage and so on"
        )
    adapter = arguments.get("adapter_name_or_path")
    if adapter and (tuning != "lora" or "," in str(adapter)):
        raise ConfigError(
            "adapter_name_or_path: training goes on with one adapter, as a LoRA; merge others into the model first "
            "(`mull export`), and name its folder in model_name_or_path"
        )
    for key in ("model_name_or_path", "dataset"):
        if not arguments.get(key):
            raise ConfigError(
                f"{key}: missing, so nothing is trained; merging is `mull export`, chatting `mull chat`, predicting "
                "`mull evaluate`"
            )
    return stage, tuning


def _tuning(found: Imported, given: Mapping[str, Any], tuning: str) -> None:
    goes_on = bool(given.get("adapter_name_or_path"))
    if tuning == "lora" and not goes_on:
        found.recipe["adapter"] = {"alpha": 2 * whole("lora_rank", given["lora_rank"])}
    elif tuning != "lora":
        found.recipe["adapter"] = None
    said = {"lora": "model.adapter" if goes_on else "adapter", "freeze": "trained_layers", "full": "adapter: null"}
    found.notes.append(Note("finetuning_type", tuning, "taken", said[tuning]))


def _precision(found: Imported, given: Mapping[str, Any], tuning: str) -> None:
    """How the base is held: quantised, in 16 bits under a LoRA, or in fp32 with autocast where weights are trained."""
    bits = whole("quantization_bit", given.get("quantization_bit") or 0)
    halves = [key for key in HALVES if _is_on(given, key)]
    is_half = "pure_bf16" in halves or (bool(halves) and tuning == "lora")
    precision = PRECISIONS.get(bits, "bf16" if is_half else "fp32")
    found.set("model.precision", precision)
    if bits and bits not in PRECISIONS:
        found.notes.append(Note("quantization_bit", bits, "none", "set model.precision to nf4 (4 bits) or int8"))
    elif bits:
        found.notes.append(Note("quantization_bit", bits, "taken", f"model.precision: {precision}"))
    how = ", computed in 16 bits on a GPU" if precision == "fp32" else ""
    found.notes.extend(Note(key, True, "taken", f"model.precision: {precision}{how}") for key in halves)
    if not halves:
        found.set("trainer.bf16", False)
        found.notes.append(Note("bf16 (the default there)", False, "taken", "trainer.bf16"))


def _names(value: Any) -> list[str]:
    return [str(name).strip() for name in (value if isinstance(value, list) else str(value).split(","))]


def _source(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A data section's source: an entry of the registry, or a data set on the hub."""
    folder = str(given.get("dataset_dir", "data"))
    return {"source": name} if folder == "ONLINE" else {"path": f"{folder.rstrip('/')}/{REGISTRY}#{name}"}


def _mix(given: Mapping[str, Any], stage: str) -> dict[str, Any] | None:
    """The curation that puts several data sets into one file, all of each as there; None for one data set."""
    names = _names(given["dataset"])
    if len(names) == 1:
        return None
    if stage == "pt":
        raise ConfigError(
            f"dataset: {len(names)} data sets of texts, which are not mixed; import one, put the files of all in one "
            "folder, and set data.path=FOLDER data.fields.text=COLUMN in the recipe"
        )
    if given.get("dataset_dir") == "ONLINE":
        raise ConfigError("dataset_dir: ONLINE: several data sets are mixed from files; register them in a folder")
    cap = {"cap": whole("max_samples", given["max_samples"])} if given.get("max_samples") else {}
    return {
        "sources": [_source(given, name) | cap for name in names],
        "bad_rows": "skip",
        "quality": {"no_figures": False},
        "near_duplicates": None,
    }


def _data(found: Imported, given: Mapping[str, Any], name: str) -> None:
    names = _names(given["dataset"])
    data = _source(given, names[0]) if found.mix is None else {"path": f"outputs/curate/{name}/train.jsonl"}
    found.recipe["data"] = data
    said = "data" if found.mix is None else f"{data['path']}, which `mull curate` mixes"
    found.notes.append(Note("dataset", ",".join(names), "taken", said))
    if "dataset_dir" in given:
        found.notes.append(Note("dataset_dir", given["dataset_dir"], "taken", "data"))
    if given.get("eval_dataset"):
        first, *others = _names(given["eval_dataset"])
        found.set("validation.data", _source(given, first))
        found.notes.append(Note("eval_dataset", first, "taken", "validation.data"))
        found.notes.extend(Note("eval_dataset", name, "none", "validation.data is one source") for name in others)
    elif given.get("val_size"):
        found.recipe["validation"] = {}


def _one(found: Imported, key: str, value: Any) -> Note:
    """What becomes of one key; it is set in the recipe where it is taken."""
    if key in TAKEN:
        return _taken(found, key, value)
    instead = trl_fields.DECIDED_ELSEWHERE | DECIDED | (VALIDATED if "validation" in found.recipe else {}) | ABSENT
    if key in instead:
        is_off = value == OFF[key] if key in OFF else value in (None, False, "", 0, "none", "no", [])
        return Note(key, value, "default", "it is off") if is_off else Note(key, value, "none", instead[key])
    if key in STANDS or value is None:
        return Note(key, value, "default", STANDS.get(key, "it is not set"))
    if key not in trl_fields.fields(SftConfig.trl_class):
        return Note(key, value, "none", "not known here; leave it out")
    is_word = value is False and key.endswith("_strategy")  # YAML reads `no` as that
    found.set(f"trainer.{key}", "no" if is_word else value)
    return Note(key, value, "taken", f"trainer.{key}")


def _taken(found: Imported, key: str, value: Any) -> Note:
    target, convert = TAKEN[key]
    if why := _unused(found, target, value):
        return Note(key, value, "default", why)
    if target == "data.limit" and found.mix is not None:
        return Note(key, value, "taken", "sources[].cap of the mix")
    try:
        converted = convert(value)
    except WithoutCounterpart as error:
        return Note(key, value, "none", str(error))
    except (TypeError, ValueError):
        raise ConfigError(f"{key}: {value!r} is no value of it") from None
    if converted is None:
        return Note(key, value, "default", "as it is")
    found.set(target, converted)
    return Note(key, value, "taken", target)


def _unused(found: Imported, target: str, value: Any) -> str:
    """Why the recipe has no use for a key of `target`; "" where it has."""
    section, recipe = target.partition(".")[0], found.recipe
    if section == "adapter" and not recipe.get("adapter"):
        return "the adapter that is trained on has its own shape" if "adapter" not in recipe else "no LoRA is trained"
    if section == "trained_layers" and recipe.get("adapter", {}) is not None:
        return "a LoRA is trained"
    if section == "validation" and section not in recipe:
        return "no rows are validated on"
    if found.stage == "pt" and target in ("loss_on", "trainer.completion_only_loss"):
        return "every token of a text has loss"
    is_set = target == "trainer.warmup_steps" and recipe.get("trainer", {}).get("warmup_steps")
    return "it is not set" if value is None else "warmup_steps win" if is_set else ""
