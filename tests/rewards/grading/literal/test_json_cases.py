"""JSON replies worked out by hand: which fields are right, of how many, and what is said of the others.

The definition: the reply, or what a code fence around all of it holds, is one JSON object (RFC 8259). A field is right
where its value is the gold one: texts by NFKC and without white space that only sets them, numbers by value, lists in
order, objects field by field; `true` is no number and `"5"` is not 5. Score: right fields / fields of either object.
"""

from fractions import Fraction

import pytest

from data.problem import Problem
from rewards.grading.grade import grade
from rewards.grading.verdict import Verdict


def verdict(gold: str, answer: str, think_format: str | None = None) -> Verdict:
    return grade([Problem("1", "?", gold, "test", grader="json")], [answer], think_format)[0]


ALL = "every field"
VISIT = '{"主诉": "咳嗽3天", "诊断": "支气管炎", "年龄": 5}'
PLAN = '{"药": {"名": "阿莫西林", "量": 0.5}, "检查": ["血常规", "胸片"]}'
CASES = [
    # gold, answer, right fields, score, reason
    # ---- what stands where: order, white space, layout
    ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', "a b", "1", ALL),
    ('{"a": 1, "b": 2}', '{"a":1,"b":2}', "a b", "1", ALL),
    ('{"a": 1, "b": 2}', '\n\t{\r\n "a" : 1 ,\n "b" :\n 2 }\n', "a b", "1", ALL),
    (VISIT, '{"年龄": 5, "诊断": "支气管炎", "主诉": "咳嗽3天"}', "主诉 诊断 年龄", "1", ALL),
    (VISIT, '{"主诉": "咳嗽 3 天", "诊断": " 支气管炎\\n", "年龄": 5}', "主诉 诊断 年龄", "1", ALL),
    ('{"a": "x  y"}', '{"a": "x\\ty"}', "a", "1", ALL),
    ('{"a": "x y"}', '{"a": "xy"}', "", "0", "wrong: a"),
    ('{"a": "Abc"}', '{"a": "abc"}', "", "0", "wrong: a"),
    ('{"a": ""}', '{"a": " "}', "a", "1", ALL),
    ('{"给药 途径": "口服"}', '{"给药途径": "口服"}', "给药途径", "1", ALL),
    ('{"dose unit": "mg"}', '{"doseunit": "mg"}', "", "0", "missing: dose unit; not asked for: doseunit"),
    # ---- numbers
    ('{"a": 5}', '{"a": 5.0}', "a", "1", ALL),
    ('{"a": 100}', '{"a": 1e2}', "a", "1", ALL),
    ('{"a": 36.5}', '{"a": 36.50}', "a", "1", ALL),
    ('{"a": 0}', '{"a": -0.0}', "a", "1", ALL),
    ('{"a": 0.5}', '{"a": 5E-1}', "a", "1", ALL),
    ('{"a": 36.5}', '{"a": 36.51}', "", "0", "wrong: a"),
    ('{"a": 5}', '{"a": -5}', "", "0", "wrong: a"),
    ('{"a": 5}', '{"a": "5"}', "", "0", "wrong: a"),
    ('{"a": "5"}', '{"a": 5}', "", "0", "wrong: a"),
    ('{"a": "5"}', '{"a": "5.0"}', "", "0", "wrong: a"),
    ('{"a": "1,800"}', '{"a": "1800"}', "", "0", "wrong: a"),
    ('{"a": "5"}', '{"a": "５"}', "a", "1", ALL),
    ('{"a": 12345678901234567890}', '{"a": 12345678901234567890}', "a", "1", ALL),
    ('{"a": 12345678901234567890}', '{"a": 12345678901234567891}', "", "0", "wrong: a"),
    # ---- types that are not each other
    ('{"a": 1}', '{"a": true}', "", "0", "wrong: a"),
    ('{"a": false}', '{"a": 0}', "", "0", "wrong: a"),
    ('{"a": true}', '{"a": true}', "a", "1", ALL),
    ('{"a": true}', '{"a": "true"}', "", "0", "wrong: a"),
    ('{"a": null}', '{"a": null}', "a", "1", ALL),
    ('{"a": null}', "{}", "", "0", "missing: a"),
    ('{"a": null}', '{"a": ""}', "", "0", "wrong: a"),
    ('{"a": null}', '{"a": "null"}', "", "0", "wrong: a"),
    ('{"a": []}', '{"a": null}', "", "0", "wrong: a"),
    ('{"a": []}', '{"a": {}}', "", "0", "wrong: a"),
    ('{"a": "x"}', '{"a": ["x"]}', "", "0", "wrong: a"),
    ('{"a": ["x"]}', '{"a": "x"}', "", "0", "wrong: a"),
    ('{"a": {"b": 1}}', '{"a": "{\\"b\\": 1}"}', "", "0", "wrong: a"),
    # ---- nesting
    (PLAN, '{"检查": ["血常规", "胸片"], "药": {"量": 0.50, "名": "阿莫西林"}}', "药 检查", "1", ALL),
    (PLAN, '{"药": {"名": "阿莫西林"}, "检查": ["血常规", "胸片"]}', "检查", "1/2", "wrong: 药"),
    (PLAN, '{"药": {"名": "阿莫西林", "量": 0.5, "次": 3}, "检查": ["血常规", "胸片"]}', "检查", "1/2", "wrong: 药"),
    (PLAN, '{"药": {"名": "阿莫西林", "量": 0.5}, "检查": ["胸片", "血常规"]}', "药", "1/2", "wrong: 检查"),
    (PLAN, '{"药": {"名": "阿莫西林", "量": 0.5}, "检查": ["血常规"]}', "药", "1/2", "wrong: 检查"),
    (PLAN, '{"药": {"名": "阿莫西林", "量": 0.5}, "检查": ["血常规", "胸片", "胸片"]}', "药", "1/2", "wrong: 检查"),
    (PLAN, '{"名": "阿莫西林", "量": 0.5}', "", "0", "missing: 药, 检查; not asked for: 名, 量"),
    ('{"a": [{"x": 1, "y": 2}]}', '{"a": [{"y": 2, "x": 1}]}', "a", "1", ALL),
    ('{"a": [1, [2, [3]]]}', '{"a": [1, [2, [3.0]]]}', "a", "1", ALL),
    ('{"a": [1, [2, [3]]]}', '{"a": [1, 2, 3]}', "", "0", "wrong: a"),
    ('{"a": {"b": {"c": "（无）"}}}', '{"a": {"b": {"c": "(无)"}}}', "a", "1", ALL),
    ('{"a": {"b": {"c": null}}}', '{"a": {"b": {}}}', "", "0", "wrong: a"),
    ('{"a": ["x", "x"]}', '{"a": ["x"]}', "", "0", "wrong: a"),
    # ---- fields too many, too few, in the wrong place
    (VISIT, '{"主诉": "咳嗽3天"}', "主诉", "1/3", "missing: 诊断, 年龄"),
    (VISIT, "{}", "", "0", "missing: 主诉, 诊断, 年龄"),
    (VISIT, VISIT[:-1] + ', "建议": "休息"}', "主诉 诊断 年龄", "3/4", "not asked for: 建议"),
    (VISIT, VISIT[:-1] + ', "x": null, "y": 1, "z": []}', "主诉 诊断 年龄", "1/2", "not asked for: x, y, z"),
    (VISIT, '{"主诉": "支气管炎", "诊断": "咳嗽3天", "年龄": 5}', "年龄", "1/3", "wrong: 主诉, 诊断"),
    (VISIT, '{"主 诉": "咳嗽3天", "诊断": "", "y": 5}', "主诉", "1/4", "missing: 年龄; not asked for: y; wrong: 诊断"),
    (VISIT, '{"病": "肺炎"}', "", "0", "missing: 主诉, 诊断, 年龄; not asked for: 病"),
    ('{"a": 1}', '{"A": 1}', "", "0", "missing: a; not asked for: A"),
    ('{"a": 1}', '{"a": 1, "A": 1}', "a", "1/2", "not asked for: A"),
    ('{"": 1}', '{"": 1}', "", "1", ALL),
    # ---- compatible forms of characters (NFKC), and those that are not
    ('{"a": "（轻度），约50%：是"}', '{"a": "(轻度),约50％:是"}', "a", "1", ALL),
    ('{"a": "2型糖尿病"}', '{"a": "２型糖尿病"}', "a", "1", ALL),
    ('{"a": "Ⅱ度"}', '{"a": "II度"}', "a", "1", ALL),
    ('{"a": "5㎎"}', '{"a": "5mg"}', "a", "1", ALL),
    ('{"a": "37℃"}', '{"a": "37°C"}', "a", "1", ALL),
    ('{"a": "10μg"}', '{"a": "10µg"}', "a", "1", ALL),
    ('{"a": "m²"}', '{"a": "m2"}', "a", "1", ALL),
    ('{"a": "café"}', '{"a": "cafe\u0301"}', "a", "1", ALL),
    ('{"a": "ｶﾞｰｾﾞ"}', '{"a": "ガーゼ"}', "a", "1", ALL),
    ('{"a": "头痛\u3000发热"}', '{"a": "头痛 发热"}', "a", "1", ALL),
    ('{"a": "a\u00a0b"}', '{"a": "a b"}', "a", "1", ALL),
    ('{"a": "待查…"}', '{"a": "待查..."}', "a", "1", ALL),
    ('{"a": "𠮷 田"}', '{"a": "𠮷田"}', "a", "1", ALL),  # a Han character beyond U+FFFF
    ('{"a": "𠮷 3"}', '{"a": "𠮷3"}', "a", "1", ALL),
    ('{"ａ": 1}', '{"a": 1}', "a", "1", ALL),
    ('{"a": "无。"}', '{"a": "无."}', "", "0", "wrong: a"),
    ('{"a": "甲、乙"}', '{"a": "甲,乙"}', "", "0", "wrong: a"),
    ('{"a": "½片"}', '{"a": "1/2片"}', "", "0", "wrong: a"),  # NFKC's fraction slash is no solidus
    ('{"a": "頭痛"}', '{"a": "头痛"}', "", "0", "wrong: a"),
    ('{"a": "“是”"}', '{"a": "\\"是\\""}', "", "0", "wrong: a"),
    ('{"a": "咳嗽"}', '{"a": "\\u54b3\\u55fd"}', "a", "1", ALL),
    ('{"a": "😀"}', '{"a": "\\ud83d\\ude00"}', "a", "1", ALL),
    ('{"a": "1/2"}', '{"a": "1\\/2"}', "a", "1", ALL),
    # ---- code fences
    (VISIT, f"```json\n{VISIT}\n```", "主诉 诊断 年龄", "1", ALL),
    (VISIT, f"```\n{VISIT}\n```\n", "主诉 诊断 年龄", "1", ALL),
    (VISIT, f"```JSON\r\n{VISIT}\r\n```", "主诉 诊断 年龄", "1", ALL),
    (VISIT, f"``` json\n{VISIT}\n```", "主诉 诊断 年龄", "1", ALL),
    (VISIT, f"````json\n{VISIT}\n````", "主诉 诊断 年龄", "1", ALL),
    (VISIT, f"~~~json\n{VISIT}\n~~~", "主诉 诊断 年龄", "1", ALL),
    ('{"a": "```x```"}', '{"a": "```x```"}', "a", "1", ALL),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer", "right", "score", "reason"), CASES)
def test_fields_are_as_worked_out(gold: str, answer: str, right: str, score: str, reason: str) -> None:
    found = verdict(gold, answer)
    assert found.reason == reason
    assert found.score == pytest.approx(float(Fraction(score)), abs=1e-12)
    assert {name for name, part in found.parts.items() if part == 1 and name} == set(right.split())


NO_OBJECT = "JSON, but no object"
BROKEN = [
    # answer, what is said of it
    (f"答案：{VISIT}", "not JSON: Expecting value"),
    (f"{VISIT}。", "not JSON: Extra data"),
    (f"{VISIT}\n{VISIT}", "not JSON: Extra data"),
    (f"结果如下：\n```json\n{VISIT}\n```", "not JSON: Expecting value"),
    (f"```json\n{VISIT}\n```\n以上。", "not JSON: Expecting value"),
    (f"```json\n{VISIT}", "not JSON: Expecting value"),
    (f"```json\n{VISIT}\n```\n```json\n{VISIT}\n```", "not JSON: Extra data"),
    (VISIT[:-1], "not JSON: Expecting ',' delimiter"),
    (VISIT[:-1] + ",}", "not JSON: "),
    (VISIT.replace('"', "'"), "not JSON: Expecting property name"),
    (VISIT.replace('"', "“"), "not JSON: Expecting property name"),
    (VISIT.replace(":", "："), "not JSON: Expecting ':' delimiter"),
    (VISIT.replace(",", "，"), "not JSON: Expecting ',' delimiter"),
    (VISIT.replace("5", "05"), "not JSON: Expecting ',' delimiter"),
    (VISIT.replace("5", "+5"), "not JSON: Expecting value"),
    (VISIT.replace("5", ".5"), "not JSON: Expecting value"),
    (VISIT.replace("5", "NaN"), "not JSON: NaN is no value"),
    (VISIT.replace("5", "-Infinity"), "not JSON: -Infinity is no value"),
    (VISIT.replace("5", "True"), "not JSON: Expecting value"),
    (VISIT.replace("5", "None"), "not JSON: Expecting value"),
    (VISIT.replace("3天", "\n3天"), "not JSON: Invalid control character"),
    (VISIT.replace("3天", "\\x3天"), "not JSON: Invalid \\escape"),
    (VISIT.replace("}", " // 岁\n}"), "not JSON: Expecting ',' delimiter"),
    (VISIT.replace("诊断", "主诉"), "not JSON: a key comes twice"),
    (VISIT.replace("诊断", "主 诉"), "not JSON: a key comes twice"),
    ('{"主诉": {"a": 1, "a": 1}}', "not JSON: a key comes twice"),
    ('{"Ａ": 1, "A": 1}', "not JSON: a key comes twice"),
    (f"[{VISIT}]", NO_OBJECT),
    ('"咳嗽3天"', NO_OBJECT),
    ("5", NO_OBJECT),
    ("null", NO_OBJECT),
    ("[]", NO_OBJECT),
    ("", "no answer"),
    (" \n\t", "no answer"),
]


@pytest.mark.parametrize(("answer", "reason"), BROKEN)
def test_what_is_no_object_has_no_field_right(answer: str, reason: str) -> None:
    found = verdict(VISIT, answer)
    assert found.score == 0
    assert found.reason.startswith(reason)
    assert found.parts == {"主诉": 0, "诊断": 0, "年龄": 0}


@pytest.mark.parametrize("gold", ["{}", "[]", "5", "咳嗽", '{"a": 1', '{"a": 1, "a": 1}', " ", '{"a": NaN}'])
def test_gold_without_fields_judges_nothing(gold: str) -> None:
    assert verdict(gold, VISIT).score is None


THOUGHT = [
    # think format, completion, score
    ("deepseek", f"<think>\n先看主诉。\n</think>\n\n{VISIT}", 1),
    ("deepseek", f'<think>\n{{"主诉": "发热"}}？不对。\n</think>\n\n```json\n{VISIT}\n```', 1),
    ("deepseek", f"<think>\n{VISIT}\n</think>\n\n不知道", 0),
    ("deepseek", f"<think>\n{VISIT}", 0),  # cut thinking is no answer
    ("deepseek", f"<think>\n\n</think>\n\n{VISIT}<|im_end|>", 1),
    ("xml", f"<reasoning>\n想\n</reasoning>\n<answer>\n{VISIT}\n</answer>", 1),
    ("none", f"{VISIT}<|im_end|>", 1),
    (None, f"<think>想</think>\n{VISIT}", 0),  # bare text is read as it stands
]


@pytest.mark.parametrize(("think_format", "completion", "score"), THOUGHT)
def test_object_comes_after_the_thinking(think_format: str | None, completion: str, score: float) -> None:
    assert verdict(VISIT, completion, think_format).score == score
