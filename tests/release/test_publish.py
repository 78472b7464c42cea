"""`release.publish`: what it refuses, what its card says, and the whole way to the stand-in hub and back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.errors import ConfigError
from configs.gate_report import Check, GateReport
from configs.schema.publish import PublishConfig
from evaluation.calibrate import calibrate
from release.card import model_card
from release.folder import check_publishable, clear, is_export_of
from release.formats import write_exports
from tests.evaluation.swept_run import swept_run
from tests.release.hub import TOKEN, Repo, serving
from tests.tiny_run import tiny_base, tiny_run, write_config
from training.finished_run import open_run

ROOT = Path(__file__).parents[2]
BASE = "org/tiny-base"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("publish")
    run = tiny_run(folder / "tiny-run", tiny_base(folder / "base"))
    greedy = {"value": 0.4, "low": 0.28, "high": 0.54, "n": 50}
    (run / "summary.json").write_text(json.dumps({"greedy_after": greedy}))
    return run


def recipe(run: Path, **fields: Any) -> PublishConfig:
    return PublishConfig(run=str(run), base_model=BASE, output_dir=str(run.parent / "out"), **fields)


def evaluation(folder: Path, run: Path) -> Path:
    """An evaluation's folder with one point, of the run's adapter."""
    from evaluation.plan import adapter_hash

    point = {
        "label": "≤64",
        "budget": {"max_thinking": 64, "num_waits": 1, "wait_text": "Wait", "max_answer": 16},
        "questions": 200,
        "samples": 200,
        "accuracy": {"value": 0.39, "low": 0.325, "high": 0.459, "n": 200},
        "accuracy_bounds": None,
        "shares": {"ungraded": 0.0},
    }
    results = {
        "benchmark": {"source": "arithmetic", "problems": 200, "hash": "x"},
        "model": {"name": "base", "adapter": adapter_hash(str(run / "adapter")), "answers": None},
        "think_format": "s1",
        "sampling": {"temperature": 0.0},
        "seed": 42,
        "points": [point],
    }
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "scaling.png").write_bytes(b"a picture")
    return folder


def curation(folder: Path) -> Path:
    folder.mkdir()
    manifest = {
        "inputs": [{"path": "/somewhere/private/s1k.jsonl", "sha256": "ab" * 32, "rows": 1000}],
        "stages": [{"name": "decontaminate", "removed": 3, "reasons": {"contaminated by math500": 3}}],
        "outputs": {"train.jsonl": {"rows": 997, "sha256": "cd" * 32}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def report() -> GateReport:
    check = Check(export="adapter", name="top1", figure=1.0, bound=">= 0.99", passed=True)
    return GateReport(passed=True, checks=[check], prompts=16, problems=50, seconds=1.0, files={})


def test_card_shows_training_evaluation_and_gate(run: Path, tmp_path: Path) -> None:
    config = recipe(
        run,
        exports=["adapter", "gguf:q8_0"],
        evaluations=[str(evaluation(tmp_path / "eval", run))],
        curation=str(curation(tmp_path / "curation")),
        data_license="mit",
        tags=["maths"],
        limits="Small sums alone.",
    )
    check_publishable(open_run(run), config)
    card = model_card(open_run(run), config, "me/model", report(), BASE, "apache-2.0")
    data: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    assert (data["base_model"], data["license"], data["library_name"]) == (BASE, "apache-2.0", "peft")
    assert {"maths", "sft", "think-format-s1"} <= set(data["tags"])
    metrics = [metric for result in data["model-index"][0]["results"] for metric in result["metrics"]]
    values = {metric["name"]: (metric["value"], metric["args"]["interval_95"]) for metric in metrics}
    assert values == {"accuracy, greedy": (0.4, [0.28, 0.54]), "accuracy, ≤64": (0.39, [0.325, 0.459])}
    assert metrics[1]["args"]["budget"]["num_waits"] == 1
    for said in ("200 problems", "scaling.png", "ab" * 32, "contaminated by math500: 3", "Small sums alone.", "mit",
                 "| adapter | top1 | 1.0 | >= 0.99 |", "model-q8_0.gguf", "max_thinking 64"):  # fmt: skip
        assert said in card.content, said
    assert str(run.parent) not in card.content
    assert "/somewhere" not in card.content


def test_card_says_what_chose_the_weights(run: Path, tmp_path: Path) -> None:
    watched = tmp_path / "tiny-run"
    shutil.copytree(run, watched)
    figure = {"value": 0.4, "low": 0.28, "high": 0.54, "n": 50}
    summary = {"greedy_after": figure, "greedy_unwatched": figure | {"n": 20}, "best_step": 40, "watched": 30}
    (watched / "summary.json").write_text(json.dumps(summary))
    text = model_card(open_run(watched), recipe(watched), "me/model", report(), BASE, "apache-2.0").content
    assert "never trained on; 30 of them chose these weights, so it is optimistic |" in text
    assert "| 20 | accuracy, greedy; at most 12 tokens, held-out problems, never trained on; none of them chose" in text


def test_card_says_what_could_not_be_graded(run: Path, tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "eval", run)
    results = json.loads((folder / "results.json").read_text())
    results["points"][0] |= {"shares": {"ungraded": 0.95}, "accuracy_bounds": {"low": 0.05, "high": 1.0}}
    (folder / "results.json").write_text(json.dumps(results))
    card = model_card(open_run(run), recipe(run, evaluations=[str(folder)]), "me/model", report(), BASE, "mit")
    assert "95.0% could not be graded: with them from 5.0% to 100.0%" in card.content


def test_card_says_that_a_benchmark_is_older_than_the_base(run: Path, tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "eval", run)
    results = json.loads((folder / "results.json").read_text())
    results["benchmark"]["source"] = "aime24"
    (folder / "results.json").write_text(json.dumps(results))
    asked = open_run(run), recipe(run, evaluations=[str(folder)]), "me/model", report()
    said = "aime24 was published in 2024-02, Qwen2.5-1.5B in 2024-09: its questions may be in the training data."
    assert said in model_card(*asked, "Qwen/Qwen2.5-1.5B", "mit").content
    assert "may be in the training data" not in model_card(*asked, "me/base", "mit").content


def test_card_has_the_harness_benchmarks(run: Path, tmp_path: Path) -> None:
    """What the recipe asked for, not each task of a group, and no figure that is none."""
    folder = evaluation(tmp_path / "eval", run)
    interval = {"value": 0.31234, "low": 0.2, "high": 0.4, "n": 50}
    point: dict[str, Any] = {
        "task": "mmlu",
        "metric": "acc",
        "label": "mmlu acc",
        "value": 0.31234,
        "interval": interval,
    }
    point |= {"shots": None, "documents": 50, "is_summary": True}
    others: list[dict[str, Any]] = [
        {"label": "mmlu_law acc", "is_summary": False},
        {"label": "ppl", "value": None, "is_summary": True},
    ]
    results = json.loads((folder / "results.json").read_text()) | {
        "benchmark": {"source": "lm-eval 0.4.13"},
        "harness": {"num_fewshot": 5, "apply_chat_template": False},
        "points": [point, *(point | other for other in others)],
    }
    (folder / "results.json").write_text(json.dumps(results))
    card = model_card(open_run(run), recipe(run, evaluations=[str(folder)]), "me/model", report(), BASE, "mit")
    data: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    [found] = [result for result in data["model-index"][0]["results"] if result["dataset"]["type"] == "mmlu"]
    [metric] = found["metrics"]
    assert (metric["name"], metric["value"]) == ("mmlu acc", 0.3123)
    assert metric["args"]["interval_95"] == [0.2, 0.4]
    assert metric["args"]["protocol"].startswith("lm-eval 0.4.13, 5 examples, 50 documents, plain text")


def test_card_has_the_metrics_of_a_domain_task(run: Path, tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "eval", run)
    results = json.loads((folder / "results.json").read_text())
    figure = {"value": 0.31, "low": 0.2, "high": 0.4, "n": 50, "about": "rouge-score", "is_share": True}
    results["points"][0]["metrics"] = {"rougeL": figure}
    (folder / "results.json").write_text(json.dumps(results))
    copy = shutil.copytree(run, tmp_path / "run")
    summary = json.loads((copy / "summary.json").read_text()) | {"measured": "mean rougeL"}
    (copy / "summary.json").write_text(json.dumps(summary))
    card = model_card(open_run(copy), recipe(copy, evaluations=[str(folder)]), "me/model", report(), BASE, "mit")
    data: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    metrics = [metric for result in data["model-index"][0]["results"] for metric in result["metrics"]]
    values = {metric["name"]: metric["value"] for metric in metrics}
    assert values == {"mean rougeL, greedy": 0.4, "accuracy, ≤64": 0.39, "rougeL, ≤64": 0.31}
    assert "supervised fine-tuning on reasoning traces" in card.content


@pytest.mark.parametrize("text", ["a first try", "so " * 100])
def test_card_recipe_hides_hub_settings(run: Path, tmp_path: Path, text: str) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    write_config(copy, run.parent / "base", trainer={"run_name": text, "hub_model_id": "me/elsewhere"})
    card = model_card(open_run(copy), recipe(copy), "me/model", report(), BASE, "apache-2.0")
    shown = yaml.safe_load(card.content.split("```yaml\n")[1].split("```")[0])
    assert shown["trainer"] == {"run_name": text}


def promised(folder: Path, run: Path, model: str | None = None) -> Path:
    """A calibrated sweep of the run's model; the folder has `budget.yaml`."""
    name, adapter = open_run(run).weights
    sweep = {None: "1" * 400, 64: "1" * 399 + "0"}
    calibrate(swept_run(folder, sweep, model={"name": model or name, "adapter": adapter}), loss=2)
    return folder


