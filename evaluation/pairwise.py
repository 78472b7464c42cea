"""Two runs' replies put to a judge side by side, in both orders: wins, ties, and how far the judge can be trusted.

A reply wins where both orders take it; where they differ it is a tie, and the judge's bias for a place is what κ shows.
Source: Zheng et al. 2023 (arXiv 2306.05685) §3.4; Cohen 1960.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from configs.sample import Sample
from configs.schema.judge import JudgeConfig
from evaluation.judge import better_of, pair_prompt
from evaluation.judging import Case, ask_judge
from evaluation.metrics import Interval, cluster_bootstrap, mcnemar_exact
from evaluation.results import questions
from evaluation.sample_metrics import written
from report.correlation import correlation
from report.page import percent


@dataclass(frozen=True, slots=True)
class Preference:
    """What a judge prefers over `questions` questions that it judged in both orders.

    win_rate            B's: a win is 1, a tie ½
    wins, ties, losses  of B
    p                   exact sign test of wins against losses
    agreement, kappa    how often both orders say the same, and Cohen's κ; None where a judge always says one thing
    length_correlation  of B's length less A's with B's win: a judge that likes long replies has a high one
    unjudged            questions on which the judge failed or said nothing that can be read
    """

    judge: str
    questions: int
    win_rate: Interval
    wins: int
    ties: int
    losses: int
    p: float
    agreement: float
    kappa: float | None
    length_correlation: float | None
    unjudged: int

    def __str__(self) -> str:
        kappa = "–" if self.kappa is None else f"{self.kappa:.2f}"
        length = "–" if self.length_correlation is None else f"{self.length_correlation:+.2f}"
        return (
            f"judge {self.judge}: B wins {self.wins}, ties {self.ties}, loses {self.losses} of {self.questions}; "
            f"win rate {self.win_rate}, p {self.p:.3g}; both orders agree on {percent(self.agreement)} (κ {kappa}), "
            f"correlation with length {length}, {self.unjudged} not judged"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def prefer(judge: JudgeConfig, a: Sequence[Sample], b: Sequence[Sample], file: Path) -> Preference | None:
    """Put the first sample of each shared question of both runs to the judge; None where it judged nothing."""
    by_id = [{id: its[0] for id, its in questions(side).items()} for side in (a, b)]
    pairs = [(first, by_id[1][id]) for id, first in by_id[0].items() if id in by_id[1]]
    cases = [(_case(judge, *pair), _case(judge, *reversed(pair))) for pair in pairs]
    texts = ask_judge(judge, [case for both in cases for case in both], file)

    # 1. what each order says, as B's result: 1 for a win, 0 for a loss, ½ for a tie
    results: list[tuple[float, float]] = []
    lengths: list[float] = []
    for (first, second), orders in zip(pairs, cases, strict=True):
        sides = [better_of(texts.get(case.key(judge), "")) for case in orders]
        if None not in sides:
            results.append((_of_b(str(sides[0]), "second"), _of_b(str(sides[1]), "first")))
            lengths.append(float(len(written(second)) - len(written(first))))
    if not results:
        return None

    # 2. a win is one in both orders
    scores = [ab if ab == ba else 0.5 for ab, ba in results]
    wins, losses = scores.count(1.0), scores.count(0.0)
    return Preference(
        judge=judge.server.model,
        questions=len(scores),
        win_rate=cluster_bootstrap([[score] for score in scores]),
        wins=wins,
        ties=len(scores) - wins - losses,
        losses=losses,
        p=mcnemar_exact(wins, losses),
        agreement=sum(ab == ba for ab, ba in results) / len(results),
        kappa=cohens_kappa(results),
        length_correlation=correlation(list(zip(lengths, scores, strict=True))),
        unjudged=len(pairs) - len(results),
    )


def cohens_kappa(results: Sequence[tuple[float, float]]) -> float | None:
    """Agreement beyond chance of the two orders; None where chance alone explains all of it."""
    from sklearn.metrics import cohen_kappa_score

    first, second = ([str(pair[side]) for pair in results] for side in (0, 1))
    return None if len({*first, *second}) == 1 else float(cohen_kappa_score(first, second))


def _case(judge: JudgeConfig, first: Sample, second: Sample) -> Case:
    prompt = pair_prompt(judge.rubric, first.question, first.golds, written(first), written(second))
    return Case(prompt, {"id": first.id, "point": f"{first.point} | {second.point}", "sample": first.sample})


def _of_b(side: str, where: str) -> float:
    """B's result where it stood at `where`."""
    return 0.5 if side == "tie" else float(side == where)
