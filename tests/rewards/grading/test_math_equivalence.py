"""The grader: verdicts in order with their reasons, from threads and asyncio, and from the cache."""

import asyncio
import threading

import pytest

from configs.errors import RewardError
from data.think_format import XML
from rewards.grading import math_equivalence, worker_pool
from rewards.grading.math.equivalence import Equivalence
from rewards.grading.math_equivalence import grade_many, grade_texts, judge_many
from rewards.grading.worker_pool import GraderPool

# only math-verify can tell: (gold, right, wrong)
HARD = ("\\sum_{k=1}^{3} k", "\\sum_{j=1}^{3} j", "\\sum_{k=1}^{4} k")


def test_verdicts_keep_order_and_reason() -> None:
    verdicts = judge_many(["18", HARD[0], "\\frac12", "18", "18"], ["18.0", HARD[2], "0.5", None, " "], timeout=60)
    assert [verdict.correct for verdict in verdicts] == [True, False, True, False, False]
    assert [verdict.reason for verdict in verdicts] == ["number", "math-verify", "expression", "no answer", "no answer"]


def test_completions_grade_by_think_format() -> None:
    text = XML.render("1 + 1 = 3, no: 2", "\\boxed{2}")
    assert grade_texts(["2", "3"], [text, text], XML) == [True, False]
    assert grade_texts(["#### 18", "\\boxed{18}"], ["so A: 18", "so A: 19"]) == [True, False]


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(RewardError, match="2 gold answers for 1 answers"):
        grade_many(["1", "2"], ["1"])


def test_unreadable_gold_answer_is_undecided() -> None:
    before = math_equivalence.unjudged()
    assert grade_many(["", "\\undefinedcommand{{"], ["1", "1"]) == [None, None]
    after = math_equivalence.unjudged()
    assert after["no gold answer"] == before["no gold answer"] + 1
    assert after["gold answer can't be read"] == before["gold answer can't be read"] + 1


def test_box_inside_answer_is_not_answer() -> None:
    assert grade_many([HARD[0]] * 2, ["17 \\neq \\boxed{\\sum_{j=1}^{3} j", f"\\fbox{{{HARD[1]}}}"], 60) == [
        False,
        True,
    ]


def test_huge_power_counts_as_unjudged() -> None:
    before = math_equivalence.unjudged()["refused: too big to evaluate"]
    assert grade_many(["18"], ["9^{9^{9^9}}"]) == [None]
    assert math_equivalence.unjudged()["refused: too big to evaluate"] == before + 1


def test_threads_share_the_pool() -> None:
    found: dict[int, list[bool | None]] = {}

    def ask(number: int) -> None:
        golds = [f"\\sum_{{k=1}}^{{{number + 2}}} k"] * 2
        answers = [f"\\sum_{{j=1}}^{{{number + 2}}} j", f"\\sum_{{k=1}}^{{{number + 20}}} k"]
        found[number] = grade_many(golds, answers, timeout=60)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [True, False] for number in range(6)}


def test_grading_works_in_asyncio() -> None:
    async def ask() -> list[list[bool | None]]:
        direct = grade_many([HARD[0]], [HARD[1]], timeout=60)
        apart = await asyncio.gather(*(asyncio.to_thread(grade_many, [HARD[0]], [answer], 60) for answer in HARD[1:]))
        return [direct, *apart]

    assert asyncio.run(ask()) == [[True], [True], [False]]


def test_repeats_come_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ("\\sum_{z=1}^{5} z", "\\sum_{z=1}^{6} z")
    assert grade_many([pair[0]], [pair[1]], timeout=60) == [False]

    def nobody() -> GraderPool:
        raise AssertionError("asked again")

    monkeypatch.setattr(worker_pool, "shared", nobody)
    assert grade_many([pair[0]] * 3, [pair[1]] * 3) == [False] * 3


def test_timeout_retries_with_more_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    class Recorder(GraderPool):
        def judge(self, pairs, timeout):  # type: ignore[no-untyped-def]
            asked.append(timeout)
            return [Equivalence(None, "timeout") for _ in pairs]

    monkeypatch.setattr(worker_pool, "shared", Recorder)
    pair = (["\\sum_{w=1}^{5} w"], ["\\sum_{w=1}^{6} w"])
    for timeout in (1.0, 1.0, 0.5, 2.0):
        assert grade_many(*pair, timeout=timeout) == [None]
    assert asked == [1.0, 2.0]
