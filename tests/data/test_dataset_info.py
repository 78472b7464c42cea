"""LLaMA-Factory's registries: every key of an entry is followed, or refused by name."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from configs.schema.sections import DataConfig
from curation.inspect import main as inspect
from data.corpus import load_traces
from data.dataset_info import find
from data.formats import Reject, open_traces, read
from data.problem import Trace
from data.sources import load_problems

REAL = os.environ.get("MULL_DATA")
ALPACA = {"instruction": "1", "input": "2", "output": "3"}
CHAT = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]


def registry(folder: Path, entry: dict[str, Any], *rows: Any, name: str = "rows.json") -> str:
    """A registry with the entry `mine` and its file of rows; the path that names it."""
    (folder / name).write_text(json.dumps(rows), "utf-8")
    (folder / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": name, **entry}}), "utf-8")
    return f"{folder}/dataset_info.json#mine"


def only(path: str | Path, **options: Any) -> Trace:
    (trace,) = read(path, **options)
    return trace


TAGS = {"role_tag": "who", "content_tag": "says", "user_tag": "patient", "assistant_tag": "doctor"}
SPOKEN = [{"who": "patient", "says": "q"}, {"who": "doctor", "says": "a"}]
READ: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str, str | None]]] = {
    "alpaca is the default": ({}, ALPACA, ("1\n2", "3", None)),
    "columns by other names": (
        {"columns": {"prompt": "q", "query": "more", "response": "a", "system": "s"}},
        {"q": "1", "more": "2", "a": "3", "s": "4", "instruction": "x", "output": "y"},
        ("1\n2", "3", "4"),
    ),
    "only the columns named": ({"columns": {"prompt": "instruction", "response": "output"}}, ALPACA, ("1", "3", None)),
    "a query alone": ({"columns": {"query": "input", "response": "output"}}, ALPACA, ("2", "3", None)),
    "sharegpt": ({"formatting": "sharegpt"}, {"conversations": CHAT}, ("q", "a", None)),
    "sharegpt with tags": (
        {"formatting": "sharegpt", "columns": {"messages": "turns", "system": "s"}, "tags": TAGS},
        {"turns": SPOKEN, "s": "4"},
        ("q", "a", "4"),
    ),
    "a tag of the system": (
        {"formatting": "sharegpt", "columns": {"messages": "turns"}, "tags": TAGS | {"system_tag": "clinic"}},
        {"turns": [{"who": "clinic", "says": "s"}, *SPOKEN]},
        ("q", "a", "s"),
    ),
    "a system message before a system column": (
        {"formatting": "sharegpt", "columns": {"messages": "conversations", "system": "s"}},
        {"conversations": [{"from": "system", "value": "said"}, *CHAT], "s": "4"},
        ("q", "a", "said"),
    ),
    "openai": (
        {"formatting": "openai", "columns": {"messages": "messages"}, "tags": {"role_tag": "role"}},
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        ("q", "a", None),
    ),
    "empty columns of tools and images": (
        {"formatting": "sharegpt", "columns": {"messages": "conversations", "tools": "api", "images": "images"}},
        {"conversations": CHAT, "api": "[]", "images": []},
        ("q", "a", None),
    ),
}


@pytest.mark.parametrize(("entry", "row", "expected"), READ.values(), ids=READ)
def test_entry_is_read_by_name_and_by_file(
    tmp_path: Path, entry: dict[str, Any], row: dict[str, Any], expected: tuple[str, str, str | None]
) -> None:
    for path in (registry(tmp_path, entry, row), tmp_path / "rows.json"):
        trace = only(path)
        assert (trace.question, trace.reply, trace.system) == expected


@pytest.mark.parametrize("file", ["rows.jsonl", "rows.txt"])
def test_prompt_without_a_response_is_a_text(tmp_path: Path, file: str) -> None:
    info = {"mine": {"file_name": file, "columns": {"prompt": "content"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    texts = ["高血压是常见的慢性病。", "It is common."]
    rows = [json.dumps({"content": text, "url": "u"}) for text in texts] if file == "rows.jsonl" else texts
    (tmp_path / file).write_text("\n".join(rows), "utf-8")
    traces = list(read(f"{tmp_path}/dataset_info.json#mine"))
    assert [trace.reply for trace in traces] == texts
    assert all(trace.is_document for trace in traces)


def test_text_that_is_not_there_is_a_bad_row(tmp_path: Path) -> None:
    path = registry(tmp_path, {"columns": {"prompt": "content"}}, {"text": "a"})
    with pytest.raises(DataError, match="no column 'content'; it has text"):
        list(read(path))


def test_history_is_read(tmp_path: Path) -> None:
    columns = {"prompt": "instruction", "response": "output", "history": "before"}
    trace = only(registry(tmp_path, {"columns": columns}, ALPACA | {"before": [["q0", "a0"], ["q1", "a1"]]}))
    assert trace.history == (("q0", "a0"), ("q1", "a1"))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "ranking": ({"ranking": True}, r"#mine: a preference data set \(ranking\)"),
    "chosen": ({"columns": {"prompt": "q", "chosen": "c", "rejected": "r"}}, r"\(chosen, rejected\), not one for SFT"),
    "kto": ({"columns": {"messages": "m", "kto_tag": "good"}}, r"\(kto_tag\), not one for SFT"),
    "no response": ({"columns": {"prompt": "text", "query": "q"}}, "names no response; name it, or of texts to"),
    "no question": ({"columns": {"response": "text"}}, "names no prompt and no query"),
    "format": ({"formatting": "sharegtp"}, r"formatting 'sharegtp' is not known; did you mean 'sharegpt'\?"),
    "column": ({"columns": {"respones": "a"}}, r"columns\.respones: not known; did you mean 'response'\?"),
    "tag": ({"tags": {"asistant_tag": "a"}}, r"tags\.asistant_tag: not known; did you mean 'assistant_tag'\?"),
    "num_samples": ({"num_samples": 0}, "num_samples is 0; give a whole number above 0"),
    "ModelScope": ({"ms_hub_url": "a/b"}, "ms_hub_url a/b: it is on ModelScope alone; download it, and give its path"),
    "script": ({"script_url": "make"}, "script_url make: a loading script makes its rows, and none is run here"),
    "cloud": ({"cloud_file_name": "s3://a/b.json"}, "cloud_file_name s3://a/b.json: it is in cloud storage"),
    "a part": ({"split": "train[:100]"}, r"split 'train\[:100\]' is a part of a file; .* data\.limit"),
}


@pytest.mark.parametrize(("entry", "message"), REFUSED.values(), ids=REFUSED)
def test_entry_is_refused_by_name(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    path = registry(tmp_path, entry, ALPACA)
    with pytest.raises(DataError, match=message):
        list(read(path))


def test_entry_without_a_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"mine": {"columns": {}}}')
    with pytest.raises(DataError, match="#mine: names no file and no data set on the hub"):
        find(f"{tmp_path}/dataset_info.json#mine")


def test_chosen_answers_are_learned_where_mapped(tmp_path: Path) -> None:
    path = registry(tmp_path, {"ranking": True}, {"instruction": "q", "chosen": "good", "rejected": "bad"})
    assert only(path, mapping={"question": "instruction", "reply": "chosen"}).reply == "good"


@pytest.mark.parametrize("kind", ["tools", "images", "videos", "audios"])
@pytest.mark.parametrize("formatting", ["alpaca", "sharegpt"])
def test_row_with_tools_or_media_is_a_bad_row(tmp_path: Path, kind: str, formatting: str) -> None:
    columns = {"prompt": "instruction", "response": "output", "messages": "conversations", kind: "extra"}
    row = ALPACA | {"conversations": CHAT}
    rejected: list[Reject] = []
    path = registry(tmp_path, {"formatting": formatting, "columns": columns}, row, row | {"extra": ["x.png"]})
    assert len(list(read(path, rejected=rejected.append))) == 1
    assert [reject.reason.partition(",")[0] for reject in rejected] == [f"column 'extra' holds {kind}"]


@pytest.mark.parametrize("tag", ["observation_tag", "function_tag"])
def test_turn_of_a_tool_is_named(tmp_path: Path, tag: str) -> None:
    entry = {"formatting": "sharegpt", "tags": {"role_tag": "from", "content_tag": "value", tag: "lookup"}}
    path = registry(tmp_path, entry, {"conversations": [CHAT[0], {"from": "lookup", "value": "x"}, CHAT[1]]})
    with pytest.raises(DataError, match=r"a message from 'lookup': tool calls are not trained"):
        list(read(path))


def test_num_samples_are_drawn(tmp_path: Path) -> None:
    rows = [ALPACA | {"output": str(number)} for number in range(20)]
    path = registry(tmp_path, {"num_samples": 5}, *rows)
    drawn = [trace.reply for trace in read(path)]
    assert len(drawn) == 5
    assert drawn == [trace.reply for trace in read(path)] != [str(number) for number in range(5)]
    assert len(list(read(tmp_path / "rows.json"))) == 20  # the file by its own name is the whole file


def test_split_of_a_file_is_followed(tmp_path: Path) -> None:
    table = {"train": [ALPACA], "test": [ALPACA | {"output": "4"}]}
    path = registry(tmp_path, {"split": "test"})
    (tmp_path / "rows.json").write_text(json.dumps(table))
    assert only(path).reply == "4"
    assert next(open_traces(path, split="train").traces).reply == "3"


def test_folder_of_one_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    path = registry(tmp_path, {"file_name": "parts"}, ALPACA, name="parts/a.json")
    assert only(path).reply == "3"
    (tmp_path / "parts" / "b.json").write_text("[]")
    with pytest.raises(DataError, match=r"parts: a folder of 2 files; name one, or mix several with `mull curate`"):
        find(path)


def test_data_set_on_the_hub_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for part, reply in (("train", "3"), ("test", "4")):
        (tmp_path / "set" / "zh" / part).mkdir(parents=True)
        (tmp_path / "set" / "zh" / part / "0.jsonl").write_text(json.dumps(ALPACA | {"output": reply}) + "\n")
    entry = {"hf_hub_url": str(tmp_path / "set"), "ms_hub_url": "a/b", "folder": "zh", "split": "test"}
    path = registry(tmp_path, entry, ALPACA)
    [trace] = load_traces(DataConfig(path=path))
    assert (trace.question, trace.reply, trace.source) == ("1\n2", "4", "set")
    assert inspect([path]) == 0
    said = capsys.readouterr().out
    assert "layout: dataset_info mine\n" in said
    assert "encoding" not in said


def test_folder_may_have_a_hash(tmp_path: Path) -> None:
    (tmp_path / "part#1").mkdir()
    assert only(registry(tmp_path / "part#1", {}, ALPACA)).reply == "3"
    assert only(tmp_path / "part#1" / "rows.json").reply == "3"


def test_missing_name_is_told_what_there_is(tmp_path: Path) -> None:
    path = registry(tmp_path, {}, ALPACA)
    with pytest.raises(DataError, match=r"name one: .*dataset_info\.json#NAME \(1 are: mine"):
        read(path.removesuffix("#mine"))
    with pytest.raises(DataError, match="no data set 'mien'; did you mean 'mine'"):
        read(path.replace("#mine", "#mien"))


def test_tasks_and_problems_read_registered_rows(tmp_path: Path) -> None:
    path = registry(tmp_path, {}, {"query": "?", "label": "其他", "question": "1 + 1?", "answer": "2"})
    [trace] = load_traces(DataConfig(path=path, task="intent_zh"))
    [problem] = load_problems(DataConfig(path=path))
    assert (trace.reply, problem.answer) == ("其他", "2")


def test_broken_registry_is_named(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="not a readable dataset_info"):
        find(f"{tmp_path}/dataset_info.json#a")


@pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")
def test_every_real_entry_is_read_or_refused_in_a_line() -> None:
    path = Path(f"{REAL}/alpaca/dataset_info.json")
    layouts, refusals = 0, []
    for name in json.loads(path.read_text("utf-8")):
        try:
            found = find(f"{path}#{name}")
            layouts += found.layout(found.origin) is not None
        except DataError as error:
            refusals.append(str(error).partition(f"{path}#{name}: ")[2].partition(" (")[0].partition(" names")[0])
    assert layouts > 60
    assert {text.partition(" ")[0] for text in refusals} <= {"a", "columns", "ms_hub_url"}
