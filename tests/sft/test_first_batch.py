"""What the first batch must be like before anything is trained on it."""

from array import array
from typing import Any

import pytest
import torch

from configs.errors import DataError
from sft.dataset import IGNORED, Example
from sft.first_batch import TokenBatch, check_loss, documents
from tests.tiny import tiny_tokenizer

pytestmark = pytest.mark.engine

END = [2]
ROW = Example("r", array("i", [10, 11, 2]), loss_spans=((1, 3),), answer_start=1)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_tokenizer()


def padded(*labels: list[int]) -> TokenBatch:
    """A batch of rows whose ids are 10, 11, … and end with 2, with the given labels, and a padding column."""
    ids = [[10 + i for i in range(len(row) - 1)] + END for row in labels]
    return {
        "input_ids": torch.tensor([[*row, 0] for row in ids]),
        "labels": torch.tensor([[*row, IGNORED] for row in labels]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] for row in ids]),
    }


def test_good_batch_is_described(tokenizer: Any) -> None:
    said = check_loss(padded([IGNORED, 11, 2], [IGNORED, 11, 2]), [ROW], tokenizer, END, "last_turn", False)
    assert said == "first batch: 2 rows, 6 tokens; 4 carry loss (thinking, answer and end of turn)"


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ([IGNORED, IGNORED, IGNORED], "nothing in it carries loss"),
        ([10, 11, 2], "its prompt carries loss"),
        ([IGNORED, 12, 2], "a label is not its token"),
        ([IGNORED, 11, IGNORED], "the end of its turn carries no loss"),
        ([IGNORED, IGNORED, 2], "a part of its replies carries no loss"),
    ],
)
def test_faulty_labels_are_refused(tokenizer: Any, labels: list[int], fault: str) -> None:
    with pytest.raises(DataError, match=rf"row 2 of the first batch: {fault}"):
        check_loss(padded([IGNORED, 11, 2], labels), [ROW], tokenizer, END, "last_turn", False)


def test_loss_in_prompt_is_refused(tokenizer: Any) -> None:
    short = Example("s", array("i", [10, 2]), loss_spans=((1, 2),), answer_start=1)
    row = Example("r", array("i", [10, 11, 2]), loss_spans=((2, 3),), answer_start=2)
    with pytest.raises(DataError, match="row 2 of the first batch: its prompt carries loss"):
        check_loss(padded([IGNORED, IGNORED, 2], [IGNORED, 11, 2]), [short, row], tokenizer, END, "last_turn", False)


def test_unprepared_row_is_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="row 1 of the first batch: it is none of the rows that were prepared"):
        check_loss(padded([IGNORED, 11, 12, 2]), [ROW], tokenizer, END, "last_turn", False)


def test_cut_rows_and_full_loss_are_allowed(tokenizer: Any) -> None:
    whole = Example("r", ROW.input_ids, loss_spans=((0, 3),), answer_start=1)
    assert "1 rows" in check_loss(padded([IGNORED, 11, 2]), [ROW], tokenizer, [7], "last_turn", cut=True)
    assert "every token" in check_loss(padded([10, 11, 2]), [whole], tokenizer, END, "every_token", False)


@pytest.mark.parametrize("padding", [0, 3])
def test_packed_rows_are_split(padding: int) -> None:
    batch = {
        "input_ids": torch.tensor([[5, 6, 7, 8, 9, *[0] * padding]]),
        "labels": torch.tensor([[IGNORED, 6, IGNORED, 8, 9, *[IGNORED] * padding]]),
        "position_ids": torch.tensor([[0, 1, 0, 1, 2, *[0] * padding]]),  # as `trainer.pad_to_multiple_of` pads
    }
    assert documents(batch) == [([5, 6], [IGNORED, 6]), ([7, 8, 9], [IGNORED, 8, 9])]
