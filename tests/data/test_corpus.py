"""Traces by name: files, data sets of the hub's kind, problems with solutions."""

import json
import os
from pathlib import Path

import pytest

from configs.errors import DataError
from configs.schema.sections import DataConfig
from configs.schema.training import HeldOutConfig
from data.corpus import load_traces, of_problem, solution_traces
from data.formats import Reject
from data.problem import Problem
from data.sources import load_problems
from data.splits import split_problems, split_traces

REAL = os.environ.get("MULL_DATA")
ROWS = [{"instruction": f"Say {i}.", "input": "", "output": str(i)} for i in range(20)]


def written(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_file_is_read_in_its_layout(tmp_path: Path) -> None:
    path = str(written(tmp_path))
    traces = load_traces(DataConfig(path=path))
    assert [(t.question, t.reply) for t in traces] == [(row["instruction"], row["output"]) for row in ROWS]
    five = load_traces(DataConfig(path=path, limit=5, seed=1))
    assert len(five) == 5
    assert five == load_traces(DataConfig(path=path, limit=5, seed=1)) != load_traces(DataConfig(path=path, limit=5))
    mapped = load_traces(DataConfig(path=path, fields={"question": "output", "reply": "instruction"}))
    assert (mapped[3].question, mapped[3].reply) == ("3", "Say 3.")


def test_path_wins_over_source(tmp_path: Path) -> None:
    assert len(load_traces(DataConfig(source="simplescaling/s1K-1.1", path=str(written(tmp_path))))) == 20


def test_hub_data_set_is_read_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    written(folder)
    traces = load_traces(DataConfig(source=str(folder)))
    assert [t.reply for t in traces] == [row["output"] for row in ROWS]
    with pytest.raises(DataError, match="give a local copy"):
        load_traces(DataConfig(source="nobody/nothing"))


def test_bad_rows_stop_or_are_handed_over(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text() + '{"instruction": "x", "input": "", "output": ""}\n{"instr')
    with pytest.raises(DataError, match=r"rows\.jsonl:21: empty answer"):
        load_traces(DataConfig(path=str(path)))
    rejected: list[Reject] = []
    assert len(load_traces(DataConfig(path=str(path)), rejected.append)) == 20
    assert [reject.line for reject in rejected] == [21, 22]


def test_bad_problems_are_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    rows = [
        {"question": "a?", "answer": "1 + 1 = 2\n#### 2"},
        {"question": "b?"},
        {"question": "c?", "answer": "#### 3"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rejected: list[Reject] = []
    problems = load_problems(DataConfig(source="gsm8k", path=str(path)), rejected.append)
    assert [trace.reply for trace in solution_traces(problems, rejected.append)] == ["2"]
    assert [reject.place for reject in rejected] == [f"{path}:2", "gsm8k:gsm8k-train-3"]
    with pytest.raises(DataError, match=r"^gsm8k:gsm8k-train-3: no solution to make a trace of; name a file"):
        solution_traces(problems)


def test_solution_loses_calculator_notes() -> None:
    problem = Problem("p", "?", "18", "gsm8k", "16 - 7 = <<16-7=9>>9\n9 * 2 = <<9*2=18>>18\n#### 18")
    assert of_problem(problem).thinking == "16 - 7 = 9\n9 * 2 = 18"
    assert of_problem(Problem("p", "?", "18", "math")).thinking == ""


def test_held_out_questions_leave_the_traces(tmp_path: Path) -> None:
    traces = load_traces(DataConfig(source="arithmetic", limit=30))
    kept, measured = split_traces(traces, HeldOutConfig(problems=10), seed=0)
    assert (len(kept), len(measured)) == (20, 10)
    assert not {t.question for t in kept} & {p.question for p in measured}
    with pytest.raises(DataError, match=r"name problems with eval\.data"):
        split_traces(load_traces(DataConfig(path=str(written(tmp_path)))), HeldOutConfig(), seed=0)


@pytest.mark.parametrize(
    ("held_out", "way_out"),
    [
        (HeldOutConfig(problems=30), r"raise data\.limit, or lower eval\.problems"),
        (HeldOutConfig(data=DataConfig(source="arithmetic", limit=30)), r"name others in eval\.data"),
    ],
)
def test_holding_everything_out_is_refused(held_out: HeldOutConfig, way_out: str) -> None:
    with pytest.raises(DataError, match=f"all 30 problems are held out by eval; {way_out}"):
        split_problems(DataConfig(source="arithmetic", limit=30), held_out)


@pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")
def test_real_benchmarks_become_traces() -> None:
    gsm8k = load_traces(DataConfig(source="gsm8k", limit=50))
    assert all(t.thinking and "<<" not in t.thinking and "####" not in t.thinking for t in gsm8k)
    assert len(load_traces(DataConfig(path=f"{REAL}/alpaca/dataset_info.json#alpaca_en_demo"))) == 999
    with pytest.raises(DataError, match="no solution to make a trace of"):
        load_traces(DataConfig(source="math", limit=5))


def test_literal_grader_asks_for_the_whole_reply(tmp_path: Path) -> None:
    traces = load_traces(DataConfig(path=str(written(tmp_path)), grader="text"))
    assert {(trace.answer, trace.grader) for trace in traces} == {(str(i), "text") for i in range(20)}
    _, held_out = split_traces(traces, HeldOutConfig(problems=5), seed=0)
    assert all(problem.answer == problem.question.removeprefix("Say ").rstrip(".") for problem in held_out)
