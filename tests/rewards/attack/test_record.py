"""An attack's files: replayed by `rewards.score`, never overwritten, found again by what scores."""

import json
import sys
from pathlib import Path

import pytest

from configs.recipe import load_recipe
from configs.schema.grpo import GrpoConfig
from rewards import score
from rewards.attack.record import FOLDER, advice, hash_of
from rewards.attack.run import run_attack

HOLE = 'rewards=[{name: "holes:hole"}]'
SOUND = "rewards=[{name: correctness, params: {unevaluated: 0.0}}]"
CODE = (
    "def hole(completions, answer, **_):\n    return [float(gold in text) for text, gold in zip(completions, answer)]\n"
)


@pytest.fixture(autouse=True)
def in_a_folder_with_a_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "holes.py").write_text(CODE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "holes", raising=False)


def recipe(*changes: str) -> GrpoConfig:
    config: GrpoConfig = load_recipe("grpo", "demo", ["eval=null", "data.limit=40", *changes])
    return config


def test_finds_are_replayed_by_score(capsys: pytest.CaptureFixture[str]) -> None:
    attack = run_attack(recipe(HOLE), problems=4)
    rows = [json.loads(line) for line in attack.file.read_text(encoding="utf-8").splitlines()] if attack.file else []
    assert rows
    assert rows[0]["state"] == "open"
    capsys.readouterr()
    score.main(["--config", "demo", "--text", str(attack.file), "eval=null", "data.limit=40", HOLE])
    out = capsys.readouterr().out
    assert out.count(": total 1.000") == len(rows)


def test_later_attack_stands_beside_the_first() -> None:
    files = [run_attack(recipe(SOUND), problems=2).file for _ in range(2)]
    assert files == [FOLDER / "demo" / "attack.jsonl", FOLDER / "demo" / "attack-2.jsonl"]
    assert all(file is not None and file.with_suffix(".json").is_file() for file in files)


def test_advice_until_the_rewards_are_sound() -> None:
    assert advice(recipe(HOLE)) == (
        "these rewards were never attacked",
        "mull attack --config RECIPE, a minute without a model",
    )
    run_attack(recipe(HOLE), problems=4)
    found = advice(recipe(HOLE))
    assert found is not None
    assert "open finds in outputs/attack/demo/attack.jsonl: wrong completions earn up to 100% of the gap" in found[0]
    assert advice(recipe(SOUND)) is not None
    run_attack(recipe(SOUND), problems=4)
    assert advice(recipe(SOUND)) is None


def test_damaged_record_is_as_good_as_none() -> None:
    run_attack(recipe(SOUND), problems=2)
    (FOLDER / "demo" / "attack.json").write_text("{", encoding="utf-8")
    assert advice(recipe(SOUND)) is not None


def test_hash_is_of_what_scores(tmp_path: Path) -> None:
    first = hash_of(recipe(HOLE))
    assert hash_of(recipe(HOLE, "trainer.learning_rate=1.0", "output_dir=elsewhere", "seed=7")) == first
    assert hash_of(recipe(HOLE, "think_format=xml")) != first
    assert hash_of(recipe('rewards=[{name: "holes:hole", weight: 2.0}]')) != first
    (tmp_path / "holes.py").write_text(CODE + "\n# mended\n", encoding="utf-8")
    assert hash_of(recipe(HOLE)) != first
