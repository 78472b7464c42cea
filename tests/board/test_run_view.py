"""A run as HTML: what is drawn, how often, and what is said of one that can't be read."""

import json
from pathlib import Path

import pytest

from board.accuracy import spread_steps
from board.folder import Folder
from board.markup import inert, stylesheet
from board.row_file import FollowedRows
from board.run_view import DRAWING_SHARE, RunView
from board.strings import Strings
from configs.errors import RunError
from configs.run_directory import append_jsonl


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "grpo" / "a"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"stage": "grpo", "command": "c", "versions": {}}))
    append_jsonl(folder / "metrics.jsonl", {"step": 1, "reward": 0.25, "step_seconds": 1.0})
    for step, score in ((1, 1.0), (1, 0.0), (2, 1.0)):
        append_jsonl(folder / "rollouts.jsonl", {"id": "p", "step": step, "score": score})
    return folder


def view(run: Path) -> RunView:
    return RunView(Folder(run.parents[1]), Strings("en"))


def test_curves_have_accuracy_first(run: Path) -> None:
    head, curves = view(run).figures("grpo/a")
    assert "0.25" in head
    assert curves.index("Right completions") < curves.index("Reward")


def test_long_paths_are_cut_in_the_list(run: Path) -> None:
    path = "/a/very/long/way/to/the/data/of/the/ward/中文病历/train.jsonl"
    (run / "config.yaml").write_text(json.dumps({"model": {"name": "m"}, "data": {"path": path}}))
    table = view(run).table(None)
    assert f'<span title="{path}">…/the/ward/中文病历/train.jsonl</span>' in table
    assert "<td>m</td>" in table


def test_drawing_takes_a_small_share_of_the_time(run: Path) -> None:
    seen = view(run)
    first = seen.figures("grpo/a")
    append_jsonl(run / "metrics.jsonl", {"step": 2, "reward": 0.75, "step_seconds": 1.0})
    assert seen.figures("grpo/a") == first  # the drawing took too long for another so soon
    drawn = seen._drawn["grpo/a"]
    drawn.at -= drawn.took / DRAWING_SHARE
    assert seen.figures("grpo/a") != first


@pytest.mark.parametrize(
    ("name", "text"),
    [("metrics.jsonl", '{"step": "x", "reward": 1}\n{"step": 2, "reward": 1}\n'), ("summary.json", "[1]"),
     ("metrics.jsonl", '{"step": 1, "alarms": 5}\n')],
)  # fmt: skip
def test_damaged_files_are_said_in_place(run: Path, name: str, text: str) -> None:
    (run / name).write_text(text)
    head, curves = view(run).figures("grpo/a")
    assert "a can&#x27;t be read" in head
    assert curves.count("<svg") == 0


def test_a_run_that_is_gone_is_said(run: Path) -> None:
    with pytest.raises(RunError, match="no longer there"):
        view(run).figures("grpo/b")


def test_rows_are_followed_and_read_anew_when_rewritten(run: Path) -> None:
    rows, file = FollowedRows(), run / "metrics.jsonl"
    assert len(rows.read(file)) == 1
    with file.open("a") as out:
        out.write('{"step": 2')
    assert len(rows.read(file)) == 1
    with file.open("a") as out:
        out.write("}\n")
    assert [row["step"] for row in rows.read(file)] == [1, 2]
    other = run / "other"
    other.write_text('{"step": 7}\n')
    other.replace(file)
    assert [row["step"] for row in rows.read(file)] == [7]


def test_no_template_is_left() -> None:
    assert not {"{", "$", "`"} & set(inert("{{x}} ${y} `z`"))


def test_parts_keep_to_our_own_place() -> None:
    assert stylesheet().index(".mull {\n") > stylesheet().index("prefers-color-scheme: dark")
    assert "</style" not in stylesheet()


def test_steps_are_spread_over_a_run() -> None:
    assert spread_steps(1, 3) == [1, 2, 3]
    assert len(spread_steps(5, 10_000)) == 40
    assert (spread_steps(5, 10_000)[0], spread_steps(5, 10_000)[-1]) == (5, 10_000)
