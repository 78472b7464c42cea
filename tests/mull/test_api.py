"""The public API: twenty-three names, each at hand when it is first used, strings where a config would do."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import mull
from configs.schema.sections import DataConfig

ROOT = Path(__file__).parents[2]

NAMES = [
    "Budget", "Generation", "MullError", "Problem", "Request", "Rollout", "ThinkFormat", "Trace", "Verdict",
    "attack_rewards", "build_rewards", "calibrate", "curate", "evaluate", "export", "grade", "load_engine",
    "load_model", "load_problems", "load_recipe", "self_improve", "train_grpo", "train_sft",
]  # fmt: skip


def test_exported_members() -> None:
    assert mull.__all__ == NAMES
    assert dir(mull) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there(name: str) -> None:
    member = getattr(mull, name)
    assert member.__doc__
    assert getattr(importlib.import_module(member.__module__), name) is member


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(AttributeError, match="it has Budget, Generation"):
        mull.load_modle  # noqa: B018


def test_importing_mull_imports_nothing_heavy() -> None:
    code = "import sys, mull; print({'torch', 'transformers', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_strings_stand_for_configs() -> None:
    problems = mull.load_problems("arithmetic")
    assert problems == mull.load_problems(DataConfig(source="arithmetic"))
    recipe = mull.load_recipe("grpo", "demo")
    assert mull.load_recipe("grpo", recipe) is recipe
    assert mull.build_rewards(["correctness"]).names == ["correctness"]


def test_a_completion_is_graded() -> None:
    problem = mull.Problem(id="1", question="6 · 3?", answer="18", source="test")
    right, wrong, cut = mull.grade([problem] * 3, ["so </think> 18", "so </think> 19", "18, but"], "deepseek")
    assert (right.score, wrong.score, cut.score) == (1.0, 0.0, 0.0)


def test_a_file_is_a_source(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"question": "6 · 3?", "answer": "18"}\n')
    assert [problem.answer for problem in mull.load_problems(str(file))] == ["18"]
