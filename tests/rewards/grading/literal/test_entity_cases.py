"""Entities worked out by hand: how many records match, of how many given and wanted.

The definition: both sides are sets of records, a JSON object a line, or one list of objects. Two records are one where
all their fields are (as in `test_json_cases`), so a record counts once however often it comes; a line that is no object
is a wrong record. Precision m / given, recall m / wanted, F1 2m / (given + wanted).
"""

import pytest

from data.problem import Problem
from rewards.grading.grade import grade
from rewards.grading.verdict import Verdict


def verdict(gold: str, answer: str, think_format: str | None = None) -> Verdict:
    return grade([Problem("1", "?", gold, "test", grader="entities")], [answer], think_format)[0]


def lines(records: str) -> str:
    """`北京/地点 鲁迅/人名` as a record a line."""
    pairs = (record.split("/") for record in records.split(" "))
    return "\n".join(f'{{"entity_text": "{text}", "entity_label": "{label}"}}' for text, label in pairs)


NONE = "没有找到任何实体"
ONE, TWO = lines("北京/地点"), lines("北京/地点 鲁迅/人名")
BY_NAME = [
    # gold, given, matched, given records, wanted records
    # ---- none, some, all
    ("北京/地点", "北京/地点", 1, 1, 1),
    ("北京/地点 鲁迅/人名", "鲁迅/人名 北京/地点", 2, 2, 2),
    ("北京/地点 鲁迅/人名", "北京/地点", 1, 1, 2),
    ("北京/地点", "北京/地点 鲁迅/人名", 1, 2, 1),
    ("北京/地点 鲁迅/人名", "上海/地点 巴金/人名 复旦/组织", 0, 3, 2),
    ("甲/人名 乙/人名 丙/人名", "甲/人名 丁/人名", 1, 2, 3),
    ("甲/人名 乙/人名 丙/人名 丁/人名", "甲/人名 乙/人名 丙/人名 戊/人名", 3, 4, 4),
    # ---- types
    ("北京/地点", "北京/组织", 0, 1, 1),
    ("北京/地点 北京/组织", "北京/地点", 1, 1, 2),
    ("北京/地点 北京/组织", "北京/组织 北京/地点", 2, 2, 2),
    ("鲁迅/人名 北京/地点", "鲁迅/地点 北京/人名", 0, 2, 2),
    ("鲁迅/人名", "鲁迅/人名 鲁迅/作品 鲁迅/地点", 1, 3, 1),
    ("IBM/ORG", "IBM/org", 0, 1, 1),
    # ---- spans that overlap, touch, or hold one another
    ("北京大学/组织", "北京/地点", 0, 1, 1),
    ("北京大学/组织 北京/地点", "北京大学/组织", 1, 1, 2),
    ("北京大学/组织", "北京大学/组织 北京/地点 大学/组织", 1, 3, 1),
    ("北京大学/组织", "北京/组织 大学/组织", 0, 2, 1),
    ("右肺上叶/部位", "右肺/部位 上叶/部位 右肺上叶/部位", 1, 3, 1),
    ("急性上呼吸道感染/疾病", "上呼吸道感染/疾病", 0, 1, 1),
    ("左膝/部位 右膝/部位", "左膝/部位 左膝/部位", 1, 1, 2),
    # ---- duplicates
    ("北京/地点", "北京/地点 北京/地点 北京/地点", 1, 1, 1),
    ("北京/地点 北京/地点", "北京/地点", 1, 1, 1),
    ("北京/地点 鲁迅/人名", "北京/地点 北京/地点 上海/地点 上海/地点", 1, 2, 2),
    # ---- characters
    ("２型糖尿病/疾病", "2型糖尿病/疾病", 1, 1, 1),
    ("糖尿病（2型）/疾病", "糖尿病(2型)/疾病", 1, 1, 1),
    ("ＩＢＭ/组织", "IBM/组织", 1, 1, 1),
    ("ibm/组织", "IBM/组织", 0, 1, 1),
    ("Ⅱ期/分期", "II期/分期", 1, 1, 1),
    ("café/地点", "cafe\u0301/地点", 1, 1, 1),
    ("臺北/地点", "台北/地点", 0, 1, 1),
    ("北京/地点", "北京\u3000/地点", 1, 1, 1),
    ("北京市/地点", "北京/地点", 0, 1, 1),
    ("《故乡》/作品", "故乡/作品", 0, 1, 1),
]


