"""Which benchmarks a model can have seen, by the names and months of both."""

from pathlib import Path

import pytest

from evaluation.benchmark_age import older_than_model, release_of
from evaluation.evaluate import evaluate


@pytest.mark.parametrize(
    ("model", "month"),
    [
        ("smollm2-135m", "2024-11"),
        ("HuggingFaceTB/SmolLM-135M", "2024-07"),
        ("Qwen/Qwen2.5-Math-1.5B", "2024-09"),
        ("Qwen/Qwen2-1.5B", "2024-06"),
        ("Qwen/Qwen3-4B-Instruct-2507", "2025-07"),
        ("/models/Qwen3-8B", "2025-04"),
        ("models/Qwen2.5-1.5B-Instruct-Q4_K_M.gguf", "2024-09"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "2025-01"),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "2025-05"),
        ("meta-llama/Meta-Llama-3-8B", "2024-04"),
        ("meta-llama/Llama-3.2-1B-Instruct", "2024-09"),
        ("simplescaling/s1.1-7B", "2025-02"),
        ("google/gemma-7b-it", "2024-02"),
        ("microsoft/Phi-3.5-mini-instruct", "2024-08"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "2024-05"),
        ("mistralai/Mistral-7B-v0.1", "2023-09"),
    ],
)
def test_family_gives_the_month(model: str, month: str) -> None:
    assert release_of(model) == month


@pytest.mark.parametrize(
    "model", ["Qwen/Qwen3.5-4B", "google/gemma-40b", "meta-llama/Llama-30-8B", "me/my-model", "Qwen3-8B/merged", ""]
)
def test_unknown_model_has_no_month(model: str) -> None:
    assert release_of(model) is None


def test_older_benchmark_is_said() -> None:
    assert older_than_model("aime24", "Qwen/Qwen2.5-7B-Instruct") == (
        "aime24 was published in 2024-02, Qwen2.5-7B-Instruct in 2024-09: its questions may be in the training data"
    )


@pytest.mark.parametrize(
    ("source", "model"),
    [
        ("aime26", "Qwen/Qwen2.5-7B-Instruct"),  # younger
        ("aime25", "simplescaling/s1.1-7B"),  # of the same month
        ("gsm8k", "me/my-model"),  # unknown model
        ("file", "Qwen/Qwen2.5-7B-Instruct"),  # no benchmark
    ],
)
def test_nothing_is_said_otherwise(source: str, model: str) -> None:
    assert older_than_model(source, model) is None


def test_screen_and_report_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "aime24.jsonl").write_text('{"id": 1, "problem": "What is 2 + 3?", "answer": "005"}\n', "utf-8")
    (tmp_path / "answers.jsonl").write_text('{"id": "1", "response": "The answer is 5."}\n', "utf-8")
    data = f"data={{source: aime24, path: {tmp_path / 'aime24.jsonl'}}}"
    changes = [data, f"answers={tmp_path / 'answers.jsonl'}", "budgets=[{}]", f"output_dir={tmp_path / 'run'}"]
    evaluate("demo.yaml", changes)
    said = "aime24 was published in 2024-02, smollm2-135m in 2024-11: its questions may be in the training data"
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "run" / "report.html").read_text("utf-8")
