"""A call that takes too long is interrupted, whatever it waits for; one that can't be ends the process with a word."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from configs.errors import RewardError
from configs.schema.sections import RewardSpec
from data.problem import Problem
from data.think_format import XML
from rewards.composition import BlockedReward, BrokenReward, Member, RewardSet
from rewards.registry import build_rewards
from rewards.rollout import Rollout
from rewards.time_limit import Overrun, within

ROLLOUTS = [Rollout(Problem(f"p{row}", "q", "1", "test"), "text", XML) for row in range(3)]


def loops() -> None:
    while True:
        with contextlib.suppress(Exception):
            sum(range(100))


def reads() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.recv(1)


def waits_for_threads() -> None:
    let_go = threading.Event()
    with ThreadPoolExecutor() as pool:
        try:
            pool.submit(let_go.wait, 60).result()
        finally:
            let_go.set()


@pytest.mark.parametrize("call", [loops, reads, waits_for_threads, lambda: time.sleep(60)])
def test_blocking_call_is_interrupted(call: Callable[[], None]) -> None:
    before = signal.getsignal(signal.SIGURG)
    with pytest.raises(Overrun):
        within(0.05, call, "")
    assert signal.getsignal(signal.SIGURG) == before
    signal.raise_signal(signal.SIGURG)  # a late one does no harm


def test_call_in_time_returns_or_raises() -> None:
    assert within(60.0, lambda: 3, "") == 3
    with pytest.raises(ZeroDivisionError):
        within(60.0, lambda: 1 / 0, "")


def test_other_threads_have_no_limit() -> None:
    def late() -> int:
        time.sleep(0.1)
        return 4

    with ThreadPoolExecutor() as pool:
        assert pool.submit(within, 0.01, late, "").result() == 4


def test_alarm_set_by_call_still_fires() -> None:
    """Grading with math-verify sets some."""

    class Rang(Exception):
        pass

    def ring(*_: Any) -> None:
        raise Rang

    def own_limit() -> None:
        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            time.sleep(60)
        finally:
            signal.signal(signal.SIGALRM, before)

    with pytest.raises(Rang):
        within(30.0, own_limit, "")


def test_uninterruptible_call_ends_process() -> None:
    script = """
import time
from rewards import time_limit
time_limit.GRACE = 1
def deaf():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
time_limit.within(1.0, deaf, "it was the reward")  # long enough for it to be deaf
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (2, "error: it was the reward\n")


def sleeps(rollouts: Any) -> Any:
    time.sleep(60)


def test_blocking_reward_is_named_with_step() -> None:
    rewards = RewardSet([Member("mine", sleeps, timeout=0.05)])
    message = (
        r"reward 'mine', step 8: no scores for 3 completions after 0.05 s "
        r"\(it was in sleeps, test_time_limit.py:\d+\); "
        r"mend it, or raise `timeout` of its entry in `rewards:`"
    )

    class State:
        global_step = 7

    with pytest.raises(BlockedReward, match=message):
        rewards.score(ROLLOUTS, State())
    with pytest.raises(BlockedReward, match="reward 'mine': no scores"):  # before training
        rewards.score(ROLLOUTS)


def test_search_for_raising_row_is_limited() -> None:
    def raises(rollouts: Any) -> Any:
        if len(rollouts) == 1:
            time.sleep(60)
        raise LookupError("no model")

    with pytest.raises(BrokenReward, match=r"row 0 .*LookupError: no model"):
        RewardSet([Member("mine", raises, timeout=0.05)]).score(ROLLOUTS)


def test_only_custom_rewards_have_a_limit() -> None:
    own = "tests.rewards.plugins:own"
    limits = [build_rewards([spec]).members[0].timeout for spec in ({"name": own}, {"name": own, "timeout": 5.0})]
    assert limits == [300.0, 5.0]
    assert build_rewards([{"name": "correctness"}]).members[0].timeout is None
    with pytest.raises(RewardError, match="reward 'correctness': timeout: it is for a reward of your own"):
        build_rewards([RewardSpec(name="correctness", timeout=5.0)])
