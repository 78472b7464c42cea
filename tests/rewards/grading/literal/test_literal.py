"""Answers as they are written: text, sets of terms, JSON fields, entities."""

import json
import random
from typing import Any

import pytest

from data.problem import Problem
from rewards.grading.grade import grade
from rewards.grading.verdict import Verdict


def verdict(grader: str, gold: str, answer: str, think_format: str | None = None) -> Verdict:
    return grade([Problem("1", "?", gold, "test", grader=grader)], [answer], think_format)[0]


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("2型糖尿病", "2型糖尿病", True),
        ("2型糖尿病", "２型糖尿病\n", True),  # full-width
        ("2型糖尿病", "2 型糖尿病", True),
        ("2型糖尿病", "2", False),
        ("2型糖尿病", "2型糖尿病性肾病", False),
        ("2型糖尿病", "1型糖尿病", False),
        ("2型糖尿病", "答案是2型糖尿病", False),  # nothing is taken out of a sentence
        ("左侧乳腺肿物", "右侧乳腺肿物", False),
        ("无异常", "异常", False),
        ("T1（早期）", "T1(早期)", True),
        ("Type 2  diabetes", "Type 2 diabetes", True),
        ("Type 2 diabetes", "Type2 diabetes", False),
        ("1/2", "0.5", False),
    ],
)
def test_text_is_the_gold_text_and_no_other(gold: str, answer: str, right: bool) -> None:
    assert verdict("text", gold, answer).is_right is right


def test_terms_are_a_set() -> None:
    assert verdict("terms", "高血压##2型糖尿病", "2型糖尿病##高血压").is_right
    assert verdict("terms", "高血压##2型糖尿病", "2型糖尿病\n高血压\n").is_right
    partly = verdict("terms", "高血压##2型糖尿病", "高血压##糖尿病##肾病")
    assert partly.score == pytest.approx(2 / 5)
    assert partly.parts == {"precision": 1 / 3, "recall": 1 / 2, "matched": 1, "given": 3, "wanted": 2}
    assert partly.reason == "1 of 2 terms found, 2 wrong"
    assert verdict("terms", "高血压", "").score == 0.0
    assert verdict("terms", "##", "高血压").score is None


def test_no_other_term_is_right_and_no_right_one_wrong() -> None:
    """2,000 gold sets of terms that differ in a side, a number or a negation, against each other and shuffled."""
    draw = random.Random(0)
    parts = (
        ["左", "右", "双", ""],
        ["侧", "上肢", "下肢", "肺"],
        ["非", "不", ""],
        ["1", "2", "12"],
        ["型炎症", "级损伤", "期肿瘤"],
    )
    golds = {
        "##".join(dict.fromkeys("".join(draw.choice(part) for part in parts) for _ in range(draw.choice([1, 1, 2, 3]))))
        for _ in range(4000)
    }
    kinds = list({frozenset(gold.split("##")): gold for gold in sorted(golds)}.values())[:2000]
    assert len(kinds) > 1000
    shuffled = ["##".join(draw.sample(gold.split("##"), len(gold.split("##")))) for gold in kinds]
    problems = [Problem(str(at), "?", gold, "test", grader="terms") for at, gold in enumerate(kinds)]
    assert all(found.is_right for found in grade(problems, shuffled, None))
    assert not any(found.is_right for found in grade(problems, [*shuffled[1:], shuffled[0]], None))


REPORT = {"主诉": "咳嗽3天", "诊断": "支气管炎", "年龄": 5}


@pytest.mark.parametrize(
    ("answer", "score", "reason"),
    [
        (REPORT, 1.0, "every field"),
        ({"年龄": 5.0, "诊断": "支气管炎 ", "主诉": "咳嗽 3 天"}, 1.0, "every field"),
        (REPORT | {"诊断": "肺炎"}, 2 / 3, "wrong: 诊断"),
        (REPORT | {"年龄": True}, 2 / 3, "wrong: 年龄"),
        (REPORT | {"年龄": "5"}, 2 / 3, "wrong: 年龄"),
        ({"主诉": "咳嗽3天"}, 1 / 3, "missing: 诊断, 年龄"),
        (REPORT | {"建议": "多喝水"}, 3 / 4, "not asked for: 建议"),
        ([REPORT], 0.0, "JSON, but no object"),
        ({}, 0.0, "missing: 主诉, 诊断, 年龄"),
    ],
)
def test_json_is_graded_field_by_field(answer: Any, score: float, reason: str) -> None:
    for written in (json.dumps(answer), f"```json\n{json.dumps(answer, ensure_ascii=False, indent=1)}\n```"):
        found = verdict("json", json.dumps(REPORT), written)
        assert found.score == pytest.approx(score)
        assert found.reason == reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("主诉：咳嗽3天", "not JSON: Expecting value"),
        ('{"主诉": "咳嗽3天", "主诉": "发热"}', "a key comes twice"),
        ('{"主诉": ' + "[" * 100_000, "not JSON: nested too deeply"),
        ('{"主诉": ' + "[" * 600 + "]" * 600 + "}", ""),
        ('{"年龄": ' + "9" * 5000 + "}", "not JSON: Exceeds the limit"),
        ("", "no answer"),
    ],
)
def test_broken_json_is_wrong_and_says_where(answer: str, reason: str) -> None:
    found = verdict("json", json.dumps(REPORT), answer)
    assert found.score == 0.0
    assert reason in found.reason


