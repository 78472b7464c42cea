"""`report.html` of a curation, from the files that it wrote.

manifest.json   inputs, warnings, stages (`name`, `in`, `removed`, `reasons`, `seconds`), outputs, domains
removed.jsonl   one object a removed row: `stage`, `id`, `question`, `reason`, `match`
rejected.jsonl  one object a row that could not be read: `file`, `line`, `lines` lost with it, `reason`
not_asked.jsonl one object a question that a model was not asked: `model`, `id`, `reason`
config.yaml     the resolved recipe
"""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from configs.run_directory import read_jsonl
from report import page

MOST_EXAMPLES = 12
MOST_TEXT = 300


def write_curation_report(run_dir: Path) -> Path:
    """Write `report.html` into `run_dir`; its path."""
    manifest = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    sections: list[page.ReportSection] = [
        _headline(manifest),
        page.Alarms([*_rejected(run_dir), *_not_asked(run_dir), *manifest["warnings"]]),
        _stages(manifest),
        _reasons(manifest),
        page.Table(
            "Inputs",
            ("path", "files", "layout", "rows", "rejected", "cleaned", "bytes", "SHA-256"),
            [
                (
                    i["path"],
                    i["files"],
                    i["layout"],
                    i["rows"],
                    i["rejected"],
                    _cleaned(i),
                    i["bytes"],
                    i["sha256"][:16],
                )
                for i in manifest["inputs"]
            ],
        ),
        page.Table(
            "Outputs",
            ("file", "rows", "SHA-256"),
            [(name, entry["rows"], entry["sha256"][:16]) for name, entry in manifest["outputs"].items()],
        ),
        page.Table("Domains of the selection", ("domain", "rows"), list(manifest["domains"].items())),
        *_examples(run_dir),
        page.Source("Recipe", (run_dir / "config.yaml").read_text(encoding="utf-8"), "config.yaml"),
    ]
    path = run_dir / "report.html"
    page.write(path, "Curation", sections, f"seed {manifest['seed']}")
    return path


def _rejected(run_dir: Path) -> list[str]:
    counts: Counter[str] = Counter()
    for row in read_jsonl(run_dir / "rejected.jsonl"):
        counts[f"{row['file']}: {row['reason']}"] += row["lines"]
    return [f"{count:,} rows rejected: {reason}" for reason, count in counts.most_common(MOST_EXAMPLES)]


def _not_asked(run_dir: Path) -> list[str]:
    by_model: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_jsonl(run_dir / "not_asked.jsonl"):
        by_model[row["model"]].append(row)
    return [
        f"{len(rows):,} questions not asked of {model}, and kept: {rows[0]['id']} is {rows[0]['reason']}"
        for model, rows in by_model.items()
    ]


def _cleaned(source: dict[str, Any]) -> str:
    return ", ".join(f"{count:,} × {kind}" for kind, count in source["cleaned"].items())


def _headline(manifest: dict[str, Any]) -> page.Headline:
    rows = sum(entry["rows"] for entry in manifest["inputs"])
    kept = sum(entry["rows"] for entry in manifest["outputs"].values())
    seconds = sum(stage["seconds"] for stage in manifest["stages"])
    return page.Headline(
        [
            ("rows in", f"{rows:,}", f"{len(manifest['inputs'])} files"),
            ("rows kept", f"{kept:,}", page.percent(kept / max(1, rows))),
            ("seconds", f"{seconds:.1f}", f"{len(manifest['stages'])} stages"),
        ]
    )


def _stages(manifest: dict[str, Any]) -> page.Table:
    rows = [(s["name"], s["in"], s["removed"], s["in"] - s["removed"], s["seconds"]) for s in manifest["stages"]]
    return page.Table("Stages", ("stage", "in", "removed", "kept", "seconds"), rows)


def _reasons(manifest: dict[str, Any]) -> page.Table:
    rows = [(s["name"], reason, count) for s in manifest["stages"] for reason, count in s["reasons"].items()]
    return page.Table("Why rows went", ("stage", "reason", "rows"), rows)


def _examples(run_dir: Path) -> list[page.ReportSection]:
    """A few removed rows of each stage, beside what they were compared with."""
    examples: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for row in read_jsonl(run_dir / "removed.jsonl"):
        if len(examples[row["stage"]]) < MOST_EXAMPLES:
            match = row.get("match", {})
            said = ", ".join(f"{key} {value}" for key, value in match.items() if key != "question")
            texts = (row["question"][:MOST_TEXT], str(match.get("question", ""))[:MOST_TEXT])
            examples[row["stage"]].append((row["id"], row["reason"], *texts, said))
    columns = ("row", "reason", "question", "matched question", "match")
    note = "the first {} of removed.jsonl"
    return [
        page.Table(f"Removed by {stage}", columns, rows, note.format(len(rows))) for stage, rows in examples.items()
    ]
