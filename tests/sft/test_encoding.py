"""Rows encoded many at a time are, token for token, the rows encoded one by one."""

import os
from array import array
from dataclasses import replace
from typing import Any

import pytest
from transformers import ByT5Tokenizer

from configs.errors import DataError
from configs.schema.sections import DataConfig
from configs.schema.sft import TrainedTokens
from data.arithmetic import generate_problems
from data.corpus import load_traces, solution_traces
from data.problem import Trace
from data.prompts import render_turn
from data.think_format import DEEPSEEK, NONE, S1, XML, ThinkFormat
from sft import encoding
from sft.dataset import Example
from sft.encoding import CHUNK, encode_traces
from tests.tiny import CHATML, tiny_tokenizer

pytestmark = pytest.mark.engine

REAL = os.environ.get("MULL_DATA")
PLAIN = solution_traces(generate_problems(2 * CHUNK + 5, seed=3))
ODD = [
    replace(PLAIN[0], system=""),
    replace(PLAIN[1], system="Be brief.\n", thinking=""),
    replace(PLAIN[2], history=(("1?", "one\n\ntwo"), ("<|im_end|>?", "<|im_start|>answer"))),
    replace(PLAIN[3], question="<|im_start|>user\n<|endoftext|>?", thinking="so  \n\n so <|endoftext|>"),
    replace(PLAIN[4], question="  頭痛 🤒\u200b\n", thinking="", reply="\n多喝水。\n"),
    replace(PLAIN[5], reply="4<|im_end|>5"),
    replace(PLAIN[6], thinking="a <|im_start|> b"),
    replace(PLAIN[7], question="x" * 5000, thinking="y z " * 3000),
    replace(PLAIN[8], thinking=" \n"),
]


def one_by_one(trace: Trace, tokenizer: Any, think_format: ThinkFormat, trained: TrainedTokens) -> Example | str:
    """A row by the tokenizer's own call, and nothing of what `encode_traces` does; or what is wrong with it."""
    try:
        prompt, completion = render_turn(tokenizer, trace, think_format)
    except DataError as error:
        return str(error)
    ids, reply = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, completion))
    thought = (
        completion[: completion.rindex(think_format.end) + len(think_format.end)] if trace.thinking.strip() else ""
    )
    answer_start = len(ids) + len(tokenizer(thought, add_special_tokens=False)["input_ids"] if thought else [])
    start = 0 if trained == "every_token" else len(ids)
    return Example(trace.id, array("i", ids + reply), ((start, len(ids + reply)),), answer_start)


def together(
    traces: list[Trace], tokenizer: Any, think_format: ThinkFormat, trained: TrainedTokens
) -> list[Example | str]:
    found = encode_traces(traces, tokenizer, think_format, trained)
    return [row if isinstance(row, Example) else str(row) for row in found]


@pytest.mark.parametrize("trained", ["last_turn", "every_token"])
@pytest.mark.parametrize("think_format", [S1, XML, DEEPSEEK], ids=lambda think: think.name)
def test_batches_equal_single_rows(tokenizer: Any, think_format: ThinkFormat, trained: TrainedTokens) -> None:
    traces = [*ODD, *PLAIN, *ODD]
    expected = [one_by_one(trace, tokenizer, think_format, trained) for trace in traces]
    assert together(traces, tokenizer, think_format, trained) == expected
    assert sum(isinstance(row, str) for row in expected) >= 2


def test_set_truncation_and_padding_don_t_count() -> None:
    tokenizer = tiny_tokenizer()
    expected = [one_by_one(trace, tokenizer, S1, "last_turn") for trace in ODD]
    tokenizer.backend_tokenizer.enable_truncation(7)
    tokenizer.backend_tokenizer.enable_padding(length=9000)
    assert together(ODD, tokenizer, S1, "last_turn") == expected


def test_python_tokenizer_is_taken_too() -> None:
    tokenizer = ByT5Tokenizer(chat_template=CHATML)
    assert together(ODD, tokenizer, S1, "last_turn") == [one_by_one(trace, tokenizer, S1, "last_turn") for trace in ODD]


def test_long_rows_make_short_chunks(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = together(PLAIN, tokenizer, S1, "last_turn")
    sizes = [len(chunk) for chunk in encoding._chunks(PLAIN)]
    assert sizes == [CHUNK, CHUNK, 5]
    monkeypatch.setattr(encoding, "CHUNK_LETTERS", 300)
    assert max(len(chunk) for chunk in encoding._chunks(PLAIN)) < 10
    assert [trace for chunk in encoding._chunks(PLAIN) for trace in chunk] == PLAIN
    assert together(PLAIN, tokenizer, S1, "last_turn") == expected


def test_no_rows_are_no_examples(tokenizer: Any) -> None:
    assert together([], tokenizer, S1, "last_turn") == []


@pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")
@pytest.mark.parametrize("file", ["medical_zh/sharegpt_1k.jsonl", "alpaca/alpaca_zh_demo.json", "gsm8k/test.jsonl"])
def test_real_rows_equal_single_rows(tokenizer: Any, file: str) -> None:
    traces = load_traces(DataConfig(path=f"{REAL}/{file}"), lambda reject: None)
    think_format = S1 if "gsm8k" in file else NONE
    expected = [one_by_one(trace, tokenizer, think_format, "last_turn") for trace in traces]
    assert together(traces, tokenizer, think_format, "last_turn") == expected
