"""The cheapest budget that a run's questions prove to lose at most so much; and what other questions say of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.markup import escape

from configs.budget_file import BUDGET_FILE, write_budget_file
from configs.errors import RunError
from configs.schema.evaluation import EvalConfig
from configs.schema.promise import BenchmarkRecord, BudgetFile, ModelRecord, Promise, points_of
from configs.schema.sections import BudgetConfig
from evaluation import risk_control
from evaluation.calibration_run import CalibrationRun, read_calibration_run
from evaluation.candidates import Candidate, candidate_of, chains_of, longest_of, losses
from evaluation.compare import screen, table_of
from evaluation.results import Point, questions
from evaluation.risk_control import Floats, Test
from report.page import percent

ASSUMPTION = (
    "the questions to come are exchangeable with these {questions} (drawn at random from the same source), and the "
    "same model is asked them in the same way (think format, prompt, sampling)"
)

PROMISE_FILE = "promise.json"
"""Whether other questions kept a promise, in the folder of their evaluation."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate, tested.

    losses       (questions,) what it loses against the longest
    test, p      the test, and its p-value of the null hypothesis that the mean loss is above what is allowed
    is_proven    a candidate after the first failure of its chain is not, whatever its p
    is_failure   whether it is that first failure
    """

    candidate: Candidate
    losses: Floats
    test: Test
    p: float
    is_proven: bool
    is_failure: bool

    @property
    def loss(self) -> float:
        """The mean loss."""
        return float(self.losses.mean())


def try_candidates(candidates: Sequence[Candidate], most: float, confidence: float) -> list[Trial]:
    """Every candidate but the longest, chain by chain; `most` is the loss allowed, in [0, 1).

    With a probability of at least `confidence` none is called proven that loses more.
    """
    chains, longest = chains_of(candidates), longest_of(candidates)
    each = (1 - confidence) / len(chains)
    tested = [[_tested(longest, one, most, each) for one in chain] for chain in chains]
    counts = risk_control.fixed_sequences([[trial.p for trial in chain] for chain in tested], 1 - confidence)
    return [
        replace(trial, is_proven=nth < count, is_failure=nth == count)
        for chain, count in zip(tested, counts, strict=True)
        for nth, trial in enumerate(chain)
    ]


def _tested(longest: Candidate, cheaper: Candidate, most: float, level: float) -> Trial:
    """The candidate tested for itself, before its place in a chain counts."""
    test, lost = paired_test(longest, cheaper), losses(longest, cheaper)
    return Trial(cheaper, lost, test, test(lost, most, level), is_proven=False, is_failure=False)


def paired_test(longest: Candidate, cheaper: Candidate) -> Test:
    """The test of what the cheaper one loses."""
    return risk_control.choose_test(max(longest.samples, cheaper.samples))


def cheapest(trials: Sequence[Trial], longest: Candidate) -> Trial | None:
    """The proven one with the fewest thinking tokens; None where none saves any."""
    proven = [trial for trial in trials if trial.is_proven and trial.candidate.tokens.mean() < longest.tokens.mean()]
    return min(proven, key=lambda trial: float(trial.candidate.tokens.mean()), default=None)


def can_lose(longest: Candidate, loss: float) -> bool:
    """Whether the longest one has more to lose than may be lost; else a budget without any answer would do."""
    return bool(longest.most.mean() > loss / 100)


def run_calibration(
    folder: str | Path, loss: float, confidence: float, fixed: bool, output: Path | None
) -> dict[str, Any]:
    """Test, print, and write `budget.yaml`; see `evaluation.calibrate.calibrate`. `loss` in percentage points."""
    run = read_calibration_run(folder)
    candidates = [one for one in run.candidates if not (fixed and one.budget.stop_when)]
    if len(candidates) < 2:
        raise RunError(
            f"{run.path}: --fixed leaves {len(candidates)} of {len(run.candidates)} to choose from; leave it out, or "
            "evaluate under several `budgets:` without stop_when"
        )
    longest = longest_of(candidates)
    trials = try_candidates(candidates, loss / 100, confidence)
    chosen = cheapest(trials, longest) if can_lose(longest, loss) else None
    verdict = verdict_of(longest, trials, chosen, loss, confidence)
    rows = [_figures(trial, confidence) for trial in trials]
    _show(run, longest, rows, trials, confidence)
    for line in (*run.notes, *_ungraded(candidates, run.config), verdict):
        print(line)
    file = None
    if chosen is not None:
        file = output or run.path / BUDGET_FILE
        promise = promise_of(run, longest, chosen, loss, confidence)
        write_budget_file(file, BudgetFile(budget=chosen.candidate.budget, promise=promise))
        print(f"wrote {file}")
    return {
        "longest": {"name": longest.name, "thinking_tokens": float(longest.tokens.mean())},
        "candidates": rows,
        "chosen": chosen.candidate.name if chosen else None,
        "verdict": verdict,
        "file": str(file) if file else None,
    }


def _figures(trial: Trial, confidence: float) -> dict[str, Any]:
    """A candidate for the table and the caller; losses in percentage points."""
    return {
        "name": trial.candidate.name,
        "thinking_tokens": float(trial.candidate.tokens.mean()),
        "loss": 100 * trial.loss,
        "at_most": 100 * risk_control.upper_bound(trial.losses, confidence, trial.test),
        "p": trial.p,
        "proven": trial.is_proven,
    }


def promise_of(run: CalibrationRun, longest: Candidate, chosen: Trial, loss: float, confidence: float) -> Promise:
    """What is promised of the chosen candidate against the longest, with all that it rests on."""
    results, config = run.results, run.config
    return Promise(
        loss=float(loss),
        confidence=confidence,
        longest=longest.budget,
        assumption=ASSUMPTION.format(questions=len(run.ids)),
        questions=len(run.ids),
        samples=config.samples,
        loss_seen=round(100 * chosen.loss, 6),
        p=float(f"{chosen.p:.4g}"),
        thinking_tokens=round(float(chosen.candidate.tokens.mean()), 2),
        thinking_tokens_longest=round(float(longest.tokens.mean()), 2),
        benchmark=BenchmarkRecord(**results["benchmark"]),
        model=ModelRecord(name=results["model"]["name"], adapter=results["model"]["adapter"]),
        think_format=config.think_format,
        instruction=config.instruction,
        sampling=config.sampling,
    )


def look_at_promise(promise: Promise, points: Sequence[Point]) -> dict[str, Any]:
    """What other questions say of a promise; `points`: the longest budget's, and that of the budget it is about.

    Losses in percentage points, with an interval at the promise's confidence. Questions without any graded answer are
    left out, other ungraded samples count against the promise.
    """
    graded = {sample.id for point in points for sample in point.samples if sample.score is not None}
    ids = [id for id in questions(points[0].samples) if id in graded]
    if not ids:
        return {"questions": 0, "verdict": "No answer was graded, so nothing can be said of the promise."}
    longest, cheaper = (candidate_of(point.label, BudgetConfig(), point.samples, ids) for point in points)
    lost = losses(longest, cheaper)
    value, (low, high) = (
        float(lost.mean()),
        risk_control.interval(lost, promise.confidence, paired_test(longest, cheaper)),
    )
    most = promise.loss / 100
    if value <= most:
        judged = "The promise is kept" + (", and proven again" if high <= most else ", by too few to prove it again")
    else:
        judged = "The promise is broken" if low > most else "More is lost than promised, by no more than chance may do"
    spent, whole = float(cheaper.tokens.mean()), float(longest.tokens.mean())
    saved = 1 - spent / whole if whole else 0.0
    return {
        "questions": len(ids),
        "promised": promise.loss,
        "loss": {"value": 100 * value, "low": 100 * low, "high": 100 * high, "n": len(ids)},
        "thinking_tokens_saved": saved,
        "verdict": f"{judged}: at most {points_of(promise.loss)} of accuracy, and on these {len(ids)} questions "
        f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]; {percent(saved)} of the thinking is saved.",
    }


def verdict_of(
    longest: Candidate, trials: Sequence[Trial], chosen: Trial | None, loss: float, confidence: float
) -> str:
    """What is proven, or that it can't be from so few questions and how many could, in a sentence or two."""
    count = len(longest.tokens)
    if chosen is not None:
        spent, whole = chosen.candidate.tokens.mean(), longest.tokens.mean()
        saved = percent(1 - spent / whole)
        return (
            f"Proven with {confidence:.4g} confidence: {chosen.candidate.name} loses at most {points_of(loss)} of "
            f"accuracy against {longest.name} (seen: {100 * chosen.loss:.1f}) and saves {saved} of the thinking, "
            f"{spent:,.0f} tokens in place of {whole:,.0f}. Assumed: {ASSUMPTION.format(questions=count)}."
        )
    if not can_lose(longest, loss):
        right = percent(float(longest.most.mean()))
        return (
            f"Nothing to promise: {longest.name} is right on {right} of {count} questions, so that no answer at all "
            f"would lose at most {points_of(loss)}."
        )
    failures = [trial for trial in trials if trial.is_failure]
    if not failures:
        return f"All are proven, and none saves thinking tokens against {longest.name}: nothing to promise."
    level = (1 - confidence) / len(failures)
    counts = [risk_control.questions_needed(trial.losses, loss / 100, level, trial.test) for trial in failures]
    needed, nearest = min(
        zip(counts, failures, strict=True), key=lambda one: (one[0] is None, one[0] or 0, one[1].loss)
    )
    text = (
        f"No cheaper budget is proven: {count} question{'s' * (count != 1)} can't show with {confidence:.4g} "
        f"confidence that {nearest.candidate.name} loses at most {points_of(loss)} of accuracy against {longest.name} "
        f"(seen: {100 * nearest.loss:.1f})."
    )
    if needed is None:
        return f"{text} With losses like these no number of questions could; allow a larger --loss."
    return f"{text} With losses like these about {needed:,} questions could."


