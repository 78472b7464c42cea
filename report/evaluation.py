"""`report.html` and the curve of an evaluation, from the files that it wrote.

results.json     the points of the sweep, and what is said over them
samples.jsonl    `configs.sample.Sample`, a line each
prompts.jsonl    {hash, prompt}
summary.json     `warnings`: what a reader of the accuracy must know
comparison.json  where the run was compared with another one
config.yaml      the resolved recipe
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.run_directory import read_jsonl
from configs.sample import Sample, read_samples
from report import before_after, confusion, page, plots, probes, width_depth
from report.samples import Samples, ShownSample, shown_of

Row = Mapping[str, Any]
SHARES = ("natural", "waited", "stopped", "limited", "truncated", "unanswered", "ungraded")


def write_evaluation_report(run_dir: Path, title: str) -> Path:
    """Write `scaling.png`, `scaling.svg` and `report.html` into `run_dir`; the page's path."""
    results = json.loads((run_dir / "results.json").read_text(encoding="utf-8"))
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    points = results["points"]
    benchmark = results["benchmark"]
    sections: list[page.ReportSection] = [headline(results), page.Alarms(summary.get("warnings", []))]
    curves = curves_of(points)
    if curves:
        plots.write_curve(run_dir, curves, f"{benchmark['source']}, {benchmark['problems']} problems")
        sections.append(page.Figures("Accuracy over thinking", [("", plots.curve(curves))]))
    sections += probes.sections(results.get("probes"))
    comparison = before_after.read_comparison(run_dir)
    sections += before_after.tables(comparison) if comparison else []
    names = names_of(points)
    sections.append(accuracy_table(points))
    sections += difference_tables(results.get("differences", []), names)
    sections += width_depth.tables(results.get("width_depth"), names)
    sections += [*metric_tables(points), *confusion.tables(points, names), thinking_table(points)]
    if (run_dir / "config.yaml").exists():
        sections.append(page.Source("Recipe", (run_dir / "config.yaml").read_text(encoding="utf-8"), "config.yaml"))
    samples = [sample for sample in read_samples(run_dir / "samples.jsonl") if sample.point in names]
    prompts = {row["hash"]: row["prompt"] for row in read_jsonl(run_dir / "prompts.jsonl")}
    shown = shown_samples(samples, prompts, names)
    if comparison:
        compared = comparison["earlier_points"]
        earlier = [one for one in read_samples(run_dir / comparison["samples"]) if one.point in compared]
        shown = before_after.beside(shown, samples, earlier, comparison["names"][0])
    sections.append(Samples(shown, "samples.jsonl", "Samples", "budget"))
    path = run_dir / "report.html"
    page.write(path, title, sections, f"{benchmark['problems']:,} problems · benchmark {benchmark['hash']}")
    return path


def optional_interval(value: Mapping[str, float] | None) -> str | None:
    """ "36.5% [30.1, 43.4]", or None."""
    return None if value is None else page.percent_interval(value)


def figure_text(figure: Row) -> str:
    """A metric with its interval: "36.5% [30.1, 43.4]", or "4.31 [4.02, 4.66]" for what is no share."""
    if figure["is_share"]:
        return page.percent_interval(figure)
    return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def headline(results: Row) -> page.Headline:
    """The best point, and over a sweep s1's three figures."""
    cards = []
    known = [point for point in results["points"] if point["accuracy"]]
    if known:
        best = max(known, key=lambda point: point["accuracy"]["value"])
        value = best["accuracy"]
        small = f"{page.percent_bounds(value)}, n = {value['n']}, {names_of(known)[best['label']]}"
        name = "Accuracy" if len(known) == 1 else "Performance (best accuracy)"
        cards.append((name, page.percent(value["value"]), small))
    if results["control"] is not None and any(has_thinking(point) for point in results["points"]):
        cards.append(("Control", page.percent(results["control"]), "of samples kept to their thinking budget"))
    if results["scaling"] is not None:
        slope = 100_000 * results["scaling"]
        cards.append(("Scaling", f"{slope:+.1f}", "accuracy points per 1,000 thinking tokens, mean over pairs"))
    return page.Headline(cards)


