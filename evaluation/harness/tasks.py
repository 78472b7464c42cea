"""The harness's tasks by name: loaded, with their examples set, and refused where they can't be asked."""

import importlib.util
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, DataError, EngineError, first_line
from configs.schema.harness import HarnessConfig
from configs.suggestion import did_you_mean
from data.hub_rows import cache_alone, reaches_hub
from data.think_format import ThinkFormat

GENERATED = "generate_until"
"""The output type whose answers are written; all others ask for log-likelihoods of texts that stand already."""
SAMPLING = {"do_sample", "temperature", "top_p", "top_k", "min_p", "repetition_penalty"}
LENGTHS = {"max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"}
UNDERSTOOD = {"until", *SAMPLING, *LENGTHS}
"""The keys of a task's `generation_kwargs` that our engines know."""
NEUTRAL = {"num_beams": 1}
"""Keys that change nothing at this value."""


@dataclass(frozen=True)
class HarnessTasks:
    """What a recipe asks for: `tasks` and `groups` of `lm_eval` by name, and for each task the name it came by."""

    tasks: Mapping[str, Any]
    groups: Mapping[str, Any]
    asked_as: Mapping[str, str]


def check_harness(config: HarnessConfig) -> None:
    """Raise `ConfigError` for what can be seen without the harness: whether it is here, and the folder of tasks."""
    if importlib.util.find_spec("lm_eval") is None:
        raise ConfigError(
            "harness: lm-evaluation-harness is not installed; run `pip install 'mull-reasoning[harness]'`"
        )
    if config.include_path is not None and not Path(config.include_path).is_dir():
        raise ConfigError(
            f"harness.include_path: {config.include_path} is no folder; name the one that holds your tasks' YAML files"
        )


def load_tasks(config: HarnessConfig) -> HarnessTasks:
    """The tasks with their documents, from the hub's cache where it has them, else from the hub.

    Raises `ConfigError` for a name that the harness does not know, `DataError` for a task that can't be loaded.
    """
    import numpy as np
    from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

    manager = _manager(config)
    names = _matching(config, manager)
    random.seed(DEFAULT_RANDOM_SEED)  # some tasks shuffle their options as they are loaded
    np.random.seed(DEFAULT_OTHER_SEED)
    loaded = _loaded(manager, names)
    tasks, groups = loaded["tasks"], loaded.get("groups", {})
    for task in tasks.values():
        _set_examples(task, config.num_fewshot, DEFAULT_OTHER_SEED)
    leaves = {name: _leaves(name, tasks, groups, manager) for name in names}
    return HarnessTasks(tasks, groups, {leaf: name for name, its in leaves.items() for leaf in its})


def _manager(config: HarnessConfig) -> Any:
    from lm_eval.tasks import TaskManager

    if config.include_path is not None:  # to read the harness's own 14,000 tasks as well takes seconds
        own = TaskManager(include_path=config.include_path, include_defaults=False)
        if {*config.tasks} <= {*own.all_subtasks}:
            return own
    return TaskManager(include_path=config.include_path)


def _matching(config: HarnessConfig, manager: Any) -> list[str]:
    """The recipe's names, patterns replaced by what they match."""
    names: list[str] = []
    for name in config.tasks:
        matched = sorted(manager.match_tasks([name])) if any(sign in name for sign in "*?") else [name]
        if not matched or not set(matched) <= {*manager.all_tasks}:
            raise ConfigError(f"harness.tasks: no task, group or tag {name!r}; {_otherwise(name, config, manager)}")
        names += matched
    return list(dict.fromkeys(names))


def _otherwise(name: str, config: HarnessConfig, manager: Any) -> str:
    if Path(name).is_file():
        return f"of a file, set harness.include_path={Path(name).parent}, and name it as its `task:` says"
    listed = "`lm-eval ls tasks` lists those of the harness"
    if config.include_path is not None:
        folder = Path(config.include_path)
        own = [known for known, entry in manager.task_index.items() if folder in (entry.yaml_path or Path()).parents]
        listed += f", and {folder} has {', '.join(sorted(own)) or 'none that can be read'}"
    return did_you_mean(name, manager.all_tasks, listed)


