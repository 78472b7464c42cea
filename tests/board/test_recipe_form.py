"""A form's command: what is typed, what is refused, in the command line's own words."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from board.folder import Folder
from board.recipe_form import (
    COMMANDS,
    FIELDS,
    MODULES,
    keep,
    kept_options,
    launch,
    recipe_text,
    recipes,
    resumed,
    sentence,
    written_value,
)
from configs.errors import ConfigError, MullError
from configs.run_directory import write_json
from configs.schema.stages import STAGES
from mull.__main__ import COMMANDS as MULL

DEMO = recipe_text("grpo", "demo.yaml")


def test_command_is_what_a_terminal_takes(tmp_path: Path) -> None:
    made = launch(Folder(tmp_path), "grpo", "demo.yaml", DEMO, {"trainer.max_steps": "3", "seed": " "}, "grpo/a")
    assert made.words == [
        "rl.grpo", "--config", "demo.yaml", "trainer.max_steps=3", f"output_dir={tmp_path / 'grpo' / 'a'}",
    ]  # fmt: skip
    assert made.typed() == f"mull grpo --config demo.yaml trainer.max_steps=3 output_dir={tmp_path / 'grpo' / 'a'}"


def test_edited_recipe_is_kept_by_its_text(tmp_path: Path) -> None:
    text = DEMO.replace("max_steps: 40", "max_steps: 5")
    made = [launch(Folder(tmp_path), "grpo", "demo.yaml", text, {}, "grpo/a") for _ in range(2)]
    assert made[0] == made[1]
    [kept] = (tmp_path / ".board" / "recipes").iterdir()
    assert made[0].words[2] == str(kept)
    assert kept.read_text(encoding="utf-8") == text


def test_two_tabs_edit_alike_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: keep(tmp_path / "recipes" / f"{at // 8}.yaml", DEMO), range(400)))
    assert {path.read_text(encoding="utf-8") for path in (tmp_path / "recipes").iterdir()} == {DEMO}
    assert len(list((tmp_path / "recipes").iterdir())) == 50


@pytest.mark.parametrize(
    ("changes", "text", "message"),
    [
        ({"trainer.max_steps": "many"}, DEMO, "trainer.max_steps: expected int, found 'many'"),
        ({"trainer.num_generations": "3"}, DEMO, "does not divide"),
        ({}, DEMO + "\nrewrads: []\n", "rewrads: unknown key"),
        ({}, "model: [", "not valid YAML"),
        ({}, "", "model: missing"),
        ({"model.name": "$(reboot) ${oc.env"}, DEMO, "can't be set"),
    ],
)
def test_refusals_are_the_command_lines(tmp_path: Path, changes: dict[str, str], text: str, message: str) -> None:
    with pytest.raises(MullError) as refused:
        launch(Folder(tmp_path), "grpo", "demo.yaml", text, changes, "grpo/a")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "run", ["../a", "/etc/x", "a b", "", ".board/jobs", "a//b", "a;reboot", "a/../../b", "-x/../.."]
)
def test_run_goes_nowhere_else(tmp_path: Path, run: str) -> None:
    with pytest.raises(MullError):
        launch(Folder(tmp_path), "grpo", "demo.yaml", DEMO, {}, run)


def test_every_stage_has_its_module() -> None:
    assert MODULES.keys() == STAGES.keys()


@pytest.mark.parametrize("name", ["../sft/demo.yaml", "/etc/passwd", "no.yaml"])
def test_only_shipped_recipes_are_read(name: str) -> None:
    with pytest.raises(ConfigError):
        recipe_text("grpo", name)


@pytest.mark.parametrize(("stage", "command"), COMMANDS.items())
def test_stages_are_commands_with_recipes(stage: str, command: str) -> None:
    assert MULL[command][0] == MODULES[stage]
    assert recipes(stage)


@pytest.mark.parametrize(("key", "stage"), [(key, stage) for key, stages in FIELDS.items() for stage in stages])
def test_every_field_has_its_sentence(key: str, stage: str) -> None:
    assert len(sentence(stage, key)) > 10


def test_form_shows_what_the_recipe_has() -> None:
    assert written_value("grpo", DEMO, "trainer.max_steps") == "40"
    assert written_value("grpo", DEMO, "rollout.budget.max_thinking") == ""


def test_resume_takes_the_runs_own_recipe(tmp_path: Path) -> None:
    run = tmp_path / "grpo" / "a"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(DEMO)
    made = resumed(Folder(tmp_path), "grpo/a", "grpo")
    assert made.words == ["rl.grpo", "--config", str(run / "config.yaml"), f"output_dir={run}", "--resume"]
    with pytest.raises(ConfigError, match="holds no run to resume"):
        resumed(Folder(tmp_path), "grpo/b", "grpo")


def test_resume_keeps_what_no_recipe_holds(tmp_path: Path) -> None:
    run = tmp_path / "eval" / "a"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(recipe_text("eval", "demo.yaml"))
    command = "python -m evaluation.evaluate --config demo.yaml --compare base data.limit=5 --lm-eval"
    write_json(run / "run.json", {"stage": "eval", "command": command, "versions": {}})
    assert resumed(Folder(tmp_path), "eval/a", "eval").words[4:] == ["--compare=base", "--lm-eval", "--resume"]
    assert kept_options(["--compare=a b", "--budget", "b.yaml", "--dry-run"]) == ["--compare=a b", "--budget=b.yaml"]