def test_gold_that_is_no_object_gives_no_verdict() -> None:
    assert verdict("json", "咳嗽", "{}").score is None


def line(text: str, label: str) -> str:
    return json.dumps({"entity_text": text, "entity_label": label}, ensure_ascii=False)


def test_entities_are_a_set_of_records() -> None:
    gold = "\n".join([line("北京", "地点"), line("鲁迅", "人名")])
    assert verdict("entities", gold, "\n".join(reversed(gold.splitlines()))).is_right
    assert verdict("entities", gold, f"[{', '.join(gold.splitlines())}]").is_right
    other = verdict("entities", gold, "\n".join([line("北京", "地点"), line("鲁迅", "组织"), "还有"]))
    assert other.parts == {"precision": 1 / 3, "recall": 1 / 2, "matched": 1, "given": 3, "wanted": 2}
    assert other.score == pytest.approx(2 / 5)


def test_no_entities_is_an_answer() -> None:
    none = "没有找到任何实体"
    assert verdict("entities", none, f" {none}").is_right
    assert verdict("entities", none, "[]").is_right
    assert verdict("entities", none, line("北京", "地点")).score == 0.0
    assert verdict("entities", none, f"{none}\n{line('北京', '地点')}").score == 0.0
    assert verdict("entities", line("北京", "地点"), none).score == 0.0


@pytest.mark.parametrize(
    ("grader", "references", "answer", "score", "reason"),
    [
        ("text", ("感冒", "上呼吸道感染"), "上呼吸道感染", 1.0, "same text"),
        ("text", ("感冒", "上呼吸道感染"), "肺炎", 0.0, "another text"),
        ("terms", ("甲##乙", "丙"), "丙", 1.0, "1 of 1 terms found, 0 wrong"),
        ("terms", ("甲##乙", "甲##丙##丁"), "甲", 2 / 3, "1 of 2 terms found, 0 wrong"),
        ("json", ('{"a": 1, "b": 2}', '{"a": 1, "c": 3}'), '{"a": 1, "c": 4}', 1 / 2, "wrong: c"),
        ("json", ("没有", '{"a": 1}'), '{"a": 1}', 1.0, "every field"),
        ("json", ("没有", '{"a": 1}'), '{"a": 2}', None, "the gold answer is no JSON object with fields"),
        ("math", ("1/3", "0.5"), "1/2", 1.0, None),
        ("math", ("1/3", "0.5"), "7", 0.0, None),
    ],
)
def test_an_answer_is_as_good_as_by_its_best_reference(
    grader: str, references: tuple[str, ...], answer: str, score: float | None, reason: str | None
) -> None:
    problem = Problem("1", "?", references[0], "test", grader=grader, references=references)
    other = Problem("2", "?", "别的", "test", grader=grader)
    found, _ = grade([problem, other], [answer, "x"], None)
    assert found.score == (None if score is None else pytest.approx(score))
    assert reason in (None, found.reason)


@pytest.mark.parametrize(
    ("think_format", "completion", "right"),
    [
        ("none", "2型糖尿病<|im_end|>", True),
        ("deepseek", "<think>1型？2型糖尿病</think>\n\n2型糖尿病", True),
        ("deepseek", "<think>2型糖尿病", False),  # cut thinking is no answer
        ("xml", "<reasoning>x</reasoning>\n<answer>\n2型糖尿病\n</answer>", True),
    ],
)
def test_answer_section_is_read_whole(think_format: str, completion: str, right: bool) -> None:
    assert verdict("text", "2型糖尿病", completion, think_format).is_right is right
