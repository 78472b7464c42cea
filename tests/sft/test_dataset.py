"""SFT rows: where the loss is, and what a length limit would cost."""

from dataclasses import replace
from typing import Any

import pytest

from configs.errors import DataError
from data.arithmetic import generate_problems
from data.corpus import solution_traces
from data.think_format import DEEPSEEK, S1, XML, ThinkFormat
from sft import dataset
from sft.encoding import encode_trace

pytestmark = pytest.mark.engine

TRACES = solution_traces(generate_problems(40, seed=3))


@pytest.mark.parametrize("think_format", [S1, XML, DEEPSEEK], ids=lambda f: f.name)
def test_loss_is_on_the_reply_only(tokenizer: Any, think_format: ThinkFormat) -> None:
    trace = TRACES[0]
    example = encode_trace(trace, tokenizer, think_format)
    trained = tokenizer.decode([t for t in example.labels if t != dataset.IGNORED])
    ignored = tokenizer.decode([t for t, label in zip(example.input_ids, example.labels, strict=True) if label < 0])
    assert trace.question in ignored
    assert trace.question not in trained
    assert trace.thinking in trained
    assert trained.endswith(tokenizer.eos_token)
    assert trained.count(tokenizer.eos_token) == 1
    assert [t for t in example.labels if t != dataset.IGNORED] == list(example.input_ids[example.loss_spans[0][0] :])
    everything = encode_trace(trace, tokenizer, think_format, "every_token")
    assert everything.labels == list(example.input_ids)


def test_shown_row_marks_loss(tokenizer: Any) -> None:
    shown = dataset.show_loss(encode_trace(TRACES[0], tokenizer, S1), tokenizer)
    before, _, after = shown.partition("⟦")
    assert before.endswith("<|im_start|>think\n")
    assert after.startswith(TRACES[0].thinking)
    assert after.endswith("<|im_end|>⟧")


def test_ledger_counts_cut_rows(tokenizer: Any) -> None:
    examples = [encode_trace(trace, tokenizer, S1) for trace in TRACES]
    lengths = sorted(len(e.input_ids) for e in examples)
    ledger = dataset.ledger(examples, lengths[-3], "cut")
    assert (ledger.rows, ledger.over_limit) == (40, sum(n > lengths[-3] for n in lengths))
    assert (ledger.limit_max, ledger.limit_p99) == (lengths[-1], lengths[39])
    assert ledger.lost_answer == ledger.over_limit
    inside_thinking = min(e.answer_start for e in examples) - 1
    assert dataset.ledger(examples, inside_thinking, "cut").lost_end_of_thinking == 40


@pytest.mark.parametrize("policy", ["drop", "cut"])
def test_ledger_counts_rows_left_out(tokenizer: Any, policy: str) -> None:
    examples = [encode_trace(trace, tokenizer, S1) for trace in TRACES]
    limit = sorted(e.loss_spans[0][0] for e in examples)[20]
    limit = limit if policy == "cut" else sorted(len(e.input_ids) for e in examples)[20]
    ledger = dataset.ledger(examples, limit, policy)
    assert 0 < ledger.left_out < 40
    assert ledger.left_out == 40 - len(dataset.fit(examples, limit, policy))
    assert dataset.ledger(examples, limit, "error").left_out == 0


def test_policy_drops_or_cuts_long_rows(tokenizer: Any) -> None:
    examples = [encode_trace(trace, tokenizer, S1) for trace in TRACES]
    longest = max(len(e.input_ids) for e in examples)
    assert dataset.fit(examples, longest - 1, "error") == examples
    kept = dataset.fit(examples, longest - 1, "drop")
    assert 0 < len(kept) < 40
    assert all(len(e.input_ids) < longest for e in kept)
    cut = dataset.fit(examples, longest - 1, "cut")
    assert len(cut) == 40
    assert all(len(e.input_ids) == len(e.labels) <= longest - 1 for e in cut)


def test_empty_thinking_has_no_delimiter(tokenizer: Any) -> None:
    plain = encode_trace(replace(TRACES[0], thinking=""), tokenizer, S1)
    assert "think" not in tokenizer.decode([t for t in plain.labels if t != dataset.IGNORED])


def test_row_cut_to_prompt_is_left_out(tokenizer: Any) -> None:
    examples = [encode_trace(trace, tokenizer, S1) for trace in TRACES[:5]]
    shortest = min(e.loss_spans[0][0] for e in examples)
    assert dataset.fit(examples, shortest, "cut") == []
    assert len(dataset.fit(examples, shortest + 1, "cut")) < 5


def test_empty_data_is_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="no row is left"):
        dataset.ledger([], 10, "error")


def test_row_with_end_of_turn_is_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="would end the turn early"):
        encode_trace(replace(TRACES[0], reply="4<|im_end|>"), tokenizer, S1)


def test_columns_equal_the_examples(tokenizer: Any) -> None:
    from datasets import Dataset

    examples = [encode_trace(trace, tokenizer, S1) for trace in TRACES]
    rows = Dataset.from_dict(dataset.arrow_columns(examples))
    assert list(rows["input_ids"]) == [e.input_ids.tolist() for e in examples]
    assert list(rows["labels"]) == [e.labels for e in examples]
