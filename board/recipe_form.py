"""A recipe as a form: the fields that people change with their sentence, the rest as YAML, and the command it makes."""

import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from board.folder import Folder
from configs.errors import ConfigError
from configs.recipe import RECIPES, find, load_recipe, read_yaml, section_at
from configs.run_record import read_record
from configs.schema.sections import Section
from configs.schema.stages import STAGES
from configs.schema.trl_fields import trl_help

COMMANDS = {
    "sft": "sft",
    "grpo": "grpo",
    "eval": "evaluate",
    "curate": "curate",
    "distill": "distill",
    "publish": "publish",
    "self_improve": "self_improve",
}
"""Stage → the command of `mull` that runs its recipes."""
MODULES = {
    "sft": "sft.train",
    "grpo": "rl.grpo",
    "eval": "evaluation.evaluate",
    "harness": "evaluation.evaluate",
    "curate": "curation.curate",
    "distill": "curation.distill",
    "publish": "release.publish",
    "self_improve": "self_improve.run",
}
"""Stage → the module that runs its recipes."""
FIELDS = {
    "model.name": ("sft", "grpo", "eval"),
    "model.adapter": ("sft", "grpo", "eval"),
    "model.max_length": ("sft", "grpo", "eval"),
    "data.source": ("sft", "grpo", "eval"),
    "data.path": ("sft", "grpo", "eval"),
    "data.limit": ("sft", "grpo", "eval"),
    "trainer.max_steps": ("sft", "grpo"),
    "trainer.learning_rate": ("sft", "grpo"),
    "trainer.per_device_train_batch_size": ("sft", "grpo"),
    "trainer.num_generations": ("grpo",),
    "trainer.max_completion_length": ("grpo",),
    "rollout.budget.max_thinking": ("grpo",),
    "think_format": ("eval",),
    "budgets": ("eval",),
    "samples": ("eval",),
    "sampling.temperature": ("eval",),
    "seed": ("sft", "grpo"),
}
"""The keys that people change → the stages whose recipes have them."""
OPTIONS, OPTIONS_WITH_VALUE = ("--lm-eval",), ("--compare", "--budget")
"""Options of an evaluation that are in no recipe."""
WORK = ".board"
"""The board's own folder below the root; no run is looked for in it."""
RUN_NAME = re.compile(r"[\w.-]+(/[\w.-]+){0,3}")


@dataclass(frozen=True, slots=True)
class Launch:
    """A command ready to start: its arguments after `python -m`, and the folder that it writes, by its name.

    `is_run`: that folder is a run's, which must not be there yet; another one's command says itself what it replaces.
    """

    words: list[str]
    run: str
    stage: str
    is_run: bool = True

    def typed(self) -> str:
        """The command to copy into a terminal."""
        return shlex.join(["mull", COMMANDS.get(self.stage, "evaluate"), *self.words[1:]])


def recipes(stage: str) -> list[str]:
    """The shipped recipes of a stage."""
    return sorted(path.name for path in (RECIPES / stage).glob("*.yaml"))


def recipe_text(stage: str, name: str) -> str:
    """A shipped recipe as it is written. Raises `ConfigError`."""
    if name not in recipes(stage):
        raise ConfigError(f"{name!r}: no shipped recipe of {stage}")
    return find(stage, name).read_text(encoding="utf-8")


def sentence(stage: str, key: str) -> str:
    """What the schema, or TRL, says of a key, its first sentence."""
    schema: type[Section] = STAGES[stage]
    section, _, field = key.rpartition(".")
    if section == "trainer":
        text = trl_help(getattr(schema, "trl_class", ""), field)
    else:
        inner = section_at(schema, (*section.split("."), field)) if section else schema
        text = inner.model_fields[field].description or ""
    return re.split(r"(?<=\.)\s", " ".join(text.split()))[0]


def written_value(stage: str, text: str, key: str) -> str:
    """What a recipe's text has at a key, as a form shows it; "" where it is silent. Raises `ConfigError`."""
    value = OmegaConf.select(_tree(stage, text), key)
    return "" if value is None or OmegaConf.is_config(value) else str(value)


def _tree(stage: str, text: str) -> Any:
    try:
        return OmegaConf.create(text)
    except (OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(f"the {stage} recipe: not valid YAML: {' '.join(str(error).split())}") from None


def launch(folder: Folder, stage: str, name: str, text: str, changes: Mapping[str, str], run: str) -> Launch:
    """The command for a recipe with a form's changes. Raises `ConfigError` as the command line would, and `RunError`.

    A recipe whose text was edited is kept in the board's own folder under the hash of that text.
    """
    if stage not in COMMANDS:
        raise ConfigError(f"{stage!r}: no stage that the board starts")
    if not RUN_NAME.fullmatch(run) or run.startswith("."):
        raise ConfigError(f"{run[:60]!r}: a run's name is letters, digits, '_', '-' and '.', in folders parted by '/'")
    output = folder.path(run)
    shipped = recipe_text(stage, name)
    recipe = name
    if text.strip() != shipped.strip():
        kept = kept_recipe(folder, Path(name).stem, text)
        read_yaml(kept)
        recipe = str(kept)
    known = [key for key, stages in FIELDS.items() if stage in stages]
    overrides = [f"{key}={changes[key].strip()}" for key in known if changes.get(key, "").strip()]
    overrides.append(f"output_dir={output}")
    load_recipe(stage, recipe, overrides)
    return Launch([MODULES[stage], "--config", recipe, *overrides], run, stage)


def unused_name(folder: Folder, stem: str) -> str:
    """A name that no run below the folder has: "grpo/demo-3"."""
    for number in range(1, 10_000):
        if not (folder.root / (name := f"{stem}-{number}")).exists():
            return name
    return stem


def kept_recipe(folder: Folder, stem: str, text: str) -> Path:
    """The file below the folder that holds a recipe's text, called by its hash."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    file = folder.root / WORK / "recipes" / f"{stem}-{digest}.yaml"
    keep(file, text)
    return file


def keep(file: Path, text: str) -> None:
    """Write a file that is called by its content, whoever else writes it at the same time."""
    if file.is_file():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as partial:
        partial.write(text)
    os.replace(partial.name, file)


def resumed(folder: Folder, run: str, stage: str) -> Launch:
    """The command that goes on with a run, with the options that it was started with.

    Raises `ConfigError` and `RunError`.
    """
    path = folder.path(run)
    recipe = path / "config.yaml"
    if stage not in MODULES or not folder.holds(recipe):
        raise ConfigError(f"{run}: holds no run to resume")
    record = read_record(path)
    options = kept_options(shlex.split(record.command)) if record else []
    return Launch([MODULES[stage], "--config", str(recipe), f"output_dir={path}", *options, "--resume"], run, stage)


def kept_options(words: Sequence[str]) -> list[str]:
    """What a run's command line says that its `config.yaml` does not."""
    found = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in OPTIONS_WITH_VALUE:
            found.append(f"{word}={following}")
        elif word in OPTIONS or word.partition("=")[0] in OPTIONS_WITH_VALUE:
            found.append(word)
    return found