def _ungraded(candidates: Sequence[Candidate], config: EvalConfig) -> list[str]:
    """How many samples of all candidates could not be graded, and what they count as."""
    count = sum(one.ungraded for one in candidates)
    why = "could not be graded, or were cut at probes.max_answer" if config.probes else "could not be graded"
    return [f"{count} samples {why}; each counts against the cheaper budget"] if count else []


def _show(
    run: CalibrationRun,
    longest: Candidate,
    rows: Sequence[dict[str, Any]],
    trials: Sequence[Trial],
    confidence: float,
) -> None:
    """The table: the longest budget first, then each chain in the order of its tests."""
    title = f"{run.results['benchmark']['source']}, {len(run.ids)} questions"
    at_most = f"at most ({confidence:.4g})"
    columns = ("budget", "right", "thinking tokens", "saved", "loss, points", at_most, "p", "proven")
    table = table_of(columns, title, left=("proven",))
    whole = float(longest.tokens.mean())
    table.add_row(
        escape(longest.name), percent(float(longest.least.mean())), f"{whole:,.0f}", "–", "–", "–", "–", "the longest"
    )  # fmt: skip
    for row, trial in zip(rows, trials, strict=True):
        right, spent = float(trial.candidate.least.mean()), row["thinking_tokens"]
        table.add_row(
            escape(row["name"]), percent(right), f"{spent:,.0f}", percent(1 - spent / whole) if whole else "–",
            f"{row['loss']:+.1f}", f"{row['at_most']:.1f}", f"{row['p']:.3g}",
            "yes" if trial.is_proven else "no" if trial.is_failure else "not tested",
        )  # fmt: skip
    screen().print(table)