def has_thinking(point: Row) -> bool:
    """Whether anything was thought at a point: a model may answer at once."""
    return bool(point["thinking_tokens"] and point["thinking_tokens"]["mean"])


def names_of(points: Sequence[Row]) -> dict[str, str]:
    """Label → short name: only what differs between the points."""
    varying = _varying(points)
    return {point["label"]: _fields(point["budget"], varying) or point["label"] for point in points}


def _varying(points: Sequence[Row]) -> list[str]:
    fields = dict.fromkeys(name for point in points for name in point["budget"])
    return [name for name in fields if len({repr(point["budget"].get(name)) for point in points}) > 1]


def _fields(budget: Row, names: Sequence[str]) -> str:
    values = {name: budget[name] for name in names if budget.get(name) is not None}
    texts = {
        name: json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if name.endswith("_text") or name == "told"
    }
    return " ".join(f"{name}={value}" for name, value in (values | texts).items())


def curves_of(points: Sequence[Row]) -> dict[str, list[plots.CurvePoint]]:
    """A line for each setting of what varies besides `max_thinking`; one line where a setting has a single point.

    Empty where nothing was thought: a model that answers at once has no curve.
    """
    if not any(map(has_thinking, points)):
        return {}
    varying = [name for name in _varying(points) if name != "max_thinking"]
    groups: dict[str, list[plots.CurvePoint]] = defaultdict(list)
    for point in points:
        accuracy, tokens = point["accuracy"], point["thinking_tokens"]
        if accuracy and tokens:
            limit = point["budget"].get("max_thinking")
            mark = "no limit" if limit is None else f"≤ {limit}"
            spot = plots.CurvePoint(tokens["mean"], accuracy["value"], accuracy["low"], accuracy["high"], mark)
            groups[_fields(point["budget"], varying) or "max_thinking"].append(spot)
    if groups and min(len(group) for group in groups.values()) < 2:
        names = names_of(points)
        marks = [names[point["label"]] for point in points if point["accuracy"] and point["thinking_tokens"]]
        spots = [spot for group in groups.values() for spot in group]
        if len(spots) > len(groups):
            return {"all budgets": spots}
        return {"budgets": [replace(spot, label=mark) for spot, mark in zip(spots, marks, strict=True)]}
    return dict(groups)


def accuracy_table(points: Sequence[Row]) -> page.Table:
    """Accuracy, pass@k and maj@k with 95% intervals."""
    names = names_of(points)
    ks = sorted({int(k) for point in points for k in point["pass_at_k"]} - {1})
    several = any(point["samples"] > point["questions"] for point in points)
    columns = ["budget", "samples", "accuracy (avg@k)" if several else "accuracy", "constant answer"]
    columns += [f"pass@{k}" for k in ks]
    columns += ["maj@k", "maj@k, ties unbroken"] if several else []
    rows: list[list[page.Cell]] = []
    for point in points:
        constant = point.get("constant_answer")
        row: list[page.Cell] = [names[point["label"]], point["samples"], optional_interval(point["accuracy"])]
        row += [page.percent(constant["accuracy"]) if constant else None]
        row += [optional_interval(point["pass_at_k"].get(str(k))) for k in ks]
        majority = point["maj_at_k"]
        if several:
            row += [optional_interval(majority), optional_interval(majority and majority["ties_unbroken"])]
        rows.append(row)
    note = (
        "95% intervals: Wilson for single samples, bootstrap over questions otherwise. Ungraded samples count in none. "
        "Constant answer: what always giving the most frequent gold answer would reach."
    )
    return page.Table("Accuracy", columns, rows, note)


