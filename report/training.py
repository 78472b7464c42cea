"""`report.html` of a training run (GRPO or SFT), from the files that the run wrote.

    metrics.jsonl     one object a step: `step` and numbers: `reward`, `rewards/<name>`, `completion_tokens`, `kl`,
                      `entropy`, `loss`, `grad_norm`, `learning_rate`, `step_seconds`, …; `alarms`: a list of texts;
                      of a watched training `eval_<point>` with `_low` and `_high`, `measure_seconds`
    rollouts.jsonl    `configs.sample.Sample`, a line each
    summary.json      `greedy_before`, `greedy_after`, `avg_at_k_before`, `avg_at_k_after`: {value, low, high, n}; more
    comparison.json   the held-out problems before against after, with the metrics of a domain task
    heldout_*.jsonl   their samples, `configs.sample.Sample`
    truncation.json   SFT: what was cut, dropped or split
    config.yaml       the resolved recipe
    run.json          the command, versions, what was loaded

Only metrics.jsonl has to be there. A line cut short by a killed run is left out, and said.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from configs.sample import Sample
from report import before_after, page, plots, watched
from report.correlation import correlation
from report.samples import Samples, ShownSample, cut, shown_of

Row = dict[str, Any]

# the order of the plots, their captions and units; other numbers follow by their own name
PLOTS = {
    "reward": ("Reward", ""),
    "loss": ("Loss", ""),
    "eval_loss": ("Loss on the validation rows", ""),
    "completion_tokens": ("Completion length", "tokens"),
    "kl": ("KL to the reference", "nats per token"),
    "teacher_kl": ("Reverse KL to the teacher", "nats per token"),
    "entropy": ("Entropy of the policy", "nats per token"),
    "grad_norm": ("Gradient norm", ""),
    "learning_rate": ("Learning rate", ""),
    "step_seconds": ("Step time", "seconds"),
    "measure_seconds": ("Time of measuring held-out problems", "seconds"),
    "tokens_per_second": ("Throughput", "tokens per second"),
    "peak_memory": ("Most memory so far", "GiB"),
}
NOT_PLOTTED = {
    "step",
    "epoch",
    "num_tokens",
    "step_time",
    *watched.WATCHED,
}  # TRL's step_time is our step_seconds without the rest


def write_training_report(run_dir: Path, title: str = "") -> Path:
    """Write `report.html` into `run_dir`; its path. Raises `FileNotFoundError` without metrics.jsonl."""
    metrics, broken = read_lines(run_dir / "metrics.jsonl")
    rows, broken_rollouts = read_lines(run_dir / "rollouts.jsonl") if (run_dir / "rollouts.jsonl").exists() else ([], 0)
    rollouts = [Sample.from_row(row) for row in rows]
    summary = _read_object(run_dir / "summary.json")
    metrics = _last_of_each_step(metrics)
    alarms = _alarms(metrics)
    if broken + broken_rollouts:
        alarms.append(
            f"lines of metrics.jsonl or rollouts.jsonl that were cut short, left out: {broken + broken_rollouts}"
        )
    sections: list[page.ReportSection] = [_headline(metrics, summary), page.Alarms(alarms)]
    comparison = before_after.read_comparison(run_dir)
    sections += before_after.tables(comparison) if comparison else []
    sections.append(page.Figures("Training", _figures(metrics, summary)))
    if rollouts:
        sections.append(_reward_table(rollouts))
    if rest := _flat({k: v for k, v in summary.items() if not _is_interval(v)}):
        sections.append(page.Summary("Summary", rest))
    if record := _flat(_read_object(run_dir / "run.json")):
        sections.append(page.Summary("Run", record))
    if truncation := _flat(_read_object(run_dir / "truncation.json")):
        sections.append(page.Summary("Truncation", truncation))
    if (run_dir / "config.yaml").exists():
        sections.append(page.Source("Recipe", (run_dir / "config.yaml").read_text(encoding="utf-8"), "config.yaml"))
    if rollouts:
        sections.append(Samples(shown_rollouts(rollouts), "rollouts.jsonl", "Rollouts", "step"))
    elif comparison:
        sections.append(before_after.held_out_samples(run_dir, comparison))
    path = run_dir / "report.html"
    run_dir = run_dir.resolve()
    done = max((int(row["step"]) for row in metrics), default=0)
    steps = f"{done:,} step{'s' if done != 1 else ''}"
    page.write(path, title or f"{run_dir.parent.name} / {run_dir.name}", sections, steps)
    return path


def live_sections(rows: Sequence[Row], summary: Row) -> list[page.ReportSection]:
    """What a page says of a run under way from its rows of metrics: figures so far, alarms, curves.

    Only the figures before its first step.
    """
    metrics = _last_of_each_step(rows)
    sections: list[page.ReportSection] = [_headline(metrics, summary)]
    if metrics:
        sections += [page.Alarms(_alarms(metrics)), page.Figures("Training", _figures(metrics, summary))]
    return sections


def read_lines(path: Path) -> tuple[list[Row], int]:
    """The objects of a JSONL file, and how many lines could not be read."""
    rows: list[Row] = []
    broken = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                broken += bool(line.strip())
                continue
            rows.append(row)
    return rows, broken


def _read_object(path: Path) -> Row:
    """A JSON file's object; empty without the file."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _last_of_each_step(rows: Sequence[Row]) -> list[Row]:
    """A resumed run repeats the steps after its last checkpoint: later rows count. A validation adds to its step."""
    steps: dict[int, Row] = {}
    for row in rows:
        if "step" in row:
            steps[row["step"]] = steps.get(row["step"], {}) | row
    return [row for _, row in sorted(steps.items())]


