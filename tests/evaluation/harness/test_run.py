"""A whole evaluation by the harness's tasks, and its agreement with the harness's own backend for Transformers."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs.errors import RunError
from configs.run_directory import read_jsonl
from evaluation import compare
from evaluation.evaluate import evaluate
from tests.evaluation.harness.local_tasks import CHOICE, recipe, rows, write_task, write_tasks
from tests.tiny import tiny_model

pytestmark = pytest.mark.engine
pytest.importorskip("lm_eval")

ALL = ["choices", "sums", "text"]
CHAT = {"apply_chat_template": True}
FULL = ["choice", "sums", "text"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("harness") / "tasks")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), seed=3, scale=2.0)


def overrides(model: Path, *further: str) -> list[str]:
    return [f"model.name={model}", "model.precision=fp32", "model.max_length=512", *further]


@pytest.mark.parametrize("harness", [{}, CHAT, {"num_fewshot": 2}, {**CHAT, "num_fewshot": 2}], ids=str)
@pytest.mark.parametrize("context", [512, 48])
def test_engine_agrees_with_the_harness_own_backend(
    folder: Path, model: Path, harness: dict[str, Any], context: int
) -> None:
    """Same prompts, same texts, same verdicts, and log-likelihoods to 1e-4; the short context cuts every prompt."""
    from lm_eval.evaluator import evaluate as ask
    from lm_eval.models.huggingface import HFLM

    from evaluation.harness.model import EngineLM
    from evaluation.harness.tasks import load_tasks
    from models.engines.select import load_engine

    config = recipe(folder, FULL, *overrides(model, f"model.max_length={context}"), **harness)
    engine = load_engine("transformers", config.model, "none")
    theirs = HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=3, max_length=context)
    for name in FULL:
        found = []
        for is_ours in (True, False):
            task = load_tasks(config.harness).tasks[name]
            lm = EngineLM(engine, config, task) if is_ours else theirs
            chat = config.harness.apply_chat_template
            found.append(ask(lm, {"tasks": {name: task}}, apply_chat_template=chat, fewshot_as_multiturn=True))
        ours, other = (one["samples"][name] for one in found)
        assert [row["arguments"] for row in ours] == [row["arguments"] for row in other]
        if name == "sums":
            assert [row["resps"] for row in ours] == [row["resps"] for row in other]
        else:
            assert numbers(ours) == pytest.approx(numbers(other), abs=1e-4)
        if name != "text":
            assert found[0]["results"][name] == found[1]["results"][name]
    engine.close()


def numbers(rows: list[dict[str, Any]]) -> list[float]:
    """The log-likelihoods of each document's requests, each with 1 or 0 for whether it is greedy where that is told."""
    scores = [answer for row in rows for [answer] in row["resps"]]
    return [float(part) for score in scores for part in (score if isinstance(score, tuple) else (score,))]


def test_results_have_intervals_and_runs_compare(folder: Path, model: Path, tmp_path: Path) -> None:
    config = recipe(folder, ALL, *overrides(model, f"output_dir={tmp_path / 'run'}"))
    results = evaluate(config)
    assert results is not None
    points = {point["label"]: point for point in results["points"]}
    assert {"choices acc", "choice acc", "choice_again acc_norm", "sums exact_match,number"} <= points.keys()
    assert points["choices acc"]["documents"] == 16
    assert points["choices acc"]["value"] == points["choice acc"]["value"]
    for point in results["points"]:
        assert point["interval"]["low"] <= point["value"] <= point["interval"]["high"], point["label"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "choice_again" in page
    paired = compare.pairs(*(compare.read_run(str(tmp_path / "run")) for _ in range(2)))
    assert {label: compare.compare_samples(label, *rows).questions for label, rows in paired.items()} == {
        "choices acc": 16,
        "choices acc_norm": 16,
        "sums exact_match,number": 8,
        "sums exact_match,whole": 8,
    }


def test_resume_keeps_finished_tasks(folder: Path, model: Path, tmp_path: Path) -> None:
    """The record of one task is lost, as in a kill: it alone is asked again, and the results are the same bytes."""
    run = tmp_path / "run"
    config = recipe(folder, ["choice", "sums"], *overrides(model, f"output_dir={run}"))
    evaluate(config)
    before = (run / "results.json").read_bytes()
    first, _ = (run / "tasks.jsonl").read_text("utf-8").splitlines()
    (run / "tasks.jsonl").write_text(first + '\n{"task": "su', "utf-8")
    evaluate(config, resume=True)
    assert (run / "results.json").read_bytes() == before
    again = list(read_jsonl(run / "tasks.jsonl"))
    assert again[0] == json.loads(first)
    assert [record["task"] for record in again] == ["choice", "sums"]
    with pytest.raises(RunError, match=r"--resume: .* 2 tasks, the first choice, were asked with another model"):
        evaluate(config, ["harness.num_fewshot=1"], resume=True)
    assert (run / "results.json").read_bytes() == before


def test_harness_sees_the_answer_without_the_thinking(folder: Path, model: Path, tmp_path: Path) -> None:
    config = recipe(
        folder,
        ["sums"],
        *overrides(model, "think_format=s1", "budget={max_thinking: 9}", f"output_dir={tmp_path / 'run'}"),
        apply_chat_template=True,
    )
    evaluate(config)
    documents = list(read_jsonl(tmp_path / "run" / "lm_eval" / "samples_sums.jsonl"))
    assert {row["arguments"]["gen_args_0"]["arg_0"].endswith("<|im_start|>think\n") for row in documents} == {True}
    assert all(row["generation"]["thinking_tokens"] <= 9 for row in documents)
    assert any(row["generation"]["thinking"] for row in documents)
    for row in documents:
        assert "<|im_start|>" not in row["resps"][0][0]
        assert "\n" not in row["resps"][0][0]  # the task's stop string, which the thinking may well hold
        assert row["generation"]["completion_tokens"] <= 9 + 12 + 8  # thinking, max_gen_toks, the forced end


def test_options_in_contexts_are_told(folder: Path, model: Path, tmp_path: Path) -> None:
    """As in winogrande: each option is a prompt of its own, and what follows is the same."""
    body = CHOICE | {"doc_to_text": "gold", "doc_to_target": " is right."}
    write_task(tmp_path, "blanks", body, folder / "rows.jsonl")
    evaluate(recipe(tmp_path, ["blanks"], *overrides(model, f"output_dir={tmp_path / 'run'}")))
    samples = compare.read_run(f"{tmp_path / 'run'}@blanks acc")["blanks acc"]
    assert [sample.gold for sample in samples] == [row["answer"] for row in rows()]
    for sample in samples:
        assert sample.is_right is (sample.extracted == sample.gold)


def test_dry_run_makes_nothing(folder: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = recipe(folder, ALL, *overrides(model, f"output_dir={tmp_path / 'run'}"), limit=3)
    assert evaluate(config, dry_run=True) is None
    assert "plan: choices: 2 tasks, 6 documents, multiple_choice, examples: 0" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