def test_card_has_the_promise_and_its_assumption(run: Path, tmp_path: Path) -> None:
    folder = promised(tmp_path / "eval", run)
    for config in (recipe(run, evaluations=[str(folder)]), recipe(run, budget=str(folder / "budget.yaml"))):
        check_publishable(open_run(run), config)
        card = model_card(open_run(run), config, "me/model", report(), BASE, "mit")
        for said in ("it loses at most 2 points of accuracy against the longest budget (no limit), proven with 0.95",
                     "assumes that the questions to come are exchangeable with these 400", "max_thinking: 64",
                     "93.6% of the thinking tokens saved", "temperature 0"):  # fmt: skip
            assert said in card.content, said
        assert str(run.parent) not in card.content
    assert "A budget with a promise" not in model_card(open_run(run), recipe(run), "m", report(), BASE, "mit").content


def test_promise_of_another_model_is_refused(run: Path, tmp_path: Path) -> None:
    folder = promised(tmp_path / "eval", run, model="another/model")
    with pytest.raises(ConfigError, match=r"budget: .* is about the model another/model"):
        check_publishable(open_run(run), recipe(run, budget=str(folder / "budget.yaml")))
    (folder / "budget.yaml").write_text("budget: {max_thinking: 9}\n")
    with pytest.raises(ConfigError, match="holds no promise for the card"):
        check_publishable(open_run(run), recipe(run, evaluations=[str(folder)]))
    with pytest.raises(ConfigError, match=r"budget: /nowhere\.yaml: no such file"):
        check_publishable(open_run(run), recipe(run, budget="/nowhere.yaml"))


