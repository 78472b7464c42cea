"""Where no package index has Unsloth: one line says so, and everything else is tested."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sources import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def run(folder: Path, *words: str, **variables: str) -> tuple[int, list[str]]:
    """(exit status, lines) of a command in `folder`."""
    done = subprocess.run(words, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_make_says_what_is_missing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull, "MAKEFLAGS": ""}
    status, lines = run(tmp_path, "make", "unsloth", f"BIN={Path(sys.executable).parent}", **offline)
    assert status == 2
    [said] = [line for line in lines if "Unsloth" in line]
    assert said.startswith("no Unsloth, so the tests that run it are skipped: ERROR: No matching distribution")
    assert not any(line.startswith("ERROR") for line in lines)
