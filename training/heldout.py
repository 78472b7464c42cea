"""Accuracy on held-out problems, before and after training: greedy, and avg@k at the training temperature."""

import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from configs.progress import Progress
from configs.run_directory import RunDir, read_jsonl, write_text
from configs.schema.sections import SamplingConfig
from configs.schema.training import HeldOutConfig, TrainingConfig
from data.problem import Problem
from data.prompts import check_lengths, render_prompt, token_ids
from data.think_format import ThinkFormat
from evaluation.metrics import Interval, cluster_bootstrap, paired_bootstrap, wilson
from models.engines.base import Engine, Generation, Request
from rewards.grading.grade import grade
from rewards.grading.graders import check_graders

GREEDY = SamplingConfig(temperature=0.0)
FIELDS = ("value", "low", "high", "n")


class Measure:
    """Measures a training run's model when the recipe says so, and keeps the figures and the samples.

    `summary.json` gets `greedy_<when>` and `avg_at_k_<when>`, `heldout_<when>.jsonl` every sample.
    """

    def __init__(self, run: RunDir, engine: Engine, config: TrainingConfig, held_out: list[Problem]) -> None:
        self.run, self.engine, self.config, self.problems = run, engine, config, held_out

    def __call__(self, when: Literal["before", "after"]) -> None:
        """Measure, print and write; nothing if the recipe doesn't ask for it, or a resumed run has it already."""
        config = self.config
        if config.eval is None or when not in config.eval.when or f"greedy_{when}" in self.run.summary():
            return
        print(f"measuring {len(self.problems)} held-out problems × {1 + config.eval.k} samples …", flush=True)
        started = time.perf_counter()
        figures, rows = measure(self.engine, self.problems, config.eval, config.sampling, config.seed)
        write_text(
            self.run / f"heldout_{when}.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        )
        self.run.add_summary(**{f"{name}_{when}": figure for name, figure in figures.items()})
        greedy, average = (Interval(**{key: figures[f][key] for key in FIELDS}) for f in ("greedy", "avg_at_k"))
        seconds = time.perf_counter() - started
        print(f"{when} training: greedy {greedy}, avg@{config.eval.k} {average}  ({seconds:.0f} s)", flush=True)
        if when == "after" and (self.run / "heldout_before.jsonl").is_file():
            gained = changes(self.run)
            self.run.add_summary(**{name: interval.as_dict() for name, interval in gained.items()})
            said = ", ".join(f"{name.removesuffix('_change')} {i}" for name, i in gained.items())
            print(f"paired change: {said or 'none, no problem was measured both before and after training'}")


def changes(run: RunDir) -> dict[str, Interval]:
    """Accuracy after training less that before, on the problems that were measured both times (a resumed run may hold
    others out); intervals by paired bootstrap over problems. Empty where there is no such problem."""
    before, after = (_scores(run / f"heldout_{when}.jsonl") for when in ("before", "after"))
    pairs = {name: [(before[name][p], after[name][p]) for p in before[name] if p in after[name]] for name in before}
    return {
        name: paired_bootstrap([fmean(its) for its, _ in pair], [fmean(its) for _, its in pair])
        for name, pair in pairs.items()
        if pair
    }


def _scores(path: Path) -> dict[str, dict[tuple[str, str | None], list[bool]]]:
    """Whether each sample is right, a list a problem (its id and question: other data may count alike), by change."""
    scores: dict[str, dict[tuple[str, str | None], list[bool]]] = {"greedy_change": {}, "avg_at_k_change": {}}
    for row in read_jsonl(path):
        name = "greedy_change" if row["sample"] is None else "avg_at_k_change"
        scores[name].setdefault((row["id"], row.get("question")), []).append(row["correct"] is True)
    return scores


def measure(
    engine: Engine, problems: Sequence[Problem], config: HeldOutConfig, sampling: SamplingConfig, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """({"greedy": …, "avg_at_k": …, …}, one row a sample).

    Greedy: one sample a problem, Wilson's interval. avg@k: the mean over `config.k` samples at `sampling`, its interval
    by bootstrap over problems. An answer that can't be judged counts as wrong here, and is counted as `unjudged`.
    The same seed draws the same noise for the same problem, so that before and after are paired.
    """
    prompts = prompt_ids(problems, engine.tokenizer, engine.think_format)
    greedy = [Request(ids, GREEDY, config.max_tokens, seed=seed + i) for i, ids in enumerate(prompts)]
    drawn = [Request(ids, sampling, config.max_tokens, seed=seed + i, n=config.k) for i, ids in enumerate(prompts)]
    with Progress("held-out samples", total=len(problems) * (1 + config.k)) as progress:
        done = itertools.count(1)
        # one call: short rows of the one fill the batch of the other
        generations = engine.generate(greedy + drawn, lambda _: progress.update(next(done)))
    rows = _graded(engine, problems, generations)
    first = [row["correct"] is True for row in rows if row["sample"] is None]
    sampled = [[0.0] * config.k for _ in problems]
    for row in rows:
        if row["sample"] is not None:
            sampled[row["problem"]][row["sample"]] = float(row["correct"] is True)
    average = cluster_bootstrap(sampled)
    result = {
        "greedy": wilson(sum(first), len(first)).as_dict(),
        "avg_at_k": average.as_dict() | {"k": config.k},
        "unjudged": sum(row["correct"] is None for row in rows),
        "truncated": sum(row["truncated"] for row in rows),
    }
    return result, rows


def check(config: TrainingConfig, problems: Sequence[Problem], tokenizer: Any, think_format: ThinkFormat) -> None:
    """Raise `DataError` for a problem whose prompt leaves no room for a sample, where the recipe measures at all.

    Raises `RewardError` for a problem whose grader is unknown.
    """
    check_graders(problems)
    if config.eval is not None and config.eval.when:
        ids = prompt_ids(problems, tokenizer, think_format)
        check_lengths(problems, ids, config.eval.max_tokens, config.model.max_length, "eval.max_tokens")


def prompt_ids(problems: Sequence[Problem], tokenizer: Any, think_format: ThinkFormat) -> list[list[int]]:
    """Each problem's prompt as token ids."""
    return token_ids(tokenizer, [render_prompt(tokenizer, p.question, think_format) for p in problems])


def _graded(engine: Engine, problems: Sequence[Problem], generations: Sequence[Generation]) -> list[dict[str, Any]]:
    """One row a generation; `sample` is None for the greedy one."""
    asked = [problems[g.request % len(problems)] for g in generations]
    texts = [engine.turn(g) for g in generations]
    verdicts = grade(asked, texts, engine.think_format)
    return [
        {
            "problem": g.request % len(problems),
            "id": problem.id,
            "question": problem.question,
            "sample": g.sample if g.request >= len(problems) else None,
            "text": text,
            "gold": problem.answer,
            "correct": verdict.is_right,
            "reason": verdict.reason,
            "tokens": len(g.token_ids),
            "truncated": g.finish == "length",
        }
        for g, problem, text, verdict in zip(generations, asked, texts, verdicts, strict=True)
    ]
