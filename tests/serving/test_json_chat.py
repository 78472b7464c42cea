"""A chat with another program: lines in, lines out."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from serving.chat import chat_arguments
from serving.conversation import start
from serving.json_chat import talk
from tests.tiny import tiny_model

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def said(folder: Path, *lines: str) -> list[dict[str, Any]]:
    options = [
        "--model",
        str(folder),
        "--precision",
        "fp32",
        "--think-format",
        "s1",
        "--seed",
        "1",
        "--max-answer",
        "8",
    ]
    out = io.StringIO()
    talk(start(chat_arguments([*options, "--context", "400", "--json"])), io.StringIO("".join(lines)), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_pieces_name_what_was_forced(folder: Path) -> None:
    ready, command, *pieces, ending = said(folder, '"/budget 12"\n', '"hi"\n')
    assert ready == {"ready": True, "thinks": True}
    assert "at most 12 tokens" in command["said"]
    assert ending["ending"] == "12 thinking tokens, ended: limit"
    forced = "".join(piece["text"] for piece in pieces if piece["kind"] == "forced")
    assert forced == "<|im_start|>answer\n"
    kinds = [piece["kind"] for piece in pieces]
    assert kinds.index("forced") > kinds.index("thinking")
    assert kinds[-1] == "answer"


def test_mistakes_are_said_and_the_talk_goes_on(folder: Path) -> None:
    lines = ["not JSON\n", "[1]\n", '"/what"\n', '"/temperature hot"\n', '"/temperature -1"\n', '"/temperature 0"\n']
    _, *errors, last = said(folder, *lines)
    assert [list(one) for one in errors] == [["error"]] * 5
    assert "not a JSON string" in errors[0]["error"]
    assert "'hot' is no number" in errors[3]["error"]
    assert last == {"said": "draws at temperature 0"}