@pytest.mark.parametrize(("gold", "given", "matched", "given_records", "wanted"), BY_NAME)
@pytest.mark.parametrize("layout", ["lines", "list"])
def test_sets_of_records(gold: str, given: str, matched: int, given_records: int, wanted: int, layout: str) -> None:
    answer = lines(given)
    if layout == "list":
        answer = f"[{', '.join(answer.splitlines())}]"
    counted(verdict(lines(gold), answer), matched, given_records, wanted)


def counted(found: Verdict, matched: int, given: int, wanted: int) -> None:
    assert [found.parts[name] for name in ("matched", "given", "wanted")] == [matched, given, wanted]
    assert found.score == pytest.approx(2 * matched / (given + wanted) if given + wanted else 1, abs=1e-12)
    if given and wanted:
        assert found.parts["precision"] == pytest.approx(matched / given, abs=1e-12)
        assert found.parts["recall"] == pytest.approx(matched / wanted, abs=1e-12)


SPAN = '{"text": "北京", "start": 0, "end": 2}'
NESTED = '{"type": "手术", "args": {"部位": "右肺", "时间": ["2020", "春"]}}'
AS_WRITTEN = [
    # gold, answer, matched, given records, wanted records
    # ---- layout of the records
    (ONE, '{"entity_label": "地点", "entity_text": "北京"}', 1, 1, 1),
    (ONE, '{"entity_label":"地点","entity_text":"北京"}', 1, 1, 1),
    (ONE, '{\n  "entity_text": "北京",\n  "entity_label": "地点"\n}', 1, 1, 1),
    (TWO, "[\n  " + TWO.replace("\n", ",\n  ") + "\n]", 2, 2, 2),
    (TWO, TWO.replace("\n", "\n\n\n") + "\n", 2, 2, 2),
    (TWO, TWO.replace("\n", "\r\n"), 2, 2, 2),
    (TWO, f"```json\n{TWO}\n```", 2, 2, 2),
    (TWO, f"```jsonl\r\n{TWO}\r\n```", 2, 2, 2),
    (TWO, f"```json\n[{TWO.replace(chr(10), ',')}]\n```", 2, 2, 2),
    (f"[{ONE}]", ONE, 1, 1, 1),
    (ONE, '{"entity_text": "\\u5317\\u4eac", "entity_label": "地点"}', 1, 1, 1),
    (ONE, '{"ｅntity_text": "北京", "entity_label ": "地点"}', 1, 1, 1),
    ('{"text": "a\u2028b"}', '{"text": "a\u2028b"}', 1, 1, 1),  # a separator that JSON allows inside a text
    # ---- lines that are no record
    (ONE, f"找到以下实体：\n{ONE}", 1, 2, 1),
    (ONE, f"{ONE}\n以上。", 1, 2, 1),
    (ONE, f"- {ONE}", 0, 0, 1),
    (TWO, f"1. {TWO.splitlines()[0]}\n{TWO.splitlines()[1]}", 1, 2, 2),
    (TWO, TWO.replace("\n", ",\n"), 1, 2, 2),
    (TWO, TWO[:-1], 1, 2, 2),
    (ONE, ONE[:-1], 0, 1, 1),
    (ONE, ONE.replace('"', "'"), 0, 1, 1),
    (ONE, ONE.replace(":", "："), 0, 1, 1),
    (TWO, TWO.replace("\n", " "), 0, 1, 2),
    (ONE, f"```json\n{ONE}\n```\n完", 1, 4, 1),
    (ONE, '{"entity_text": "北京", "entity_label": "地点", "entity_label": "地点"}', 0, 1, 1),
    (ONE, '{"entity_text": NaN, "entity_label": "地点"}', 0, 1, 1),
    (ONE, "北京（地点）", 0, 0, 1),
    (ONE, '["北京"]', 0, 0, 1),
    (ONE, f'[{ONE}, "北京"]', 1, 2, 1),
    (TWO, f"[{TWO.splitlines()[0]}]\n[{TWO.splitlines()[1]}]", 0, 2, 2),
    # ---- fields of a record
    (ONE, '{"entity_text": "北京"}', 0, 1, 1),
    (ONE, '{"entity_text": "北京", "entity_label": "地点", "note": ""}', 0, 1, 1),
    (ONE, '{"text": "北京", "label": "地点"}', 0, 1, 1),
    (ONE, '{"entity_text": ["北京"], "entity_label": "地点"}', 0, 1, 1),
    (ONE, f'{{"entities": [{ONE}]}}', 0, 1, 1),
    (ONE, "{}", 0, 1, 1),
    (SPAN, '{"start": 0.0, "end": 2, "text": "北京"}', 1, 1, 1),
    (SPAN, '{"start": "0", "end": "2", "text": "北京"}', 0, 1, 1),
    (SPAN, '{"start": 0, "end": 3, "text": "北京"}', 0, 1, 1),
    (f"{SPAN}\n{SPAN.replace('0', '7').replace('2', '9')}", SPAN, 1, 1, 2),  # one text in two places
    (NESTED, '{"args": {"时间": ["2020", "春"], "部位": "右 肺"}, "type": "手术"}', 1, 1, 1),
    (NESTED, '{"type": "手术", "args": {"部位": "右肺", "时间": ["春", "2020"]}}', 0, 1, 1),
    (NESTED, '{"type": "手术", "args": {"部位": "右肺"}}', 0, 1, 1),
    (NESTED, '{"type": "手术", "部位": "右肺", "时间": ["2020", "春"]}', 0, 1, 1),
    # ---- none
    (NONE, NONE, 0, 0, 0),
    (NONE, f" {NONE}\n", 0, 0, 0),
    (NONE, f"```\n{NONE}\n```", 0, 0, 0),
    (NONE, "[]", 0, 0, 0),
    ("[]", "[]", 0, 0, 0),
    ("[]", ONE, 0, 1, 0),
    (NONE, ONE, 0, 1, 0),
    (NONE, f"{NONE}\n{ONE}", 0, 1, 0),
    (NONE, "无", 0, 1, 0),
    (NONE, "没有\n实体", 0, 2, 0),
    (ONE, NONE, 0, 0, 1),
    (ONE, "[]", 0, 0, 1),
    (TWO, "没有\n实体", 0, 0, 2),
    (TWO, "", 0, 0, 2),
    (TWO, " \n", 0, 0, 2),
    (NONE, "", 0, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer", "matched", "given", "wanted"), AS_WRITTEN)
def test_records_as_they_are_written(gold: str, answer: str, matched: int, given: int, wanted: int) -> None:
    found = verdict(gold, answer)
    if not answer.strip():  # a missing answer is wrong, even where there is nothing to find
        assert (found.score, found.reason) == (0, "no answer")
        assert [found.parts[name] for name in ("matched", "given", "wanted")] == [matched, given, wanted]
    else:
        counted(found, matched, given, wanted)


@pytest.mark.parametrize(
    ("think_format", "completion", "matched", "given"),
    [
        ("deepseek", f"<think>\n{lines('上海/地点')}\n</think>\n\n{TWO}", 2, 2),
        ("deepseek", f"<think>\n{TWO}\n</think>\n\n{ONE}", 1, 1),
        ("deepseek", f"<think>\n{TWO}", 0, 0),
        ("xml", f"<reasoning>\n{TWO}\n</reasoning>\n<answer>\n```json\n{TWO}\n```\n</answer>", 2, 2),
        ("none", f"{TWO}<|im_end|>", 2, 2),
    ],
)
def test_records_come_after_the_thinking(think_format: str, completion: str, matched: int, given: int) -> None:
    found = verdict(TWO, completion, think_format)
    assert [found.parts[name] for name in ("matched", "given", "wanted")] == [matched, given, 2]
