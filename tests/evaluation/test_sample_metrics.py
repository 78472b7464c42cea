"""Metrics of domain tasks, against scikit-learn and by hand."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from configs.errors import RewardError
from configs.sample import Sample
from configs.schema.sections import DataConfig
from data.problem import Problem, references_of
from evaluation.results import constant_answer
from evaluation.sample_metrics import figures, sample_metrics
from evaluation.sample_store import judged_samples
from evaluation.task_figures import OTHER, baselines, check_metrics, label_counts, task_figures

LABELS = ["病情诊断", "治疗方案", "其他"]


def judged(grader: str, pairs: Sequence[tuple[str, str | None]]) -> list[Sample]:
    """A sample a pair of gold and answer."""
    return judged_by_several(grader, [((gold,), answer) for gold, answer in pairs])


def judged_by_several(grader: str, cases: Sequence[tuple[tuple[str, ...], str | None]]) -> list[Sample]:
    """A sample of right replies and an answer each."""
    problems = [
        Problem(f"q{at}", "?", golds[0], "test", grader=grader, references=references_of(golds[0], golds))
        for at, (golds, _) in enumerate(cases)
    ]
    samples = [
        Sample(
            id=problem.id,
            gold=problem.answer,
            references=problem.references,
            grader=grader,
            extracted=answer,
            answer=answer or "",
        )
        for problem, (_, answer) in zip(problems, cases, strict=True)
    ]
    return judged_samples(samples, problems)


def values(samples: Sequence[Sample], names: Sequence[str] = (), labels: Sequence[str] = ()) -> dict[str, float]:
    metrics = sample_metrics(names, samples, labels)
    return {name: one["value"] for name, one in figures(metrics, samples).items()}


def entity(text: str, label: str) -> str:
    return json.dumps({"entity_text": text, "entity_label": label}, ensure_ascii=False)


def test_terms_are_counted_over_all_rows() -> None:
    found = values(judged("terms", [("甲##乙", "甲##丙"), ("丁", "丁"), ("戊##己", None)]))
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 5)  # the row without an answer misses two
    assert found["f1"] == pytest.approx(4 / 8)
    assert found["score"] == pytest.approx((0.5 + 1 + 0) / 3)


def test_entities_match_sklearn() -> None:
    """Each of 20 possible entities a row as a yes-or-no question: micro and macro by type are scikit-learn's."""
    rng = random.Random(4)
    known = [(f"名{at}", ["地点", "人名", "组织"][at % 3]) for at in range(20)]
    rows = [([rng.random() < 0.3 for _ in known], [rng.random() < 0.3 for _ in known]) for _ in range(40)]

    def lines(marks: Sequence[bool]) -> str:
        there = [entity(*one) for one, mark in zip(known, marks, strict=True) if mark]
        return "\n".join(there) or "没有找到任何实体"

    found = values(judged("entities", [(lines(gold), lines(given)) for gold, given in rows]))
    gold, given = (np.array([row[side] for row in rows]).ravel() for side in (0, 1))
    assert found["precision"] == pytest.approx(precision_score(gold, given))
    assert found["recall"] == pytest.approx(recall_score(gold, given))
    assert found["f1"] == pytest.approx(f1_score(gold, given))
    types = np.tile([kind for _, kind in known], len(rows))
    of_type = [f1_score(gold[types == kind], given[types == kind]) for kind in ("地点", "人名", "组织")]
    assert found["macro_f1"] == pytest.approx(float(np.mean(of_type)))


def test_macro_f1_of_labels_is_sklearns() -> None:
    rng = random.Random(5)
    gold = [rng.choice(LABELS) for _ in range(60)]
    said = [rng.choice([*LABELS, "说不清"]) for _ in range(60)]
    samples = judged("text", list(zip(gold, said, strict=True)))
    expected = f1_score(gold, said, labels=LABELS, average="macro")
    assert values(samples, labels=LABELS)["macro_f1"] == pytest.approx(expected)
    table = label_counts(LABELS, samples)
    assert sum(table["其他"].values()) == gold.count("其他")
    assert sum(row.get(OTHER, 0) for row in table.values()) == said.count("说不清")


def test_fields_of_an_object() -> None:
    gold = '{"性别": "女", "年龄": 34}'
    found = values(
        judged("json", [(gold, gold), (gold, '{"性别": "女", "年龄": 43}'), (gold, "女，34岁"), (gold, None)])
    )
    assert found == {"json_valid": 0.5, "score": 0.375, "field 性别": 0.5, "field 年龄": 0.25}


