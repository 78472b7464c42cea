"""Tasks: rows of a file as prompts, replies, keys and gold answers."""

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, DataError
from configs.recipe import RECIPES, load_recipe
from configs.schema.harness import HarnessEvalConfig
from configs.schema.sections import DataConfig
from configs.schema.training import HeldOutConfig
from curation.mixture import split_rows
from data.clinic_notes import TEMPLATES, note_rows
from data.corpus import load_traces
from data.formats import Reject
from data.similarity.near_duplicates import near_duplicates
from data.sources import load_problems
from data.splits import split_traces
from data.task import load_task
from rewards.grading.grade import grade
from rewards.grading.graders import GRADERS

REAL = os.environ.get("MULL_DATA")
TERMS = "term_normalisation_zh"
ROWS: dict[str, dict[str, Any]] = {
    TERMS: {"原始词": "右肺癌伴转移", "标准词": "肺恶性肿瘤##肺继发恶性肿瘤"},
    "intent_zh": {"query": "糖尿病能治好吗", "label": "疾病表述"},
    "ner_zh": {
        "text": "鲁迅在北京",
        "entities": [
            {"entity_text": "鲁迅", "entity_label": "人名"},
            {"entity_text": "北京", "entity_label": "地点"},
        ],
    },
    "clinic_zh": next(note_rows(0)).fields,
    "report_zh": {
        "dialogue": [{"speaker": "患者", "sentence": "咳嗽<3天"}],
        "report": [{"主诉": "咳嗽<3天"}, {"主诉": "咳"}],
    },
    "alpaca": {"instruction": "Add them.", "input": "1, 2", "output": "3 < 4"},
    "medical_qa_zh": {
        "department": "心血管科",
        "title": "能吃党参吗？",
        "ask": "我有高血压。",
        "answer": "可以<少量>。",
    },
    "advertising_zh": {"content": "类型#裤*版型#宽松", "summary": "宽松的裤子，显瘦。"},
    "department_zh": {"title": "能吃党参吗？", "ask": "我有高血压。", "department": "心血管科"},
    "sentiment_zh": {"review": "房间干净。", "label": 1},
}
UNWRAPPED = {"alpaca"}
"""Tasks that add nothing to a row's own words."""


