"""The harness's results → points with intervals, and samples that runs are compared by."""

import math
from typing import Any

import pytest

from evaluation.compare import compare_samples
from evaluation.harness.figures import group_points, interval_of, samples_of, stratified, task_points
from evaluation.metrics import accuracy, wilson


def row(doc: int, chosen: str = "none", **metrics: Any) -> dict[str, Any]:
    return {
        "doc_id": doc,
        "filter": chosen,
        "metrics": list(metrics),
        **metrics,
        "arguments": {f"gen_args_{at}": {"arg_0": "1 + 1?", "arg_1": f" {text}"} for at, text in enumerate("234")},
        "resps": [[["-1.5", "True"]], [["-2.5", "False"]], [["-3.5", "False"]]],
        "filtered_resps": [["-1.5", "True"], ["-2.5", "False"], ["-3.5", "False"]],
        "target": "1",
        "options": ["2", "3", "4"],
        "gold": "3",
        "generation": None,
        "question": "1 + 1?",
        "prompt_hash": "p",
    }


def record(results: dict[str, Any]) -> dict[str, Any]:
    return {"task": "t", "key": "k", "output_type": "multiple_choice", "shots": 5, "version": 1, "results": results}


def test_right_and_wrong_have_wilsons_interval() -> None:
    assert interval_of([1.0, 0.0, 1, 1], 0.75, max) == wilson(3, 4)


def test_mean_of_degrees_is_bootstrapped() -> None:
    items = [0.25, 0.5, 1.0, 0.0]
    assert interval_of(items, 0.4375, max) == accuracy([[item] for item in items])


def test_other_figures_are_resampled_by_their_own_aggregation() -> None:
    """A weighted perplexity: (log-probability, words) of each document."""

    def perplexity(items: Any) -> float:
        return math.exp(-sum(item[0] for item in items) / sum(item[1] for item in items))

    items = [[-9.0, 3], [-12.0, 6], [-2.0, 2], [-30.0, 9]]
    found = interval_of(items, perplexity(items), perplexity)
    assert found is not None
    assert found.value == perplexity(items)
    extremes = [math.exp(1), math.exp(30 / 9)]  # of one document alone, the calmest and the most surprising
    assert extremes[0] <= found.low < found.value < found.high <= extremes[1]
    assert interval_of(items, perplexity(items), perplexity) == found


@pytest.mark.parametrize(("items", "value"), [([], 0.0), ([[0, 1]], math.inf), ([[1], [2]], 1.5)])
def test_what_has_no_interval_has_none(items: list[Any], value: float) -> None:
    assert interval_of(items, value, lambda drawn: math.nan) is None


def test_group_weighs_tasks_as_it_says() -> None:
    """Of two tasks, 1 of 1 right and half of 100: weighted by size the small one hardly counts."""
    parts = [[1.0], [0.0, 1.0] * 50]
    weighted, alike = (stratified(parts, by_size, value) for by_size, value in ((True, 51 / 101), (False, 0.75)))
    assert weighted is not None
    assert alike is not None
    assert weighted.low < 51 / 101 < weighted.high < 0.61
    assert alike.low < 0.75 < alike.high
    assert alike.high - alike.low < weighted.high - weighted.low  # the one document of the small task never varies


def test_group_that_is_all_right_is_not_certain() -> None:
    found = stratified([[1.0] * 4, [1.0] * 6], True, 1.0)
    assert found is not None
    assert (found.low, found.high) == (wilson(10, 10).low, 1.0)


def test_each_metric_and_filter_is_a_point() -> None:
    results = {"acc,none": 0.5, "acc_stderr,none": 0.5, "em,strict": 0.0, "em_stderr,strict": "N/A", "alias": "t"}
    rows = [row(0, acc=1.0), row(1, acc=0.0), row(0, "strict", em=0), row(1, "strict", em=0)]
    points = task_points(record(results), rows, {}, {"acc": True}, seed=1)
    assert [point["label"] for point in points] == ["t acc", "t em,strict"]
    assert [point["value"] for point in points] == [0.5, 0.0]
    assert [point["stderr"] for point in points] == [0.5, None]
    assert [point["higher_is_better"] for point in points] == [True, None]
    assert points[0]["interval"] == wilson(1, 2).as_dict()


def test_figures_that_json_has_no_word_for_are_none() -> None:
    points = task_points(record({"ppl,none": math.inf}), [row(0, ppl=[-math.inf, 1])], {}, {}, seed=1)
    assert (points[0]["value"], points[0]["interval"]) == (None, None)


def test_group_has_the_documents_of_its_tasks() -> None:
    members = [[row(0, acc=1.0)], [row(0, acc=0.0), row(1, acc=1.0)]]
    [point] = group_points("g", {"acc,none": 2 / 3, "acc_stderr,none": "N/A"}, members, {"acc": True}, {}, seed=1)
    assert (point["label"], point["documents"], point["stderr"]) == ("g acc", 3, None)
    assert point["interval"]["n"] == 3


def test_samples_are_of_metrics_that_say_right_or_wrong() -> None:
    results = {"acc,none": 0.5, "f1,none": 0.3, "bleu,none": 4.0}
    rows = [row(0, acc=1.0, f1=0.4, bleu=["a", "b"]), row(1, acc=0.0, f1=0.2, bleu=["a", "b"])]
    samples = samples_of(record(results), rows, "group")
    assert [(one.point, one.id, one.is_right) for one in samples] == [
        ("group acc", "t/0", True),
        ("group acc", "t/1", False),
    ]
    assert (samples[0].gold, samples[0].extracted) == ("3", "2")
    assert samples[0].text.splitlines()[0].split() == ["-1.500", "2"]


def test_two_runs_are_compared_by_their_documents() -> None:
    before, after = (
        samples_of(record({"acc,none": share}), [row(0, acc=first), row(1, acc=1.0)], "t")
        for share, first in ((0.5, 0.0), (1.0, 1.0))
    )
    found = compare_samples("t acc", before, after)
    assert (found.questions, found.better, found.worse) == (2, 1, 0)
