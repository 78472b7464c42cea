"""The grader processes: limits, kills, memory, forks and orphans; each test starts processes of its own."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.hostile_answers import MARKER, hostile
from configs.errors import RewardError
from rewards.grading import worker_pool
from rewards.grading.math_equivalence import grade_many, grade_texts
from rewards.grading.worker_pool import GraderPool

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[3]


@pytest.fixture
def small_pool() -> Iterator[GraderPool]:
    """A pool of one process of its own."""
    own = GraderPool(size=1)
    yield own
    own.close()


def slow_pair(number: int) -> tuple[str, str]:
    """Many seconds of SymPy, handed to a pool directly: `grade_many` refuses it."""
    return "18", f"\\int_0^{{{number + 1}}} e^{{x^x}} \\sin(x^{{x}}) dx"


def test_timeout_replaces_the_process(small_pool: GraderPool) -> None:
    pair = ("x + 1", "1 + x")
    assert small_pool.judge([pair], timeout=30)[0].correct is True
    first = small_pool.pids()
    verdicts = small_pool.judge([slow_pair(0), pair], timeout=0.5)
    assert [(verdict.correct, verdict.reason) for verdict in verdicts] == [(None, "timeout"), (True, "math-verify")]
    assert small_pool.pids() != first


def test_queue_time_does_not_count(small_pool: GraderPool) -> None:
    small_pool.judge([("x + 1", "1 + x")], timeout=30)
    pairs = [slow_pair(1), slow_pair(2), ("x + y", "y + x")]
    verdicts = small_pool.judge(pairs, timeout=1.0)  # the last one waits for two seconds before its second begins
    assert [verdict.correct for verdict in verdicts] == [None, None, True]


def test_killed_process_is_replaced(small_pool: GraderPool) -> None:
    small_pool.judge([("x + 1", "1 + x")], timeout=30)
    (victim,) = small_pool.pids()
    killer = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
    killer.start()
    verdicts = small_pool.judge([slow_pair(3), ("x + y", "y + x")], timeout=20)
    killer.join()
    assert [(verdict.correct, verdict.reason) for verdict in verdicts] == [(None, "crash"), (True, "math-verify")]
    assert victim not in small_pool.pids()


def test_out_of_memory_process_is_replaced() -> None:
    tight = GraderPool(size=1, memory_mb=16)
    try:
        matrix = "\\begin{pmatrix} " + "1 & " * 40_000 + "1 \\end{pmatrix}"
        verdicts = tight.judge([("1", matrix), ("x + y", "y + x")], timeout=120)
        assert [(verdict.correct, verdict.reason) for verdict in verdicts] == [(None, "memory"), (True, "math-verify")]
    finally:
        tight.close()


def test_close_ends_processes_and_threads() -> None:
    own = GraderPool(size=2)
    own.judge([("x + 1", "1 + x"), ("x + 2", "2 + x")], timeout=30)
    pids = own.pids()
    own.close()
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(thread.name.startswith("grader-") and thread in own._threads for thread in threading.enumerate())
    with pytest.raises(RewardError, match="closed"):
        own.judge([("1", "2")], timeout=1)


def graded_in_a_child(results: "multiprocessing.Queue[list[bool | None]]") -> None:
    results.put(grade_many(["18", "\\sum_{k=1}^{3} k"], ["18.0", "\\sum_{k=1}^{5} k"], timeout=60))


def test_grading_works_in_forked_daemon() -> None:
    worker_pool.shared().judge([("x + 1", "1 + x")], timeout=30)
    before = worker_pool.shared().pids()
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[list[bool | None]] = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork next to threads is what is tested
        child = context.Process(target=graded_in_a_child, args=(results,), daemon=True)
        child.start()
    assert results.get(timeout=60) == [True, False]
    child.join(30)
    assert child.exitcode == 0
    assert worker_pool.shared().pids() == before
    assert worker_pool.shared().judge([("x + 2", "2 + x")], timeout=30)[0].correct is True


class Graded:
    """A data set that grades each item where it is loaded: (verdict, its grader processes)."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, at: int) -> tuple[bool | None, list[int]]:
        if at >= len(self):
            raise IndexError
        grades = grade_many([f"\\sum_{{k=1}}^{{{at + 3}}} k"], ["\\sum_{j=1}^{4} j"], timeout=60)
        return grades[0], worker_pool.shared().pids()


def test_grading_works_in_forked_data_loader() -> None:
    from torch.utils.data import DataLoader

    worker_pool.shared().judge([("x + 1", "1 + x")], timeout=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        rows = list(DataLoader(Graded(), batch_size=None, num_workers=2, multiprocessing_context="fork"))
    assert [grade for grade, _ in rows] == [False, True, False, False]
    started = {pid for _, pids in rows for pid in pids}
    assert started
    assert started.isdisjoint(worker_pool.shared().pids())
    wait_until_gone(started)


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


SCRIPT = """
from rewards.grading import worker_pool
from rewards.grading.math_equivalence import grade_many
print(grade_many(["\\\\{{x : x^2 > 3\\\\}}"], ["\\\\{{x : x > 4\\\\}}"], timeout=60), flush=True)
print(*worker_pool.shared().pids(), flush=True)
{ending}
"""


IN_MID_FLIGHT = """
import os, signal, threading, time
from tests.rewards.grading.test_worker_pool import slow_pair
threading.Thread(target=worker_pool.shared().judge, args=([slow_pair(4)], 60), daemon=True).start()
time.sleep(0.2)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("ending", ["", "import os; os._exit(3)", "raise SystemExit(3)", IN_MID_FLIGHT])
def test_no_process_outlives_the_program(ending: str) -> None:
    """No `__main__` guard is needed either: the script grades at import."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(ending=ending)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.startswith("[False]")
    assert done.stderr == ""
    pids = {int(pid) for pid in done.stdout.split()[1:]}
    assert pids
    wait_until_gone(pids)


def test_hostile_completions_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    worker_pool.stop_workers()  # so that the grader processes live in this folder too
    attacks = [text for _, text in hostile(54)]
    texts = [text for attack in attacks for text in (attack, f"{len(attack)} it is.\nA: -123456")]
    grades = grade_texts(["-123456"] * len(texts), texts)
    assert grades[1::2] == [True] * len(attacks)
    assert True not in grades[::2]
    assert not Path(MARKER).exists()
    assert list(tmp_path.iterdir()) == []
    worker_pool.stop_workers()
