"""When a wait counts as a hang."""

import threading
import time

from models.engines.watchdog import Watchdog


def test_long_wait_is_ended_once() -> None:
    bitten = threading.Event()
    watchdog = Watchdog(0.1, bitten.set)
    with watchdog.watching(), watchdog.waiting():
        assert bitten.wait(60)
    assert watchdog.has_bitten


def test_many_short_waits_are_none() -> None:
    watchdog = Watchdog(0.5, lambda: None)
    with watchdog.watching():
        for _ in range(200):
            with watchdog.waiting():
                time.sleep(0.005)
    assert not watchdog.has_bitten


def test_pause_between_waits_is_ours() -> None:
    watchdog = Watchdog(0.05, lambda: None)
    with watchdog.watching():
        with watchdog.waiting():
            pass
        time.sleep(0.5)
    assert not watchdog.has_bitten
