"""`report.html` of an evaluation by lm-evaluation-harness's tasks, from the files that it wrote.

results.json   the points, one a task or group and metric
samples.jsonl  `configs.sample.Sample`, a line each: of metrics that say right or wrong
prompts.jsonl  {hash, prompt}
summary.json   `warnings`
config.yaml    the resolved recipe
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.run_directory import read_jsonl
from configs.sample import read_samples
from report import page
from report.evaluation import figure_text
from report.samples import Samples, shown_of

Row = Mapping[str, Any]
MOST_CARDS = 4


def write_harness_report(run_dir: Path, title: str) -> Path:
    """Write `report.html` into `run_dir`; its path."""
    results = json.loads((run_dir / "results.json").read_text(encoding="utf-8"))
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    points = results["points"]
    asked = [point for point in points if point["is_summary"]]
    parts = [point for point in points if not point["is_summary"]]
    sections: list[page.ReportSection] = [
        page.Headline([card(point) for point in asked[:MOST_CARDS]]),
        page.Alarms(summary.get("warnings", [])),
        table("Benchmarks", asked),
    ]
    if parts:
        sections.append(table("Their tasks", parts))
    sections.append(page.Source("Recipe", (run_dir / "config.yaml").read_text(encoding="utf-8"), "config.yaml"))
    prompts = {row["hash"]: row["prompt"] for row in read_jsonl(run_dir / "prompts.jsonl")}
    shown = [
        replace(shown_of(one, one.point), prompt=prompts.get(one.prompt_hash, ""), facts=_facts(one))
        for one in read_samples(run_dir / "samples.jsonl")
    ]
    sections.append(Samples(shown, "samples.jsonl", "Samples", "benchmark"))
    path = run_dir / "report.html"
    benchmark = results["benchmark"]
    page.write(path, title, sections, f"{benchmark['problems']:,} documents · {benchmark['source']}")
    return path


def _facts(sample: Any) -> dict[str, Any]:
    facts = {"thinking tokens": sample.thinking_tokens, "completion tokens": sample.completion_tokens}
    return {name: value for name, value in facts.items() if value is not None}


def value_text(point: Row) -> str | None:
    """The figure with its interval, as every metric is written; None where the harness has none."""
    if point["value"] is None:
        return None
    if point["interval"]:
        return figure_text({**point["interval"], "is_share": point["is_share"]})
    return page.percent(point["value"]) if point["is_share"] else f"{point['value']:.2f}"


def cells(point: Row) -> list[page.Cell]:
    """Task, metric, value, standard error and documents of a point."""
    metric = point["metric"] if point["filter"] == "none" else f"{point['metric']}, {point['filter']}"
    error = point["stderr"]
    scale, unit = (100, "%") if point["is_share"] else (1, "")
    shown = None if error is None else f"±{scale * error:.2f}{unit}"
    return [point["task"], metric, value_text(point), shown, point["documents"]]


def card(point: Row) -> tuple[str, str, str]:
    """Name, value and small print of a card."""
    value = (
        "–"
        if point["value"] is None
        else page.percent(point["value"])
        if point["is_share"]
        else f"{point['value']:.2f}"
    )
    bounds = page.percent_bounds(point["interval"]) if point["interval"] and point["is_share"] else ""
    return point["label"], value, ", ".join(filter(None, [bounds, f"n = {point['documents']}"]))


def table(title: str, points: Sequence[Row]) -> page.Table:
    """A row a point."""
    columns = [
        "task",
        "metric",
        "value, 95% interval",
        "stderr (harness)",
        "documents",
        "examples",
        "version",
        "better",
    ]
    directions = {True: "higher", False: "lower", None: None}
    rows = [[*cells(one), one["shots"], one["version"], directions[one["higher_is_better"]]] for one in points]
    note = (
        "The harness's values and standard errors; our intervals: Wilson for right and wrong, else a bootstrap over "
        "documents, within the tasks of a group."
    )
    return page.Table(title, columns, rows, note)
