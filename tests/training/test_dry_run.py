"""What `--dry-run` says of a step's memory, and the cards that recipes promise, by the same estimate."""

from typing import Any

import pytest
import transformers
from transformers import Qwen2Config

from configs.recipe import load_recipe
from models.backend import BackendChoice
from models.weights import Weights
from training import dry_run, micro_batch
from training.micro_batch import grpo_step, peak_beside_engine, sft_step
from training.step_memory import Step, peak

GB, GIB = 1e9, 2**30
CUDA = 1 * GIB
"""What CUDA, its kernels and its allocator take on top."""
QWEN2_1B5 = {"hidden_size": 1536, "num_attention_heads": 12, "num_key_value_heads": 2, "intermediate_size": 8960}
QWEN2_7B = {"hidden_size": 3584, "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18_944}


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it with a model's sizes and a backend: every recipe then loads that, in 4 bits on a GPU of 16 GB."""

    def pretend(sizes: dict[str, int], weights: Weights, backend: str) -> None:
        config = Qwen2Config(num_hidden_layers=28, vocab_size=152_064, **sizes)
        monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", lambda _: config)
        monkeypatch.setattr(micro_batch, "count_weights", lambda _: weights)
        for module in (micro_batch, dry_run):
            monkeypatch.setattr(module, "choose_backend", lambda *_: BackendChoice(backend, "nf4", ""))
        monkeypatch.setattr(micro_batch, "has_gpu", lambda: True)
        monkeypatch.setattr(dry_run, "device", lambda: ("a GPU", int(16 * GB)))

    return pretend


def total(step: Step) -> float:
    return sum(peak(step).values())


def test_gsm8k_fits_16_gb_beside_its_vllm(on_gpu: Any) -> None:
    on_gpu(QWEN2_1B5, Weights(233_373_696, 1_310_340_608), "unsloth")
    config = load_recipe("grpo", "gsm8k.yaml", [])
    step = grpo_step(config, 256)
    assert (step.rows, step.length, step.kept) == (8, 1024, 768)
    beside_vllm = total(step) - peak(step)["base weights"]
    assert beside_vllm + CUDA < (1 - config.model.gpu_memory_utilization) * 16 * GB
    said = dry_run.memory_lines(config, step)["memory"]
    assert f"about {(0.6 * 16 * GB + beside_vllm) / GIB:.1f} GiB" in said
    assert "8.94 GiB of vLLM and base weights" in said


def test_sleeping_vllm_takes_its_share_only_while_it_draws(on_gpu: Any) -> None:
    on_gpu(QWEN2_1B5, Weights(233_373_696, 1_310_340_608), "transformers")
    sleeping = "rollout.engine={name: vllm, sleep_mode: true}"
    for share, moment in ((0.6, "drawing"), (0.1, "stepping")):
        overrides = [f"model.gpu_memory_utilization={share}", "model.fast_inference=false"]
        awake, asleep = (load_recipe("grpo", "gsm8k.yaml", [*overrides, engine]) for engine in (
            "rollout.engine=vllm", sleeping,
        ))  # fmt: skip
        step = grpo_step(awake, 256)
        beside, either = (sum(peak_beside_engine(its, step, 16 * GB).values()) for its in (awake, asleep))
        assert beside == pytest.approx(share * 16 * GB + total(step))
        held = sum(size for name, size in peak(step).items() if name in ("base weights", "adapter", "optimizer"))
        assert either == pytest.approx(share * 16 * GB + held if moment == "drawing" else total(step))


@pytest.mark.parametrize(("backend", "length", "card"), [
    ("unsloth", 20_000, 24), ("transformers", 20_000, 40), ("transformers", 8192, 24),
])  # fmt: skip
def test_s1k_fits_the_cards_it_names(on_gpu: Any, backend: str, length: int, card: int) -> None:
    on_gpu(QWEN2_7B, Weights(1_089_994_752, 6_525_621_760), backend)
    step = sft_step(load_recipe("sft", "s1k.yaml", [f"model.max_length={length}"]), 20_000)
    assert (step.rows, step.length, step.loss) == (1, length, "chunked_nll")
    assert 0.5 * card * GB < total(step) + CUDA < 0.95 * card * GB


def test_rows_of_one_prompt_share_it() -> None:
    config = load_recipe("grpo", "demo.yaml", [])
    step = grpo_step(config, 97)
    assert (step.rows, step.length, step.kept) == (1, 2 * 97 + 8 * 79, 8 * 80)


def test_plan_counts_what_is_watched() -> None:
    config = load_recipe("grpo", "demo.yaml", ["eval.every=10", "eval.watched=50"])
    assert dry_run.watched_line(config, 25, 200)["watched"] == (
        "50 held-out problems × 5 samples, every 10 steps and at the last: 3 times, 48,000 tokens at most"
    )
    assert "20 held-out problems" in dry_run.watched_line(config, 25, 20)["watched"]
    assert dry_run.watched_line(load_recipe("grpo", "demo.yaml"), 25, 200) == {}


def test_plan_names_the_parts_of_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micro_batch, "has_gpu", lambda: False)
    config = load_recipe("sft", "demo.yaml", ["model.backend=transformers", "model.precision=bf16"])
    lines = dry_run.memory_lines(config, sft_step(config, 149))
    assert lines["memory"].startswith("about 1.8 GiB at a step's peak, most of it 1.30 GiB of activations, 0.25 GiB")
    assert "8 × 149 tokens" in lines["assumed"]


def test_teacher_with_its_own_weights_takes_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micro_batch, "has_gpu", lambda: False)
    settings = ["model.backend=transformers", "model.precision=bf16"]
    plain, shared, apart = (
        load_recipe("grpo", "demo.yaml", [*settings, *more])
        for more in ([], ["teacher={self: true, sees: solution}"],
                     ["teacher={model: {name: smollm2-135m, precision: fp32}}"])
    )  # fmt: skip
    said = [dry_run.memory_lines(c, grpo_step(c, 97))["memory"] for c in (plain, shared, apart)]
    assert said[0] == said[1]
    assert "0.50 GiB of the teacher's weights" in said[2]
    assert "teacher  who and what" in dry_run.grpo_plan(shared, 10, 0, 97, "who and what")
