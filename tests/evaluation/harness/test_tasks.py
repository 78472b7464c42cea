"""Names of tasks → tasks of the harness, and what is refused before a model is loaded."""

import sys
from pathlib import Path

import pytest

from configs.errors import ConfigError, DataError, EngineError, MullError
from data.hub_rows import cache_alone
from data.think_format import NONE, S1
from evaluation import evaluate
from evaluation.harness.tasks import check_askable, load_tasks
from tests.evaluation.harness.local_tasks import CHOICE, SUMS, recipe, write_task, write_tasks

pytest.importorskip("lm_eval")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("harness") / "tasks")


def test_local_tasks_have_the_recipes_examples(folder: Path) -> None:
    tasks = load_tasks(recipe(folder, ["choice", "sums"], num_fewshot=2).harness)
    assert tasks.asked_as == {"choice": "choice", "sums": "sums"}
    assert [task.get_config("num_fewshot") for task in tasks.tasks.values()] == [2, 2]


def test_task_that_says_zero_examples_keeps_it(folder: Path, tmp_path: Path) -> None:
    write_task(tmp_path, "bare", CHOICE | {"num_fewshot": 0}, folder / "rows.jsonl")
    tasks = load_tasks(recipe(tmp_path, ["bare"], num_fewshot=2).harness)
    assert tasks.tasks["bare"].get_config("num_fewshot") == 0


def test_group_is_asked_by_its_name(folder: Path) -> None:
    tasks = load_tasks(recipe(folder, ["choices", "te?t"]).harness)
    assert tasks.asked_as == {"choice": "choices", "choice_again": "choices", "text": "text"}
    assert list(tasks.groups) == ["choices"]


def test_unknown_task_names_the_nearest(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no task, group or tag 'mmul'; did you mean 'mmlu'\?"):
        load_tasks(recipe(folder, ["mmul"]).harness)


def test_unknown_task_lists_the_users_own(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"tasks has choice, choice_again, choices, sums, text"):
        load_tasks(recipe(folder, ["zzzzzzzz-*"]).harness)


def test_task_of_the_hub_offline_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path, "far", CHOICE | {"dataset_path": "nobody/nothing-of-that-name"}, tmp_path / "none.jsonl")
    with cache_alone(), pytest.raises(DataError, match="not in the hub's cache, and the hub can't be reached"):
        load_tasks(recipe(tmp_path, ["far"]).harness)


def test_missing_local_file_is_one_line(tmp_path: Path) -> None:
    write_task(tmp_path, "lost", CHOICE, tmp_path / "none.jsonl")
    with pytest.raises(DataError, match=r"lost can't be loaded \(FileNotFoundError: .*none\.jsonl"):
        load_tasks(recipe(tmp_path, ["lost"]).harness)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (CHOICE, EngineError, "asks for log-likelihoods, .* and vllm runs it elsewhere; set engine.name=transformers"),
        (SUMS | {"generation_kwargs": {"num_beams": 4}}, EngineError, r"generation_kwargs\.num_beams: 4: our engines"),
        (SUMS | {"gen_prefix": "The answer is"}, ConfigError, "begins the answer itself .* set think_format=none"),
        (SUMS | {"unsafe_code": True}, ConfigError, "runs code that the model wrote"),
    ],
)
def test_task_that_cannot_be_asked_is_refused(
    folder: Path, tmp_path: Path, body: dict[str, object], kind: type[MullError], message: str
) -> None:
    write_task(tmp_path, "odd", body, folder / "rows.jsonl")
    tasks = load_tasks(recipe(tmp_path, ["odd"]).harness)
    with pytest.raises(kind, match=f"harness.tasks: odd .*{message}|harness.tasks: odd: {message}"):
        check_askable(tasks, S1, "vllm")


@pytest.mark.parametrize(("shots", "fits"), [(7, True), (8, False)])
def test_examples_are_counted_without_the_document_asked(folder: Path, shots: int, fits: bool) -> None:
    tasks = load_tasks(recipe(folder, ["sums"], num_fewshot=shots).harness)
    if fits:
        return check_askable(tasks, NONE, "transformers")
    with pytest.raises(ConfigError, match=r"sums has 7 examples to show, not 8; lower harness\.num_fewshot"):
        check_askable(tasks, NONE, "transformers")


def test_task_by_its_file_names_the_folder(folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"set harness.include_path={folder}, and name it as its `task:` says"):
        load_tasks(recipe(folder, [str(folder / "sums.yaml")]).harness)


def test_tasks_of_every_kind_can_be_asked(folder: Path) -> None:
    check_askable(load_tasks(recipe(folder, ["choice", "sums", "text"]).harness), NONE, "transformers")


def command(*overrides: str) -> int:
    return evaluate.main(["--config", "harness.yaml", *overrides])


def test_missing_harness_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(ConfigError, match=r"run `pip install 'mull-reasoning\[harness\]'`"):
        command()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["harness.include_path=/nowhere"], "harness.include_path: /nowhere is no folder"),
        (["harness.tasks=[]"], r"harness\.tasks"),
        (["harness.taks=[mmlu]"], "did you mean 'tasks'"),
        (["data.limit=3"], "data: unknown key; known here: model, .*, harness"),
        (["think_format=s1"], "think_format: .* set harness.apply_chat_template=true"),
        (["budget.max_thinking=8"], "budget: think_format none has no thinking to limit"),
        (["--compare", "base"], "mull compare RUN_A RUN_B"),
    ],
)
def test_wrong_recipe_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        command(*overrides)
