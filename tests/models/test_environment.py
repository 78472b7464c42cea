"""Environments in TRL's form: pooled, reset, called."""

import pytest

from configs.errors import ConfigError, EngineError
from data.problem import Problem
from models.engines.turns import row_of
from models.environment import Environments, ToolResult, tools_of
from tests.models.environments import Broken, Lookup, Undescribed, Unresettable, call

PROBLEM = Problem("p", "Which word?", "moss", "test", metadata={"level": 2})


@pytest.fixture
def shelves() -> Environments:
    return Environments(Lookup, "tests:Lookup")


def test_public_methods_are_tools(shelves: Environments) -> None:
    assert list(tools_of(Lookup())) == ["look", "wait"]
    assert shelves.tool_names == ["look", "wait"]


def test_instances_are_built_once(shelves: Environments) -> None:
    first = shelves.take(3)
    assert shelves.take(2) == first[:2]
    assert len({id(one) for one in shelves.take(5)}) == 5


def test_reset_gets_the_row(shelves: Environments) -> None:
    [shelf] = shelves.take(1)
    assert shelves.reset(shelf, row_of(PROBLEM), PROBLEM) == " Hint: moss."
    assert shelf.level == 2


def test_row_has_trl_columns() -> None:
    assert row_of(PROBLEM) == {
        "level": 2,
        "id": "p",
        "question": "Which word?",
        "answer": "moss",
        "source": "test",
        "solution": "moss",
        "prompt": [{"role": "user", "content": "Which word?"}],
    }


def test_async_results_come_last(shelves: Environments) -> None:
    [shelf] = shelves.take(1)
    found = shelves.call(shelf, [call("wait", word="a"), call("look", word="b"), call("wait", word="c")])
    assert found == [
        ToolResult("look", "b is here"),
        ToolResult("wait", "{'word': 'a'}"),
        ToolResult("wait", "{'word': 'c'}"),
    ]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (call("look", word="nothing"), "{'error': \"'nothing'\"}"),
        (call("wait", word="nothing"), "{'error': 'no such word'}"),
        (call("fly"), "{'error': 'Tool fly not found.'}"),
        (call("get_reward"), "{'error': 'Tool get_reward not found.'}"),
        ({"type": "code", "name": "look"}, "{'error': 'Unsupported tool call type: code'}"),
    ],
)
def test_failure_is_told_to_the_model(shelves: Environments, asked: dict[str, object], told: str) -> None:
    [shelf] = shelves.take(1)
    [result] = shelves.call(shelf, [asked])
    assert result.content == told
    assert result.has_failed


def test_wrong_arguments_are_told_to_the_model(shelves: Environments) -> None:
    [result] = shelves.call(shelves.take(1)[0], [call("look", words="b")])
    assert "unexpected keyword argument" in result.content


def test_own_reward_is_read(shelves: Environments) -> None:
    some = shelves.take(2)
    shelves.call(some[1], [call("look", word="b")])
    assert shelves.rewards(some) == [0.0, 1.0]


def test_image_is_refused() -> None:
    class Camera(Lookup):
        def look(self, word: str) -> list[dict[str, str]]:  # type: ignore[override]
            """Takes a picture.

            Args:
                word: Of what.
            """
            return [{"type": "text", "text": word}, {"type": "image", "image": "…"}]

    cameras = Environments(Camera, "tests:Camera")
    with pytest.raises(EngineError, match="look returned an image; return text alone"):
        cameras.call(cameras.take(1)[0], [call("look", word="b")])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Unresettable, "environment 'tests:E': Unresettable has no method `reset`; add one"),
        (Undescribed, "environment 'tests:E': the tool look can't be described"),
        (lambda: 1 / 0, "environment 'tests:E': it raised ZeroDivisionError: division by zero; it is called without"),
    ],
)
def test_what_is_no_environment_is_refused(kind: type, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Environments(kind, "tests:E")
    assert str(error.value).startswith(message)


def test_failing_reset_names_the_problem() -> None:
    broken = Environments(Broken, "tests:Broken")
    with pytest.raises(EngineError, match="'tests:Broken', problem p: reset raised RuntimeError: no server"):
        broken.reset(broken.take(1)[0], row_of(PROBLEM), PROBLEM)
