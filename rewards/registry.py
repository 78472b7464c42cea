"""The shipped rewards by name, and `build_rewards`: a recipe's `rewards:` list → one checked `RewardSet`.

Everything that can be seen without a completion is checked here, and nothing heavy is imported for it.
"""

import importlib
import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from configs.errors import RewardError
from configs.schema.sections import RewardSpec
from configs.suggestion import did_you_mean
from rewards import plugin
from rewards.composition import COMPARISONS, Gate, Member, RewardSet
from rewards.rollout import Reward

SHIPPED = {
    "correctness": "correctness",
    "integer": "correctness",
    "strict_format": "format",
    "soft_format": "format",
    "xmlcount": "format",
    "tag_count": "format",
    "think_format": "format",
    "reasoning_steps": "style",
    "length": "length",
    "cosine": "length",
    "repetition": "style",
    "soft_overlong": "length",
    "budget": "length",
    "exact_length": "length",
    "at_most_length": "length",
    "adaptive_length": "length",
    "exact": "correctness",
    "grade": "correctness",
}
"""Each name is a function in this module of `rewards.shipped`."""

_GATE = re.compile(rf"\s*(\w+)\s*({'|'.join(sorted(COMPARISONS, key=len, reverse=True))})\s*(-?\d+(?:\.\d+)?)\s*")


def build_rewards(specs: Sequence[RewardSpec | Mapping[str, Any] | str]) -> RewardSet:
    """The `RewardSet` of a recipe's `rewards:` list, checked by the schema or as plain YAML; a name alone will do.

    Raises RewardError for an unknown name, a wrong parameter, a name given twice, or a gate on a reward that is not in
    the list.
    """
    if not specs:
        raise RewardError("rewards: the list is empty; a run needs at least one reward")
    named = [{"name": spec} if isinstance(spec, str) else spec for spec in specs]
    checked = [spec if isinstance(spec, RewardSpec) else _spec(spec) for spec in named]
    names = [column_name(spec.name) for spec in checked]
    for at, name in enumerate(names):
        first, again = checked[names.index(name)].name, checked[at].name
        if first != again:
            raise RewardError(f"rewards: '{first}' and '{again}' have one column name, {name}; rename one function")
        if names.index(name) < at:
            raise RewardError(f"rewards: '{name}' is there twice; give each reward once")
    return RewardSet([_member(spec, names) for spec in checked])


def column_name(name: str) -> str:
    """The name of a reward's column: its own, or the function's of a dotted path."""
    return re.split(r"[:.]", name)[-1]


def _spec(values: Mapping[str, Any]) -> RewardSpec:
    try:
        return RewardSpec.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RewardError(f"rewards: {dict(values)}: {where}: {first['msg']}") from error


def _member(spec: RewardSpec, names: Sequence[str]) -> Member:
    if not math.isfinite(spec.weight):
        raise RewardError(f"reward '{spec.name}': weight {spec.weight} is not a finite number")
    if spec.clip and not spec.clip[0] <= spec.clip[1]:
        raise RewardError(f"reward '{spec.name}': clip {spec.clip} is not [low, high]")
    if spec.timeout is not None and spec.name in SHIPPED:
        raise RewardError(f"reward '{spec.name}': timeout: it is for a reward of your own; shipped ones don't block")
    return Member(
        name=column_name(spec.name),
        reward=_reward(spec),
        weight=spec.weight,
        gate=_gate(spec, names),
        required=spec.required,
        clip=(spec.clip[0], spec.clip[1]) if spec.clip else None,
        timeout=None if spec.name in SHIPPED else spec.timeout or plugin.TIMEOUT,
    )


def _reward(spec: RewardSpec) -> Reward:
    if spec.name in SHIPPED:
        factory = getattr(importlib.import_module(f"rewards.shipped.{SHIPPED[spec.name]}"), spec.name)
        _check_params(spec, factory, supplied=())
        try:
            reward: Reward = factory(**spec.params)
        except (TypeError, ValueError) as error:
            raise RewardError(f"reward '{spec.name}': {error}") from error
        return reward
    if ":" not in spec.name and "." not in spec.name:
        raise RewardError(
            f"reward '{spec.name}' is unknown{_nearest(spec.name, SHIPPED)}; shipped: {', '.join(SHIPPED)}; "
            "or a dotted path `my_module:my_reward`"
        )
    function = plugin.load(spec.name)
    trl_style = plugin.is_trl_style(function)
    positional = next(iter(inspect.signature(function).parameters), None)
    if positional is None:
        raise RewardError(f"reward '{spec.name}' takes no argument; write f(rollouts) or f(prompts, completions, **kw)")
    _check_params(spec, function, supplied=plugin.TRL_SUPPLIED if trl_style else (positional,))
    return plugin.adapt(function, spec.params)


def _check_params(spec: RewardSpec, function: Callable[..., Any], supplied: Sequence[str]) -> None:
    """Refuse a parameter that the function does not take, and name one that it needs."""
    parameters = inspect.signature(function).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        takes = [name for name in parameters if name not in supplied]
        for key in spec.params:
            if key not in takes:
                choices = f"it takes {', '.join(takes)}" if takes else "it takes none"
                raise RewardError(f"reward '{spec.name}' has no parameter '{key}'{_nearest(key, takes)}; {choices}")
    elif clash := set(spec.params) & set(supplied):
        raise RewardError(f"reward '{spec.name}': '{min(clash)}' is passed by the trainer; take it out of params")
    if not supplied:
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in spec.params:
                raise RewardError(f"reward '{spec.name}' needs the parameter '{name}'")


def _gate(spec: RewardSpec, names: Sequence[str]) -> Gate | None:
    if spec.when is None:
        return None
    match = _GATE.fullmatch(spec.when)
    if not match:
        raise RewardError(
            f"reward '{spec.name}': when: '{spec.when}' can't be read; write `<reward> <comparison> <number>`, such as "
            "`correctness > 0`"
        )
    reward, comparison, value = match.groups()
    if reward not in names:
        raise RewardError(
            f"reward '{spec.name}': when: there is no reward '{reward}' in the list{_nearest(reward, names)}; add it "
            "(with weight 0 if it is not to count)"
        )
    return Gate(reward, comparison, float(value))


def _nearest(name: str, choices: Collection[str]) -> str:
    hint = did_you_mean(name, choices, otherwise="")
    return f" ({hint})" if hint else ""
