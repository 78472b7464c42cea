"""An evaluation as a form: which model, on which benchmark, under which budgets; and the command that it makes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from omegaconf import OmegaConf

from board.folder import Folder
from board.recipe_form import Launch, launch, written_value
from board.runs import PRODUCTS
from configs.errors import ConfigError
from data.think_format import THINK_FORMATS, ThinkFormat
from training.finished_run import open_run

BASE = "base"
"""What `--compare` calls the model without its adapter."""
NO_LIMIT = ("none", "null", "-", "∞")
KEPT_OF_A_BUDGET = ("max_answer", "num_waits", "wait_text", "final_answer_text")
"""What budgets that are typed as numbers have of the recipe's first one."""


def evaluation(
    folder: Folder, model: str, recipe: str, text: str, budgets: str, compare: str, changes: Mapping[str, str], run: str
) -> Launch:
    """The command for a recipe with a form's changes; `model`: a run's name, a model's, or "" for the recipe's own.

    `compare`: "base", the name of an evaluation below the folder, or "" for nothing.

    Raises `ConfigError` as the command line would, and `RunError` for a run that is not finished.
    """
    asked = {**changes, **model_changes(folder, model.strip(), text)}
    if budgets.strip():
        asked["budgets"] = budgets_override(budgets, text)
    made = launch(folder, "eval", recipe, text, asked, run)
    if not compare:
        return made
    other = compare if compare == BASE else str(folder.path(compare))
    return replace(made, words=[*made.words, f"--compare={other}"])


def model_changes(folder: Folder, model: str, text: str) -> dict[str, str]:
    """What a recipe's text has to say otherwise, to be about this model. Raises `MullError`."""
    if not model:
        return {}
    had_adapter = bool(written_value("eval", text, "model.adapter"))
    if not is_run(folder, model):
        return {"model.name": model, **({"model.adapter": "null"} if had_adapter else {})}
    run = open_run(folder.path(model))
    name, adapter = run.weights
    found = {"model.name": name}
    if adapter is not None or had_adapter:
        found["model.adapter"] = adapter or "null"
    if run.think_format != THINK_FORMATS.get(written_value("eval", text, "think_format") or "s1"):
        found["think_format"] = format_override(run.think_format)
    return found


def is_run(folder: Folder, name: str) -> bool:
    """Whether a run below the folder that has its product is called so."""
    path = folder.root / name
    return path.is_relative_to(folder.root) and any((path / product).is_dir() for product in PRODUCTS)


def format_override(think_format: ThinkFormat) -> str:
    """A think format as the value of an override: its name, or all that it says."""
    if think_format == THINK_FORMATS.get(think_format.name):
        return think_format.name
    return json.dumps(asdict(think_format), ensure_ascii=False)


def budgets_override(typed: str, text: str) -> str:
    """Limits as somebody types them ("64, 256, none") as the recipe's `budgets`. Raises `ConfigError`."""
    shared = {key: value for key, value in _first_budget(text).items() if key in KEPT_OF_A_BUDGET}
    budgets: list[dict[str, Any]] = []
    for limit in filter(None, typed.replace("，", ",").replace(",", " ").split()):
        if not (limit.isdecimal() or limit.lower() in NO_LIMIT):
            raise ConfigError(f"budgets: {limit[:40]!r} is no number of thinking tokens; write 64, 256, none")
        budgets.append({"max_thinking": int(limit), **shared} if limit.isdecimal() else shared)
    return json.dumps(budgets, ensure_ascii=False)


def typed_budgets(text: str) -> str:
    """A recipe's budgets as `budgets_override` reads them; "" where one of them says more than a limit."""
    budgets = _budgets(text)
    shared = {key: value for key, value in _first_budget(text).items() if key in KEPT_OF_A_BUDGET}
    if any({k: v for k, v in one.items() if k != "max_thinking"} != shared for one in budgets):
        return ""
    return ", ".join(str(one.get("max_thinking", "none")) for one in budgets)


def _first_budget(text: str) -> Mapping[str, Any]:
    return next(iter(_budgets(text)), {})


def _budgets(text: str) -> Sequence[Mapping[str, Any]]:
    """The recipe's budgets; none where its text has none, or is no recipe, which the command's own error says."""
    try:
        found = OmegaConf.to_container(OmegaConf.create(text))
    except Exception:  # whatever a half-typed text raises: the command says it
        return []
    budgets = found.get("budgets") if isinstance(found, dict) else None
    return [one for one in budgets if isinstance(one, dict)] if isinstance(budgets, list) else []