def written(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return str(path)


@pytest.mark.parametrize("name", sorted(path.stem for path in (RECIPES / "tasks").glob("*.yaml")))
def test_shipped_task_reads_its_row_and_grades_its_reply(tmp_path: Path, name: str) -> None:
    config = DataConfig(path=written(tmp_path / "a.jsonl", ROWS[name]), task=name)
    [trace], [problem] = load_traces(config), load_problems(config)
    assert (problem.question, problem.answer, problem.key) == (trace.question, trace.reply, trace.key)
    assert problem.grader == trace.grader == load_task(name).config.grader
    assert problem.grader in GRADERS
    assert trace.key in trace.question
    assert (trace.key == trace.question) is (name in UNWRAPPED)
    assert "&" not in trace.reply  # no HTML's spelling of < and '
    assert grade([problem], [trace.reply], None)[0].is_right
    assert (RECIPES / "tasks" / f"{name}.yaml").read_text("utf-8").startswith("# ")


def test_templates_make_the_texts(tmp_path: Path) -> None:
    rows = [ROWS["ner_zh"], {"text": "无人", "entities": []}]
    some, none = load_traces(DataConfig(path=written(tmp_path / "a.jsonl", *rows), task="ner_zh"))
    assert some.reply.splitlines() == [
        '{"entity_text": "鲁迅", "entity_label": "人名"}',
        '{"entity_text": "北京", "entity_label": "地点"}',
    ]
    assert none.reply == "没有找到任何实体"
    [report] = load_traces(DataConfig(path=written(tmp_path / "b.jsonl", ROWS["report_zh"]), task="report_zh"))
    assert report.reply == '{"主诉": "咳嗽<3天"}'
    assert report.question.endswith("主诉、现病史、辅助检查、既往史、诊断、建议。\n患者：咳嗽<3天")


@pytest.mark.parametrize(
    ("name", "row", "question", "reply"),
    [
        ("alpaca", {"instruction": "Go.", "output": "On."}, "Go.", "On."),
        ("alpaca", {"instruction": "Add.", "input": "1, 2", "output": "3"}, "Add.\n1, 2", "3"),
        ("alpaca", {"instruction": "Add.", "input": None, "output": "3"}, "Add.", "3"),
        (
            "medical_qa_zh",
            ROWS["medical_qa_zh"] | {"ask": "无"},
            "你是心血管科医生，请回答患者的问题。\n能吃党参吗？",
            "可以<少量>。",
        ),
        ("medical_qa_zh", {"title": "咳", "ask": "咳", "answer": "好。"}, "你是医生，请回答患者的问题。\n咳", "好。"),
        ("sentiment_zh", {"review": "脏", "label": "0"}, "", "负面"),
        ("sentiment_zh", {"review": "脏", "label": "负面"}, "", "负面"),
    ],
)
def test_rows_as_they_are_found_make_the_texts(
    tmp_path: Path, name: str, row: dict[str, Any], question: str, reply: str
) -> None:
    [trace] = load_traces(DataConfig(path=written(tmp_path / "a.jsonl", row), task=name))
    assert (question or trace.question, reply) == (trace.question, trace.reply)


@pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")
@pytest.mark.parametrize(
    ("file", "name", "count"),
    [
        ("alpaca/alpaca_zh_demo.json", "alpaca", 1000),
        ("alpaca/dataset_info.json#alpaca_en_demo", "alpaca", 999),
        ("medical_zh/internal_medicine_gbk.csv", "medical_qa_zh", 7644),
    ],
)
def test_task_reads_every_real_row(file: str, name: str, count: int) -> None:
    path = f"{REAL}/{file}"
    traces = load_traces(DataConfig(path=path, task=name))
    assert len(traces) == count
    assert [trace.key for trace in traces] == [trace.question for trace in load_traces(DataConfig(path=path))]


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"text": "右肺癌", "normalized": "肺恶性肿瘤"})
    fields = {"原始词": "text", "标准词": "normalized"}
    [trace] = load_traces(DataConfig(path=path, task=TERMS, fields=fields))
    assert (trace.key, trace.reply) == ("右肺癌", "肺恶性肿瘤")
    with pytest.raises(DataError, match=r"a\.jsonl:1: no column 'normal' for data\.fields\.标准词; it has text, n"):
        load_traces(DataConfig(path=path, task=TERMS, fields=fields | {"标准词": "normal"}))


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        (TERMS, {"原始词": "癌"}, r"task term_normalisation_zh: reply: '标准词' is undefined; the row has 原始词"),
        (TERMS, {"原始词": "癌", "标准词": None}, "task term_normalisation_zh: empty reply"),
        (TERMS, {"原始词": " ", "标准词": "癌"}, "task term_normalisation_zh: empty key"),
        (TERMS, ROWS[TERMS] | {"id": "a"}, "id 'a' is already row 1's"),
        ("intent_zh", {"query": "?", "label": "天气"}, "task intent_zh: unknown label '天气'; known: 病情诊断, "),
        ("sentiment_zh", {"review": "脏", "label": 2}, "task sentiment_zh: unknown label '2'; known: 正面, 负面"),
        ("report_zh", ROWS["report_zh"] | {"report": []}, "task report_zh: references: an empty list; give a right"),
        (
            "report_zh",
            ROWS["report_zh"] | {"report": None},
            "task report_zh: references: '' is a text, where",
        ),
        (
            "report_zh",
            ROWS["report_zh"] | {"report": "主诉：咳"},
            "task report_zh: references: '主诉：咳' is a text",
        ),
        ("report_zh", {"dialogue": ROWS["report_zh"]["dialogue"]}, "task report_zh: references: 'report' is undefined"),
    ],
)
def test_row_that_does_not_fit_is_named(tmp_path: Path, name: str, row: dict[str, Any], reason: str) -> None:
    path = written(tmp_path / "a.jsonl", ROWS[name] | {"id": "a"}, row)
    with pytest.raises(DataError, match=rf"a\.jsonl:2: {reason}"):
        load_traces(DataConfig(path=path, task=name))
    rejected: list[Reject] = []
    assert len(load_traces(DataConfig(path=path, task=name), rejected.append)) == 1
    assert [reject.line for reject in rejected] == [2]


