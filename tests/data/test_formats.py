"""Every layout people have, told by its columns; and every bad row, told by file and line."""

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from curation.table import as_json, open_table, table_traces, write_table
from data.formats import Reject, open_traces, read
from data.problem import Trace

REAL = os.environ.get("MULL_DATA")
real_data = pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def only(path: Path) -> Trace:
    (trace,) = read(path)
    return trace


@pytest.mark.parametrize(
    ("layout", "row", "expected"),
    [
        (
            "s1k",
            {
                "question": "q",
                "thinking_trajectories": ["t1", "t2"],
                "attempt": "a",
                "solution": "7",
                "cot_type": "math",
            },
            ("q", "t1\nt2", "a"),
        ),
        (
            "s1k",
            {
                "question": "q",
                "deepseek_thinking_trajectory": "d",
                "deepseek_attempt": "a",
                "thinking_trajectories": [],
            },
            ("q", "d", "a"),
        ),
        (
            "messages",
            {
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": "<think>\nt\n</think>\n\na"},
                ]
            },
            ("q", "t", "a"),
        ),
        (
            "messages",
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": "a", "reasoning_content": "t"},
                ]
            },
            ("q", "t", "a"),
        ),
        (
            "sharegpt",
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
            ("q", "", "a"),
        ),
        (
            "sharegpt",
            {"conversations": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
            ("q", "", "a"),
        ),
        ("alpaca", {"instruction": "q", "input": "i", "output": "a", "history": []}, ("q\ni", "", "a")),
        (
            "alpaca",
            {"instruction": "q", "response": "<Thought>\nt\n</Thought>\n<Output>\na\n</Output>"},
            ("q", "t", "a"),
        ),
        ("title-ask-answer", {"department": "d", "title": "q", "ask": "i", "answer": "a"}, ("q\ni", "", "a")),
        ("title-ask-answer", {"title": "q", "ask": "无", "answer": "a"}, ("q", "", "a")),
        ("title-question-answer", {"department": "d", "title": "t", "question": "q", "answer": "a"}, ("t\nq", "", "a")),
        ("question-answer", {"title": "t", "context": "c", "question": "q", "answer": "a"}, ("q", "", "a")),  # SQuAD
        ("huatuo", {"data": ["问：q", "答：a"]}, ("q", "", "a")),
        ("huatuo", {"data": ["问:1", "答:2", "问：3", "答：4"]}, ("3", "", "4")),
        (
            "alpaca",
            {
                "instruction": "3",
                "output": "4",
                "history": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}],
            },
            ("3", "", "4"),
        ),
        ("gsm8k", {"question": "q", "answer": "2+2=<<2+2=4>>4\n#### 1,004"}, ("q", "2+2=4", "1004")),
        ("question-answer", {"problem": "q", "solution": "s", "answer": "7"}, ("q", "", "s")),
        ("question-answer", {"prompt": "q", "completion": "t</think>a"}, ("q", "t", "a")),
        ("text", {"text": "One.\n\nTwo.", "url": "u"}, ("", "", "One.\n\nTwo.")),
    ],
)
def test_layout_follows_from_the_columns(
    tmp_path: Path, layout: str, row: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    path = write(tmp_path / "a.jsonl", row)
    assert open_traces(path).layout == layout
    trace = only(path)
    assert (trace.question, trace.thinking, trace.reply) == expected


def test_spoken_turns_are_read_by_turns(tmp_path: Path) -> None:
    assert only(write(tmp_path / "a.jsonl", {"data": ["问：1", "答：2", "问：3", "答：4"]})).history == (("1", "2"),)
    with pytest.raises(DataError, match=r"a\.jsonl:1: column 'data': text 2 does not begin with 答："):
        only(write(tmp_path / "a.jsonl", {"data": ["问：1", "问：2"]}))


def test_system_history_and_metadata_are_kept(tmp_path: Path) -> None:
    row = {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "1"},
            {"role": "assistant", "content": "2"},
            {"role": "user", "content": "3"},
            {"role": "assistant", "content": "4"},
        ],
        "id": "x7",
        "topic": "sums",
    }
    trace = only(write(tmp_path / "a.jsonl", row))
    assert (trace.id, trace.system, trace.history, trace.question) == ("x7", "s", (("1", "2"),), "3")
    assert trace.metadata == {"topic": "sums"}
    alpaca = {"instruction": "3", "input": "", "output": "4", "history": [["1", "2"]], "system": "s"}
    trace = only(write(tmp_path / "b.jsonl", alpaca))
    assert (trace.history, trace.system) == ((("1", "2"),), "s")


