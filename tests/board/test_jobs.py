"""Processes that a board starts: one a run, whoever presses; found again; stopped; logged."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import pytest

from board.folder import Folder
from board.jobs import Job, Jobs, environment, output_of
from board.recipe_form import Launch
from board.run_actions import RunActions
from board.run_view import RunView
from board.strings import Strings
from board.train_page import TrainForm
from configs.errors import RunError
from configs.recipe import load_recipe
from configs.run_directory import RunDir

SLEEP = ["timeit", "-n", "1", "-r", "1", "-s", "import time; print('awake', flush=True)", "time.sleep(60)"]


def wait_for(jobs: Jobs, run: str, text: str) -> None:
    until = time.monotonic() + 60
    while text not in jobs.tail(run) and time.monotonic() < until:
        time.sleep(0.05)
    assert text in jobs.tail(run)


def test_two_presses_make_one_run(tmp_path: Path) -> None:
    boards = [Jobs(Folder(tmp_path)), Jobs(Folder(tmp_path))]

    def press(at: int) -> Job | str:
        try:
            return boards[at % 2].start(Launch(SLEEP, "grpo/a", "grpo"))
        except RunError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        pressed = list(pool.map(press, range(8)))
    started = [one for one in pressed if isinstance(one, Job)]
    assert len(started) == 1
    assert {one for one in pressed if isinstance(one, str)} == {"grpo/a: is under way already; nothing was started"}
    assert boards[0].job("grpo/a") == boards[1].job("grpo/a") == started[0]
    assert boards[0].runs() == ["grpo/a"]
    wait_for(boards[0], "grpo/a", "awake")
    assert boards[0].is_alive("grpo/a")
    assert boards[1].is_alive("grpo/a")
    boards[1].stop("grpo/a")
    until = time.monotonic() + 30
    while boards[1].is_alive("grpo/a") and time.monotonic() < until:
        time.sleep(0.05)
    assert not boards[0].is_alive("grpo/a")
    with pytest.raises(RunError, match="no process"):
        boards[0].stop("grpo/a")


def test_used_folder_is_refused_as_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text("{}")
    with pytest.raises(RunError, match="is in use; go on with --resume"):
        Jobs(Folder(tmp_path)).start(Launch(SLEEP, "a", "grpo"))


def test_another_process_of_that_number_is_not_the_run(tmp_path: Path) -> None:
    import os

    from configs.run_directory import write_json

    jobs = Jobs(Folder(tmp_path))
    file = jobs.log("a").with_name("job.json")
    file.parent.mkdir(parents=True)
    write_json(file, {"run": "a", "words": [], "pid": os.getpid(), "born": 1.0})
    assert not jobs.is_alive("a")
    with pytest.raises(RunError):
        jobs.stop("a")
    file.write_text('{"run": "a"')
    assert jobs.job("a") is None


def test_what_a_command_says_comes_as_it_is_said() -> None:
    said = list(output_of(["timeit", "-n", "1", "-r", "1", "-s", "print('first')", "pass"]))
    assert said[0] == "first\n"
    assert "best of 1" in said[-1]


def test_commands_find_our_packages() -> None:
    assert str(Path(__file__).parents[2]) in environment()["PYTHONPATH"].split(":")


def test_log_is_of_a_run_below_the_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        Jobs(Folder(tmp_path)).tail("../x")


def test_rounds_are_resumed_by_their_own_command(tmp_path: Path) -> None:
    run = tmp_path / "self_improve" / "a"
    RunDir(run).start(load_recipe("self_improve", "demo.yaml", [f"output_dir={run}"]))
    (run / "config.yaml").write_text("rounds: none\n")  # refused before anything is trained
    jobs = Jobs(Folder(tmp_path))
    with gr.Blocks():
        view = RunView(Folder(tmp_path), Strings("en"))
        act = RunActions(view, jobs, TrainForm(view))
    assert "has started" in act.resume("self_improve/a")
    job = jobs.job("self_improve/a")
    assert job is not None
    assert job.words == ["self_improve.run", "--config", str(run / "config.yaml"), f"output_dir={run}", "--resume"]
    wait_for(jobs, "self_improve/a", f"error: {run / 'config.yaml'}")
