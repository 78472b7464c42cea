"""`text`: the gold text and no other; `terms`: the gold set of terms, in any order."""

from collections.abc import Collection, Mapping, Sequence

from data.problem import Problem
from rewards.grading.literal.answer import normal
from rewards.grading.verdict import Verdict

SEPARATOR = "##"
"""Between terms, as the CHIP tasks write them; a line break separates them too."""


def grade_text(problems: Sequence[Problem], answers: Sequence[str | None], _seconds: float = 0.0) -> list[Verdict]:
    """Whether each answer is its gold text, but for Unicode's compatible forms and white space."""
    return [_same_text(problem.answer, answer) for problem, answer in zip(problems, answers, strict=True)]


def grade_terms(problems: Sequence[Problem], answers: Sequence[str | None], _seconds: float = 0.0) -> list[Verdict]:
    """F1 of each answer's set of terms against the gold set; right where the sets are the same."""
    return [_same_terms(problem.answer, answer) for problem, answer in zip(problems, answers, strict=True)]


def _same_text(gold: str, answer: str | None) -> Verdict:
    if not normal(gold):
        return Verdict(None, "no gold answer")
    if answer is None:
        return Verdict(0.0, "no answer")
    same = normal(gold) == normal(answer)
    return Verdict(float(same), "same text" if same else "another text")


def _same_terms(gold: str, answer: str | None) -> Verdict:
    wanted = _terms(gold)
    if not wanted:
        return Verdict(None, "no gold answer")
    return missing(wanted) if answer is None else overlap(wanted, _terms(answer), "terms")


def _terms(text: str) -> set[str]:
    return {normal(term) for line in text.splitlines() for term in line.split(SEPARATOR) if normal(term)}


def missing(wanted: Collection[str]) -> Verdict:
    """The verdict on no answer at all, with the counts of `overlap`."""
    return Verdict(0.0, "no answer", {"matched": 0, "given": 0, "wanted": len(wanted)})


def overlap(wanted: Collection[str], given: Collection[str], noun: str) -> Verdict:
    """F1 of two sets, with precision, recall and the three counts that sums over many answers are made of."""
    matched = len({*wanted} & {*given})
    counts: Mapping[str, float] = {"matched": matched, "given": len(given), "wanted": len(wanted)}
    if not wanted and not given:
        return Verdict(1.0, f"no {noun}, as in the gold answer", counts)
    precision, recall = (matched / len(side) if side else 0.0 for side in (given, wanted))
    reason = f"{matched} of {len(wanted)} {noun} found, {len(given) - matched} wrong"
    score = 2 * matched / (len(wanted) + len(given))
    return Verdict(score, reason, {"precision": precision, "recall": recall, **counts})
