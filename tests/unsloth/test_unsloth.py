"""What we rely on of Unsloth, run with the real one; see `tests.unsloth.harness`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sources import ROOT, unsloth_packages

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("checks", sorted(Path(__file__).parent.glob("checks_*.py")), ids=lambda path: path.stem)
def test_real_unsloth(checks: Path, tmp_path: Path) -> None:
    """Each file in a process of its own, for Unsloth patches the whole process."""
    unsloth_packages()
    words = [sys.executable, "-m", "pytest", "-p", "tests.unsloth.harness", "--show-capture=no", str(checks)]
    written = {"UNSLOTH_COMPILE_LOCATION": str(tmp_path / "compiled"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, capture_output=True, text=True, env=os.environ | written, cwd=ROOT, check=False, timeout=550
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
