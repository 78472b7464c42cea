"""The `mull` command, and what happens where a user's files hide our packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.shadowing import PACKAGES
from mull.__main__ import COMMANDS, command_module, dispatch, usage
from tests.test_architecture import PACKAGES as CONTRACT

ROOT = Path(__file__).parents[2]
HELP = [[sys.executable, "-m", module, "--help"] for module, _ in COMMANDS.values()]


def run(words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def mull(script: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The console script, as pip writes it: a file in a folder of its own, which Python puts on the path."""
    script.parent.mkdir()
    script.write_text("from mull.__main__ import main\nmain()\n")
    return run([sys.executable, str(script), *arguments], cwd)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    dispatch(["--help"])
    shown = capsys.readouterr().out
    assert shown.rstrip() == usage()
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_unknown_command_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'grpo'\?"):
        command_module("gpro")


@pytest.mark.parametrize("module", [module for module, _ in COMMANDS.values()])
def test_every_command_is_a_module_with_main(module: str) -> None:
    assert 'if __name__ == "__main__":\n    run_command(main)' in (ROOT / f"{module.replace('.', '/')}.py").read_text()


def test_guard_knows_every_package() -> None:
    assert sorted(PACKAGES) == sorted(CONTRACT)


@pytest.mark.parametrize("name", ["models.py", "data/__init__.py", "configs/__init__.py"])
def test_hidden_package_is_one_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    done = run([sys.executable, "-m", "rl.grpo", "--help"], tmp_path)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {file} hides Mull's own package `{name.partition('/')[0].removesuffix('.py')}`")


def test_folders_hide_no_package(tmp_path: Path) -> None:
    for name in ("data", "configs", "models"):
        (tmp_path / name).mkdir()
    assert run([sys.executable, "-m", "rl.grpo", "--help"], tmp_path).returncode == 0


def test_mull_command_finds_its_own_packages(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("raise SystemExit('the wrong one')")
    done = mull(tmp_path / "bin" / "mull", "grpo", "--config", "demo.yaml", "sampels=3", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "sampels: unknown key" in done.stderr


def test_importing_mull_names_a_hiding_file(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text("")
    done = run([sys.executable, "-c", "import mull"], tmp_path)
    assert "data.py hides Mull's own package `data`" in done.stderr.splitlines()[-1]