def test_s1k_row_keeps_other_columns(tmp_path: Path) -> None:
    row = {"question": "q", "thinking_trajectories": ["t"], "attempt": "a", "solution": "7", "gemini_attempt": "g"}
    trace = only(write(tmp_path / "a.jsonl", {**row, "cot_type": "math", "subject": "sums"}))
    assert trace.metadata == {"cot_type": "math", "subject": "sums"}


def test_traces_round_trip(tmp_path: Path) -> None:
    trace = Trace("i1", "q", "t", "r", "gsm8k", "7", "s", (("u", "a"),), {"level": 3, "domain": "algebra"})
    (tmp_path / "a.jsonl").write_text(as_json(trace) + "\n")
    assert only(tmp_path / "a.jsonl") == trace


def test_traces_of_several_right_replies_round_trip(tmp_path: Path) -> None:
    both = Trace("i1", "q", "", "r", "a.jsonl", "r", grader="text", references=("r", "s"))
    cited = Trace("i2", "q", "", "r", "a.jsonl", "r", metadata={"references": ["r. 2019, p. 7"]})  # the user's own
    (tmp_path / "a.jsonl").write_text("".join(as_json(trace) + "\n" for trace in (both, cited)))
    assert list(read(tmp_path / "a.jsonl")) == [both, cited]
    write_table(tmp_path / "a.arrow", [both, cited])
    assert list(table_traces(open_table(tmp_path / "a.arrow"), [0, 1])) == [both, cited]


def test_mapping_overrides_detection(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"question": "no", "answer": "no", "ask_me": "q", "thoughts": "t", "said": "a"})
    (trace,) = read(path, {"question": "ask_me", "thinking": "thoughts", "reply": "said"})
    assert (trace.question, trace.thinking, trace.reply) == ("q", "t", "a")


BAD = {
    "a row that is not JSON": ("{oops", "not JSON"),
    "an empty answer": (json.dumps({"question": "q", "answer": " "}), "empty answer"),
    "an empty question": (json.dumps({"question": "", "answer": "a"}), "empty question"),
    "another schema": (json.dumps({"text": "t"}), "no column 'question'"),
    "a trace without an end": (json.dumps({"question": "q", "answer": "<think>t"}), "never ends"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_row_stops_or_is_handed_over(tmp_path: Path, bad: tuple[str, str]) -> None:
    good = json.dumps({"question": "q", "answer": "a"})
    (tmp_path / "a.jsonl").write_text(f"{good}\n{good}\n{bad[0]}\n{good}\n")
    with pytest.raises(DataError, match=rf"a\.jsonl:3: .*{bad[1]}"):
        list(read(tmp_path / "a.jsonl"))
    rejects: list[Reject] = []
    traces = list(read(tmp_path / "a.jsonl", rejected=rejects.append))
    assert len(traces) == 3
    assert [(Path(r.file).name, r.line) for r in rejects] == [("a.jsonl", 3)]
    assert bad[1] in rejects[0].reason


def test_row_without_the_layout_columns_is_bad(tmp_path: Path) -> None:
    gsm8k = [{"question": "q", "answer": "1 + 1 = 2\n#### 2"}] * 2
    path = write(tmp_path / "a.jsonl", *gsm8k, {"question": "q"}, {"question": "q", "answer": None}, {"text": "t"})
    rejects: list[Reject] = []
    assert len(list(read(path, rejected=rejects.append))) == 2
    assert [reject.line for reject in rejects] == [3, 4, 5]


def test_nan_becomes_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"question": "q", "thinking": "t", "reply": float("nan")})
    rejects: list[Reject] = []
    assert list(read(path, rejected=rejects.append)) == []
    assert rejects[0].as_json()["fields"] == {"question": "q", "thinking": "t", "reply": None}


