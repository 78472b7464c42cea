"""Tasks of lm-evaluation-harness over a local file: sums by options, by writing, and as text."""

import json
from pathlib import Path
from typing import Any

import yaml

from configs.recipe import load_recipe
from configs.schema.harness import HarnessEvalConfig

CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_choice": "options",
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    "metadata": {"version": 1.0},
}
SUMS = {
    "output_type": "generate_until",
    "doc_to_target": "answer",
    "fewshot_split": "test",
    "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": 12},
    "metric_list": [{"metric": "exact_match"}],
    "filter_list": [
        {"name": "number", "filter": [{"function": "regex", "regex_pattern": r"(\d+)"}, {"function": "take_first"}]},
        {"name": "whole", "filter": [{"function": "take_first"}]},
    ],
}
TEXT = {
    "output_type": "loglikelihood_rolling",
    "doc_to_target": "question",
    "metric_list": [{"metric": "word_perplexity"}],
}
GROUP = {"group": "choices", "task": ["choice", "choice_again"], "aggregate_metric_list": [{"metric": "acc"}]}


def rows(count: int = 8) -> list[dict[str, Any]]:
    """Sums with three options, the right one in every place."""
    found = []
    for at in range(count):
        a, b = at + 2, 3 * at % 7 + 1
        options = [str(a + b + 1), str(a + b + 10), str(2 * a + b)]
        options.insert(at % 3, str(a + b))
        found.append({"question": f"What is {a} + {b}?", "options": options[:3], "gold": at % 3, "answer": str(a + b)})
    return found


def write_task(folder: Path, name: str, body: dict[str, Any], data: Path) -> None:
    """A task file in `folder`."""
    common = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "doc_to_text": "" if body is TEXT else "Question: {{question}}\nAnswer:",
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(common | body), "utf-8")


def write_tasks(folder: Path) -> Path:
    """`choice`, `choice_again`, `choices` (both), `sums` and `text` in `folder`; returns it."""
    folder.mkdir(parents=True)
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()), "utf-8")
    for name, body in (("choice", CHOICE), ("choice_again", CHOICE), ("sums", SUMS), ("text", TEXT)):
        write_task(folder, name, body, data)
    (folder / "choices.yaml").write_text(yaml.safe_dump(GROUP), "utf-8")
    return folder


def recipe(folder: Path, tasks: list[str], *overrides: str, **harness: Any) -> HarnessEvalConfig:
    """The shipped recipe, for tasks of `folder`."""
    section = json.dumps({"num_fewshot": None, "limit": None, "tasks": tasks, "include_path": str(folder), **harness})
    found = load_recipe("eval", "harness", [f"harness={section}", *overrides])
    assert isinstance(found, HarnessEvalConfig)
    return found
