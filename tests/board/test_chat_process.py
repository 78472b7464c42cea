"""The chat's process: commands, pieces, refusals, and how many models are held."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from board.chat_page import changed_settings
from board.chat_process import MOST_PROCESSES, ChatProcess, ChatProcesses
from configs.errors import EngineError
from tests.tiny import tiny_model

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder: Path = tiny_model(tmp_path_factory.mktemp("tiny"))
    return ["--model", str(folder), "--think-format", "s1", "--precision", "fp32", "--seed", "1", "--max-answer", "8"]


@pytest.fixture
def processes() -> Iterator[ChatProcesses]:
    held = ChatProcesses()
    yield held
    held.close()


def test_budget_is_kept_and_marked(words: list[str], processes: ChatProcesses) -> None:
    process = processes.of("tab", "0", words)
    settings = changed_settings(process, {"temperature": 0.7, "budget": 12, "waits": 0})
    assert settings == ["/temperature 0.7", "/budget 12"]
    said = list(process.ask(*settings, "hi"))
    assert said[-1] == {"ending": "12 thinking tokens, ended: limit"}
    assert "".join(one["text"] for one in said[:-1] if one["kind"] == "forced") == "<|im_start|>answer\n"
    assert changed_settings(process, {"temperature": 0.7, "budget": 0, "waits": 0}) == ["/budget auto"]
    longer = list(process.ask("/longer 5"))
    assert longer[-1] == {"ending": "17 thinking tokens, ended: limit"}
    assert [one for one in longer if one.get("kind") == "answer"]
    with pytest.raises(EngineError, match="the commands are"):
        list(process.ask("/what"))
    assert processes.of("tab", "0", words) is process


def test_a_model_that_cant_be_loaded_says_why(processes: ChatProcesses) -> None:
    process = processes.of("tab", "0", ["--model", "/nowhere/at all"])
    with pytest.raises(EngineError, match="/nowhere/at all"):
        list(process.ask("hi"))
    assert not process.is_alive


def test_few_models_are_held(processes: ChatProcesses) -> None:
    made: list[ChatProcess] = [processes.of(f"tab {at}", "0", ["--model", "x"]) for at in range(MOST_PROCESSES + 1)]
    assert not made[0].is_alive
    assert processes.of_session("tab 0") == []
    assert processes.of_session("tab 1") == [made[1]]
