"""Parts of a split compared: chance is not told of, what differs is."""

import random
from collections.abc import Sequence

import pytest

from data.balance import part_differences
from data.problem import Problem, Trace

LABELS = ("咨询", "投诉", "表扬", "退货")


def rows(
    count: int, seed: int, labels: Sequence[float] = (4, 3, 2, 1), words: int = 20, digits: float = 0.5
) -> list[Trace]:
    """Rows of random length, with labels by weight, and with digits in a share of them."""
    drawn = random.Random(seed)
    texts = ["词" * drawn.randint(1, words) + ("1" if drawn.random() < digits else "") for _ in range(count)]
    return [Trace(str(i), text, "", drawn.choices(LABELS, labels)[0], "test") for i, text in enumerate(texts)]


def test_parts_of_one_kind_do_not_differ() -> None:
    said = [part_differences({"train": rows(900, 2 * i), "test": rows(100, 2 * i + 1)}) for i in range(100)]
    assert sum(map(bool, said)) == 0


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (rows(100, 1, words=60), "questions of 34 characters in the median, 10 there (Kolmogorov-Smirnov"),
        (rows(100, 1, digits=0.9), "digits in 90% of the questions, 50% there (Fisher, p < 0.001)"),
        (
            rows(100, 1, labels=(1, 3, 2, 4)),
            "'退货' is 44% of the labels, 10% there (chi-square over all labels, p < 0.001)",
        ),
    ],
)
def test_what_differs_is_named(part: list[Trace], said: str) -> None:
    (line,) = part_differences({"train": rows(900, 0), "test": part})
    assert line.startswith("test differs from train by more than chance: ")
    assert said in line
    assert line.count(";") == 0


def test_label_of_one_part_alone_is_seen() -> None:
    others = [Trace(str(i), "词", "", "维修", "test") for i in range(40)]
    (line,) = part_differences({"train": rows(900, 0), "test": rows(100, 1) + others})
    assert "'维修' is 29% of the labels, 0% there" in line


def test_texts_are_compared_by_length() -> None:
    train = [Trace(str(i), "q", "", "词" * (i % 50) + str(i), "test") for i in range(300)]
    held_out = [Problem(str(i), "q", "词" * 100 + str(i), "test") for i in range(50)]
    (line,) = part_differences({"train": train, "held-out": held_out})
    assert "answers of 102 characters in the median, 27 there" in line


def test_empty_part_is_not_compared() -> None:
    assert part_differences({"train": rows(50, 0), "validation": []}) == []
