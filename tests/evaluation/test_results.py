"""From rows of samples to the points of results.json."""

from dataclasses import replace
from typing import Any

import pytest

from configs.sample import Sample
from evaluation.results import (
    SHARES,
    Point,
    is_mostly_graded,
    majority_at,
    pass_at,
    questions,
    repeated_answer,
    results,
    scores,
    summary,
)


def row(id: str = "q1", sample: int = 0, score: float | None = 1.0, extracted: str | None = "7", **more: Any) -> Sample:
    known: dict[str, Any] = {
        "stop": "natural",
        "finish": "stop",
        "thinking_tokens": 10,
        "answer_tokens": 2,
        "reason": "number",
    }
    return Sample(id=id, sample=sample, score=score, extracted=extracted, gold="7", **known | more)


def test_ungraded_sample_is_no_zero() -> None:
    rows = [row("q1"), row("q2", score=None, reason="timeout"), row("q3", score=0.0)]
    found = summary(Point("a", {}, rows))
    assert found["accuracy"]["value"] == 0.5
    assert found["accuracy"]["n"] == 2
    assert found["shares"]["ungraded"] == pytest.approx(1 / 3)
    assert found["ungraded_reasons"] == {"timeout": 1}


def test_ungraded_samples_bound_the_accuracy() -> None:
    """Twenty questions, one right and nineteen without a verdict: 100% by the graded ones alone."""
    rows = [row(f"q{at}", score=1.0 if at == 0 else None) for at in range(20)]
    found = summary(Point("a", {}, rows))
    assert found["accuracy"]["value"] == 1.0
    assert found["accuracy_bounds"] == {"low": pytest.approx(0.05), "high": 1.0}
    assert not is_mostly_graded(found)
    graded = summary(Point("a", {}, [*(row(f"q{at}") for at in range(19)), row("q19", score=None)]))
    assert graded["accuracy_bounds"] == {"low": pytest.approx(0.95), "high": 1.0}
    assert is_mostly_graded(graded)
    assert summary(Point("a", {}, [row()]))["accuracy_bounds"] is None


def test_one_answer_to_everything_is_said() -> None:
    """150 questions of 11 classes, all answered alike: right on those of that class, and no skill."""
    golds = [str(at % 11) for at in range(150)]
    rows = [replace(row(f"q{at}", extracted="3", score=float(gold == "3")), gold=gold) for at, gold in enumerate(golds)]
    assert summary(Point("a", {}, rows))["constant_answer"] == {"answer": "0", "accuracy": pytest.approx(14 / 150)}
    assert repeated_answer(rows) == "150 of 150 answers are '3'; always answering '0' would be right on 9.3%"
    assert repeated_answer([*rows[:100], *(replace(one, extracted=one.gold) for one in rows[100:])]) is None
    assert repeated_answer([row(f"q{at}") for at in range(20)]) is None  # the gold answers are all 7 too
    assert repeated_answer(rows[:9]) is None


def test_ungraded_point_has_no_accuracy() -> None:
    found = results([Point("a", {}, [row(score=None)])])
    assert found["points"][0]["accuracy"] is None
    assert found["performance"] is None


def test_missing_answer_is_wrong_and_counted() -> None:
    found = summary(Point("a", {}, [row("q1"), row("q2", score=0.0, extracted=None)]))
    assert found["accuracy"]["value"] == 0.5
    assert found["shares"]["unanswered"] == 0.5


@pytest.mark.parametrize(
    ("share", "fields"),
    [
        ("natural", {"stop": "natural"}),
        ("waited", {"stop": "waited:2"}),
        ("limited", {"stop": "limit"}),
        ("limited", {"stop": "context"}),
        ("truncated", {"finish": "length"}),
        ("unanswered", {"extracted": None}),
        ("ungraded", {"score": None}),
    ],
)
def test_shares_say_how_samples_ended(share: str, fields: dict[str, Any]) -> None:
    assert SHARES[share](row(**fields))
    assert not SHARES[share](row(stop="natural" if share != "natural" else "limit"))


def test_pass_at_k_drops_questions_with_few_samples() -> None:
    its = {"q1": [1.0, 0.0, 0.0, 0.0], "q2": [1.0, 1.0, 0.0], "q3": [0.0]}
    found = pass_at(its)
    assert list(found) == ["1", "2", "4"]
    assert found["1"]["value"] == pytest.approx((1 / 4 + 2 / 3 + 0) / 3)
    assert found["2"]["value"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["2"]["n"] == 2
    assert found["4"]["value"] == 1.0


def test_pass_at_k_includes_the_sample_count() -> None:
    assert list(pass_at({"q1": [1.0] * 6})) == ["1", "2", "4", "6"]


def test_majority_merges_spellings_of_right_answers() -> None:
    tied = [
        row("q1", 0, 1.0, "7.0"),
        row("q1", 1, 1.0, "7"),
        row("q1", 2, 0.0, "8"),
        row("q1", 3, 0.0, "8"),
    ]
    clear = [row("q2", 0, 0.0, "8"), row("q2", 1, 1.0, "7"), row("q2", 2, 1.0, "14/2"), row("q2", 3, 0.0, None)]
    found = majority_at(tied + clear)
    assert found is not None
    assert found["k"] == 4
    assert found["value"] == 1.0
    assert found["ties_unbroken"]["value"] == 0.5


def test_majority_leaves_out_ungraded_winners() -> None:
    rows = [row("q1", 0, None, "9"), row("q1", 1, None, "9"), row("q1", 2, 1.0, "7"), row("q2")]
    found = majority_at(rows)
    assert found is not None
    assert found["n"] == 1


def test_samples_of_a_question_are_sorted() -> None:
    rows = [row("q1", 1), row("q2", 0), row("q1", 0)]
    assert [r.sample for r in questions(rows)["q1"]] == [0, 1]
    assert list(scores(rows)) == ["q1", "q2"]


def test_control_counts_samples_within_their_budget() -> None:
    short = Point(
        "s", {"max_thinking": 10, "min_thinking": 0}, [row(thinking_tokens=10), row("q2", thinking_tokens=11)]
    )
    long = Point(
        "l", {"max_thinking": None, "min_thinking": 20}, [row(thinking_tokens=19), row("q2", thinking_tokens=50)]
    )
    found = results([short, long])
    assert found["control"] == 0.5
    assert [point["control"] for point in found["points"]] == [0.5, 0.5]


def test_scaling_and_performance_come_from_points() -> None:
    low = Point("l", {}, [row(score=0.0, thinking_tokens=10), row("q2", score=0.0, thinking_tokens=30)])
    high = Point("h", {}, [row(thinking_tokens=100), row("q2", score=0.0, thinking_tokens=140)])
    found = results([low, high])
    assert found["scaling"] == pytest.approx(0.5 / 100)
    assert found["performance"] == 0.5


def test_foreign_answers_have_no_token_counts() -> None:
    found = results([Point("answers", {}, [row(thinking_tokens=None, answer_tokens=None, stop=None, finish=None)])])
    assert found["points"][0]["thinking_tokens"] is None
    assert found["control"] is None
    assert found["scaling"] is None
