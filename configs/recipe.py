"""`load_recipe`: a recipe's YAML + `key.path=value` overrides → a validated config, or one clear `ConfigError`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, Tag, ValidationError
from yaml import YAMLError

from configs.errors import ConfigError
from configs.schema.sections import Section
from configs.schema.stages import STAGES, stage_of_recipe
from configs.suggestion import did_you_mean

RECIPES = Path(__file__).parent


def load_recipe(stage: str, name: str | Path | Section, overrides: Sequence[str] = ()) -> Any:
    """The config of `stage` ("grpo", "sft", "eval", …) from the recipe `name`, or a loaded config.

    `name` is a path, or the name of a recipe in `configs/<stage>/`, with or without ".yaml". Later overrides win.
    Returns an instance of the stage's class in `configs.schema.stages`. Raises `ConfigError`.
    """
    if isinstance(name, Section):
        if not overrides:
            return name
        origin, tree = f"the {stage} config", OmegaConf.create(name.model_dump())
    else:
        path = find(stage, str(name))
        origin, tree = str(path), read_yaml(path)
    for override in overrides:
        _apply(tree, override)
    try:
        values = OmegaConf.to_container(tree, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{origin}: {' '.join(str(error).split())}") from None
    return validate(stage, values, origin)


def read_yaml(path: Path) -> DictConfig:
    """The file as it is written. Raises `ConfigError`."""
    try:
        tree = OmegaConf.load(path)
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, DictConfig):
        raise ConfigError(f"{path}: a recipe is a mapping of sections, this file holds a {type(tree).__name__}")
    return tree


def validate(stage: str, values: Any, origin: str) -> Any:
    """Check `values` against the stage's schema; `origin` is the file that errors name."""
    schema = STAGES[stage_of_recipe(stage, values)]
    try:
        return schema.model_validate({"output_dir": default_output(stage, origin)} | values)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {explain(schema, error)}") from None


def default_output(stage: str, origin: str) -> str:
    """Where a recipe's run goes unless it says otherwise."""
    return f"outputs/{stage}/{Path(origin).stem}"


def find(stage: str, name: str) -> Path:
    """The recipe's file: the path as given, else the stage's own recipe of that name."""
    shipped = RECIPES / stage / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    for path in (Path(name), shipped):
        if path.is_file():
            return path
    known = sorted(p.name for p in (RECIPES / stage).glob("*.yaml"))
    hint = did_you_mean(shipped.name, known, f"shipped recipes: {', '.join(known)}", cutoff=0.5)
    raise ConfigError(f"--config {name}: no such file, and no recipe of that name in configs/{stage}; {hint}")


def _apply(tree: DictConfig, override: str) -> None:
    key, equals, raw = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override}: not an override; write key.path=value, as in trainer.max_steps=10")
    try:
        value = OmegaConf.from_dotlist([f"value={raw}"])["value"]
        OmegaConf.update(tree, key, value, force_add=True)
    except (OmegaConfBaseException, YAMLError, IndexError, ValueError, TypeError) as error:
        raise ConfigError(f"{override}: can't be set: {' '.join(str(error).split())}") from None


def explain(model: type[BaseModel], error: ValidationError) -> str:
    """The first problem in one line: key, what is wrong, the nearest valid name; and how many more there are."""
    found = _of_the_branch_meant(error.errors())
    problems = sorted(found, key=lambda problem: bool(problem["type"] == "missing"))  # a typo before what it lacks
    first = problems[0]
    written = first["loc"][-1:] if first["type"] == "extra_forbidden" else ()  # whatever an unknown key looks like
    above = first["loc"][: len(first["loc"]) - len(written)]
    key = ".".join(map(str, (*(part for part in above if not _is_union_branch(part)), *written)))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        at = _tag_at(first["loc"])
        branch = f" of {first['loc'][at]}" if at else ""
        return f"{key}: unknown key{branch}; {_suggest(model, first['loc'])}{more}"
    if first["type"] == "union_tag_invalid":
        field, _, found = first["ctx"]["tag"].partition("=")
        known = [tag.strip("' ").partition("=")[2] for tag in first["ctx"]["expected_tags"].split(",")]
        return f"{key}.{field}: {found}; {did_you_mean(found, known, 'known here: ' + ', '.join(known))}{more}"
    if first["type"] == "missing":
        return f"{key}: missing, and it has no default{more}"
    message = first["msg"].removeprefix("Value error, ")
    input_shown = "" if first["type"] == "value_error" else f", found {first['input']!r}"
    return f"{key}: {message}{input_shown}{more}" if key else f"{message}{more}"


def _of_the_branch_meant(problems: list[Any]) -> list[Any]:
    """Of a name-or-section that was given as a section: what is wrong in that section, not that it is no name."""
    first = problems[0]
    if first["type"] != "literal_error" or isinstance(first["input"], str):
        return problems
    above = first["loc"][:-1]
    of_section = [p for p in problems[1:] if p["loc"][: len(above)] == above]
    inner = [p for p in of_section if len(p["loc"]) > len(first["loc"]) or p["type"] == "value_error"]
    return inner or problems


def _is_union_branch(part: int | str) -> bool:
    """Pydantic names the branch of a union it tried ("list[str]", "ThinkFormatConfig"); a reader has no use for it."""
    return isinstance(part, str) and (
        not part.isidentifier() or part in _section_names(Section) or part in {"str", "int", "float", "bool"}
    )


def _section_names(section: type[Section]) -> set[str]:
    below = (_section_names(child) for child in section.__subclasses__())
    return {section.__name__}.union(*below)


def _suggest(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    names = list(section_at(model, loc[:-1]).model_fields)
    known = f"known here: {', '.join(names)}"
    if at := _tag_at(loc):  # a recipe's own keys stay where an override changes the type alone
        section = ".".join(map(str, loc[:at]))
        known += f"; {section}=null {section}.{loc[at]} leaves out the recipe's"
    return did_you_mean(str(loc[-1]), names, known)


def _tag_at(loc: tuple[int | str, ...]) -> int:
    """Where `loc` says which of several sections is meant, as in `type=prefix`; 0: nowhere."""
    return next((at for at, part in enumerate(loc[:-1]) if isinstance(part, str) and "=" in part), 0)


def section_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The section that `loc`, a key's parts, points into: annotations hold it bare, in a list, or in a union."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = _first_model(model.model_fields[part].annotation, loc) or model
    return model


def _first_model(annotation: Any, loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The first section in an annotation; of those with tags the one that `loc` names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = get_args(annotation)
    if any(isinstance(arg, Tag) and arg.tag not in loc for arg in inner):
        return None
    return next((section for arg in inner if (section := _first_model(arg, loc))), None)