def test_file_name_may_hold_a_hash(tmp_path: Path) -> None:
    assert only(write(tmp_path / "a#b.jsonl", {"question": "q", "answer": "a"})).reply == "a"


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"role": "user", "content": "q"}], "does not end with an assistant"),
        ([{"role": "assistant", "content": "a"}], "do not take turns"),
        ([{"role": "user", "content": "q"}, {"role": "tool", "content": "x"}], "a message from 'tool'"),
        ([{"role": "user", "content": ""}, {"role": "assistant", "content": "a"}], "an empty message"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, {"role": "assistant", "content": "a"}], "image"),
        (["hello"], "not an object"),
    ],
)
def test_broken_conversation_is_rejected(tmp_path: Path, messages: list[Any], reason: str) -> None:
    path = write(tmp_path / "a.jsonl", {"messages": messages})
    rejects: list[Reject] = []
    assert list(read(path, rejected=rejects.append)) == []
    assert reason in rejects[0].reason


@pytest.mark.parametrize(
    ("content", "mapping", "message"),
    [
        ("", None, "no rows in it"),
        ('{"text": "t", "label": "l"}\n', None, r"no known layout \(columns label, text\)"),
        ('{"a": "t"}\n', {"text": "a", "reply": "a"}, "names a document's text and reply too"),
        ("not json\n", None, r"no known layout \(not JSON"),
        ('{"a": 1}\n', {"question": "a"}, "at least question and reply"),
        ('{"a": 1}\n', {"questoin": "a", "reply": "a"}, "did you mean 'question'"),
    ],
)
def test_unknown_layout_is_refused(tmp_path: Path, content: str, mapping: dict[str, str] | None, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.jsonl", mapping)


def test_bad_row_names_all_lost_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('question,answer\n1+1?,2\n"two\nlines",2,3\n"and\nagain",2,3\n')
    with pytest.raises(
        DataError, match=r"a\.csv:3: 3 columns, the header has 2; lines 3 to 4 are lost; mend or remove"
    ):
        list(read(path))
    rejects: list[Reject] = []
    assert len(list(read(path, rejected=rejects.append))) == 1
    assert len({reject.reason for reject in rejects}) == 1
    assert [reject.lines for reject in rejects] == [2, 2]


def test_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    line = json.dumps({"question": "q" * 100, "thinking": "t" * 3000, "reply": "a"})
    path.write_text(f"{line}\n" * 8000)
    tracemalloc.start()
    count = sum(1 for _ in read(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 8000
    assert peak < path.stat().st_size / 4


@real_data
@pytest.mark.parametrize(
    ("file", "layout", "count", "rejected", "thinking"),
    [
        ("alpaca/alpaca_en_demo.json", "alpaca", 999, 0, 0),
        ("alpaca/alpaca_zh_demo.json", "alpaca", 1000, 0, 0),
        ("marco_o1/CoT_demo.json", "alpaca", 125, 0, 125),
        ("medical_zh/sharegpt_1k.jsonl", "sharegpt", 1000, 0, 0),
        ("medical_zh/internal_medicine_gbk.csv", "title-ask-answer", 7644, 0, 0),
        ("gsm8k/train.jsonl", "gsm8k", 7473, 0, 7473),
        ("math_train/train.json", "question-answer", 7470, 4, 0),
    ],
)
def test_real_files_are_read_whole(file: str, layout: str, count: int, rejected: int, thinking: int) -> None:
    rejects: list[Reject] = []
    opened = open_traces(f"{REAL}/{file}", rejected=rejects.append)
    traces = list(opened.traces)
    assert (opened.layout, len(traces), len(rejects)) == (layout, count, rejected)
    assert sum(bool(trace.thinking) for trace in traces) == thinking
    if file.endswith(".csv"):  # one of Marco-o1's rows has a replacement character of its own
        assert not any("\ufffd" in trace.question + trace.reply for trace in traces)


USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
SYSTEM = {"role": "system", "content": "s"}


def rejection(path: Path, mapping: dict[str, str] | None = None) -> str:
    rejects: list[Reject] = []
    assert list(read(path, mapping, rejects.append)) == []
    return rejects[0].reason


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": [SYSTEM, USER], "completion": [ASSISTANT]}, ("s", (), "q", "a")),
        ({"prompt": [USER], "answer": "a"}, (None, (), "q", "a")),
        ({"prompt": [USER, ASSISTANT, USER], "completion": [ASSISTANT]}, (None, (("q", "a"),), "q", "a")),
        ({"prompt": "q", "completion": [ASSISTANT]}, (None, (), "q", "a")),
        ({"prompt": json.dumps([USER]), "completion": str([ASSISTANT])}, (None, (), "q", "a")),
        ({"system_prompt": "s", "question": "q", "response": "a"}, ("s", (), "q", "a")),
        ({"messages": json.dumps([SYSTEM, USER, ASSISTANT])}, ("s", (), "q", "a")),
        ({"messages": str([USER, ASSISTANT])}, (None, (), "q", "a")),
        ({"messages": [{"role": "developer", "content": "s"}, USER, ASSISTANT]}, ("s", (), "q", "a")),
        ({"conversations": [USER, ASSISTANT], "system": "s"}, ("s", (), "q", "a")),
        ({"conversations": [{"from": "Human", "value": "q"}, {"from": "ChatGPT", "value": "a"}]}, (None, (), "q", "a")),
        ({"conversation": [{"system": "s", "human": "q", "assistant": "a"}]}, ("s", (), "q", "a")),
    ],
)
def test_messages_are_read_as_messages(tmp_path: Path, row: dict[str, Any], expected: tuple[Any, ...]) -> None:
    trace = only(write(tmp_path / "a.jsonl", row))
    assert (trace.system, trace.history, trace.question, trace.reply) == expected


@pytest.mark.parametrize(
    "beside",
    [
        {"content": "a", "reasoning": "t"},
        {"content": "<think>t</think>a", "reasoning_content": "t"},
        {"content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}]},
    ],
)
def test_thinking_field_of_a_message_is_kept(tmp_path: Path, beside: dict[str, Any]) -> None:
    trace = only(write(tmp_path / "a.jsonl", {"messages": [USER, {"role": "assistant", **beside}]}))
    assert (trace.thinking, trace.reply) == ("t", "a")


def test_thinking_column_of_a_pair_is_kept(tmp_path: Path) -> None:
    trace = only(write(tmp_path / "a.jsonl", {"problem": "q", "reasoning": "t", "answer": "4"}))
    assert (trace.thinking, trace.reply) == ("t", "4")


@pytest.mark.parametrize("opening", ["think", "thinking", "Thought", "reasoning"])
def test_earlier_turns_lose_their_thinking(tmp_path: Path, opening: str) -> None:
    said = f"<{opening}>t</{opening}>\na"
    turns = [USER, {"role": "assistant", "content": said}]
    assert only(write(tmp_path / "a.jsonl", {"messages": turns * 2})).history == (("q", "a"),)
    alpaca = {"instruction": "q", "output": "a", "history": [["q", said]]}
    assert only(write(tmp_path / "b.jsonl", alpaca)).history == (("q", "a"),)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": {"0": "q"}, "answer": "a"}, "column 'question' holds an object where text is expected"),
        ({"question": ["q"], "answer": "a"}, "column 'question' holds a list where text is expected"),
        ({"question": "q", "response": ["a"]}, "column 'response' holds a list"),
        ({"question": "q", "answer": [["a"]]}, "column 'answer': an answer is text, a number or a list of them"),
        ({"messages": [USER, {"role": "assistant", "content": {"text": "a"}}]}, "column 'content' holds an object"),
        ({"messages": [SYSTEM, USER, ASSISTANT], "system": "other"}, "a column of another system prompt"),
        (
            {"messages": [USER, {"role": "assistant", "content": "<think>t</think>a", "reasoning": "u"}]},
            "thinking both inside the reply and beside it",
        ),
        ({"messages": [USER, {**ASSISTANT, "content": None, "tool_calls": [{}]}]}, "assistant that calls tools: tool"),
        (
            {"messages": [USER, {"role": "tool", "content": "4"}, ASSISTANT]},
            "a message from 'tool': tool calls are not",
        ),
        ({"messages": [USER, ASSISTANT], "tools": [{"name": "f"}]}, "column 'tools' lists tools"),
        ({"messages": [ASSISTANT, USER, ASSISTANT]}, "the assistant speaks first"),
        ({"messages": [USER, USER, ASSISTANT]}, "two messages of the user in a row"),
        ({"messages": [USER, SYSTEM, USER, ASSISTANT]}, "a system message in the middle"),
        ({"messages": [USER, {**ASSISTANT, "content": "<think>t</think>"}] * 2}, "an earlier reply that is thinking"),
    ],
)
def test_unreadable_row_names_the_reason(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    assert reason in rejection(write(tmp_path / "a.jsonl", row))


@pytest.mark.parametrize(("gold", "reply"), [(["42"], "42"), (["\\frac12", 3], "\\frac12, 3"), (4.0, "4")])
def test_list_of_golds_is_the_answer(tmp_path: Path, gold: object, reply: str) -> None:
    trace = only(write(tmp_path / "a.jsonl", {"question": "q", "answer": gold}))
    assert (trace.reply, trace.answer) == (reply, reply)


def test_mapped_columns_join_the_messages(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"chat": [USER, ASSISTANT], "rule": "s", "gold": ["4"], "cot": "t", "key": "k"})
    mapping = {"messages": "chat", "system": "rule", "answer": "gold", "thinking": "cot", "id": "key"}
    (trace,) = read(path, mapping)
    assert (trace.system, trace.answer, trace.thinking, trace.id, trace.metadata) == ("s", "4", "t", "k", {})


