"""A promise is about one model, and other questions say whether it is kept."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.budget_file import read_budget_file
from configs.errors import ConfigError
from configs.recipe import validate
from configs.sample import Sample
from configs.schema.evaluation import EvalConfig
from configs.schema.promise import Promise
from data.problem import Problem
from data.think_format import DEEPSEEK, S1
from evaluation.calibrate import calibrate
from evaluation.calibration import look_at_promise
from evaluation.evaluate import evaluate
from evaluation.promise import check_other_questions, check_promise, under_budget_file
from evaluation.results import Point
from tests.evaluation.swept_run import VERDICTS, swept_run
from tests.tiny import tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A promise about the embedded model, greedy, proven on 400 questions."""
    run = swept_run(tmp_path_factory.mktemp("run") / "run", {None: "1" * 400, 64: "1" * 400})
    return Path(calibrate(run)["file"])


def promise_in(file: Path) -> Promise:
    promise = read_budget_file(file).promise
    assert promise is not None
    return promise


def recipe(**changes: Any) -> EvalConfig:
    values = {
        "model": {"name": "smollm2-135m"},
        "data": {"source": "arithmetic", "limit": 5},
        "budgets": [{"max_thinking": 7}],
        "output_dir": "/nowhere",
    }
    config: EvalConfig = validate("eval", values | changes, "recipe.yaml")
    return config


def test_recipe_gets_the_longest_and_the_promised_budget(file: Path) -> None:
    config, promise = under_budget_file(recipe(), str(file))
    assert promise is not None
    assert [(one.max_thinking, one.max_answer) for one in config.budgets] == [(None, 16), (64, 16)]


def test_budget_without_promise_stands_alone(tmp_path: Path) -> None:
    plain = tmp_path / "plain.yaml"
    plain.write_text("budget: {max_thinking: 9}\n")
    config, promise = under_budget_file(recipe(think_format="deepseek"), str(plain))
    assert promise is None
    assert [one.max_thinking for one in config.budgets] == [9]
    with pytest.raises(ConfigError, match="think_format none has no thinking to limit"):
        under_budget_file(recipe(think_format="none", budgets=[{}]), str(plain))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"name": "someone/else"}}, "about the model smollm2-135m, and this is someone/else"),
        ({"model": {"name": "smollm2-135m", "adapter": "me/lora"}}, "about no adapter, and this is me/lora"),
        ({"think_format": "xml"}, "about think format s1, and this is xml"),
        ({"sampling": {"temperature": 0.7}}, "about temperature 0, and this is 0.7"),
        ({"instruction": "Be short."}, "about the instruction '', and this is 'Be short.'"),
    ],
)
def test_promise_about_something_else_is_refused(file: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=rf"--budget .*budget\.yaml: its promise is {words}; calibrate this one, or"):
        under_budget_file(recipe(**changes), str(file))


def test_answers_of_another_tool_have_no_budget(file: Path) -> None:
    with pytest.raises(ConfigError, match="`answers` are another tool's"):
        under_budget_file(recipe(answers="a.jsonl"), str(file))


def test_adapter_counts_by_its_weights(file: Path, tmp_path: Path) -> None:
    promise = promise_in(file)
    weights = tmp_path / "adapter_model.safetensors"
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        with pytest.raises(ConfigError, match=r"about no adapter, and this is .* \([0-9a-f]{16}\);"):
            check_promise(promise, "x", "smollm2-135m", str(tmp_path), S1)
    check_promise(promise, "x", "smollm2-135m", None, S1)


def test_folder_of_a_model_has_many_names(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    promise = promise_in(file)
    promise = promise.model_copy(update={"model": promise.model.model_copy(update={"name": str(tmp_path / "model")})})
    monkeypatch.chdir(tmp_path)
    check_promise(promise, "x", "./model", None, S1)
    with pytest.raises(ConfigError, match="think format s1, and this is deepseek"):
        check_promise(promise, "x", "model", None, DEEPSEEK)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("budget: {max_thinkin: 9}", r"budget\.max_thinkin: unknown key; did you mean 'max_thinking'"),
        ("budget: {max_thinking: -9}", r"budget\.max_thinking: "),
        ("[1, 2]", "valid dictionary"),
        ("budget: [", "can't be read: "),
        ("promise: {}", "budget: missing"),
    ],
)
def test_broken_budget_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    broken = tmp_path / "budget.yaml"
    broken.write_text(text)
    with pytest.raises(ConfigError, match=words) as error:
        read_budget_file(broken)
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match=r"--budget .*nowhere.yaml: no such file; `mull calibrate RUN` writes one"):
        read_budget_file(tmp_path / "nowhere.yaml")


def test_same_questions_say_nothing_new(file: Path) -> None:
    problems = [Problem(f"q{at}", "?", "7", "test") for at in range(400)]
    with pytest.raises(ConfigError, match="these are the very questions that its promise was proven on"):
        check_other_questions(promise_in(file), problems)
    check_other_questions(promise_in(file), problems[1:])


def points(longest: str, cheaper: str) -> Sequence[Point]:
    """Verdicts of one sample a question, under 1,000 and under 250 tokens."""
    return [
        Point(
            str(tokens),
            {},
            [Sample(id=f"q{at}", score=VERDICTS[c], thinking_tokens=tokens) for at, c in enumerate(verdicts)],
        )
        for tokens, verdicts in ((1000, longest), (250, cheaper))
    ]


@pytest.mark.parametrize(
    ("longest", "cheaper", "verdict"),
    [
        ("1" * 500, "1" * 500, "The promise is kept, and proven again: at most 1 point"),
        ("1" * 50, "1" * 50, "The promise is kept, by too few to prove it again: at most 1 point"),
        ("1" * 50, "1" * 49 + "0", "More is lost than promised, by no more than chance may do: at most 1 point"),
        ("1" * 50, "1" * 40 + "?" * 10, "The promise is broken: at most 1 point"),
        ("??", "??", "No answer was graded"),
    ],
)
def test_other_questions_judge_the_promise(file: Path, longest: str, cheaper: str, verdict: str) -> None:
    found = look_at_promise(promise_in(file), points(longest, cheaper))
    assert found["verdict"].startswith(verdict)
    if found["questions"]:
        assert found["loss"]["low"] <= found["loss"]["value"] <= found["loss"]["high"]
        assert found["thinking_tokens_saved"] == 0.75


def test_refusal_imports_nothing_heavy(file: Path) -> None:
    code = (
        "import sys\nfrom evaluation.evaluate import main\nfrom configs.errors import ConfigError\n"
        f"try:\n    main(['--config', 'demo.yaml', '--budget', {str(file)!r}, 'model.name=a/b'])\n"
        "except ConfigError as error:\n    print('its promise is about' in str(error))\n"
        "    print(sorted({'torch', 'transformers', 'numpy', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True", "[]"]


@pytest.mark.engine
def test_evaluation_says_whether_the_promise_is_kept(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tiny_model(tmp_path / "model"))
    values = yaml.safe_load(file.read_text())
    values["promise"]["model"]["name"] = model
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(values))
    held = {"name": model, "precision": "fp32", "max_length": 512}
    config = recipe(model=held, output_dir=str(tmp_path / "out"))
    results = evaluate(config, budget=str(own))
    assert results is not None
    assert [point["budget"]["max_thinking"] for point in results["points"]] == [None, 64]
    assert results["promise"]["questions"] == 5
    assert results["promise"] == json.loads((tmp_path / "out" / "promise.json").read_text())
    assert results["promise"]["verdict"] in capsys.readouterr().out
