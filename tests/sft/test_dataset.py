"""SFT rows: where the loss is, and what a length limit would cost."""

from dataclasses import replace
from typing import Any

import pytest

from configs.errors import DataError
from data.arithmetic import generate, traces
from data.think import DEEPSEEK, S1, XML, ThinkFormat
from sft import dataset

TRACES = traces(generate(40, seed=3))


@pytest.mark.parametrize("think_format", [S1, XML, DEEPSEEK], ids=lambda f: f.name)
def test_loss_is_on_thinking_answer_and_the_end_of_the_turn_only(tokenizer: Any, think_format: ThinkFormat) -> None:
    trace = TRACES[0]
    example = dataset.encode(trace, tokenizer, think_format)
    trained = tokenizer.decode([t for t in example.labels if t != dataset.IGNORED])
    ignored = tokenizer.decode([t for t, label in zip(example.input_ids, example.labels, strict=True) if label < 0])
    assert trace.question in ignored
    assert trace.question not in trained
    assert trace.thinking in trained
    assert trained.endswith(tokenizer.eos_token)
    assert trained.count(tokenizer.eos_token) == 1
    assert [t for t in example.labels if t != dataset.IGNORED] == example.input_ids[
        -sum(t >= 0 for t in example.labels) :
    ]


def test_the_shown_row_marks_what_carries_loss(tokenizer: Any) -> None:
    shown = dataset.show_loss(dataset.encode(TRACES[0], tokenizer, S1), tokenizer)
    before, _, after = shown.partition("⟦")
    assert before.endswith("<|im_start|>think\n")
    assert after.startswith(TRACES[0].thinking)
    assert after.endswith("<|im_end|>⟧")


def test_the_ledger_counts_what_a_limit_cuts(tokenizer: Any) -> None:
    examples = [dataset.encode(trace, tokenizer, S1) for trace in TRACES]
    lengths = sorted(len(e.input_ids) for e in examples)
    ledger = dataset.ledger(examples, lengths[-3], "cut")
    assert (ledger.rows, ledger.over_limit) == (40, sum(n > lengths[-3] for n in lengths))
    assert (ledger.limit_max, ledger.limit_p99) == (lengths[-1], lengths[39])
    assert ledger.lost_answer == ledger.over_limit
    inside_thinking = min(e.answer_start for e in examples) - 1
    assert dataset.ledger(examples, inside_thinking, "cut").lost_end_of_thinking == 40


def test_a_row_over_the_limit_stops_the_run_unless_the_policy_says_what_to_lose(tokenizer: Any) -> None:
    examples = [dataset.encode(trace, tokenizer, S1) for trace in TRACES]
    longest = max(len(e.input_ids) for e in examples)
    with pytest.raises(DataError, match=rf"row .*: {longest} tokens.*truncation=drop"):
        dataset.fit(examples, longest - 1, "error")
    kept = dataset.fit(examples, longest - 1, "drop")
    assert 0 < len(kept) < 40
    assert all(len(e.input_ids) < longest for e in kept)
    cut = dataset.fit(examples, longest - 1, "cut")
    assert len(cut) == 40
    assert all(len(e.input_ids) == len(e.labels) <= longest - 1 for e in cut)


def test_a_trace_without_thinking_has_no_end_of_thinking_to_lose(tokenizer: Any) -> None:
    plain = dataset.encode(replace(TRACES[0], thinking=""), tokenizer, S1)
    assert "think" not in tokenizer.decode([t for t in plain.labels if t != dataset.IGNORED])
