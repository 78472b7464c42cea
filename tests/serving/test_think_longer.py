"""Thinking on where an answer is there already."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import ConfigError, EngineError
from models.engines.generation import Generation
from serving.chat import chat_arguments
from serving.conversation import Conversation, start
from serving.json_chat import talk
from serving.think_longer import head_of, longer_budget
from serving.writer import JsonWriter, Writer
from tests.tiny import tiny_model

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def conversation(folder: Path, *options: str) -> Conversation:
    common = ["--model", str(folder), "--precision", "fp32", "--think-format", "s1", "--seed", "1"]
    return start(chat_arguments([*common, "--max-answer", "8", "--context", "400", "--temperature", "0", *options]))


def writer(talk: Conversation) -> Writer:
    return Writer(io.StringIO(), talk.engine.tokenizer, ansi=False)


def said(talk: Conversation, line: str) -> Generation:
    made = talk.reply(line, writer(talk))
    assert isinstance(made, Generation)
    return made


def test_thinking_that_was_cut_goes_on_as_under_a_larger_budget(folder: Path) -> None:
    talk = conversation(folder, "--budget", "12")
    first = said(talk, "hi")
    assert first.stop == "limit"
    longer = said(talk, "/longer")
    once = said(conversation(folder, "--budget", "24"), "hi")
    assert longer.thinking_tokens == once.thinking_tokens == 24
    assert (longer.token_ids, longer.forced, longer.text) == (once.token_ids, once.forced, once.text)
    assert (longer.thinking, longer.answer, longer.stop) == (once.thinking, once.answer, once.stop)
    assert talk.turns == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": longer.answer.strip()},
    ]
    assert said(talk, "/longer 6").thinking_tokens == 30


def test_end_that_the_model_chose_becomes_wait(folder: Path) -> None:
    talk = conversation(folder, "--budget", "12")
    talk.last = replace(said(talk, "hi"), stop="natural")
    out = io.StringIO()
    made = talk.think_longer(8, JsonWriter(out, talk.engine.tokenizer))
    wait = talk.engine.tokenizer.encode("Wait", add_special_tokens=False)
    assert list(made.token_ids[12 : 12 + len(wait)]) == wait
    assert all(made.forced[12 : 12 + len(wait)])
    assert made.thinking_tokens <= 12 + len(wait) + 8
    pieces = [json.loads(line) for line in out.getvalue().splitlines()]
    assert "Wait" in "".join(piece["text"] for piece in pieces if piece["kind"] == "forced")
    head = head_of(replace(made, stop="waited:1"), "Wait", talk.engine)
    assert head.waits == 2
    assert head_of(replace(made, stop="waited:1"), "", talk.engine).is_refused


def test_context_is_never_left(folder: Path) -> None:
    talk = conversation(folder, "--budget", "12")
    made = said(talk, "hi")
    head = head_of(made, "Wait", talk.engine)
    budget = longer_budget(talk.budget, made, head, 100_000, talk.engine)
    assert budget.max_thinking is not None
    assert budget.max_thinking < 400 - len(made.prompt_ids)
    talk.engine.context = len(made.prompt_ids) + 24
    with pytest.raises(EngineError, match="is full"):
        talk.think_longer(None, writer(talk))
    assert talk.last is made


def test_without_an_answer_it_says_so(folder: Path) -> None:
    talk = conversation(folder, "--budget", "5")
    for line, message in (("/longer", "no answer yet"), ("/longer x", "is no number"), ("/longer 0", "is no number")):
        with pytest.raises(ConfigError, match=message):
            talk.reply(line, writer(talk))
    said(talk, "hi")
    talk.command("/reset")
    with pytest.raises(ConfigError, match="no answer yet"):
        talk.reply("/longer", writer(talk))


def test_json_writes_the_whole_turn_again(folder: Path) -> None:
    out = io.StringIO()
    lines = ['"/budget 12"\n', '"hi"\n', '"/longer"\n']
    talk(conversation(folder), io.StringIO("".join(lines)), out)
    found = [json.loads(line) for line in out.getvalue().splitlines()][2:]
    first = next(one for one in found if "ending" in one)
    pieces = found[found.index(first) + 1 : -1]
    before = "".join(one["text"] for one in found[: found.index(first)] if one["kind"] == "thinking")
    assert found[-1] == {"ending": "24 thinking tokens, ended: limit"}
    assert "".join(one["text"] for one in pieces if one["kind"] == "thinking").startswith(before.rstrip("�"))
    assert pieces[-1]["kind"] == "answer"
