"""`models.publish`: what it refuses, what its card says, and the whole way to the stand-in hub and back."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.schema import PublishConfig
from models import publication
from models.card import model_card
from models.checks import Check, GateReport
from models.trained import open_run
from tests.models.hub import TOKEN, Repo, serving
from tests.models.tiny_run import tiny_base, tiny_run

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
    from budget_forcing.plan import adapter_hash

    point = {
        "label": "≤64",
        "budget": {"max_thinking": 64, "num_waits": 1, "wait_text": "Wait", "max_answer": 16},
        "questions": 200,
        "samples": 200,
        "accuracy": {"value": 0.39, "low": 0.325, "high": 0.459, "n": 200},
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


def test_the_card_says_what_was_trained_measured_and_checked(run: Path, tmp_path: Path) -> None:
    config = recipe(
        run,
        exports=["adapter", "gguf:q8_0"],
        evaluations=[str(evaluation(tmp_path / "eval", run))],
        curation=str(curation(tmp_path / "curation")),
        data_license="mit",
        tags=["maths"],
        limits="Small sums alone.",
    )
    publication.check(open_run(run), config)
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


def test_another_model_s_results_are_not_published(run: Path, tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "eval", run)
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {"model": results["model"] | {"adapter": "another"}}))
    with pytest.raises(ConfigError, match=r"evaluations\.0: .* evaluated another model"):
        publication.check(open_run(run), recipe(run, evaluations=[str(folder)]))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base_model": None}, "base_model: missing; .* is a folder of this machine"),
        ({"evaluations": ["/nowhere"]}, "/nowhere holds no results.json"),
        ({"curation": "/nowhere"}, "/nowhere holds no manifest.json"),
    ],
)
def test_what_a_card_could_not_say_is_refused(run: Path, fields: dict[str, Any], words: str) -> None:
    config = recipe(run).model_copy(update=fields)
    with pytest.raises(ConfigError, match=words):
        publication.check(open_run(run), config)


def test_an_unknown_licence_is_refused(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    (base / "README.md").unlink()
    run = tiny_run(tmp_path / "run", base)
    with pytest.raises(ConfigError, match="license: missing"):
        publication.check(open_run(run), recipe(run))
    publication.check(open_run(run), recipe(run, license="apache-2.0"))


def test_a_folder_of_somebody_else_s_is_not_cleared(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    with pytest.raises(ConfigError, match="is in use by something else"):
        publication.clear(tmp_path / "exports")
    assert (tmp_path / "exports").is_dir()


def publish(run: Path, out: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m models.publish` on the tiny run."""
    words = [
        "--config",
        "demo.yaml",
        f"run={run}",
        f"output_dir={out}",
        f"base_model={BASE}",
        "exports=[adapter,gguf:f16]",
    ]
    return subprocess.run(
        [sys.executable, "-m", "models.publish", *words, *arguments],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.recipe
def test_a_run_goes_to_the_hub_and_comes_back(run: Path, tmp_path: Path) -> None:
    with serving() as hub:
        dry = publish(run, tmp_path / "out", "--dry-run", HF_ENDPOINT=hub.url)
        assert dry.returncode == 0, dry.stderr
        assert hub.repos == {}
        folder = tmp_path / "out" / "repository"
        exact = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert {"README.md", "adapter_model.safetensors", "model-f16.gguf", "gate.json", "LICENSE"} <= exact.keys()

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

        loaded = subprocess.run(
            [sys.executable, "-c", LOAD, str(run)],
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
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
run, ids = sys.argv[1], torch.arange(3, 60)[None]
base = run.rpartition("/")[0] + "/base"
tokenizer = AutoTokenizer.from_pretrained("me/tiny")
assert tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False, add_generation_prompt=True
    ).endswith("<|im_start|>think\\n")
with torch.inference_mode():
    both = [PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), where).eval()(ids).logits
            for where in ("me/tiny", run + "/adapter")]
assert torch.equal(*both)
print("the same")
"""


@pytest.mark.recipe
def test_a_failed_gate_publishes_nothing(run: Path, tmp_path: Path) -> None:
    """The adapter does nothing."""
    broken = tiny_run(tmp_path / "nothing", run.parent / "base", strength=0.0)
    with serving() as hub:
        done = publish(broken, tmp_path / "out", "--repo", "me/tiny", HF_ENDPOINT=hub.url)
        assert done.returncode == 2
        assert done.stderr.strip().startswith("error: gate: adapter: changed_by_training is 0.0, wanted >= 0.005 nats")
        assert hub.repos == {}
    assert not (tmp_path / "out" / "repository").exists()


@pytest.mark.recipe
def test_a_refusal_comes_before_the_work(run: Path, tmp_path: Path) -> None:
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
