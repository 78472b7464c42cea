"""An evaluation as it grows: the same figures as at its end, read in bounded steps; its promise; damaged files."""

import html
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from board.eval_points import KEPT, followed_samples, points_of
from board.eval_view import EvalView
from board.folder import Folder
from board.row_file import FollowedRows
from board.run_view import RunView
from board.strings import Strings
from configs.errors import RunError
from configs.recipe import load_recipe
from configs.run_directory import RunDir, append_jsonl
from data.problem import Problem
from evaluation.against import compare_with
from evaluation.calibrate import calibrate
from evaluation.compare import read_run
from evaluation.results import Point
from tests.evaluation.swept_run import swept_run

VERDICTS = {8: "0101?0", 16: "110101", None: "111101"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return swept_run(tmp_path / "eval" / "a", VERDICTS)


def view(run: Path, language: str = "en") -> EvalView:
    return EvalView(RunView(Folder(run.parents[1]), Strings(language)))


def unfinished(run: Path, samples: int | None = None) -> Path:
    """The run without its end, with its first `samples` samples."""
    (run / "results.json").unlink()
    lines = (run / "samples.jsonl").read_text().splitlines(keepends=True)
    (run / "samples.jsonl").write_text("".join(lines[:samples]))
    return run


def test_points_under_way_are_those_of_the_end(run: Path) -> None:
    folder = Folder(run.parents[1])
    final, is_growing = points_of(folder, run, followed_samples())
    assert not is_growing
    live, is_growing = points_of(folder, unfinished(run), followed_samples())
    assert is_growing
    assert live == [{key: point[key] for key in live[0]} for point in final]


def test_samples_of_a_question_count_together(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "eval" / "a", {8: "01011100"}, samples=4)
    folder = Folder(tmp_path)
    [final], _ = points_of(folder, run, followed_samples())
    [live], _ = points_of(folder, unfinished(run), followed_samples())
    assert (live["questions"], live["samples"]) == (2, 8)
    assert live["accuracy"] == final["accuracy"]


def test_resumed_evaluation_is_followed_again(run: Path) -> None:
    results = run / "results.json"
    os.utime(results, (1, 1))
    assert points_of(Folder(run.parents[1]), run, followed_samples())[1]


def test_text_of_samples_is_not_kept(run: Path) -> None:
    rows = followed_samples().read(run / "samples.jsonl")
    assert len(rows) == 18
    assert {key for row in rows for key in row} == set(KEPT)


def test_file_is_read_in_bounded_steps(run: Path) -> None:
    rows, file = FollowedRows(most_bytes=1), run / "samples.jsonl"
    assert len(rows.read(file)) == 1
    assert rows.is_behind
    for _ in range(17):
        found = rows.read(file)
    assert len(found) == 18
    assert not rows.is_behind


def test_curve_grows_with_the_samples(run: Path) -> None:
    unfinished(run, 3)
    seen = view(run)
    curve, table = seen.shown("eval/a")
    assert "So far" in table
    assert table.count("<tr>") == 2
    line = json.loads((run / "samples.jsonl").read_text().splitlines()[0])
    append_jsonl(run / "samples.jsonl", line | {"point": "max_thinking=16 max_answer=16", "thinking_tokens": 16})
    followed = seen._followed["eval/a"]
    followed.reading.share, followed.drawing.took = 1e9, 1e6
    grown = seen.shown("eval/a")
    assert grown[1].count("<tr>") == 3
    assert grown[0] == curve  # it was drawn too short a while ago
    followed.drawing.took = 0.0
    assert seen.shown("eval/a")[0] != curve
    followed.drawing.took, before = 1e6, seen.shown("eval/a")[0]
    swept_run(run.with_name("b"), VERDICTS)
    for name in ("samples.jsonl", "results.json"):
        (run.with_name("b") / name).replace(run / name)
    assert seen.shown("eval/a")[0] != before  # an end is drawn at once


def test_votes_are_shown_at_the_end(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "eval" / "a", {8: "01011100", 64: "01111101"}, samples=4)
    table = view(run).shown("eval/a")[1]
    for text in ("Width or depth", "k = 4", "pass@4", "Best split of a sample", "1 sample of max_thinking=8"):
        assert text in table
    chinese = view(run, "zh").shown("eval/a")[1]
    assert "宽度还是深度" in chinese
    assert "1 个样本（max_thinking=8）" in chinese
    words = set(re.findall(r"[A-Za-z@_]{2,}", html.unescape(re.sub(r"<[^>]*>", " ", chinese))))
    assert words <= {"max_thinking", "pass@", "maj@k", "avg@k", "Wilson", "exp"}
    assert "Width or depth" not in view(unfinished(run)).shown("eval/a")[1]


def test_curve_is_chinese(run: Path) -> None:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", view(run, "zh").shown("eval/a")[0])
    assert "平均思考词元数（对数）" in texts
    assert not [text for text in texts if re.search(r"[a-z]{2,}", text)]


def test_single_samples_have_no_votes(run: Path) -> None:
    assert "pass@" not in view(run).shown("eval/a")[1]


def test_comparison_is_shown_with_its_verdict(tmp_path: Path) -> None:
    earlier = swept_run(tmp_path / "eval" / "a", {8: "00010001"})
    run = swept_run(tmp_path / "eval" / "b", {8: "11110111"})
    config = load_recipe("eval", str(run / "config.yaml"))
    [(label, samples)] = read_run(str(run)).items()
    problems = [Problem(sample.id, "?", "7", "test") for sample in samples]
    point = Point(label, {}, samples)
    compare_with(config, problems, RunDir(run), [point], "base", read_run(str(earlier)), earlier / "samples.jsonl")
    table = view(run).shown("eval/b")[1]
    assert "this run against base" in table
    assert "this run is 5 of 8 better" in table
    assert "+62.5" in table
    assert "本次运行 在 8 题中多对 5 题" in view(run, "zh").shown("eval/b")[1]


def test_promise_is_said_in_both_languages(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "eval" / "a", {8: "1" * 400, None: "1" * 400})
    assert "promise" not in view(run).shown("eval/a")[1]
    assert calibrate(run, loss=2)["chosen"]
    assert "(max_thinking 8) has a promise: at most 2 points" in view(run).shown("eval/a")[1]
    assert "最多损失 2 个百分点" in view(run, "zh").shown("eval/a")[1]
    (run / "budget.yaml").write_text("budget: [")
    assert "can&#x27;t be read" in view(run).shown("eval/a")[0]


def test_promise_looked_at_elsewhere_is_said(run: Path) -> None:
    found = {"promised": 1.0, "loss": {"value": 0.5, "low": -1, "high": 2.0}, "thinking_tokens_saved": 0.25}
    (run / "promise.json").write_text(json.dumps(found))
    table = view(run).shown("eval/a")[1]
    assert "0.5 [-1.0, 2.0] lost" in table
    assert "25.0% of the thinking tokens saved" in table


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [("results.json", "[1]", "can&#x27;t be read"), ("results.json", '{"points": [1]}', "can&#x27;t be read"),
     ("samples.jsonl", '{"id": "half', "no answer has been graded yet")],
)  # fmt: skip
def test_damaged_files_are_said_in_place(run: Path, name: str, text: str, what: str) -> None:
    (run / name).write_text(text)
    assert what in "".join(view(run).shown("eval/a"))


def test_damaged_samples_are_left_out(run: Path) -> None:
    unfinished(run)
    broken: list[Any] = [{"id": 5}, {"id": "x", "score": "high"}, {"no": "sample"}, [1]]
    with (run / "samples.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in broken)
        file.write('{"id": "half')
    points, _ = points_of(Folder(run.parents[1]), run, followed_samples())
    assert [point["samples"] for point in points] == [6, 6, 6]


def test_run_that_is_gone_or_elsewhere_is_refused(run: Path) -> None:
    for name in ("eval/b", "../a"):
        with pytest.raises(RunError):
            view(run).shown(name)
