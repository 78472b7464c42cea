"""`python -m rewards.score`: a person sees each score and why."""

import io
import json
from pathlib import Path

import pytest

from configs.errors import DataError
from data.think import XML
from rewards import score

RIGHT = XML.render("6 · 7 = 42", "42")


def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[object], *overrides: str) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    score.main(["--config", "gsm8k.yaml", "--text", str(path), *overrides])
    return capsys.readouterr().out


def line(out: str, name: str) -> str:
    return next(row for row in out.splitlines() if row.split()[:1] == [name])


def test_every_score_has_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(tmp_path, capsys, [{"text": RIGHT + "!!", "answer": "so\n#### 43", "id": "mine"}])
    assert "mine: total 1.498" in out
    assert "wrong (number): '42', gold '43'" in line(out, "correctness")
    assert "text outside the delimiters" in line(out, "strict_format")
    assert "well-formed" in line(out, "soft_format")
    assert line(out, "xmlcount").split()[1:3] == ["0.498", "0.498"]


def test_gates_clips_and_unknowns_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewards = [
        "{name: correctness, required: true}",
        "{name: integer, when: correctness > 0}",
        "{name: xmlcount, clip: [0, 0.4]}",
    ]
    rows = [{"text": RIGHT, "gold": gold} for gold in ("41", "42")]
    out = run(
        tmp_path,
        capsys,
        [*rows, {"text": XML.render("a", "9^{9^{9^9}}"), "gold": "42"}],
        f"rewards=[{', '.join(rewards)}]",
    )
    assert "gate not met: correctness > 0" in line(out, "integer")
    assert "clipped from 0.500" in line(out, "xmlcount")
    assert out.count("required correctness could not be judged") == 3


def test_the_summary_shows_mean_spread_none_and_correlation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(tmp_path, capsys, [{"text": RIGHT, "answer": "42"}, {"text": "no", "answer": "42"}])
    assert out.splitlines()[-5].split() == ["correctness", "1.000", "1.000", "0.0%", "1.000"]


def test_completions_come_from_stdin_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"completion": RIGHT, "ground_truth": "42"})))
    score.main(["--config", "gsm8k.yaml", "--text", "-"])
    assert "stdin, line 1: total 4.000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 1: is not JSON"),
        ("[1]", "line 1: is a list"),
        ('{"answer": "42"}', "line 1: has none of text, completion, response, output; it has answer"),
        ('{"text": "42"}', "line 1: has none of gold, answer, ground_truth"),
        ("", "is empty"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(tmp_path, capsys, [row])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl: can't be read"):
        score.main(["--config", "gsm8k.yaml", "--text", "nowhere.jsonl"])
