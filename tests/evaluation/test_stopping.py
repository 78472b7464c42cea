"""Stopping rules on trajectories that were probed: where they stop, what they answer, what they cost."""

import math
from collections.abc import Sequence

import pytest

from budget_forcing.agreement import answer_key
from configs.sample import Sample
from evaluation.stopping import agree, confident, figures, probed_figures, repeats
from evaluation.trajectories import Trajectory, trajectories


def probe(at: int, answer: str, score: float = 0.0, tokens: int = 2, likely: float = 0.5, id: str = "a") -> Sample:
    return Sample(
        id, f"after {at}", answer=answer, extracted=answer, score=score, thinking_tokens=at, answer_tokens=tokens,
        answer_logprob=math.log(likely),
    )  # fmt: skip


def thinking(answers: Sequence[str], thought: int, final: str, ids: Sequence[int] = ()) -> Trajectory:
    sample = Sample("a", "longest", score=1.0, answer=final, extracted=final, thinking_tokens=thought)
    sample = Sample(**{**sample.to_row(), "token_ids": tuple(ids)})
    return Trajectory(sample, [probe(10 * (at + 1), answer) for at, answer in enumerate(answers)])


def test_limit_gives_the_probe_there_or_the_end() -> None:
    one = thinking(["1", "2", "3"], 35, "4")
    assert [(stop.answer.answer, stop.thinking) for stop in map(one.at, (10, 20, 30, 40))] == [
        ("1", 10), ("2", 20), ("3", 30), ("4", 35),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "answers", "stops", "probing"),
    [
        (2, ["1", "2", "2", "3"], 30, 4),
        (2, ["1", "\\boxed{1}", "2"], 20, 2),
        (3, ["2", "2", "1", "1", "1", "1"], 50, 8),
        (3, ["2", "2"], 95, 4),
        (2, ["", "", "1"], 95, 6),  # no answer agrees with nothing
        (2, [], 95, 0),
    ],
)
def test_agreement_stops_at_the_last_of_equal_probes(count: int, answers: list[str], stops: int, probing: int) -> None:
    stop = agree(count).stop(thinking(answers, 95, "9"))
    assert (stop.thinking, stop.probing, stop.early) == (stops, probing, stops != 95)


def test_confidence_is_the_mean_probability_of_the_answer() -> None:
    probes = [probe(10, "1", likely=0.6), probe(20, "1", likely=0.91), probe(30, "1", likely=0.99)]
    one = Trajectory(thinking([], 35, "2").sample, probes)
    assert [confident(least).stop(one).thinking for least in (0.5, 0.9, 0.95, 0.995)] == [10, 20, 30, 35]
    assert [confident(least).stop(one).probing for least in (0.5, 0.9, 0.95, 0.995)] == [0, 2, 4, 6]


def test_repetition_needs_no_probe_on_the_way() -> None:
    ids = [*range(20), *range(10), *range(100, 110)]
    stop = repeats(0.5).stop(thinking(["1", "2", "3", "4"], 40, "5", ids))
    assert (stop.thinking, stop.probing, stop.answer.answer) == (30, 0, "3")
    assert not repeats(0.5).stop(thinking(["1", "2"], 40, "5", range(40))).early


@pytest.mark.parametrize(
    ("one", "other"),
    [("1,000", "1000"), (" 42. ", "42"), ("\\boxed{7}", "so 7 is \\boxed{7}"), ("Paris", "paris"), ("是。", "是")],
)
def test_same_answers_have_the_same_key(one: str, other: str) -> None:
    assert answer_key(one) == answer_key(other)


def test_different_answers_have_different_keys() -> None:
    assert len({answer_key(text) for text in ("1", "-1", "1.5", "15", "1/5", "x", "\\boxed{2}", "")}) == 8


def test_figures_pay_for_probes() -> None:
    its = [
        Trajectory(thinking([], 35, "4").sample, [probe(10, "1"), probe(20, "1", 1.0)]),
        thinking(["2", "3", "4"], 35, "5"),
    ]
    found = figures([agree(2).stop(one) for one in its])
    assert (found["thinking_tokens"], found["probe_tokens"], found["tokens"], found["early"]) == (27.5, 4, 31.5, 0.5)
    assert found["accuracy"]["value"] == 1.0
    probed = probed_figures("longest", 10, its)
    assert [point["limit"] for point in probed["curve"]] == [10, 20, 30, 40]
    assert [point["accuracy"]["value"] for point in probed["curve"]] == [0.0, 0.5, 0.5, 1.0]
    assert {rule["rule"] for rule in probed["rules"]} >= {"agree 2", "confidence 0.5"}
    assert "agree 4" not in {rule["rule"] for rule in probed["rules"]}  # it never stops


def test_probes_find_their_samples() -> None:
    samples = [Sample("a", "longest", sample=at, thinking_tokens=30) for at in range(2)] + [Sample("b", "longest")]
    rows = [probe(20, "1"), probe(10, "2"), Sample("a", "after 10", sample=1, thinking_tokens=10)]
    found = trajectories(samples, rows, 10)
    assert [[one.thinking_tokens for one in its.probes] for its in found] == [[10, 20], [10], []]