def test_results_of_another_model_are_refused(run: Path, tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "eval", run)
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {"model": results["model"] | {"adapter": "another"}}))
    with pytest.raises(ConfigError, match=r"evaluations\.0: .* evaluated another model"):
        check_publishable(open_run(run), recipe(run, evaluations=[str(folder)]))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base_model": None}, "base_model: missing; .* is a folder of this machine"),
        ({"evaluations": ["/nowhere"]}, "/nowhere holds no results.json"),
        ({"curation": "/nowhere"}, "/nowhere holds no manifest.json"),
    ],
)
def test_incomplete_card_is_refused(run: Path, fields: dict[str, Any], words: str) -> None:
    config = recipe(run).model_copy(update=fields)
    with pytest.raises(ConfigError, match=words):
        check_publishable(open_run(run), config)


def test_unknown_licence_is_refused(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    (base / "README.md").unlink()
    run = tiny_run(tmp_path / "run", base)
    with pytest.raises(ConfigError, match="license: missing"):
        check_publishable(open_run(run), recipe(run))
    check_publishable(open_run(run), recipe(run, license="apache-2.0"))


@pytest.mark.parametrize("name", ["exports", "repository"])
def test_foreign_folder_is_not_cleared(run: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "README.md").write_text("theirs")
    config = recipe(run).model_copy(update={"output_dir": str(tmp_path)})
    words = rf"output_dir: .*{name} is in use by something else"
    with pytest.raises(ConfigError, match=words):
        check_publishable(open_run(run), config)
    with pytest.raises(ConfigError, match=words):
        clear(tmp_path / name)
    assert (tmp_path / name / "README.md").read_text() == "theirs"


def test_exports_belong_to_one_run(run: Path, tmp_path: Path) -> None:
    out = write_exports(run, ["adapter"], tmp_path / "exports")
    assert is_export_of(out, open_run(run), ["adapter"])
    assert not is_export_of(out, open_run(run), ["adapter", "merged16"])

    moved = shutil.copytree(run, tmp_path / "moved")
    assert is_export_of(out, open_run(moved), ["adapter"])
    write_config(moved, run.parent / "base", think_format="xml")
    assert not is_export_of(out, open_run(moved), ["adapter"])

    another = tiny_run(tmp_path / "another", run.parent / "base", strength=0.1)
    shutil.copy(run / "config.yaml", another)
    for file in another.rglob("*"):
        os.utime(file, (0, 0))  # older than the exports
    assert not is_export_of(out, open_run(another), ["adapter"])


def publish(run: Path, out: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m release.publish` on the tiny run."""
    words = [
        "--config",
        "demo.yaml",
        f"run={run}",
        f"output_dir={out}",
        f"base_model={BASE}",
        "exports=[adapter,merged16,gguf:f16]",
    ]
    return subprocess.run(
        [sys.executable, "-m", "release.publish", *words, *arguments],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.recipe
def test_published_run_downloads_unchanged(run: Path, tmp_path: Path) -> None:
    with serving() as hub:
        dry = publish(run, tmp_path / "out", "--dry-run", HF_ENDPOINT=hub.url)
        assert dry.returncode == 0, dry.stderr
        assert hub.repos == {}
        folder = tmp_path / "out" / "repository"
        exact = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert {"README.md", "adapter_model.safetensors", "merged16/model.safetensors", "model-f16.gguf", "gate.json",
                "LICENSE"} <= exact.keys()  # fmt: skip

        done = publish(run, tmp_path / "out", "--repo", "me/tiny", HF_ENDPOINT=hub.url)
        assert done.returncode == 0, done.stderr
        assert "made before" in done.stdout  # neither exported nor gated again
        repo = hub.repos["me/tiny"]
        assert (repo.private, repo.commits) == (True, 1)
        assert repo.files.keys() == exact.keys()
        assert {name for name in exact if repo.files[name] != exact[name]} == {"README.md"}  # it names the repository
        shown = "".join([dry.stdout, dry.stderr, done.stdout, done.stderr])
        assert TOKEN not in shown
        assert not any(TOKEN.encode() in content for content in repo.files.values())

        again = publish(run, tmp_path / "out", "--repo", "me/tiny", HF_ENDPOINT=hub.url)
        assert again.returncode == 2
        assert "me/tiny exists and holds" in again.stderr

        base = run.parent / "base"
        hub.repos[BASE] = Repo(private=False, files={file.name: file.read_bytes() for file in base.iterdir()})
        loaded = subprocess.run(
            [sys.executable, "-c", LOAD, str(run), str(folder)],
            env=os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN,
                              "HF_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert loaded.returncode == 0, loaded.stderr
        assert loaded.stdout.strip() == "the same"


LOAD = """
import sys, torch
from huggingface_hub import ModelCard
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
run, folder = sys.argv[1:]
base = run.rpartition("/")[0] + "/base"
tokenizer = AutoTokenizer.from_pretrained("me/tiny")
assert tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False, add_generation_prompt=True
    ).endswith("<|im_start|>think\\n")

imports, *sections = ModelCard.load("me/tiny").content.split("```python\\n")[1].split("```")[0].split("\\n# ")
loaded = {}
for section in sections:  # as the card says, word for word
    names = {}
    exec(imports + "\\n# " + section, names)
    loaded[section.split()[0]] = names.get("model")
assert list(loaded) == ["adapter", "merged16", "gguf:f16:"], loaded
expected = {
    "adapter": PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), run + "/adapter"),
    "merged16": AutoModelForCausalLM.from_pretrained(folder + "/merged16"),
}
ids = torch.arange(3, 60)[None]
with torch.inference_mode():
    untrained = AutoModelForCausalLM.from_pretrained(base)(ids).logits
    for target, model in expected.items():
        logits = loaded[target].eval()(ids).logits
        assert torch.equal(logits, model.eval()(ids).logits), target
        assert (logits - untrained).abs().max() > 0.1, target
print("the same")
"""


@pytest.mark.recipe
def test_failed_gate_publishes_nothing(run: Path, tmp_path: Path) -> None:
    """The adapter does nothing."""
    broken = tiny_run(tmp_path / "nothing", run.parent / "base", strength=0.0)
    with serving() as hub:
        done = publish(broken, tmp_path / "out", "--repo", "me/tiny", HF_ENDPOINT=hub.url)
        assert done.returncode == 2
        assert done.stderr.strip().startswith("error: gate: adapter: changed_by_training is 0.0, wanted >= 0.005 nats")
        assert hub.repos == {}
    assert not (tmp_path / "out" / "repository").exists()


@pytest.mark.recipe
def test_refusal_precedes_export(run: Path, tmp_path: Path) -> None:
    with serving() as hub:
        hub.repos["me/tiny"] = Repo(private=True, files={"model.safetensors": b"theirs"})
        hub_says = {
            "exists": publish(run, tmp_path / "out", "--repo", "me/tiny", HF_ENDPOINT=hub.url),
            "expired": publish(run, tmp_path / "out", "--repo", "me/new", HF_ENDPOINT=hub.url, HF_TOKEN="hf_old"),
            "no repo": publish(run, tmp_path / "out", HF_ENDPOINT=hub.url),
        }
    words = {"exists": "exists and holds", "expired": "refuses the token", "no repo": "repo: missing; pass --repo"}
    for name, done in hub_says.items():
        assert done.returncode == 2
        assert words[name] in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