def difference_tables(differences: Sequence[Row], names: Mapping[str, str]) -> list[page.Table]:
    """Each budget against the one before it; none without a sweep."""
    rows: list[list[page.Cell]] = [
        [
            names[one["from"]],
            names[one["to"]],
            page.points_interval(one["difference"]),
            f"{one['better']} / {one['worse']}",
            f"{one['p']:.3g}",
        ]
        for one in differences
    ]
    note = (
        "Percentage points, question by question, with a 95% interval from resampling questions. The budgets share "
        "their thinking as far as it goes, so that their differences are more certain than those of runs apart, and "
        "the points are not independent."
    )
    columns = ["from", "to", "difference", "better / worse", "p"]
    return [page.Table("Differences between neighbouring budgets", columns, rows, note)] if rows else []


def metric_tables(points: Sequence[Row]) -> list[page.Table]:
    """Metrics of a domain task, a table a point that has some."""
    names = names_of(points)
    measured = [point for point in points if point.get("metrics")]
    return [
        page.Table(
            "Metrics" if len(measured) == 1 else f"Metrics: {names[point['label']]}",
            ["metric", "value, 95% interval", *point["baselines"], "n", "how"],
            [
                [
                    name,
                    figure_text(one),
                    *(page.percent(its[name]) if name in its else None for its in point["baselines"].values()),
                    one["n"],
                    one["about"],
                ]
                for name, one in point["metrics"].items()
            ],
            "Intervals from resampling questions. Beside them: what answers that take no model reach.",
        )
        for point in measured
    ]


def thinking_table(points: Sequence[Row]) -> page.Table:
    """Token quantiles, how thinking ended, and how far budgets were kept."""
    names = names_of(points)
    columns = [
        "budget",
        "thinking mean",
        "p50",
        "p95",
        "max",
        "of probes",
        "answer mean",
        "answer p95",
        *SHARES,
        "control",
    ]
    rows: list[list[page.Cell]] = []
    for point in points:
        thinking, answer = point["thinking_tokens"] or {}, point["answer_tokens"] or {}
        row: list[page.Cell] = [names[point["label"]], *(thinking.get(name) for name in ("mean", "p50", "p95", "max"))]
        row += [point.get("probe_tokens"), answer.get("mean"), answer.get("p95")]
        row += [page.percent(point["shares"][name]) for name in SHARES]
        row.append(None if point["control"] is None else page.percent(point["control"]))
        rows.append(row)
    note = (
        "Tokens. natural, waited, stopped (by a rule, which pays for its probes), limited: how thinking ended; "
        "truncated: the answer was cut; unanswered: none was found; ungraded: the grader could not judge."
    )
    return page.Table("Thinking", columns, rows, note)


def shown_samples(samples: Sequence[Sample], prompts: Mapping[str, str], names: Mapping[str, str]) -> list[ShownSample]:
    """Samples for the browser; a question that is right in one sample and wrong in another is disagreeing."""
    verdicts: dict[str, set[bool | None]] = defaultdict(set)
    for sample in samples:
        verdicts[sample.id].add(sample.is_right)
    return [
        _shown(one, names[one.point], prompts.get(one.prompt_hash, ""), {True, False} <= verdicts[one.id])
        for one in samples
    ]


def _shown(sample: Sample, group: str, prompt: str, disagreeing: bool) -> ShownSample:
    marks = {
        "truncated": sample.is_truncated,
        "unanswered": sample.extracted is None,
        "waited": str(sample.stop).startswith("waited"),
        "limited": sample.stop in ("limit", "context"),
        "disagreeing": disagreeing,
    }
    facts = {
        "sample": sample.sample,
        "thinking ended": sample.stop,
        "thinking tokens": sample.thinking_tokens,
        "answer tokens": sample.answer_tokens,
        "seconds": sample.seconds,
        **sample.parts,
    }
    return replace(
        shown_of(sample, group),
        tags=[name for name, holds in marks.items() if holds],
        facts={name: value for name, value in facts.items() if value is not None},
        prompt=prompt,
    )
