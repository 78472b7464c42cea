"""Candidates of a calibration that no run was made for: limits and stopping rules, tried on probes of one thinking."""

from collections.abc import Sequence
from dataclasses import replace

from configs.sample import Sample
from configs.schema.evaluation import ProbesConfig
from configs.schema.sections import BudgetConfig, StopRuleConfig
from evaluation.candidates import Candidate, candidate_of
from evaluation.stopping import Rule, agree_rules, confidence_rules
from evaluation.trajectories import Stop, Trajectory


def probed_candidates(
    probes: ProbesConfig, longest: BudgetConfig, its: Sequence[Trajectory], ids: Sequence[str]
) -> list[Candidate]:
    """A limit at every probe, and the rules that a budget can have.

    `longest`: the budget that was probed, with its trajectories; `ids`: the questions to take.
    """
    end = max((trajectory.thought for trajectory in its), default=0)
    found = []
    for limit in range(probes.every, end, probes.every):
        changes = {"max_thinking": limit, "effort": None, "final_answer_text": probes.final_answer_text}
        changes["min_thinking"] = min(limit, longest.min_thinking)
        budget = longest.model_copy(update=changes)
        found.append(_candidate(f"limit {limit}", budget, [trajectory.at(limit) for trajectory in its], ids))
    for rule in [*agree_rules(), *confidence_rules()]:
        budget = longest.model_copy(update={"stop_when": _section(rule, probes)})
        found.append(_candidate(rule.name, budget, _stops(rule, its), ids))
    return found


def _section(rule: Rule, probes: ProbesConfig) -> StopRuleConfig:
    setting = {"agree": int(rule.setting)} if rule.kind == "agree" else {"confidence": rule.setting}
    same = {"final_answer_text": probes.final_answer_text, "max_answer": probes.max_answer}
    return StopRuleConfig.model_validate({"probe_every": probes.every, **same, **setting})


def _stops(rule: Rule, its: Sequence[Trajectory]) -> list[Stop]:
    return [rule.stop(trajectory) for trajectory in its]


def _candidate(name: str, budget: BudgetConfig, stops: Sequence[Stop], ids: Sequence[str]) -> Candidate:
    return candidate_of(name, budget, [_counted(stop) for stop in stops], ids)


def _counted(stop: Stop) -> Sample:
    """The sample that a stop gives, with all it took.

    An answer that the probe's own limit cut has no verdict: the budget would let it go on, to nobody knows what.
    """
    is_cut = stop.early and stop.answer.is_truncated
    score = None if is_cut else stop.answer.score
    return replace(stop.answer, score=score, thinking_tokens=stop.thinking, probe_tokens=stop.probing)
