"""Rewards of the user's own, by dotted path: in our signature, or in TRL's unchanged."""

import asyncio
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from configs.errors import RewardError
from data.turn_reader import without_any_end_of_turn
from rewards.rollout import Reward, Rollout

TIMEOUT = 300.0
"""Seconds that one may take for a batch, unless its recipe says otherwise; judges over a network take minutes."""
TRL_SUPPLIED = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments")
"""What TRL's trainer passes besides the data set's columns; not parameters of the user's."""
_UNREADABLE = (TypeError, AttributeError, KeyError, IndexError)
"""What a function raises that was given strings for messages, or the other way round."""


def load(path: str, kind: str = "reward") -> Callable[..., Any]:
    """What is called `my_module:my_reward` (`my.module.my_reward` is read the same way); `kind` is for messages.

    The current folder is searched as well. Raises RewardError when the module or the function is not there.
    """
    module_name, _, attribute = path.partition(":") if ":" in path else path.rpartition(".")
    if not module_name or module_name.startswith("."):
        raise RewardError(f"{kind} '{path}': '{module_name}' is no module's full name; write `my_module:{attribute}`")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RewardError(f"{kind} '{path}': module '{module_name}' can't be imported ({error})") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        names = ", ".join(name for name, value in vars(module).items() if inspect.isfunction(value)) or "none"
        raise RewardError(f"{kind} '{path}': no function '{attribute}' in {module_name} (functions there: {names})")
    found: Callable[..., Any] = function
    return found


def is_trl_style(function: Callable[..., Any]) -> bool:
    """Whether the function takes TRL's `completions` (or `environments`, or others of its own) rather than rollouts."""
    names = list(inspect.signature(function).parameters)
    return any(name in ("prompts", "completions", "completion_ids", "environments") for name in names)


def adapt(function: Callable[..., Any], params: dict[str, Any]) -> Reward:
    """`function` as a `Reward`, with `params` as keyword arguments."""
    if is_trl_style(function):
        return TrlReward(function, params)

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        scores: list[float | None] = _resolved(function(rollouts, **params))
        return scores

    return reward


class TrlReward:
    """A function in TRL's signature, `f(prompts, completions, **columns)`, called as its trainer calls it.

    Columns: the problem's `id`, `question`, `answer`, `solution` (the answer where a problem has none), `source`, and
    its metadata. Completions carry the prefilled part, without the end of the turn. They are strings first; a function
    that can't take strings (it reads `completion[0]["content"]`) gets messages from then on, as TRL has them for
    conversational data. In an environment completions are messages first, as in TRL: the model's turns and the tools'
    results; and `environments` has each completion's instance.
    """

    def __init__(self, function: Callable[..., Any], params: dict[str, Any]) -> None:
        self._function = function
        self._params = params
        parameters = inspect.signature(function).parameters
        self._names = set(parameters)
        self._takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        ids = parameters.get("completion_ids")
        self._needs_ids = ids is not None and ids.default is ids.empty and "completion_ids" not in params
        instances = parameters.get("environments")
        self._needs_environments = instances is not None and instances.default is instances.empty
        self._conversational: bool | None = None  # not known before the first call
        self.trainer_state: Any = None

    @property
    def needs_ids(self) -> bool:
        """Whether it can't be called without token ids."""
        return self._needs_ids

    def __call__(self, rollouts: Sequence[Rollout]) -> list[float | None]:
        if self._conversational is not None:
            return self._call(rollouts, self._conversational)
        takes_messages = any(rollout.conversation for rollout in rollouts)
        try:
            scores = self._call(rollouts, takes_messages)
        except _UNREADABLE as error:
            try:
                scores = self._call(rollouts, not takes_messages)
            except _UNREADABLE as second:
                given = "strings instead of messages" if takes_messages else "messages instead of strings"
                error.add_note(f"given {given}, it raised {type(second).__name__}: {second}")
                raise error from None
            takes_messages = not takes_messages
        self._conversational = takes_messages
        return scores

    def _call(self, rollouts: Sequence[Rollout], conversational: bool) -> list[float | None]:
        texts = [without_any_end_of_turn(rollout.text) for rollout in rollouts]
        given: dict[str, Any] = _columns(rollouts) | {
            "prompts": [rollout.prompt or rollout.problem.question for rollout in rollouts],
            "completions": texts,
            "trainer_state": self.trainer_state,
            "log_extra": _ignore,
            "log_metric": _ignore,
        }
        if conversational:
            given["prompts"] = [_asked(rollout) for rollout in rollouts]
            given["completions"] = [_said(rollout, text) for rollout, text in zip(rollouts, texts, strict=True)]
        if all(rollout.completion_ids for rollout in rollouts):
            given["completion_ids"] = [list(rollout.completion_ids) for rollout in rollouts]
        elif self._needs_ids:
            name = getattr(self._function, "__name__", "it")
            raise RewardError(f"reward '{name}' takes completion_ids; give each completion its token ids by that name")
        conversations = [rollout.conversation for rollout in rollouts if rollout.conversation]
        if len(conversations) == len(rollouts):
            given["environments"] = [conversation.environment for conversation in conversations]
        elif self._needs_environments:
            name = getattr(self._function, "__name__", "it")
            raise RewardError(f"reward '{name}' takes environments; set rollout.environment: only a run has them")
        given |= self._params
        if not self._takes_all:
            given = {name: value for name, value in given.items() if name in self._names}
        scores: list[float | None] = _resolved(self._function(**given))
        return scores


def _columns(rollouts: Sequence[Rollout]) -> dict[str, list[Any]]:
    """The problems as TRL's columns, one list a name; None where a problem lacks one."""
    problems = [rollout.problem for rollout in rollouts]
    rows = [problem.row() for problem in problems]
    columns: dict[str, list[Any]] = {
        name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)
    }
    if any(problem.references for problem in problems):
        columns["references"] = [list(problem.golds) for problem in problems]
    if any(rollout.max_thinking is not None for rollout in rollouts):
        columns["max_thinking"] = [rollout.max_thinking for rollout in rollouts]
    return columns


def _asked(rollout: Rollout) -> list[dict[str, Any]]:
    """The prompt in messages."""
    if rollout.conversation:
        return [dict(message) for message in rollout.conversation.prompt]
    return [{"role": "user", "content": rollout.problem.question}]


def _said(rollout: Rollout, text: str) -> list[dict[str, Any]]:
    """The completion in messages."""
    if rollout.conversation:
        return [dict(message) for message in rollout.conversation.messages]
    return [{"role": "assistant", "content": text}]


def _ignore(*_: Any, **__: Any) -> None:
    """Stands in for TRL's `log_extra` and `log_metric`."""


def _resolved(result: Any) -> Any:
    """What an `async def` reward returns, run to its end in a thread of its own; anything else as it is."""
    if not inspect.iscoroutine(result):
        return result
    outcome: list[Any] = []

    def run(coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            outcome.append(asyncio.run(coroutine))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, args=(result,), name="async-reward", daemon=True)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
