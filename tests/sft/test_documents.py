"""Documents: a text and its end, every token with loss, in pieces where it is long."""

from array import array
from dataclasses import replace
from typing import Any

import pytest

from data.problem import Trace
from data.think_format import NONE
from sft.dataset import Example, fit, ledger
from sft.encoding import encode_trace

pytestmark = pytest.mark.engine


def document(length: int) -> Example:
    return Example("d", array("i", range(length)), ((0, length),), answer_start=0, is_document=True)


def test_every_token_of_a_document_is_trained(tokenizer: Any) -> None:
    text = "高血压是一种常见的慢性病。\n\nIt is common.  "
    example = encode_trace(Trace("d", "", "", text, "test"), tokenizer, NONE)
    assert tokenizer.decode(example.input_ids) == f"{text}<|im_end|>"
    assert example.labels == example.input_ids.tolist()
    assert example.is_document


@pytest.mark.parametrize(("length", "sizes"), [(8, [8]), (9, [7, 2]), (16, [8, 8]), (17, [8, 7, 2]), (20, [8, 8, 4])])
def test_long_document_is_split_whole(length: int, sizes: list[int]) -> None:
    pieces = fit([document(length)], 8, "error")
    assert [len(piece.input_ids) for piece in pieces] == sizes
    assert [token for piece in pieces for token in piece.input_ids] == list(range(length))
    assert all(piece.labels == piece.input_ids.tolist() and piece.is_document for piece in pieces)


def test_ledger_tells_what_was_split() -> None:
    rows = [document(20), document(3), replace(document(9), is_document=False)]
    counted = ledger(rows, 8, "error")
    assert (counted.over_limit, counted.split, counted.pieces) == (2, 1, 3)
    assert (counted.tokens_lost, counted.lost_answer) == (1, 1)
    assert ledger(rows, 8, "drop").split == 1
    assert [len(row.input_ids) for row in fit(rows, 8, "error")] == [8, 8, 4, 3, 9]
    assert [len(row.input_ids) for row in fit(rows, 8, "drop")] == [8, 8, 4, 3]
    assert [len(row.input_ids) for row in fit(rows, 8, "cut")] == [8, 8, 4, 3, 8]
