"""Which GPUs an engine may see: those of its replica, or of the process that a launcher has started."""

import os
import subprocess
import sys

import pytest

from configs.errors import EngineError
from models.engines.replicas import VISIBLE, device_sets, launched_devices, only


@pytest.mark.parametrize(
    ("devices", "count", "each", "sets"),
    [
        (["0", "1", "2", "3"], 2, 2, [["0", "1"], ["2", "3"]]),
        (["GPU-a", "GPU-b", "GPU-c"], 2, 1, [["GPU-a"], ["GPU-b"]]),
        ([], 2, 1, [[], []]),
    ],
)
def test_devices_are_dealt_in_order(devices: list[str], count: int, each: int, sets: list[list[str]]) -> None:
    assert device_sets(devices, count, each) == sets


def test_too_few_devices_are_refused() -> None:
    with pytest.raises(EngineError, match="need 4 GPUs; here are 3"):
        device_sets(["0", "1", "2"], 2, 2)


@pytest.mark.parametrize(
    ("environment", "devices", "own"),
    [
        ({}, ["0", "1"], []),
        ({"LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}, ["0", "1"], []),  # alone on its machine
        ({"LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "0"}, ["0", "1"], ["0"]),
        ({"LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1"}, ["4", "6"], ["6"]),
        ({"LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1"}, [], []),
    ],
)
def test_launched_process_has_its_own_gpu(environment: dict[str, str], devices: list[str], own: list[str]) -> None:
    assert launched_devices(environment, lambda: devices) == own


@pytest.mark.parametrize(("before", "devices", "seen"), [("4,6", ["6"], "6"), ("4,6", [], "4,6"), (None, ["1"], "1")])
def test_child_sees_given_devices_alone(
    before: str | None, devices: list[str], seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VISIBLE, before)
    words = [sys.executable, "-c", f"import os; print(os.environ['{VISIBLE}'])"]
    with only(devices):
        assert subprocess.check_output(words, text=True).strip() == seen
    assert os.environ.get(VISIBLE) == before


def test_lone_process_asks_for_no_gpu() -> None:
    def refuse() -> list[str]:
        raise AssertionError("asking may touch CUDA")

    assert launched_devices({}, refuse) == []
