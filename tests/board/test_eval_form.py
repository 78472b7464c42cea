"""An evaluation's form: the model and the budgets as the recipe says them, refused in the command line's own words."""

import json
from pathlib import Path

import pytest

from board.eval_form import budgets_override, evaluation, is_run, model_changes, typed_budgets
from board.folder import Folder
from board.recipe_form import recipe_text, recipes, unused_name
from configs.errors import ConfigError, MullError
from configs.recipe import load_recipe
from tests.tiny_run import tiny_base, tiny_run

DEMO = recipe_text("eval", "demo.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    root = tmp_path_factory.mktemp("outputs")
    tiny_run(root / "sft" / "a", tiny_base(root.with_name("base")))
    tiny_run(root / "sft" / "deepseek", root.with_name("base"), think_format="deepseek")
    return Folder(root)


def test_command_is_what_a_terminal_takes(folder: Folder) -> None:
    made = evaluation(folder, "sft/a", "demo.yaml", DEMO, "8, none", "", {"data.limit": "5"}, "eval/x")
    assert made.words[:3] == ["evaluation.evaluate", "--config", "demo.yaml"]
    config = load_recipe("eval", "demo.yaml", made.words[3:])
    assert config.model.adapter == str(folder.root / "sft" / "a" / "adapter")
    assert [(one.max_thinking, one.max_answer) for one in config.budgets] == [(8, 16), (None, 16)]
    assert (config.data.limit, config.think_format) == (5, "s1")
    assert config.output_dir == str(folder.root / "eval" / "x")


@pytest.mark.parametrize(("compare", "said"), [("base", "base"), ("eval/a", "{root}/eval/a")])
def test_command_compares(folder: Folder, compare: str, said: str) -> None:
    made = evaluation(folder, "sft/a", "demo.yaml", DEMO, "", compare, {}, "eval/x")
    assert made.words[-1] == f"--compare={said.format(root=folder.root)}"
    with pytest.raises(MullError):
        evaluation(folder, "sft/a", "demo.yaml", DEMO, "", "../elsewhere", {}, "eval/x")


def test_run_brings_its_think_format(folder: Folder) -> None:
    assert model_changes(folder, "sft/deepseek", DEMO)["think_format"] == "deepseek"
    assert "think_format" not in model_changes(folder, "sft/a", DEMO)


def test_plain_model_leaves_the_recipes_adapter_out(folder: Folder) -> None:
    text = DEMO.replace("max_length: 256", "max_length: 256\n  adapter: some/adapter")
    assert model_changes(folder, "org/model", text) == {"model.name": "org/model", "model.adapter": "null"}
    assert model_changes(folder, "org/model", DEMO) == {"model.name": "org/model"}
    assert model_changes(folder, "", text) == {}


@pytest.mark.parametrize("name", ["../base", "/etc", "sft", "nothing", ""])
def test_what_is_no_run_is_a_model(folder: Folder, name: str) -> None:
    assert not is_run(folder, name)


def test_budgets_keep_what_the_first_one_says() -> None:
    text = "budgets:\n  - {max_thinking: 8, max_answer: 4, num_waits: 1, effort: null}\n"
    asked = json.loads(budgets_override("64，NONE 256", text))
    shared = {"max_answer": 4, "num_waits": 1}
    assert asked == [{"max_thinking": 64, **shared}, shared, {"max_thinking": 256, **shared}]
    assert json.loads(budgets_override("64", "budgets: [")) == [{"max_thinking": 64}]
    with pytest.raises(ConfigError, match="'-5' is no number of thinking tokens"):
        budgets_override("8, -5", text)


def test_form_shows_budgets_that_are_limits_alone() -> None:
    assert typed_budgets(DEMO) == "8, 16, 24, 32, 64"
    assert typed_budgets("budgets: [{max_thinking: 8, max_answer: 4}, {max_answer: 4}]") == "8, none"
    assert typed_budgets("budgets: [{max_thinking: 8}, {max_thinking: 8, num_waits: 1}]") == ""
    assert typed_budgets("") == ""


@pytest.mark.parametrize(
    ("model", "budgets", "changes", "message"),
    [
        ("", "8, 8", {}, "the same budget twice"),
        ("", "", {"samples": "4"}, "raise the temperature"),
        ("", "", {"data.limit": "many"}, "data.limit"),
        ("$(reboot)", "", {"samples": "x"}, "samples"),
    ],
)
def test_refusals_are_the_command_lines(
    folder: Folder, model: str, budgets: str, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(MullError) as refused:
        evaluation(folder, model, "demo.yaml", DEMO, budgets, "", changes, "eval/x")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("recipe", recipes("eval"))
def test_every_recipe_makes_a_form(recipe: str) -> None:
    text = recipe_text("eval", recipe)
    typed = typed_budgets(text)
    if typed:
        config = load_recipe("eval", recipe)
        again = load_recipe("eval", recipe, [f"budgets={budgets_override(typed, text)}"])
        assert again.budgets == config.budgets


def test_name_is_of_no_run_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "eval" / "demo-1").mkdir(parents=True)
    assert unused_name(Folder(tmp_path), "eval/demo") == "eval/demo-2"
