"""Which of the posed problems are new, which of the answered ones teach, and which of these are trained on."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from configs.round_record import KEPT, PosedProblem
from configs.schema.self_improve import CheckConfig, KeepConfig
from curation import selection
from curation.decontaminate import matches
from data.similarity.near_duplicates import near_duplicates
from self_improve.posing import POSED

Trace = Mapping[str, Any]
"""A row of a distillation's `traces.jsonl`; its id is the problem's, `#` and the number of the answer."""
KINDS = 8
"""How many kinds of problems a budget is spread over."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to one problem.

    samples   how many there are
    right     those that are right; None where nobody could say
    thinks    whether a model of this format thinks: then a right answer without thinking counts, but teaches nothing
    """

    samples: int
    right: Sequence[Trace] | None
    thinks: bool = True

    @property
    def teaching(self) -> list[Trace]:
        """The right answers that may be trained on: different texts, the shortest first."""
        rows = [row for row in self.right or () if str(row["thinking"]).strip() or not self.thinks]
        different = {text_of(row): row for row in reversed(rows)}
        return sorted(different.values(), key=lambda row: (len(text_of(row)), str(row["id"])))


def new_ones(
    posed: Sequence[PosedProblem], old: Sequence[str], measured: Mapping[str, Sequence[str]]
) -> list[PosedProblem]:
    """`posed` with the fate of what repeats another problem.

    `old`: seeds, training data, earlier rounds; a near-duplicate has nearly all words and all numbers of one. Of
    `measured`, held-out problems and benchmarks by name, no paraphrase is left either.
    """
    whole = [place for place, one in enumerate(posed) if one.fate == POSED]
    questions = [posed[place].question for place in whole]
    found = list(posed)
    # 1. what an old problem, or an earlier one of the round, already asks
    texts = [*old, *questions]
    for at, first in near_duplicates(texts).items():
        if at >= len(old):
            place = whole[at - len(old)]
            found[place] = replace(posed[place], fate="repeats an old problem", detail=texts[first])
    # 2. what is measured on
    for match in matches(questions, {name: list(items) for name, items in measured.items()}):
        place, repeated = whole[match.row], measured[match.benchmark][match.item]
        found[place] = replace(posed[place], fate=f"repeats one of {match.benchmark}", detail=repeated)
    return found


def that_teach(
    posed: Sequence[PosedProblem], answered: Mapping[str, Answered], check: CheckConfig, keep: KeepConfig, seed: int
) -> list[PosedProblem]:
    """`posed` with the fate of all that were answered: kept, or why not; a budget is spread over kinds of problems."""
    judged = [_judged(one, answered.get(one.id), check, keep) if one.fate == POSED else one for one in posed]
    kept = [place for place, one in enumerate(judged) if one.fate == KEPT]
    if keep.problems is None or len(kept) <= keep.problems:
        return judged
    questions = [judged[place].question for place in kept]
    kinds, _ = selection.clusters(questions, KINDS, seed)
    rows = [{"domain": kind, "length": len(judged[place].solution)} for kind, place in zip(kinds, kept, strict=True)]
    chosen = {kept[at] for at in selection.select(rows, keep.problems, seed)}
    over = set(kept) - chosen
    return [replace(one, fate="over the budget") if place in over else one for place, one in enumerate(judged)]


def _judged(one: PosedProblem, answered: Answered | None, check: CheckConfig, keep: KeepConfig) -> PosedProblem:
    """One problem by the share of its answers that are right."""
    if answered is None or answered.right is None:
        return replace(one, fate="not judged", detail="nothing says which of its answers are right")
    rate = len(answered.right) / answered.samples
    detail = f"{len(answered.right)} of {answered.samples} answers {'agree' if check.by == 'agreement' else 'right'}"
    fate = KEPT
    if check.by == "agreement" and rate < check.agreement:
        fate = "no agreement"
    elif rate > keep.max_pass_rate:
        fate = "trivial"
    elif rate < keep.min_pass_rate or not answered.right:
        fate = "hopeless"
    elif not answered.teaching:
        fate = "answered without thinking"
    solution = text_of(answered.teaching[0]) if answered.teaching else ""
    return replace(one, fate=fate, detail=detail, pass_rate=rate, solution=solution)


def kept_traces(posed: Sequence[PosedProblem], answered: Mapping[str, Answered], traces: int) -> list[Trace]:
    """The rows to train on: `traces` different right answers of each kept problem, the shortest first."""
    rows: list[Trace] = []
    for one in posed:
        if one.fate == KEPT:
            rows += answered[one.id].teaching[:traces]
    return rows


def text_of(row: Trace) -> str:
    """A trace's whole solution."""
    return "\n\n".join(part for part in (str(row["thinking"]), str(row["reply"])) if part.strip())


def by_problem(rows: Sequence[Trace]) -> dict[str, list[Trace]]:
    """The traces of each problem, by its id."""
    found: dict[str, list[Trace]] = defaultdict(list)
    for row in rows:
        found[str(row["id"]).rpartition("#")[0]].append(row)
    return found