def _is_interval(value: object) -> bool:
    return isinstance(value, Mapping) and {"value", "low", "high", "n"} <= value.keys()


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, page.Cell]]:
    """Nested objects as rows of dotted names; lists as one text."""
    rows: list[tuple[str, page.Cell]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            plain = value is None or isinstance(value, str | int | float)
            rows.append((prefix + name, value if plain else json.dumps(value, ensure_ascii=False)))
    return rows


def _headline(metrics: Sequence[Row], summary: Row) -> page.Headline:
    """Accuracy before → after with its intervals, and what the run took."""
    done = max((int(row["step"]) for row in metrics), default=0)
    cards = [best] if (best := watched.card(summary, done)) else []
    measured = summary.get("measured", "accuracy")
    for name, label in (
        ("greedy", "Greedy accuracy" if measured == "accuracy" else f"Greedy: {measured}"),
        ("avg_at_k", "avg@k at the training temperature"),
    ):
        stages = [summary[key] for key in (f"{name}_before", f"{name}_after") if _is_interval(summary.get(key))]
        if stages:
            value = " → ".join(page.percent(s["value"]) for s in stages)
            small = " → ".join(map(page.percent_bounds, stages))
            if f"{name}_after" not in summary:  # by `eval.when: [before]`, or training goes on
                label += ", before training"
            cards.append((label, value, f"{small}, n = {stages[-1]['n']}"))
    # GRPO's loss hovers around zero whatever is learnt, so it is a headline only where there is no reward
    key = "reward" if any("reward" in row for row in metrics) else "loss"
    if seen := [row[key] for row in metrics if isinstance(row.get(key), int | float)]:
        tenth = max(1, len(seen) // 10)
        first, last = (page.number(float(np.mean(part))) for part in (seen[:tenth], seen[-tenth:]))
        cards.append((f"Mean {key}", f"{first} → {last}", "first → last tenth of the steps"))
    if seconds := _step_seconds(metrics):
        small = f"{len(seconds):,} steps, median {np.median(seconds):.1f} s"
        if measuring := sum(row.get("measure_seconds", 0) for row in metrics):
            small += f"; {_duration(measuring)} of measuring between them on top"
        cards.append(("Time", _duration(sum(seconds)), small))
    return page.Headline(cards)


def _step_seconds(metrics: Sequence[Row]) -> list[float]:
    """Seconds of every step; with `logging_steps` those in between took as long as the one that was logged."""
    seconds: list[float] = []
    for row in metrics:
        if isinstance(row.get("step_seconds"), int | float):
            seconds += [row["step_seconds"]] * (int(row["step"]) - len(seconds))
    return seconds


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _alarms(metrics: Sequence[Row]) -> list[str]:
    """Each alarm once, with the steps it came at."""
    steps: dict[str, list[int]] = defaultdict(list)
    for row in metrics:
        alarms = row.get("alarms") or []
        for text in [alarms] if isinstance(alarms, str) else alarms:
            steps[str(text)].append(row["step"])
    return [f"{text} ({_ranges(at)})" for text, at in steps.items()]


def _ranges(steps: Sequence[int]) -> str:
    """ "step 3", "steps 3, 5–9"; after six ranges only how many steps."""
    ranges: list[list[int]] = []
    for step in steps:
        if ranges and step == ranges[-1][1] + 1:
            ranges[-1][1] = step
        else:
            ranges.append([step, step])
    texts = [str(a) if a == b else f"{a}–{b}" for a, b in ranges]
    if len(texts) > 6:
        return f"{len(steps)} steps, first {steps[0]}, last {steps[-1]}"
    return f"step{'s' if len(steps) > 1 else ''} {', '.join(texts)}"


def _figures(metrics: Sequence[Row], summary: Row) -> list[tuple[str, str]]:
    """One plot a number, held-out problems first; those named `<kind>/<name>` share one plot a kind."""
    steps = [row["step"] for row in metrics]
    names = {name for row in metrics for name, value in row.items() if _plottable(value)} - NOT_PLOTTED
    names -= {name for name in names if name.startswith("rewards/") and name.endswith("/std")}  # the table has it
    kinds: dict[str, dict[str, list[float | None]]] = defaultdict(dict)
    order = list(PLOTS)
    ranked = sorted(names, key=lambda name: (order.index(name) if name in PLOTS else len(order), name))
    for name in ranked:
        kind, _, member = name.partition("/")
        kinds[kind if member else name][member or name] = [
            row[name] if _plottable(row.get(name)) else None for row in metrics
        ]
    head = [kind for kind in ("reward", "rewards") if kind in kinds]  # side by side: the sum and what it adds up
    figures = [curve] if (curve := watched.curve(metrics, summary.get("best_step"))) else []
    for kind in [*head, *(kind for kind in kinds if kind not in head)]:
        series = kinds[kind]
        caption, unit = PLOTS.get(kind, ("Rewards by function" if kind == "rewards" else _sentence(kind), ""))
        smoothed = kind in ("reward", "loss") and len(series) == 1
        figures.append((caption, plots.lines(kind, steps, series, unit, smoothed=smoothed)))
    return figures


def _sentence(name: str) -> str:
    """ "zero_variance_share" as "Zero variance share"."""
    return (name[:1].upper() + name[1:]).replace("_", " ")


def _plottable(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reward_table(rollouts: Sequence[Sample]) -> page.Table:
    """Mean, spread, share that could not be judged, and correlation with being right, a reward a row."""
    names = list({name: None for sample in rollouts for name in sample.rewards})
    rows: list[list[page.Cell]] = []
    for name in names:
        scored_samples = [sample for sample in rollouts if name in sample.rewards]
        scored = [(score, sample.is_right) for sample in scored_samples if (score := sample.rewards[name]) is not None]
        values = [score for score, _ in scored]
        rows.append(
            [
                name,
                len(scored_samples),
                float(np.mean(values)) if values else None,
                float(np.std(values)) if values else None,
                page.percent(1 - len(scored) / len(scored_samples)),
                correlation([(score, float(right)) for score, right in scored if right is not None]),
            ]
        )
    columns = ["reward", "scored", "mean", "spread (SD)", "not judged", "correlation with correct"]
    note = "Unweighted scores over all rollouts. A dash: no spread, or nothing to correlate with."
    return page.Table("Rewards", columns, rows, note)


def shown_rollouts(rollouts: Sequence[Sample]) -> list[ShownSample]:
    """Rollouts for the browser; a question whose rollouts of one step differ in verdict is disagreeing."""
    verdicts: dict[tuple[int | None, str], set[bool | None]] = defaultdict(set)
    for sample in rollouts:
        verdicts[sample.step, sample.id].add(sample.is_right)
    shown = []
    for sample in rollouts:
        marks = {
            "truncated": sample.is_truncated,
            "disagreeing": {True, False} <= verdicts[sample.step, sample.id],
            "not judged": None in sample.rewards.values(),
        }
        facts = {
            "reward": sample.reward,
            "advantage": sample.advantage,
            "completion tokens": sample.completion_tokens,
            "thinking tokens": sample.thinking_tokens,
            "most thinking": sample.max_thinking,
            **sample.parts,
        }
        shown.append(
            replace(
                shown_of(sample, f"step {sample.step}"),
                spans=cut(sample.text, sample.forced, tool_results=sample.tool_results),
                tags=[name for name, holds in marks.items() if holds],
                scores=sample.rewards,
                facts={name: value for name, value in facts.items() if value is not None},
                prompt=sample.prompt,
            )
        )
    return shown
