"""The fields of TRL's config classes, with types and defaults, read from their source.

The source is parsed with `ast`, so that a misspelt key is refused in milliseconds, before torch or TRL is imported. A
field that a recipe leaves out has TRL's default everywhere: in what is trained, in every check and in every estimate.
"""

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from configs.suggestion import did_you_mean

SOURCES = {
    "GRPOConfig": ("trl", "trainer/grpo_config.py"),
    "SFTConfig": ("trl", "trainer/sft_config.py"),
    "_BaseConfig": ("trl", "trainer/base_config.py"),
    "TrainingArguments": ("transformers", "training_args.py"),
}

DECIDED_ELSEWHERE = {
    "output_dir": "set output_dir at the top level of the recipe",
    "seed": "set seed at the top level of the recipe",
    "data_seed": "set seed at the top level of the recipe",
    "report_to": "set tracking.to",
    "reward_weights": "set rewards[].weight",
    "resume_from_checkpoint": "pass --resume",
    "max_length": "set model.max_length",
    "restore_callback_states_from_checkpoint": "leave it out: a resumed run restores what it needs",
    "push_to_hub": "leave it out: python -m release.publish publishes, after the gate",
    "hub_token": "leave it out, a recipe is published with its model: run `hf auth login`, or set HF_TOKEN",
    "disable_tqdm": "leave it out: progress is a line a step, or a bar on a terminal",
    "chat_template_kwargs": "leave it out: prompts are rendered as think_format says, everywhere alike",
    "model_init_kwargs": "set the model section",
}
"""Fields that another part of a recipe decides, and where."""

LEAST = {
    "max_completion_length": 1,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "steps_per_generation": 1,
    "generation_batch_size": 1,
    "num_iterations": 1,
}
"""What divides, or has to be there: the smallest that makes sense."""

NEEDED = ("num_generations", "max_completion_length")
"""Fields that may be null to TRL, and that our engines need."""

YAML_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "dict": (dict,),
    "list": (list,),
    "None": (type(None),),
}


def check_trainer_fields(config_class: str, values: dict[str, Any]) -> None:
    """Raise ValueError, naming the key and the way out, for the first key of `values` that can't be passed on."""
    known = fields(config_class)
    for key, value in values.items():
        if key in DECIDED_ELSEWHERE:
            raise ValueError(f"trainer.{key}: {DECIDED_ELSEWHERE[key]}")
        if key not in known:
            hint = did_you_mean(key, known, f"see {config_class} in TRL's documentation")
            raise ValueError(f"trainer.{key}: not a field of {config_class}; {hint}")
        if isinstance(value, bool) and _takes_text(known[key]):
            raise ValueError(f"trainer.{key}: found {value}; YAML reads no, off, yes and on as that, so quote the word")
        wanted = tuple(accepted(known[key]))
        if wanted and not _fits(value, wanted):
            names = " or ".join(dict.fromkeys(t.__name__.replace("NoneType", "none") for t in wanted))
            raise ValueError(f"trainer.{key}: expected {names}, found {value!r}")
        if value is None and key in NEEDED:
            raise ValueError(f"trainer.{key}: null; give a number, or leave it out for TRL's own")
        if key in LEAST and value is not None and value < LEAST[key]:
            raise ValueError(f"trainer.{key}: {value}; it is at least {LEAST[key]}")


def fields(config_class: str) -> dict[str, ast.expr]:
    """Field name → annotation of `config_class` and the classes it inherits from."""
    return {name: declaration.annotation for name, declaration in _declarations(config_class).items()}


def trl_default(config_class: str, name: str) -> Any:
    """The value that TRL takes where a recipe leaves the field `name` out.

    Raises `LookupError` for a field without a default that can be read: no such field, or one that is computed.
    """
    value = _declarations(config_class)[name].value
    if isinstance(value, ast.Call):  # dataclasses.field(default=…, metadata=…)
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    try:
        return ast.literal_eval(value) if value is not None else _no_default(config_class, name)
    except ValueError:
        return _no_default(config_class, name)


def trl_help(config_class: str, name: str) -> str:
    """What TRL, or Transformers, says of the field `name`; "" where it says nothing."""
    value = _declarations(config_class)[name].value
    metadata = (
        next((k.value for k in value.keywords if k.arg == "metadata"), None) if isinstance(value, ast.Call) else None
    )
    try:
        return str(ast.literal_eval(metadata)["help"]) if metadata is not None else ""
    except (ValueError, KeyError):
        return ""


def _no_default(config_class: str, name: str) -> NoReturn:
    raise LookupError(f"{config_class}.{name} has no default that can be read from the source")


@cache
def _declarations(config_class: str) -> dict[str, ast.AnnAssign]:
    """Field name → the line that declares it, in `config_class` or in the nearest class that it inherits from."""
    package, file = SOURCES[config_class]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"trainer: {package} is not installed; run `make install`")
    tree = ast.parse((Path(spec.origin).parent / file).read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == config_class)
    bases = [base.id for base in body.bases if isinstance(base, ast.Name) and base.id in SOURCES]
    declared = {name: line for base in bases for name, line in _declarations(base).items()}
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            declared[node.target.id] = node
    return declared


def accepted(annotation: ast.expr) -> Iterator[type]:
    """The plain Python types an annotation admits; nothing if it names a type YAML has no literal for."""
    if isinstance(annotation, ast.BinOp):  # X | Y
        sides = [tuple(accepted(annotation.left)), tuple(accepted(annotation.right))]
        if all(sides):
            yield from (*sides[0], *sides[1])
    elif isinstance(annotation, ast.Subscript):  # dict[str, Any], list[float]
        if isinstance(annotation.value, ast.Name):
            yield from YAML_TYPES.get(annotation.value.id, ())
    elif isinstance(annotation, ast.Constant):
        yield from YAML_TYPES.get(str(annotation.value), ())
    elif isinstance(annotation, ast.Name):
        yield from YAML_TYPES.get(annotation.id, ())


def _takes_text(annotation: ast.expr) -> bool:
    """Whether a field takes a word, maybe of an enumeration, and no truth value."""
    named = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return "str" in named and "bool" not in named


def _fits(value: Any, wanted: tuple[type, ...]) -> bool:
    if isinstance(value, bool):  # bool is an int to Python, not to a reader
        return bool in wanted
    return isinstance(value, wanted)
