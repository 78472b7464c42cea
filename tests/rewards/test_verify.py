"""The grader pool: verdicts from threads, asyncio and forked children, under bombs, kills and limits."""

import asyncio
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
from data.think import XML
from rewards import pool, verify
from rewards.pool import GraderPool
from rewards.verdict import Verdict
from rewards.verify import grade_many, grade_texts, judge_many

ROOT = Path(__file__).parents[2]
# only math-verify can tell: (gold, right, wrong)
HARD = ("\\sum_{k=1}^{3} k", "\\sum_{j=1}^{3} j", "\\sum_{k=1}^{4} k")


@pytest.fixture
def small_pool() -> Iterator[GraderPool]:
    """A pool of one process of its own."""
    own = GraderPool(size=1)
    yield own
    own.close()


def slow_pair(number: int) -> tuple[str, str]:
    """Many seconds of SymPy, handed to a pool directly: `grade_many` refuses it."""
    return "18", f"\\int_0^{{{number + 1}}} e^{{x^x}} \\sin(x^{{x}}) dx"


def test_verdicts_come_in_order_and_say_how() -> None:
    verdicts = judge_many(["18", HARD[0], "\\frac12", "18", "18"], ["18.0", HARD[2], "0.5", None, " "], timeout=60)
    assert [verdict.correct for verdict in verdicts] == [True, False, True, False, False]
    assert [verdict.reason for verdict in verdicts] == ["number", "math-verify", "expression", "no answer", "no answer"]


def test_whole_completions_are_graded_by_their_think_format() -> None:
    text = XML.render("1 + 1 = 3, no: 2", "\\boxed{2}")
    assert grade_texts(["2", "3"], [text, text], XML) == [True, False]
    assert grade_texts(["#### 18", "\\boxed{18}"], ["so A: 18", "so A: 19"]) == [True, False]


def test_lengths_have_to_match() -> None:
    with pytest.raises(RewardError, match="2 gold answers for 1 answers"):
        grade_many(["1", "2"], ["1"])


def test_a_gold_answer_that_nobody_can_read_judges_nothing() -> None:
    before = verify.unjudged()["no gold answer"]
    assert grade_many(["", "\\undefinedcommand{{"], ["1", "1"]) == [None, None]
    assert verify.unjudged()["no gold answer"] == before + 2


def test_a_bomb_is_none_with_a_counted_reason() -> None:
    before = verify.unjudged()["refused: too big to evaluate"]
    assert grade_many(["18"], ["9^{9^{9^9}}"]) == [None]
    assert verify.unjudged()["refused: too big to evaluate"] == before + 1


def test_a_timeout_is_none_and_the_next_answer_is_graded_by_a_new_process(small_pool: GraderPool) -> None:
    pair = ("x + 1", "1 + x")
    assert small_pool.judge([pair], timeout=30)[0].correct is True
    first = small_pool.pids()
    verdicts = small_pool.judge([slow_pair(0), pair], timeout=0.5)
    assert [(verdict.correct, verdict.reason) for verdict in verdicts] == [(None, "timeout"), (True, "math-verify")]
    assert small_pool.pids() != first


def test_the_clock_starts_with_the_execution_not_with_the_queue(small_pool: GraderPool) -> None:
    small_pool.judge([("x + 1", "1 + x")], timeout=30)
    pairs = [slow_pair(1), slow_pair(2), ("x + y", "y + x")]
    verdicts = small_pool.judge(pairs, timeout=1.0)  # the last one waits for two seconds before its second begins
    assert [verdict.correct for verdict in verdicts] == [None, None, True]


def test_a_grader_killed_in_mid_flight_is_none_and_replaced(small_pool: GraderPool) -> None:
    small_pool.judge([("x + 1", "1 + x")], timeout=30)
    (victim,) = small_pool.pids()
    killer = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
    killer.start()
    verdicts = small_pool.judge([slow_pair(3), ("x + y", "y + x")], timeout=20)
    killer.join()
    assert [(verdict.correct, verdict.reason) for verdict in verdicts] == [(None, "crash"), (True, "math-verify")]
    assert victim not in small_pool.pids()


def test_a_process_out_of_memory_is_none_and_replaced() -> None:
    tight = GraderPool(size=1, memory_mb=96)
    try:
        matrix = "\\begin{pmatrix} " + "1 & " * 40_000 + "1 \\end{pmatrix}"
        verdicts = tight.judge([("1", matrix), ("x + y", "y + x")], timeout=120)
        assert [(verdict.correct, verdict.reason) for verdict in verdicts] == [(None, "memory"), (True, "math-verify")]
    finally:
        tight.close()


