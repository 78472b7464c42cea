"""`python -m rl.attack`: exit codes, and what is refused."""

from pathlib import Path

import pytest

from configs.errors import ConfigError
from rl import attack

QUICK = ["--config=demo.yaml", "--problems=3", "eval=null", "data.limit=30"]


def test_sound_recipe_ends_with_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert attack.main([*QUICK, f"--output={tmp_path}"]) == 0
    out = capsys.readouterr().out
    assert "honest answers earn 0 when wrong, 1 when right" in out
    assert "0 open" in out
    assert (tmp_path / "attack.jsonl").read_text(encoding="utf-8") == ""


def test_open_find_ends_with_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert attack.main([*QUICK, f"--output={tmp_path}", "rewards=[{name: correctness}]"]) == attack.OPEN_FINDS
    out = capsys.readouterr().out
    assert "unevaluated" in out
    assert "100%" in out


@pytest.mark.parametrize("wrong", ["--minutes=0", "--minutes=nan", "--problems=0"])
def test_useless_numbers_are_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"--(minutes|problems): "):
        attack.main([*QUICK, wrong])