def test_counts_are_by_the_nearest_of_several() -> None:
    found = values(judged_by_several("terms", [(("甲##乙", "丙"), "丙"), (("丁", "丁##戊"), "丁##戊##己")]))
    assert found["precision"] == pytest.approx((1 + 2) / (1 + 3))
    assert found["recall"] == pytest.approx(1)
    assert found["score"] == pytest.approx((1 + 4 / 5) / 2)


def test_types_are_by_the_nearest_of_several() -> None:
    golds = entity("北京", "地点"), f"{entity('北京', '地点')}\n{entity('鲁迅', '人名')}"
    found = values(judged_by_several("entities", [(golds, golds[1]), (golds, golds[0])]))
    assert (found["f1"], found["macro_f1"]) == (1, 1)
    found = values(judged_by_several("entities", [(golds, entity("鲁迅", "人名"))]))
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["macro_f1"] == pytest.approx((0 + 1) / 2)  # a place missing, the person found


def test_labels_are_by_the_one_that_was_answered() -> None:
    samples = judged_by_several("text", [((LABELS[0], LABELS[1]), LABELS[1]), ((LABELS[0], LABELS[1]), LABELS[2])])
    assert label_counts(LABELS, samples) == {LABELS[0]: {LABELS[2]: 1}, LABELS[1]: {LABELS[1]: 1}, LABELS[2]: {}}
    assert values(samples, labels=LABELS)["macro_f1"] == pytest.approx(1 / 3)


def test_a_constant_answer_counts_by_any_of_several() -> None:
    samples = judged_by_several("text", [(("甲", "乙"), "x"), (("丙", "乙"), "x"), (("丁",), "x")])
    assert constant_answer(samples) == {"answer": "乙", "accuracy": 2 / 3}
    assert values(samples, ["bleu", "rougeL"])["bleu"] == 0


def test_ungraded_rows_have_no_say() -> None:
    samples = judged("terms", [("甲", "甲"), ("", "乙")])
    assert figures(sample_metrics((), samples), samples)["f1"]["n"] == 1


def test_several_samples_a_question_are_one_unit() -> None:
    once = judged("terms", [("甲##乙", "甲"), ("丙", "丁")])
    thrice = [replace(sample, sample=number) for sample in once for number in range(3)]
    metrics = sample_metrics((), once)
    assert figures(metrics, thrice)["f1"]["n"] == 2
    assert figures(metrics, thrice)["f1"]["value"] == figures(metrics, once)["f1"]["value"]


def test_trivial_answers_stand_beside_the_figures() -> None:
    golds, keys = ["甲", "甲", "甲", "乙"], ["甲", "丙", "丁", "乙"]
    problems = [
        Problem(f"q{at}", f"归一：{key}", gold, "test", grader="terms", key=key)
        for at, (gold, key) in enumerate(zip(golds, keys, strict=True))
    ]
    samples = judged("terms", [(gold, "不知道") for gold in golds])
    found = baselines(sample_metrics((), samples), problems, samples)
    assert found["constant answer"] == pytest.approx(
        {"accuracy": 0.75, "precision": 0.75, "recall": 0.75, "f1": 0.75, "score": 0.75}
    )
    assert found["copy of the input"]["accuracy"] == 0.5


def test_metrics_are_the_recipes_else_the_tasks() -> None:
    samples = judged("text", [("其他", "其他")])
    problems = [Problem("q0", "?", "其他", "test", grader="text", key="?")]
    task = DataConfig(path="x", task="intent_zh")
    assert "macro_f1" in task_figures(task, None, problems, samples, 0)["metrics"]
    assert "bleu" in task_figures(task, ["bleu"], problems, samples, 0)["metrics"]
    plain = task_figures(DataConfig(path="x"), None, problems, samples, 0)
    assert plain == {"metrics": {}, "baselines": {}, "labels": {}}


@pytest.mark.parametrize(
    ("metric", "message"),
    [("bleu4", "'bleu4' is unknown; did you mean 'bleu'"), ("perplexity", "name it in an evaluation's recipe")],
)
def test_metrics_of_a_task_are_checked(tmp_path: Path, metric: str, message: str) -> None:
    task = tmp_path / "task.yaml"
    task.write_text(f"key: '{{{{ a }}}}'\nprompt: '{{{{ a }}}}'\nreply: '{{{{ b }}}}'\nmetrics: [{metric}]\n", "utf-8")
    with pytest.raises(RewardError, match=message):
        check_metrics(DataConfig(path="rows.jsonl", task=str(task)), None)
    check_metrics(DataConfig(path="rows.jsonl", task=str(task)), ["bleu"])  # a recipe's stand in their place
