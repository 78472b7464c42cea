"""Whether `mull calibrate` keeps its promises, what it saves, and how its tests compare with Hoeffding's and Bentkus'.

    python -m benchmarks.calibrate [--json FILE] [--run RUN] [--splits 200] [--loss 1] [--confidence 0.95]

Questions are split at random, half to calibrate on and the other half to look at, `--splits` times: those of RUN, the
folder of an evaluation under several budgets. Without RUN: a synthetic sweep, drawn anew for each split.

promise_kept          share of the splits without a broken promise. A promise is broken where the budget chosen on the
                      one half truly loses more than --loss: the truth is the mean over all of RUN's questions, or the
                      chance that the synthetic sweep was drawn with
promise_kept_seen     the same by the mean on the other half alone, which has the luck of those questions in it
promise_tokens_saved  mean share of the thinking tokens of the other half that the chosen budget saves; 0 where none was
promises_made         share of the splits in which a budget was chosen
proven_*              share of draws of three-valued losses with that truth that a test proves at 0.95, by test
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

import numpy as np
from scipy.stats import binom

from configs.run_directory import write_json
from configs.schema.sections import BudgetConfig
from evaluation.calibration import cheapest, try_candidates
from evaluation.calibration_run import read_calibration_run
from evaluation.candidates import Candidate, longest_of, losses
from evaluation.risk_control import Floats, betting_test, exact_test

Draw = Callable[[np.random.Generator], tuple[Sequence[Candidate], dict[str, float]]]
"""Candidates on fresh questions, and what each truly loses, by name."""

Limits = dict[int, tuple[float, float]]
"""Limit → the share of questions whose thinking it cuts, and of those whose verdict may change by it."""
SWEEP: Limits = {2048: (0.1, 0.002), 1024: (0.25, 0.005), 512: (0.5, 0.01), 256: (0.75, 0.1), 128: (0.9, 0.4)}
"""A sweep where saving is possible."""
LOST, WON = 0.4, 0.2
"""Of the questions whose verdict may change: right before and wrong now, and the other way round."""


def synthetic_sweep(rng: np.random.Generator, questions: int, limits: Limits) -> list[Candidate]:
    """A longest budget and cheaper ones that change the verdict on the questions that are thought about longest.

    The mean loss of a budget that may change a share c is c (LOST - WON).
    """
    rank = rng.random(questions)  # 0: the one that is thought about longest
    outcome = rng.choice([1.0, -1.0, 0.0], size=questions, p=[LOST, WON, 1 - LOST - WON])
    right = np.where(outcome == 0, rng.random(questions) < 0.7, outcome == 1).astype(np.float64)
    cuts = {0.0: 2 * max(limits), **{cut: limit for limit, (cut, _) in limits.items()}, 1.0: 32}
    lengths = np.interp(rank, sorted(cuts), [cuts[cut] for cut in sorted(cuts)])
    found = [Candidate("longest", BudgetConfig(), right, right, lengths)]
    for limit, (_, changed) in limits.items():
        score = np.where(rank < changed, right - outcome, right)
        budget = BudgetConfig(max_thinking=limit)
        found.append(Candidate(str(limit), budget, score, score, np.minimum(lengths, limit)))
    return found


def draw_synthetic(
    rng: np.random.Generator, questions: int, limits: Limits
) -> tuple[Sequence[Candidate], dict[str, float]]:
    """A `Draw` of `synthetic_sweep`."""
    truth = {str(limit): changed * (LOST - WON) for limit, (_, changed) in limits.items()}
    return synthetic_sweep(rng, questions, limits), truth


def draw_run(rng: np.random.Generator, candidates: Sequence[Candidate]) -> tuple[Sequence[Candidate], dict[str, float]]:
    """A `Draw` of a run: always its own questions."""
    longest = longest_of(candidates)
    return candidates, {one.name: float(losses(longest, one).mean()) for one in candidates}


def resplit(draw: Draw, splits: int, most: float, confidence: float, seed: int = 0) -> dict[str, float]:
    """The figures of the module's docstring, over `splits` random halves; `most` is the loss allowed, in [0, 1)."""
    rng = np.random.default_rng(seed)
    made = broken = broken_seen = 0
    saved = 0.0
    for _ in range(splits):
        candidates, truth = draw(rng)
        order = rng.permutation(len(candidates[0].tokens))
        half, other = np.array_split(order, 2)
        on_half = [one.on(half) for one in candidates]
        chosen = cheapest(try_candidates(on_half, most, confidence), longest_of(on_half))
        if chosen is None:
            continue
        made += 1
        name = chosen.candidate.name
        longest, cheaper = longest_of(candidates).on(other), next(o for o in candidates if o.name == name).on(other)
        broken += truth[name] > most
        broken_seen += bool(losses(longest, cheaper).mean() > most)
        saved += 1 - float(cheaper.tokens.mean() / longest.tokens.mean())
    return {
        "promise_kept": 1 - broken / splits,
        "promise_kept_seen": 1 - broken_seen / splits,
        "promise_tokens_saved": saved / splits,
        "promises_made": made / splits,
    }