TWO_REPLIES = "key: '{{ q }}'\nprompt: '{{ q }}'\nreferences: "


def several(tmp_path: Path, references: str, *rows: dict[str, Any], more: str = "") -> DataConfig:
    """Rows of a task with these references."""
    (tmp_path / "t.yaml").write_text(f"{TWO_REPLIES}{references}\n{more}", "utf-8")
    return DataConfig(path=written(tmp_path / "a.jsonl", *rows), task=str(tmp_path / "t.yaml"))


@pytest.mark.parametrize(
    ("references", "row"),
    [
        ("replies", {"replies": ["甲", " 乙 ", "甲"]}),
        ("'{{ replies }}'", {"replies": ["甲", "乙"]}),
        ("replies", {"replies": '["甲", "乙"]'}),  # as a CSV holds a list
        ("'{{ [a, b] }}'", {"a": "甲", "b": "乙"}),
        ("\"{{ replies | map(attribute='text') }}\"", {"replies": [{"text": "甲"}, {"text": "乙"}]}),
        ("\"{{ both.split('|') }}\"", {"both": "甲|乙"}),
    ],
)
def test_a_row_may_have_several_right_replies(tmp_path: Path, references: str, row: dict[str, Any]) -> None:
    config = several(tmp_path, references, {"q": "?"} | row)
    [trace], [problem] = load_traces(config), load_problems(config)
    assert (trace.reply, trace.answer, problem.answer) == ("甲", "甲", "甲")
    assert trace.references == problem.references == problem.golds == ("甲", "乙")


def test_reply_says_which_is_learned(tmp_path: Path) -> None:
    rows = [{"q": "1", "r": "乙", "all": ["甲", "乙"]}, {"q": "2", "r": "丙", "all": ["丙"]}]
    config = several(tmp_path, "all", *rows, more="reply: '{{ r }}'\n")
    assert [trace.references for trace in load_traces(config)] == [("乙", "甲"), ()]
    assert [trace.reply for trace in load_traces(config)] == ["乙", "丙"]


def test_report_of_one_object_is_one_reference(tmp_path: Path) -> None:
    rows = [ROWS["report_zh"], ROWS["report_zh"] | {"report": {"主诉": "咳"}}]
    two, one = load_problems(DataConfig(path=written(tmp_path / "a.jsonl", *rows), task="report_zh"))
    assert two.references == ('{"主诉": "咳嗽<3天"}', '{"主诉": "咳"}')
    assert one.golds == ('{"主诉": "咳"}',)
    assert grade([two], ['{"主诉": "咳"}'], None)[0].is_right


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ([], "references: an empty list; give a right reply at least"),
        ("甲", "references: '甲' is no list; give a list of right replies"),
        ({"a": "甲"}, "references: {'a': '甲'} is no list"),
        (7, "references: 7 is no list"),
        (["甲", " "], "references: reply 2 of 2 is empty; give a list of right replies, each a text"),
        (["甲", {"a": "乙"}], "references: reply 2 of 2 is {'a': '乙'}, which is no text"),
        (["甲", None], "references: reply 2 of 2 is None, which is no text"),
        ([7], "references: reply 1 of 1 is 7, which is no text"),
        (["甲", "丁"], "unknown label '丁'; known: 甲, 乙"),
    ],
)
def test_bad_references_are_one_line(tmp_path: Path, replies: Any, message: str) -> None:
    config = several(tmp_path, "replies", {"q": "?", "replies": replies}, more="labels: [甲, 乙]\n")
    with pytest.raises(DataError, match=rf"^\S*a\.jsonl:1: task t: {re.escape(message)}.*; mend or remove the row$"):
        load_traces(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key: a\nprompt: a\n", "no reply; write reply: a template, or references: a list of right replies"),
        (f"{TWO_REPLIES}'{{{{ a }}}}{{{{ b }}}}'\n", "references: .*; write one expression whose value is a list"),
        (f"{TWO_REPLIES}'{{% for a in b %}}'\n", "references: .*; write one expression whose value is a list"),
        ("prompt: a\nreply: b\n", "key: missing"),
        ("key: a\nprompt: a\nreplies: b\nreply: b\n", "replies: unknown key; did you mean 'reply'"),
        ("key: a\nprompt: '{{ x'\nreply: b\n", r"t\.yaml: prompt, line 1: "),
        ("key: [\n", "not valid YAML"),
    ],
)
def test_broken_task_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_task(str(tmp_path / "t.yaml"))


