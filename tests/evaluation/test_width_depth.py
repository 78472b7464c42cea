"""Width or depth: the grid over samples and budgets, and the best split of a sample's tokens."""

from collections.abc import Sequence
from typing import Any

import pytest

from configs.sample import Sample
from evaluation.results import Point, questions, results
from evaluation.width_depth import Cell, best_split, grid, splits, width_depth


def samples(
    id: str, answers: Sequence[str | None], tokens: int | None = 10, logprobs: Sequence[float | None] = ()
) -> list[Sample]:
    """Answers "7" are right, "?" could not be graded, None is missing."""
    return [
        Sample(
            id,
            sample=at,
            gold="7",
            extracted=answer,
            score=None if answer == "?" else float(answer == "7"),
            thinking_tokens=tokens,
            answer_logprob=logprobs[at] if logprobs else None,
        )
        for at, answer in enumerate(answers)
    ]


def cells_of(*its: list[Sample], label: str = "short") -> dict[tuple[int, str], Cell]:
    cells = grid({label: questions([one for group in its for one in group])})
    return {(cell.k, cell.vote): cell for cell in cells}


def test_cell_has_the_tokens_of_all_its_samples() -> None:
    cells = cells_of(samples("a", ["7", "7", "8", "9"], 10), samples("b", ["7", "8", "8", "8"], 30))
    assert {key: cell.tokens for key, cell in cells.items()} == {
        (1, "majority"): 20,
        (2, "majority"): 40,
        (4, "majority"): 80,
    }
    assert cells[1, "majority"].accuracies == {"a": 0.5, "b": 0.25}
    assert cells[4, "majority"].accuracies == {"a": 1.0, "b": 0.0}


def test_grid_ends_with_the_number_of_samples() -> None:
    assert sorted(k for k, _ in cells_of(samples("a", ["7"] * 6))) == [1, 2, 4, 6]


def test_question_with_few_samples_is_in_small_cells() -> None:
    cells = cells_of(samples("a", ["7"] * 4), samples("b", ["8", "8", "8"]))
    assert [len(cells[k, "majority"].accuracies) for k in (1, 2, 4)] == [2, 2, 1]


def test_ungraded_question_is_in_no_cell() -> None:
    cells = cells_of(samples("a", ["7", "7"]), samples("b", ["?", "?"], 90), samples("c", ["?", None]))
    assert cells[2, "majority"].accuracies == {"a": 1.0}
    assert cells[1, "majority"].accuracies == {"a": 1.0, "c": 0.0}
    assert cells[2, "majority"].tokens == 20


def test_weighted_vote_is_there_with_all_weights() -> None:
    logprobs = [-3.0, -3.0, -0.1]
    cells = cells_of(samples("a", ["8", "8", "7"], 10, logprobs), samples("b", ["7", None, "7"], 10, [-1.0, None, -1]))
    assert (1, "weighted") not in cells
    assert cells[3, "majority"].accuracies == {"a": 0.0, "b": 1.0}
    assert cells[3, "weighted"].accuracies == {"a": 1.0, "b": 1.0}
    some = cells_of(samples("a", ["8", "8", "7"], 10, logprobs), samples("b", ["7", "7", "7"]))
    assert {vote for _, vote in some} == {"majority"}


def test_samples_without_token_counts_are_in_no_grid() -> None:
    assert grid({"a": questions(samples("q", ["7", "7"], None)), "b": questions(samples("q", ["7", "7"], 0))}) == []


def cell(label: str, k: int, tokens: float, *accuracies: float, vote: str = "majority") -> Cell:
    return Cell(label, k, vote, {str(at): value for at, value in enumerate(accuracies)}, tokens)


def test_best_split_keeps_to_its_tokens() -> None:
    short, wide, deep = cell("s", 1, 10, 0.2), cell("s", 8, 80, 0.9), cell("d", 1, 80, 0.7)
    assert best_split([short, wide, deep], 80) is wide
    assert best_split([short, wide, deep], 79) is short
    with pytest.raises(ValueError, match="empty"):
        best_split([short, wide, deep], 9)


def test_of_equal_splits_the_cheaper_one_is_best() -> None:
    cheap, dear = cell("s", 4, 40, 0.1, 0.2, 0.6), cell("d", 1, 80, 0.6, 0.2, 0.1)
    assert best_split([dear, cheap], 80) is cheap
    weighted = cell("s", 4, 40, 0.1, 0.2, 0.6, vote="weighted")
    assert best_split([cheap, weighted], 80) is cheap


def test_split_is_paired_with_the_single_sample() -> None:
    singles = [cell("s", 1, 10, 0.5, 0.0, 0.5), cell("d", 1, 40, 0.5, 0.5, 0.0)]
    wide = Cell("s", 4, "majority", {"0": 1.0, "1": 1.0}, 40)
    short, deep = splits([*singles, wide])
    assert (short["best"]["k"], short["difference"]) == (1, None)
    assert deep["single"] == {"label": "d", "k": 1, "vote": "majority", "tokens": 40}
    assert (deep["best"]["label"], deep["best"]["k"]) == ("s", 4)
    assert deep["difference"] == {"value": 0.5, "low": 0.5, "high": 0.5, "n": 2}


def point(label: str, its: list[Sample], **budget: Any) -> Point:
    return Point(label, budget, its)


def test_results_say_which_is_better() -> None:
    short = [one for at in range(20) for one in samples(f"q{at}", ["7", "7", "8", "7"], 10)]
    deep = [one for at in range(20) for one in samples(f"q{at}", ["7", "8", "7", "8"], 40)]
    found = results([point("short", short), point("deep", deep)])["width_depth"]
    assert [(one["label"], one["k"], one["tokens"]) for one in found["cells"]] == [
        ("short", 1, 10),
        ("short", 2, 20),
        ("short", 4, 40),
        ("deep", 1, 40),
        ("deep", 2, 80),
        ("deep", 4, 160),
    ]
    best = found["splits"][-1]["best"]
    assert (best["label"], best["k"], best["accuracy"]["value"]) == ("short", 4, 1.0)
    assert found["splits"][-1]["difference"]["value"] == 0.5


@pytest.mark.parametrize(
    "points",
    [
        [point("a", samples("q", ["7", "7"]))],
        [point("a", samples("q", ["7"])), point("b", samples("q", ["7"]))],
        [point("a", samples("q", ["7", "7"], 0)), point("b", samples("q", ["7", "7"], 0))],
        [point("a", samples("q", ["7", "7"])), point("b", samples("q", ["7", "7"]), tries=3)],
        [],
    ],
    ids=["one budget", "one sample", "no thinking", "thrown away", "nothing"],
)
def test_there_is_nothing_to_split(points: list[Point]) -> None:
    assert results(points)["width_depth"] is None


def test_single_sample_is_the_accuracy_of_its_point() -> None:
    its = [*samples("a", ["7", "8", "?"]), *samples("b", ["7", None, "7"])]
    found = results([point("a", its), point("b", its)])
    single = found["width_depth"]["cells"][0]["accuracy"]
    assert single == pytest.approx(found["points"][0]["accuracy"])
    assert width_depth({"a": questions(its)}) is None