def test_closing_leaves_no_process_and_no_thread() -> None:
    own = GraderPool(size=2)
    own.judge([("x + 1", "1 + x"), ("x + 2", "2 + x")], timeout=30)
    pids = own.pids()
    own.close()
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(thread.name.startswith("grader-") and thread in own._threads for thread in threading.enumerate())
    with pytest.raises(RewardError, match="closed"):
        own.judge([("1", "2")], timeout=1)


def test_threads_share_the_pool() -> None:
    found: dict[int, list[bool | None]] = {}

    def ask(number: int) -> None:
        golds = [f"\\sum_{{k=1}}^{{{number + 2}}} k"] * 2
        answers = [f"\\sum_{{j=1}}^{{{number + 2}}} j", f"\\sum_{{k=1}}^{{{number + 20}}} k"]
        found[number] = grade_many(golds, answers, timeout=60)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [True, False] for number in range(6)}


def test_it_works_inside_asyncio() -> None:
    async def ask() -> list[list[bool | None]]:
        direct = grade_many([HARD[0]], [HARD[1]], timeout=60)
        apart = await asyncio.gather(*(asyncio.to_thread(grade_many, [HARD[0]], [answer], 60) for answer in HARD[1:]))
        return [direct, *apart]

    assert asyncio.run(ask()) == [[True], [True], [False]]


def graded_in_a_child(results: "multiprocessing.Queue[list[bool | None]]") -> None:
    results.put(grade_many(["18", HARD[0]], ["18.0", "\\sum_{k=1}^{5} k"], timeout=60))


def test_it_works_inside_a_forked_daemon_and_leaves_the_parents_pool_alone() -> None:
    pool.shared().judge([("x + 1", "1 + x")], timeout=30)
    before = pool.shared().pids()
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[list[bool | None]] = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork next to threads is what is tested
        child = context.Process(target=graded_in_a_child, args=(results,), daemon=True)
        child.start()
    assert results.get(timeout=60) == [True, False]
    child.join(30)
    assert child.exitcode == 0
    assert pool.shared().pids() == before
    assert pool.shared().judge([("x + 2", "2 + x")], timeout=30)[0].correct is True


SCRIPT = """
from rewards import pool
from rewards.verify import grade_many
print(grade_many(["\\\\{{x : x > 3\\\\}}"], ["\\\\{{x : x > 4\\\\}}"], timeout=60), flush=True)
print(*pool.shared().pids(), flush=True)
{ending}
"""


@pytest.mark.parametrize("ending", ["", "import os; os._exit(3)", "raise SystemExit(3)"])
def test_no_process_outlives_the_program_however_it_ends(ending: str) -> None:
    """No `__main__` guard is needed either: the script grades at import."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(ending=ending)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.startswith("[False]")
    assert done.stderr == ""
    pids = [int(pid) for pid in done.stdout.split()[1:]]
    assert pids
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_repeats_come_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ("\\{z : z > 5\\}", "\\{z : z > 6\\}")
    assert grade_many([pair[0]], [pair[1]], timeout=60) == [False]

    def nobody() -> GraderPool:
        raise AssertionError("asked again")

    monkeypatch.setattr(pool, "shared", nobody)
    assert grade_many([pair[0]] * 3, [pair[1]] * 3) == [False] * 3


def test_a_timeout_is_tried_again_only_with_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    class Recorder(GraderPool):
        def judge(self, pairs, timeout):  # type: ignore[no-untyped-def]
            asked.append(timeout)
            return [Verdict(None, "timeout") for _ in pairs]

    monkeypatch.setattr(pool, "shared", Recorder)
    pair = (["\\{w : w > 5\\}"], ["\\{w : w > 6\\}"])
    for timeout in (1.0, 1.0, 0.5, 2.0):
        assert grade_many(*pair, timeout=timeout) == [None]
    assert asked == [1.0, 2.0]


def test_hostile_completions_hang_nothing_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pool.close()  # so that the grader processes live in this folder too
    attacks = [text for _, text in hostile(54)]
    texts = [text for attack in attacks for text in (attack, f"{len(attack)} it is.\nA: -123456")]
    grades = grade_texts(["-123456"] * len(texts), texts)
    assert grades[1::2] == [True] * len(attacks)
    assert True not in grades[::2]
    assert not Path(MARKER).exists()
    assert list(tmp_path.iterdir()) == []
    pool.close()