def _loaded(manager: Any, names: Sequence[str]) -> Any:
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        try:
            with cache_alone():
                return manager.load(list(names))
        except (ConnectionError, LocalEntryNotFoundError) as error:
            if not reaches_hub():
                raise DataError(
                    f"harness.tasks: their data are not in the hub's cache, and the hub can't be reached "
                    f"({first_line(error)}); load them once with a network, or name tasks over local files with "
                    "harness.include_path"
                ) from None
        return manager.load(list(names))
    except DataError:
        raise
    except Exception as error:  # a task runs code of its own as it is loaded
        raise DataError(
            f"harness.tasks: {', '.join(names)} can't be loaded ({type(error).__name__}: {first_line(error)}); mend "
            "the task's file, install what it names, or leave it out"
        ) from error


def _set_examples(task: Any, shots: int | None, seed: int) -> None:
    """As the harness's own command does: a task that says 0 keeps it; examples are drawn by the harness's seed."""
    own = task.get_config("num_fewshot")
    if shots is not None and own != 0:
        task.set_config(key="num_fewshot", value=shots)
    elif own is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=seed)


def _leaves(name: str, tasks: Mapping[str, Any], groups: Mapping[str, Any], manager: Any) -> list[str]:
    if name in groups:
        return [task.task_name for task in groups[name].get_all_tasks()]
    return [name] if name in tasks else [task for task in tasks if task in manager.task_index[name].tags]


def check_askable(tasks: HarnessTasks, think_format: ThinkFormat, engine: str) -> None:
    """Raise a `MullError` for the first task that can't be asked; `engine` is the name of the one that answers."""
    for name, task in tasks.tasks.items():
        where = f"harness.tasks: {name}"
        if getattr(task, "MULTIMODAL", False):
            raise EngineError(f"{where} shows images or plays sounds, and our engines read text; leave it out")
        if getattr(task, "UNSAFE_CODE", False):
            raise ConfigError(
                f"{where} runs code that the model wrote, unguarded; leave it out, or run it with the harness itself "
                "against `mull serve`, where you can confine it"
            )
        if task.OUTPUT_TYPE != GENERATED and engine != "transformers":
            raise EngineError(
                f"{where} asks for log-likelihoods, for which the model itself is needed, and {engine} runs it "
                "elsewhere; set engine.name=transformers, with engine.data_parallel=1"
            )
        if task.OUTPUT_TYPE == GENERATED:
            _check_generated(where, task, think_format)
        _check_examples(where, task)


def _check_examples(where: str, task: Any) -> None:
    shots = task.get_config("num_fewshot")
    if not shots:
        return
    count = len(list(task.fewshot_docs()))
    if getattr(task, "fewshot_cfg", None) and task.fewshot_cfg.split == task.get_config("test_split"):
        count -= 1  # the document that is asked is no example of itself
    if shots > count:
        raise ConfigError(f"{where} has {count} examples to show, not {shots}; lower harness.num_fewshot")


def _check_generated(where: str, task: Any, think_format: ThinkFormat) -> None:
    if think_format.has_thinking and task.get_config("gen_prefix"):
        raise ConfigError(
            f"{where} begins the answer itself (gen_prefix), and think format {think_format.name} thinks first; set "
            "think_format=none, or leave it out"
        )
    for key, value in (task.get_config("generation_kwargs") or {}).items():
        if key not in UNDERSTOOD and (key not in NEUTRAL or value != NEUTRAL[key]):
            raise EngineError(
                f"{where}: generation_kwargs.{key}: {value!r}: our engines don't know it; they know "
                f"{', '.join(sorted(UNDERSTOOD))}"
            )


def asks_loglikelihoods(tasks: HarnessTasks) -> bool:
    """Whether any task asks how likely texts are that stand already."""
    return any(task.OUTPUT_TYPE != GENERATED for task in tasks.tasks.values())
