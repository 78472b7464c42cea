"""Environments in TRL's form: objects that a model acts on with tools, one a rollout, built once and reset often.

What TRL 1.14.2 takes as `environment_factory` is taken unchanged: `factory()` gives an instance; `reset(**row)`
prepares it and may return a text for the end of the question; every other public method is a tool, described by its
type hints and its docstring; `get_reward()`, where there is one, is a reward. Methods may be async.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers.utils import get_json_schema

from configs.errors import ConfigError, EngineError, first_line
from data.problem import Problem

RESERVED = ("reset", "get_reward")
"""Public methods that are no tools."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool call came to: the tool's name, what the model is told, and whether the call failed."""

    name: str
    content: str
    has_failed: bool = False


class Environments:
    """A pool of environments of one kind; `schemas` describes their tools as chat templates take them."""

    def __init__(self, factory: Callable[[], Any], name: str) -> None:
        """`name`: what the recipe calls the factory. Raises `ConfigError` for what is no environment."""
        self.name = name
        self._factory = factory
        self._pool = [self._built()]
        first = self._pool[0]
        if not inspect.ismethod(getattr(first, "reset", None)):
            raise ConfigError(f"environment '{name}': {type(first).__name__} has no method `reset`; add one")
        self.has_reward = inspect.ismethod(getattr(first, "get_reward", None))
        self.reward_name = type(first).__name__
        self.schemas = [self._schema(tool_name, tool) for tool_name, tool in tools_of(first).items()]
        self._events: asyncio.AbstractEventLoop | None = None

    @property
    def tool_names(self) -> list[str]:
        """Of every tool."""
        return [schema["function"]["name"] for schema in self.schemas]

    def take(self, count: int) -> list[Any]:
        """So many instances, always the same ones: who takes them again has to reset them."""
        self._pool += [self._built() for _ in range(count - len(self._pool))]
        return self._pool[:count]

    def reset(self, environment: Any, row: Mapping[str, Any], problem: Problem) -> str:
        """Prepare an instance for a row; returns what is added to the question. Raises `EngineError`."""
        where = f"environment '{self.name}', problem {problem.id}"
        try:
            observation = environment.reset(**_taken(environment.reset, row))
            if inspect.iscoroutine(observation):
                observation = self.run(observation)
        except Exception as error:
            raise EngineError(f"{where}: reset raised {type(error).__name__}: {first_line(error)}") from error
        if not isinstance(observation, str | None):
            raise EngineError(f"{where}: reset returned a {type(observation).__name__}; return a text, or None")
        return observation or ""

    def call(self, environment: Any, calls: Sequence[Mapping[str, Any]]) -> list[ToolResult]:
        """The results of the model's tool calls: async ones run together, and come after the others, as in TRL.

        What goes wrong in a call is told to the model. Raises `EngineError` for a result that is no text.
        """
        tools = tools_of(environment)
        results: list[ToolResult] = []
        running: list[tuple[str, Coroutine[Any, Any, Any]]] = []
        for call in calls:
            function = call.get("function") if call.get("type") == "function" else None
            if not isinstance(function, Mapping):
                error = {"error": f"Unsupported tool call type: {call.get('type')}"}
                results.append(ToolResult(str(call.get("name", "unknown")), str(error), has_failed=True))
                continue
            name = function["name"]
            try:
                if name not in tools:
                    raise ValueError(f"Tool {name} not found.")
                value = tools[name](**function["arguments"])
            except Exception as error:
                results.append(_failed(name, error))
                continue
            if inspect.iscoroutine(value):
                running.append((name, value))
            else:
                results.append(ToolResult(name, self._text(name, value)))
        return results + self._finished(running)

    def rewards(self, environments: Sequence[Any]) -> list[float | None]:
        """What each instance says it earned, by its own `get_reward`."""
        values = [environment.get_reward() for environment in environments]
        return [self.run(value) if inspect.iscoroutine(value) else value for value in values]

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The result of a coroutine, run in one event loop for all: clients that an environment keeps belong to it."""
        if self._events is None:
            self._events = asyncio.new_event_loop()
            threading.Thread(target=self._events.run_forever, name="environment", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._events).result()

    def _finished(self, running: Sequence[tuple[str, Coroutine[Any, Any, Any]]]) -> list[ToolResult]:
        if not running:
            return []

        async def together() -> list[Any]:
            return await asyncio.gather(*(coroutine for _, coroutine in running), return_exceptions=True)

        return [
            _failed(name, value) if isinstance(value, Exception) else ToolResult(name, self._text(name, value))
            for (name, _), value in zip(running, self.run(together()), strict=True)
        ]

    def _text(self, name: str, value: Any) -> str:
        """What the model is told: `str` of it, or the texts of content blocks."""
        blocks = value if isinstance(value, list) and value else []
        if not blocks or not all(isinstance(block, Mapping) and "type" in block for block in blocks):
            return str(value)
        if other := [block["type"] for block in blocks if block["type"] != "text"]:
            raise EngineError(f"environment '{self.name}': {name} returned an {other[0]}; return text alone")
        return "".join(str(block["text"]) for block in blocks)

    def _built(self) -> Any:
        try:
            return self._factory()
        except Exception as error:
            text = f"it raised {type(error).__name__}: {first_line(error)}"
            raise ConfigError(f"environment '{self.name}': {text}; it is called without arguments") from error

    def _schema(self, tool_name: str, tool: Callable[..., Any]) -> dict[str, Any]:
        try:
            schema: dict[str, Any] = get_json_schema(tool)
        except Exception as error:  # of many types, from reading hints and docstrings
            raise ConfigError(
                f"environment '{self.name}': the tool {tool_name} can't be described ({first_line(error)}); give it "
                "type hints and a docstring with an `Args:` section, or begin its name with an underscore"
            ) from error
        return schema


def tools_of(environment: Any) -> dict[str, Callable[..., Any]]:
    """An environment's tools by their names: its public methods but `reset` and `get_reward`."""
    methods = inspect.getmembers(environment, predicate=inspect.ismethod)
    return {name: method for name, method in methods if name not in RESERVED and not name.startswith("_")}


def _taken(function: Callable[..., Any], row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a row the columns that `function` takes: all, where it has `**kwargs`."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return row
    return {name: value for name, value in row.items() if name in parameters}


def _failed(name: str, error: Exception) -> ToolResult:
    return ToolResult(name, str({"error": str(error)}), has_failed=True)
