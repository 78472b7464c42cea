"""How hard a question is: the share of answers that some models get right."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from configs.rundir import append_jsonl, read_jsonl
from configs.schema import DifficultyConfig, ModelConfig
from data.filters import Removal, Removals
from data.table import column

Answers = Callable[[ModelConfig, DifficultyConfig, Sequence[str], Sequence[str]], Iterator[list[bool | None]]]
"""(model, config, questions, golds) → per question, which of its answers are right; None: could not be judged."""


def difficulty(table: Any, rows: Sequence[int], config: DifficultyConfig, answers: Answers, partial: Path) -> Removals:
    """Rows that the best of the models solves too often, or too seldom.

    A row without a gold answer, or whose answers nobody could judge, stays. `partial` keeps what has been answered, so
    that an interrupted run asks no question twice.
    """
    golds = column(table, "answer", rows)
    asked = [i for i, gold in enumerate(golds) if gold]
    questions = column(table, "question", rows)
    known = {(row["model"], row["row"]): row["rate"] for row in read_jsonl(partial)}
    best: dict[int, float] = {}
    for model in config.models:
        name = f"{model.name}+{model.adapter or ''}"
        open_ = [i for i in asked if (name, rows[i]) not in known]
        if open_:
            found = answers(model, config, [questions[i] for i in open_], [golds[i] for i in open_])
            for i, right in zip(open_, found, strict=True):
                known[name, rows[i]] = pass_rate(right)
                append_jsonl(partial, {"model": name, "row": rows[i], "rate": known[name, rows[i]]})
        for i in asked:
            if (rate := known[name, rows[i]]) is not None:
                best[rows[i]] = max(best.get(rows[i], 0.0), rate)
    return {
        row: Removal(reason, {"pass_rate": rate}) for row, rate in best.items() if (reason := _verdict(rate, config))
    }


def pass_rate(right: Sequence[bool | None]) -> float | None:
    """The share of right answers among those that could be judged; None if none could."""
    judged = [verdict for verdict in right if verdict is not None]
    return sum(judged) / len(judged) if judged else None


def _verdict(rate: float, config: DifficultyConfig) -> str:
    if rate > config.max_pass_rate:
        return "too easy"
    return "too hard" if rate < config.min_pass_rate else ""