def test_mapping_reaches_into_objects(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": [USER], "reply": "a", "reward_model": {"ground_truth": ["4"]}})
    (trace,) = read(path, {"question": "prompt", "reply": "reply", "answer": "reward_model.ground_truth"})
    assert (trace.question, trace.answer) == ("q", "4")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"question": "q", "reply": "a", "thinking": "cott"}, "no column 'cott' for thinking; it has q, a, cot"),
        ({"messages": "q", "reply": "a"}, "names messages, which hold its reply too"),
    ],
)
def test_ignored_mapping_is_refused(tmp_path: Path, mapping: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "a.jsonl", {"q": "q", "a": "a", "cot": "t"}), mapping)


def test_shared_unknown_tags_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.jsonl", *[{"question": "q", "answer": "<plan>t</plan>a"}] * 4)
    assert len(list(read(path))) == 4
    assert "replies begin with <plan> … </plan>" in caplog.text
    assert "write <think> … </think> instead" in caplog.text


@real_data
@pytest.mark.parametrize(
    ("file", "read_rows", "reasons"),
    [
        ("answer_is_a_list.jsonl", 2, []),
        ("bom_in_the_middle.jsonl", 2, []),
        ("conversation_pairs.jsonl", 1, []),
        ("csv_index_col.csv", 2, []),
        ("duplicates_with_ids.jsonl", 4, []),
        ("empty_think.jsonl", 6, ["empty answer", "opens again"]),
        ("excel_semicolon.csv", 2, []),
        ("messages_reasoning_key.jsonl", 1, []),
        ("openai_developer_role.jsonl", 1, []),
        ("openai_tool_calls.jsonl", 1, ["calls tools"]),
        ("openthoughts_like.jsonl", 2, []),
        ("pandas_default_orient.json", 2, []),
        ("pandas_to_csv_default.csv", 2, []),
        ("rows.jsonl.gz", 1, []),
        ("sharegpt_roles.jsonl", 5, ["does not end", "speaks first", "two messages of the user"]),
        ("system_for_gemma_like.jsonl", 1, []),
        ("trl_conversational_prompt_completion.jsonl", 2, []),
        ("trl_grpo_conversational_prompt.jsonl", 2, []),
    ],
)
def test_odd_files_are_read_or_rejected(file: str, read_rows: int, reasons: list[str]) -> None:
    rejects: list[Reject] = []
    assert len(list(read(f"{REAL}/reports/{file}", rejected=rejects.append))) == read_rows
    assert [reason in reject.reason for reject, reason in zip(rejects, reasons, strict=True)] == [True] * len(reasons)


def test_documents_are_read_by_a_mapping(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"completion": "一段文字", "source": "w", "n": "7"}, {"completion": " "})
    rejects: list[Reject] = []
    [document] = read(path, {"text": "completion", "id": "n"}, rejects.append)
    assert (document.id, document.reply, document.identity) == ("7", "一段文字", "一段文字")
    assert document.is_document
    assert [reject.reason for reject in rejects] == ["empty text"]
