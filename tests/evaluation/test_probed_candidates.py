"""Limits and stopping rules that a calibration tries on probes: what they are, what they cost, in which order."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from configs.sample import Sample
from configs.schema.evaluation import ProbesConfig
from configs.schema.sections import BudgetConfig
from evaluation.candidates import Candidate, chains_of, longest_of
from evaluation.probed_candidates import probed_candidates
from evaluation.trajectories import trajectories

PROBES = ProbesConfig(every=10, final_answer_text="So ", max_answer=4)
LONGEST = BudgetConfig(max_thinking=40, num_waits=1, max_answer=16)
IDS = ["a", "b"]
SAMPLES = [
    Sample("a", "longest", score=1.0, thinking_tokens=35),
    Sample("b", "longest", score=1.0, thinking_tokens=15),
]


def probe(id: str, at: int, answer: str, score: float, finish: str = "stop") -> Sample:
    return Sample(
        id, f"after {at}", answer=answer, score=score, thinking_tokens=at, answer_tokens=2, answer_logprob=-0.6,
        finish=finish,
    )  # fmt: skip


def candidates(probed: Sequence[Sample], probes: ProbesConfig = PROBES) -> list[Candidate]:
    return probed_candidates(probes, LONGEST, trajectories(SAMPLES, probed, probes.every), IDS)


def test_each_limit_and_rule_is_a_candidate_with_its_budget() -> None:
    probed = [probe("a", 10, "1", 0.0), probe("a", 20, "2", 1.0), probe("a", 30, "2", 1.0), probe("b", 10, "3", 1.0)]
    found = {one.name: one for one in candidates(probed)}
    assert [name for name in found if name.startswith("limit")] == ["limit 10", "limit 20", "limit 30"]
    limited = found["limit 20"]
    assert limited.budget == LONGEST.model_copy(update={"max_thinking": 20, "final_answer_text": "So "})
    assert (limited.least.tolist(), limited.tokens.tolist()) == ([1.0, 1.0], [20.0, 15.0])
    assert (found["limit 10"].least.tolist(), found["limit 10"].tokens.tolist()) == ([0.0, 1.0], [10.0, 10.0])
    agreeing = found["agree 2"]
    assert agreeing.budget.stop_when is not None
    assert (agreeing.budget.stop_when.probe_every, agreeing.budget.stop_when.agree) == (10, 2)
    assert (agreeing.least.tolist(), agreeing.tokens.tolist()) == ([1.0, 1.0], [34.0, 17.0])  # probes included


def test_answer_that_a_probe_cut_counts_against_its_limit() -> None:
    probed = [probe("a", 10, "1", 1.0, finish="length"), probe("b", 10, "3", 1.0)]
    [limit] = [one for one in candidates(probed) if one.name == "limit 10"]
    assert (limit.least.tolist(), limit.most.tolist(), limit.ungraded) == ([0.0, 1.0], [1.0, 1.0], 1)


def test_strictest_comes_first_in_a_chain_of_its_own() -> None:
    its = candidates([probe("a", 10, "1", 1.0)])
    longest = replace(its[0], name="longest", budget=LONGEST)
    chains = chains_of([*its, longest])
    assert longest_of([*its, longest]) is longest
    assert [[one.name for one in chain][:2] for chain in chains] == [
        ["agree 4", "agree 3"],
        ["confidence 0.99", "confidence 0.95"],
        ["limit 30", "limit 20"],
    ]


@pytest.mark.parametrize("every", [10, 20])
def test_probes_of_another_spacing_are_left_out(every: int) -> None:
    probes = PROBES.model_copy(update={"every": every})
    probed = [probe("a", at, "1", float(at == 20)) for at in (10, 20, 30)]
    found = {one.name: one for one in candidates(probed, probes)}
    assert ("limit 10" in found) == (every == 10)
    assert found["limit 20"].least[0] == 1.0
