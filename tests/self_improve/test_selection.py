"""What is thrown away of the posed problems, and why; what is kept of the answers."""

from typing import Any

import pytest

from configs.round_record import KEPT, PosedProblem
from configs.schema.self_improve import CheckConfig, KeepConfig
from self_improve.posing import POSED
from self_improve.selection import Answered, by_problem, kept_traces, new_ones, that_teach

HENS = "A farmer keeps 12 hens and 3 ducks, and sells 4 hens at the market. How many birds does the farmer keep?"
VERIFIER = CheckConfig(by="verifier")


def posed(*questions: str) -> list[PosedProblem]:
    return [PosedProblem(str(place), question, POSED) for place, question in enumerate(questions)]


def trace(problem: str, number: int, thinking: str = "so", reply: str = "7") -> dict[str, Any]:
    return {"id": f"{problem}#{number}", "question": "?", "thinking": thinking, "reply": reply}


def answered(right: int, samples: int = 4) -> Answered:
    return Answered(samples, [trace("0", number, "so " * (number + 1)) for number in range(right)])


def fates(rows: list[PosedProblem]) -> list[str]:
    return [row.fate for row in rows]


def test_repeats_are_named_and_twins_stay() -> None:
    twin = HENS.replace("12", "15")
    found = new_ones(posed(HENS, twin, twin), [HENS.replace("the market", "a market")], {})
    assert fates(found) == ["repeats an old problem", POSED, "repeats an old problem"]
    assert found[2].detail == twin


def test_held_out_problem_is_not_posed() -> None:
    other = "Ben reads 7 pages a day for 5 days and skips 2 of them. How many pages has Ben read in the end?"
    found = new_ones(posed(HENS, other), [], {"the held-out problems": [HENS]})
    assert fates(found) == ["repeats one of the held-out problems", POSED]
    assert found[0].detail == HENS


def test_malformed_keeps_its_fate() -> None:
    rows = [PosedProblem("0", HENS, "malformed"), *posed("Which of the 31 days of a month are not Mondays?")]
    assert fates(new_ones(rows, [HENS], {})) == ["malformed", POSED]
    assert fates(that_teach(rows[:1], {}, VERIFIER, KeepConfig(), 0)) == ["malformed"]


@pytest.mark.parametrize(("right", "fate"), [(0, "hopeless"), (1, KEPT), (3, KEPT), (4, "trivial")])
def test_trivial_and_hopeless_are_thrown_away(right: int, fate: str) -> None:
    [found] = that_teach(posed(HENS), {"0": answered(right)}, VERIFIER, KeepConfig(), 0)
    assert (found.fate, found.pass_rate) == (fate, right / 4)


def test_nothing_right_teaches_nothing() -> None:
    [found] = that_teach(posed(HENS), {"0": answered(0)}, VERIFIER, KeepConfig(min_pass_rate=0.0), 0)
    assert found.fate == "hopeless"


@pytest.mark.parametrize(("agree", "fate"), [(5, "no agreement"), (6, KEPT), (10, "trivial")])
def test_agreement_needs_its_share(agree: int, fate: str) -> None:
    check = CheckConfig(by="agreement", agreement=0.6)
    [found] = that_teach(posed(HENS), {"0": answered(agree, 10)}, check, KeepConfig(), 0)
    assert found.fate == fate


def test_unjudged_is_never_right() -> None:
    [found] = that_teach(posed(HENS), {"0": Answered(4, None)}, VERIFIER, KeepConfig(min_pass_rate=0.0), 0)
    assert found.fate == "not judged"


def test_budget_is_spread_over_kinds() -> None:
    hens = [f"{HENS} Count those of barn {number} alone." for number in range(12)]
    rows = posed(*hens, "Solve the equation 3x = 12 for x, an integer.", "What is the area of a 3 by 5 rectangle?")
    replies = {row.id: answered(2) for row in rows}
    found = that_teach(rows, replies, VERIFIER, KeepConfig(problems=8), 0)
    assert fates(found).count(KEPT) == 8
    assert fates(found).count("over the budget") == 6
    assert fates(found)[-2:] == [KEPT, KEPT]


def test_shortest_different_answers_are_kept() -> None:
    rows = [trace("0", 0, "so so so"), trace("0", 1, "so"), trace("0", 2, "so"), trace("0", 3, "so so")]
    kept = kept_traces([PosedProblem("0", HENS, KEPT)], {"0": Answered(4, rows)}, 2)
    assert [row["id"] for row in kept] == ["0#1", "0#3"]


@pytest.mark.parametrize(("thinks", "fate", "kept"), [(True, "answered without thinking", 0), (False, KEPT, 1)])
def test_answer_without_thinking_teaches_no_thinking(thinks: bool, fate: str, kept: int) -> None:
    replies = {"0": Answered(4, [trace("0", 0, ""), trace("0", 1, " ")], thinks)}
    found = that_teach(posed(HENS), replies, VERIFIER, KeepConfig(), 0)
    assert fates(found) == [fate]
    assert found[0].pass_rate == 0.5
    assert len(kept_traces(found, replies, 1)) == kept


def test_trace_belongs_to_its_problem() -> None:
    rows = [trace("a#b", 0), trace("a", 0), trace("a#b", 1)]
    assert {id: len(group) for id, group in by_problem(rows).items()} == {"a#b": 2, "a": 1}
