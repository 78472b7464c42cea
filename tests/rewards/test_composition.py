"""Gates, clips, `required`, totals and statistics of a recipe's rewards; what a broken reward is told."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import RewardError
from data.problem import Problem
from data.think_format import NONE, S1, XML
from rewards.composition import BrokenReward, Gate, Member, RewardSet, statistics
from rewards.registry import build_rewards
from rewards.rollout import Rollout

ROLLOUTS = [Rollout(Problem(f"p{row}", "q", "1", "test"), "text", XML) for row in range(3)]


def fixed(*column: float | None) -> Callable[[Sequence[Rollout]], list[float | None]]:
    """A reward that gives these scores."""
    return lambda rollouts: list(column[: len(rollouts)])


def test_closed_gate_scores_zero() -> None:
    rewards = RewardSet(
        [Member("right", fixed(2.0, 0.0, None)), Member("style", fixed(0.5, 0.5, 0.5), gate=Gate("right", ">", 0))]
    )
    assert rewards.score(ROLLOUTS)["style"] == [0.5, 0.0, None]


def test_gate_reads_ungated_score() -> None:
    rewards = RewardSet(
        [
            Member("a", fixed(1.0, 1.0, 1.0), gate=Gate("b", ">", 0)),
            Member("b", fixed(1.0, 0.0, 1.0), gate=Gate("c", ">", 0)),
            Member("c", fixed(0.0, 0.0, 0.0)),
        ]
    )
    assert rewards.score(ROLLOUTS) == {"a": [1.0, 0.0, 1.0], "b": [0.0] * 3, "c": [0.0] * 3}


@pytest.mark.parametrize(
    ("comparison", "admitted"), [(">", [False, False, True]), (">=", [False, True, True]), ("<", [True, False, False])]
)
def test_gates_compare(comparison: str, admitted: list[bool]) -> None:
    assert [Gate("x", comparison, 1.0).admits(score) for score in (0.0, 1.0, 2.0)] == admitted


def test_clip_bounds_scores() -> None:
    rewards = RewardSet([Member("x", fixed(-3.0, 0.2, None), clip=(-1.0, 0.1))])
    assert rewards.score(ROLLOUTS)["x"] == [-1.0, 0.1, None]


def test_missing_required_reward_voids_the_row() -> None:
    rewards = RewardSet([Member("right", fixed(2.0, None, 0.0), required=True), Member("style", fixed(0.5, 0.5, 0.5))])
    scores = rewards.score(ROLLOUTS)
    assert scores == {"right": [2.0, None, 0.0], "style": [0.5, None, 0.5]}
    assert rewards.totals(scores) == [2.5, None, 0.5]


def test_missing_optional_reward_is_skipped() -> None:
    rewards = RewardSet([Member("right", fixed(2.0, None, 0.0)), Member("style", fixed(0.5, 0.5, 0.5), weight=2.0)])
    assert rewards.totals(rewards.score(ROLLOUTS)) == [3.0, 1.0, 1.0]


def raises(rollouts: Sequence[Rollout]) -> list[float | None]:
    if any(rollout.problem.id == "p1" for rollout in rollouts):
        raise ZeroDivisionError("no length")
    return [0.0] * len(rollouts)


@pytest.mark.parametrize(
    ("reward", "row", "what"),
    [
        (raises, 1, "it raised ZeroDivisionError: no length"),
        (fixed(0.0, 0.0, float("nan")), 2, "it returned nan"),
        (fixed(0.0, float("inf"), 0.0), 1, "it returned inf"),
        (lambda rollouts: ["x"] * 3, 0, "it returned 'x'"),
        (fixed(0.0, 0.0), 0, "it returned 2 scores for 3 completions"),
        (lambda rollouts: None, 0, "it returned a NoneType for 3 completions"),
        (lambda rollouts: 1.0, 0, "it returned a float for 3 completions"),
    ],
)
def test_broken_reward_is_named_with_row(reward: Any, row: int, what: str) -> None:
    with pytest.raises(BrokenReward, match=rf"reward 'mine', row {row} \(problem 'p{row}'\): {what}") as error:
        RewardSet([Member("fine", fixed(0.0, 0.0, 0.0)), Member("mine", reward)]).score(ROLLOUTS)
    assert error.value.rollout == ROLLOUTS[row]


def test_dummy_batch_finds_broken_reward() -> None:
    def needs_metadata(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [float(rollout.problem.metadata["level"]) for rollout in rollouts]

    RewardSet([Member("mine", needs_metadata)]).check(S1, Problem("p", "q", "1", "test", metadata={"level": 5}))
    with pytest.raises(RewardError, match=r"reward 'mine', row 0 .*KeyError: 'level'"):
        RewardSet([Member("mine", needs_metadata)]).check(S1)


def test_dummy_batch_has_right_wrong_and_empty() -> None:
    from rewards.shipped.correctness import is_correct

    seen: list[Rollout] = []

    def watch(rollouts: Sequence[Rollout]) -> list[float | None]:
        seen.extend(rollouts)
        return [None] * len(rollouts)

    RewardSet([Member("watch", watch)]).check(XML)
    assert is_correct(seen) == [True, False, False]
    assert seen[-1].text == ""


def test_statistics_use_judged_rows() -> None:
    columns: dict[str, list[float | None]] = {"a": [1.0, 0.0, None, 1.0], "b": [0.5] * 4, "c": [None] * 4}
    found = statistics(columns, [True, False, True, None])
    assert found["a"].mean == pytest.approx(2 / 3)
    assert found["a"].none_share == 0.25
    assert found["a"].correlation == pytest.approx(1.0)
    assert (found["b"].mean, found["b"].std, found["b"].correlation) == (0.5, 0.0, None)
    assert (found["c"].mean, found["c"].std, found["c"].none_share) == (None, None, 1.0)


SCORE = st.none() | st.floats(-5, 5)


@given(st.lists(st.tuples(SCORE, SCORE, SCORE), min_size=1, max_size=8))
def test_composition_invents_no_score(rows: list[tuple[float | None, float | None, float | None]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    rewards = RewardSet(
        [
            Member("need", lambda rollouts: columns[0], required=True),
            Member("gate", lambda rollouts: columns[1], gate=Gate("need", ">=", 0)),
            Member("clip", lambda rollouts: columns[2], clip=(-1.0, 1.0)),
        ]
    )
    rollouts = [ROLLOUTS[0]] * len(rows)
    scores = rewards.score(rollouts)
    for row, (need, gate, clip) in enumerate(rows):
        found = [scores[name][row] for name in ("need", "gate", "clip")]
        if need is None:
            assert found == [None, None, None]
        else:
            assert found[0] == need
            assert found[1] == (gate if need >= 0 else 0.0)
            assert found[2] == (None if clip is None else min(max(clip, -1.0), 1.0))


@pytest.mark.parametrize("name", ["strict_format", "soft_format", "xmlcount", "tag_count", "think_format"])
def test_none_format_refuses_format_rewards(name: str) -> None:
    with pytest.raises(RewardError, match=f"^reward '{name}': think_format none has no thinking; leave it out$"):
        build_rewards([{"name": name}]).check(NONE)


def test_none_format_allows_answer_rewards() -> None:
    build_rewards([{"name": "exact"}]).check(NONE)
