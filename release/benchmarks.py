"""What lm-evaluation-harness's tasks said of a model, as the card's metadata holds it."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult


def benchmark_results(results: Mapping[str, Any]) -> list[EvalResult]:
    """A result for each task or group that an evaluation's recipe asked for, of its `results.json`."""
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=point["task"],
            dataset_name=point["task"],
            metric_type=point["metric"],
            metric_name=point["label"],
            metric_value=round(point["value"], 4),
            metric_args=interval_args(point["interval"]) | {"protocol": _protocol(results, point)},
        )
        for point in results["points"]
        if point["is_summary"] and point["value"] is not None
    ]


def interval_args(interval: Mapping[str, Any] | None) -> dict[str, Any]:
    """A figure's interval as `metric_args`; empty where it has none."""
    if interval is None:
        return {}
    return {"interval_95": [round(interval["low"], 4), round(interval["high"], 4)], "n": interval["n"]}


def _protocol(results: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    harness = results["harness"]
    shots = point["shots"] if point["shots"] is not None else harness["num_fewshot"]
    said = [
        results["benchmark"]["source"],
        "examples as each task says" if shots is None else f"{shots} examples",
        f"{point['documents']} documents",
        "through the chat template" if harness["apply_chat_template"] else "plain text",
        f"think format {results['think_format']}",
    ]
    return ", ".join(said)