def hoeffding_bentkus(its: Floats, most: float) -> float:
    """The p-value of Hoeffding's and Bentkus' bounds together (arXiv 2110.01052), for losses in [-1, 1]."""
    n, mean, bound = len(its), (float(its.mean()) + 1) / 2, (most + 1) / 2
    at = min(mean, bound)
    parts = [share * np.log(share / of) for share, of in ((at, bound), (1 - at, 1 - bound)) if share > 0]
    return float(min(1.0, np.exp(-n * sum(parts)), np.e * binom.cdf(np.ceil(n * mean - 1e-9), n, bound)))


TESTS: dict[str, Callable[[Floats, float], float]] = {
    "exact": exact_test,
    "betting": betting_test,
    "hoeffding_bentkus": hoeffding_bentkus,
}


def proven_shares(worse: float, better: float, questions: int, most: float, draws: int) -> dict[str, float]:
    """Share of draws in which each test proves a mean loss below `most`, where it is `worse` - `better` in truth."""
    rng = np.random.default_rng(1)
    counts = dict.fromkeys(TESTS, 0)
    for _ in range(draws):
        its = rng.choice([1.0, -1.0, 0.0], size=questions, p=[worse, better, 1 - worse - better])
        for name, test in TESTS.items():
            counts[name] += test(its, most) <= 0.05
    return {name: count / draws for name, count in counts.items()}


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibrate", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--run", help="an evaluation's folder; default: a synthetic sweep of 1,319 questions")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--loss", type=float, default=1.0, help="percentage points")
    parser.add_argument("--confidence", type=float, default=0.95)
    args = parser.parse_args()
    most = args.loss / 100
    figures: dict[str, float] = {}
    if args.run:
        draw: Draw = partial(draw_run, candidates=read_calibration_run(args.run).candidates)
        figures |= resplit(draw, args.splits, most, args.confidence)
    else:
        draw = partial(draw_synthetic, questions=1319, limits=SWEEP)
        figures |= resplit(draw, args.splits, most, args.confidence)
        edge = {512: (0.5, (most + 1e-6) / (LOST - WON))}  # whatever is promised of it is broken
        draw = partial(draw_synthetic, questions=1319, limits=edge)
        figures["promise_kept_at_edge"] = resplit(draw, args.splits, most, args.confidence)["promise_kept"]
        for truth, (worse, better) in {"equal": (0.01, 0.01), "at_edge": (0.01 + most, 0.01)}.items():
            shares = proven_shares(worse, better, 1319, most, args.splits)
            figures |= {f"proven_{truth}_{name}": share for name, share in shares.items()}
    for name, value in figures.items():
        print(f"{name:32} {value:.3f}")
    if args.json:
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
