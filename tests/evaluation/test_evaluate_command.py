"""`python -m evaluation.evaluate` and its recipes: errors at once, smokes, and a real kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError, ModelError
from configs.recipe import RECIPES, load_recipe
from configs.schema.evaluation import EvalConfig
from configs.schema.harness import HarnessEvalConfig
from evaluation import evaluate
from tests.tiny import tiny_model
from tests.vllm_env import ENVIRONMENT

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.name for path in (RECIPES / "eval").glob("*.yaml"))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "evaluation.evaluate", *arguments]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_valid(name: str) -> None:
    config = load_recipe("eval", name)
    assert config.output_dir == f"outputs/eval/{Path(name).stem}"
    assert (RECIPES / "eval" / name).read_text("utf-8").startswith("# ")


def test_shipped_recipes_cover_the_benchmarks() -> None:
    configs = [load_recipe("eval", name) for name in SHIPPED]
    sources = {config.data.source for config in configs if isinstance(config, EvalConfig)}
    assert {"aime24", "aime25", "aime26", "gpqa_diamond", "math500", "gsm8k", "arithmetic"} <= sources
    tasks = [config.harness.tasks for config in configs if isinstance(config, HarnessEvalConfig)]
    assert tasks == [["mmlu", "ceval-valid", "cmmlu"]]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sampels=3", "did you mean 'samples'"),
        ("budgets=[{max_thinking: -1}]", r"budgets\.0\.max_thinking"),
        ("budgets=[{max_thinking: 4, min_thinking: 8}]", "min_thinking 8 is above max_thinking 4"),
        ("budgets=[]", "budgets"),
        ("samples=0", "samples"),
        ("think_format=s2", "think_format"),
    ],
)
def test_wrong_key_or_value_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate.main(["--config", "demo.yaml", override])


def test_missing_adapter_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        evaluate.main(
            ["--config", "demo.yaml", f"model.adapter={tmp_path / 'nowhere'}", f"output_dir={tmp_path / 'run'}"]
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("golds", "code"), [(["1", "\\frac{1}{"], 3), (["1", "2"], 0)])
def test_exit_code_says_that_too_few_are_graded(tmp_path: Path, golds: list[str], code: int) -> None:
    rows = [{"id": str(at), "question": "?", "answer": gold} for at, gold in enumerate(golds)]
    answers = [{"id": str(at), "response": "The answer is 1."} for at in range(2)]
    for name, written in (("data", rows), ("answers", answers)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    data = f"data={{source: file, path: {tmp_path / 'data.jsonl'}}}"
    overrides = [data, f"answers={tmp_path / 'answers.jsonl'}", f"output_dir={tmp_path / 'run'}"]
    assert evaluate.main(["--config", "demo.yaml", *overrides]) == code


@pytest.mark.parametrize("wrong", [("demo.yaml", "sampels=3"), ("harness.yaml", "harness.include_path=/nowhere")])
def test_config_error_imports_nothing_heavy(wrong: tuple[str, str]) -> None:
    code = (
        "import sys\nfrom evaluation.evaluate import main\nfrom configs.errors import ConfigError\n"
        f"try:\n    main(['--config', *{wrong}])\nexcept ConfigError:\n"
        "    heavy = {'torch', 'transformers', 'scipy', 'numpy', 'matplotlib', 'math_verify', 'lm_eval'}\n"
        "    heavy |= {'rewards.grading.math_equivalence'}\n"
        "    print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.recipe
def test_user_error_is_one_line() -> None:
    done = subprocess.run(command("--config", "demos.yaml"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "did you mean 'demo.yaml'?" in done.stderr


@pytest.mark.recipe
@pytest.mark.parametrize("name", ["demo.yaml", "reasoning_gym.yaml"])
def test_cpu_recipes_run_through_python_m(name: str, tmp_path: Path) -> None:
    arguments = ["--config", name, "data.limit=3", f"output_dir={tmp_path / 'run'}", "--lm-eval"]
    done = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text("utf-8"))
    assert [point["samples"] for point in results["points"]] == [3] * len(results["points"])
    assert "report:" in done.stdout


@pytest.mark.engine
def test_vllm_and_transformers_agree_greedily(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    model = tiny_model(tmp_path / "model", seed=3, scale=2.0, vocabulary=320)
    data = tmp_path / "problems.jsonl"
    rows = ({"id": f"p{i}", "question": f"{i} + {i}?", "answer": str(2 * i)} for i in range(12))
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = []
    for engine in ("transformers", "vllm"):
        arguments = command(
            "--config", "demo.yaml", f"model.name={model}", "model.precision=fp32", f"engine.name={engine}",
            "data={source: file, path: " + str(data) + "}", f"output_dir={tmp_path / engine}",
            "budgets=[{max_thinking: 12, max_answer: 8}, {max_thinking: 40, num_waits: 2, max_answer: 8}]",
        )  # fmt: skip
        subprocess.run(arguments, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, check=True, capture_output=True)
        lines = (tmp_path / engine / "samples.jsonl").read_text("utf-8").splitlines()
        kept = ("point", "id", "text", "forced", "stop", "thinking_tokens", "score")
        found.append(sorted([row[name] for name in kept] for row in map(json.loads, lines)))
    assert len(found[0]) == 24
    assert found[0] == found[1]


@pytest.mark.recipe
def test_killed_run_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", seed=3, scale=2.0)
    data = tmp_path / "problems.jsonl"
    rows = ({"id": f"p{i}", "question": f"{i} + {i}?", "answer": str(2 * i)} for i in range(64))
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    recipe = {
        "model": {"name": str(model), "backend": "transformers", "precision": "fp32", "max_length": 1024},
        "engine": {"name": "transformers", "batch_size": 8},
        "data": {"source": "file", "path": str(data)},
        "budgets": [{"max_thinking": 16, "max_answer": 8}, {"max_thinking": 160, "num_waits": 9, "max_answer": 8}],
        "sampling": {"temperature": 1.0},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    folders = {name: tmp_path / name for name in ("killed", "whole")}
    starts = {
        name: command("--config", str(tmp_path / "recipe.yaml"), f"output_dir={folder}")
        for name, folder in folders.items()
    }
    samples = folders["killed"] / "samples.jsonl"
    with subprocess.Popen(starts["killed"], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while not samples.exists() or len(samples.read_bytes().splitlines()) < 70:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (folders["killed"] / "results.json").exists()
    subprocess.run([*starts["killed"], "--resume"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(starts["whole"], cwd=ROOT, check=True, capture_output=True)
    first, second = ((folder / "results.json").read_bytes() for folder in folders.values())
    assert first == second
