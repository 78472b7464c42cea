"""Probes of the thinking on a page: accuracy at every limit, and the rules that stop early, over the same tokens."""

from collections.abc import Mapping
from typing import Any

from report import page, plots

MOST_MARKS, MOST_LABELS = 40, 8  # points of a curve, and labels of them, that a reader can tell apart


def sections(probed: Mapping[str, Any] | None) -> list[page.ReportSection]:
    """The curve and the table of what `results.json` says under `probes`; none where nothing was probed."""
    if probed is None or not probed["curve"]:
        return []
    step = -(-len(probed["curve"]) // MOST_MARKS)
    shown = probed["curve"][step - 1 :: step]
    limits = [{**its, "kind": "fixed limit", "name": f"limit {its['limit']}"} for its in shown]
    rules = [{**its, "kind": f"stop when: {its['kind']}", "name": its["rule"]} for its in probed["rules"]]
    curves: dict[str, list[plots.CurvePoint]] = {}
    labelled = -(-len(limits) // MOST_LABELS)
    for at, one in enumerate([*limits, *rules]):
        if its := one["accuracy"]:
            is_labelled = at >= len(limits) or at % labelled == 0
            label = str(one.get("limit", one.get("setting"))) if is_labelled else ""
            spot = plots.CurvePoint(one["tokens"], its["value"], its["low"], its["high"], label)
            curves.setdefault(one["kind"], []).append(spot)
    rows: list[list[page.Cell]] = [
        [
            one["name"],
            page.percent_interval(one["accuracy"]) if one["accuracy"] else None,
            *(round(one[name], 1) for name in ("tokens", "thinking_tokens", "probe_tokens")),
            page.percent(one["early"]),
        ]
        for one in [*limits, *rules]
    ]
    columns = ["stopped by", "accuracy", "tokens", "thinking", "of probes", "stopped early"]
    note = (
        f"Answers forced every {probed['every']} thinking tokens of {probed['point']}. Limits and rules are tried on "
        "the same thinking: their differences are paired, and the points are not independent. agree: so many "
        "successive probes have the same answer; confidence: exp(mean log-probability) of a probe's answer; "
        "repetition: the share of 4-grams since the last probe that stood in the thinking before. Tokens are means a "
        "sample; a rule pays for the probes that it takes."
    )
    figures = [("", plots.curve(curves))] if curves else []
    return [
        page.Figures("Accuracy over thinking, probed", figures),
        page.Table("Fixed limits and stopping rules", columns, rows, note),
    ]
