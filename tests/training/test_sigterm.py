"""A SIGTERM is noted; the launcher's second one is the same order."""

import signal

import pytest

from training import sigterm
from training.sigterm import Interrupt


def test_two_signals_at_once_are_one_order() -> None:
    interrupt = Interrupt()
    with interrupt.listening():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.is_ending


def test_later_second_signal_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigterm, "SAME_ORDER", -1.0)
    raised: list[int] = []
    interrupt = Interrupt()
    with interrupt.listening():
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr(signal, "raise_signal", raised.append)
        interrupt._note(signal.SIGTERM, None)
        assert raised == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
