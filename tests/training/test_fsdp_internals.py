"""Weights that processes share out are gathered for decoding, and let go after it; the checks are `sharded.py`."""

from pathlib import Path

import pytest

from tests.rl.test_processes import launch
from tests.tiny import tiny_model

pytestmark = pytest.mark.engine


def test_shared_out_weights_are_whole_while_drawing(tmp_path: Path) -> None:
    launch(2, "tests.training.sharded", str(tiny_model(tmp_path / "model")))