@pytest.mark.parametrize("source", ["file", "arithmetic", "gsm8k"])
def test_task_needs_a_file(source: str) -> None:
    for load in (load_traces, load_problems):
        with pytest.raises(DataError, match=r"data\.task: ner_zh reads the rows of a file; name it in data\.path"):
            load(DataConfig(source=source, task="ner_zh"))


def test_generated_notes_tell_their_fields() -> None:
    """The same for one seed; every field of the reply can be read off the note."""
    config = DataConfig(source="clinic_notes", task="clinic_zh", limit=300, seed=5)
    traces = load_traces(config)
    assert len(traces) == 300
    assert load_traces(config.model_copy(update={"limit": 20})) == traces[:20]
    for trace in traces:
        fields = json.loads(trace.reply)
        complaint, days = fields.pop("主诉").rstrip("天"), fields["年龄"]
        assert list(fields) == ["性别", "年龄", "诊断", "用药"]
        assert all(str(value) in trace.key for value in (*fields.values(), complaint.rstrip("0123456789"), days))
    others = load_problems(config.model_copy(update={"seed": 6}))
    assert len({problem.key for problem in others} & {trace.key for trace in traces}) < 3
    assert len(TEMPLATES) == 5


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"data\.task: .* did you mean 'term_normalisation_zh'"):
        load_task("term_normalization_zh")


def test_template_cannot_leave_its_sandbox(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("key: a\nprompt: \"{{ ''.__class__.__mro__[1].__subclasses__() }}\"\nreply: b\n")
    with pytest.raises(DataError, match="unsafe"):
        load_traces(DataConfig(path=written(tmp_path / "a.jsonl", {"x": "1"}), task=str(tmp_path / "t.yaml")))


def test_instruction_makes_no_duplicates(tmp_path: Path) -> None:
    """600 terms inside one instruction are 600 rows to splits and duplicates, sides and numbers told apart."""
    sides, places, kinds = ("左", "右", "双"), ("肺", "肾", "膝", "乳", "耳"), ("炎", "癌", "瘤", "痛")
    combined = itertools.product(sides, places, kinds, map(str, range(10)))
    terms = ["".join(parts) + "期" for parts in combined]
    rows = [{"原始词": term, "标准词": term} for term in terms]
    traces = load_traces(DataConfig(path=written(tmp_path / "a.jsonl", *rows), task=TERMS))
    assert len(near_duplicates([trace.question for trace in traces])) > 300  # by the whole prompt
    assert near_duplicates([trace.key for trace in traces]) == {}
    split = split_rows([trace.identity for trace in traces], {"train": 0.9, "test": 0.1}, seed=0)
    assert len(split["test"]) == 60
    kept, held_out = split_traces(traces, HeldOutConfig(problems=60), seed=0)
    assert (len(kept), len(held_out)) == (540, 60)


@pytest.mark.parametrize("stage", ["sft", "grpo", "eval"])
def test_recipes_name_tasks_and_columns_that_exist(stage: str) -> None:
    configs = [load_recipe(stage, path.stem) for path in (RECIPES / stage).glob("*.yaml")]
    sections = [config.data for config in configs if not isinstance(config, HarnessEvalConfig)]
    tasks = [section for section in sections if section.task]
    assert tasks
    for section in tasks:
        assert section.fields.keys() <= load_task(section.task).columns


def test_file_with_the_tasks_own_columns_needs_no_mapping(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS[TERMS])
    [problem] = load_problems(
        DataConfig(path=path, task=TERMS, fields={"原始词": "text", "标准词": "normalized_result"})
    )
    assert problem.answer == ROWS[TERMS]["标准词"]


def test_misspelt_field_of_a_task_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS["department_zh"])
    with pytest.raises(ConfigError, match=r"data\.fields\.departmnt: .* did you mean 'department'"):
        load_problems(DataConfig(path=path, task="department_zh", fields={"departmnt": "department"}))
    assert load_task("intent_zh").columns == {"query", "label"}
