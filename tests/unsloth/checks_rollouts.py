"""GRPO on the Unsloth backend with its own vLLM: arguments, budgets, the policy's log-probabilities, loss and steps."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from vllm import envs
from vllm.engine.arg_utils import EngineArgs

from budget_forcing.budget import Budget
from configs.errors import EngineError, ModelError
from configs.run_directory import RunDir, read_jsonl
from configs.schema.adapters import LoraConfig
from configs.schema.sections import EngineConfig, ModelConfig
from data.think_format import S1
from models.backend import RUNNER, use_v1_runner
from models.engines.base import Engine, Request
from models.engines.select import load_engine
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel, load_model
from models.tokenizer import with_unsampled_pad
from rewards.composition import Member, RewardSet
from rl import policy_check
from rl.memory_check import try_worst_step
from rl.trl_batch import loss_mask
from tests.rl.trainers import built, randomise
from tests.tiny import tiny_model
from tests.unsloth.harness import STARTED
from training.run_callback import RunCallback


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    folder = tiny_model(tmp_path_factory.mktemp("tiny"))
    return ModelConfig(name=str(folder), backend="unsloth", precision="bf16", max_length=512, fast_inference=True)


@pytest.fixture(scope="module")
def loaded(config: ModelConfig) -> LoadedModel:
    return load_model(config, LoraConfig(r=8, alpha=16))


@pytest.fixture(scope="module")
def engine(config: ModelConfig, loaded: LoadedModel) -> Engine:
    return load_engine(EngineConfig(), config, S1, loaded)


PROMPTS = [[5, 6, 7], [8, 9, 10, 11], [12, 13], [14]]


def test_vllm_gets_what_we_rely_on(loaded: LoadedModel, config: ModelConfig) -> None:
    [arguments] = STARTED
    assert arguments["model"] == config.name
    assert arguments["logprobs_mode"] == "processed_logprobs"
    assert arguments["max_lora_rank"] == 8
    assert arguments["max_model_len"] == config.max_length
    assert arguments["gpu_memory_utilization"] == pytest.approx(config.gpu_memory_utilization, abs=0.05)
    assert "logits_processors" not in arguments


def test_runner_is_v2_unless_budgets_need_v1(
    loaded: LoadedModel, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM's own decision on what Unsloth gave it, as where Triton works."""
    monkeypatch.setattr("vllm.config.vllm.HAS_TRITON", True)
    monkeypatch.delenv(RUNNER, raising=False)
    envs.disable_envs_cache()  # an engine that is up has read them all
    choice = EngineArgs(**STARTED[0]).create_engine_config()
    assert choice.use_v2_model_runner
    use_v1_runner(config)
    assert not choice.use_v2_model_runner
    monkeypatch.setenv(RUNNER, "1")
    with pytest.raises(ModelError, match=f"{RUNNER}=1 asks for V2; unset it"):
        use_v1_runner(config)


def test_engine_draws_the_policy(loaded: LoadedModel, engine: Engine) -> None:
    assert engine.name == "unsloth"
    fresh = policy_check.agreement(engine, loaded.model, PROMPTS)
    assert fresh.effect == 0
    randomise(loaded.model)
    trained = policy_check.agreement(engine, loaded.model, PROMPTS)
    assert trained.effect is not None
    assert trained.effect > 0.1
    for gap in (fresh, trained):
        assert policy_check.mismatch(gap, policy_check.ROUNDING_16) == ""


def test_transformers_engine_refuses(loaded: LoadedModel) -> None:
    with pytest.raises(EngineError, match=r"set model\.fast_inference=true, or model\.backend=transformers"):
        TransformersEngine(loaded.model, loaded.tokenizer, S1, 100)


BUDGETED = Request((5, 6, 7), budget=Budget(max_thinking=5, max_answer=4), seed=0)


def test_budget_is_kept(engine: Engine) -> None:
    [generation] = engine.generate([BUDGETED])
    assert (generation.control, generation.stop, generation.thinking_tokens) == ("engine", "limit", 5)
    assert sum(generation.forced) == len(generation.token_ids) - 9


def test_v2_runner_draws_without_budgets(
    config: ModelConfig, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V2's runner has no place for processors; what else it does needs a GPU."""
    monkeypatch.setattr("models.engines.unsloth.install", lambda worker: False)
    engine = load_engine(EngineConfig(), config, S1, loaded)
    assert engine.generate([Request((5, 6, 7), max_tokens=3)])
    with pytest.raises(EngineError, match=f"set {RUNNER}=0 and start again"):
        engine.generate([BUDGETED])


def test_standby_wakes_around_decoding(
    config: ModelConfig, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory is CUDA's: what is asked of it is recorded."""
    llm = loaded.model.vllm_engine
    monkeypatch.setattr(llm.llm_engine.model_config, "enable_sleep_mode", True)
    engine, asked, step = load_engine(EngineConfig(), config, S1, loaded), ["sleep"], llm.llm_engine.step
    monkeypatch.setattr(llm.llm_engine, "is_sleeping", lambda: asked[-1] == "sleep")
    monkeypatch.setattr(llm, "wake_up", lambda: asked.append("wake"))
    monkeypatch.setattr(llm, "sleep", lambda level: asked.append("sleep"))

    def awake() -> Any:
        assert asked[-1] == "wake"
        return step()

    monkeypatch.setattr(llm.llm_engine, "step", awake)
    for _ in range(2):
        engine.generate([Request((5, 6, 7), max_tokens=3)])
    assert asked == ["sleep", "wake", "sleep", "wake", "sleep"]


REWARDS = RewardSet([Member("r", lambda rollouts: [float(i % 3) for i in range(len(rollouts))])])
BUDGET = {"budget": {"max_thinking": 2, "max_answer": 2}}


def trainer_of(loaded: LoadedModel, engine: Engine, folder: Path, **options: Any) -> Any:
    return built(loaded, folder, REWARDS, backend="unsloth", engine=engine, bf16=True, **options)


def test_worst_step_is_tried(loaded: LoadedModel, engine: Engine, tmp_path: Path) -> None:
    trainer = trainer_of(loaded, engine, tmp_path)
    modes = []
    hook = loaded.model.get_input_embeddings().register_forward_hook(
        lambda module, *_: modes.append((module.training, torch.is_grad_enabled()))
    )
    try_worst_step(trainer, 30, 6)
    hook.remove()
    assert (True, True) in modes
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert not trainer._metrics["train"]
    assert not trainer.model.training


def losses_after(trainer: Any, batch: dict[str, Any], *places: torch.Tensor) -> list[float]:
    """The batch's loss, and the losses where the engine drew the tokens at `places` (B, T) with less probability."""
    trainer.current_gradient_accumulation_steps = 1
    drawn = batch["sampling_per_token_logps"]
    shifted = [drawn, *(drawn - 0.05 * place for place in places)]
    inputs = [batch | {"sampling_per_token_logps": logps} for logps in shifted]
    return [trainer.compute_loss(trainer.model, one).item() for one in inputs]


def test_loss_is_corrected_but_for_forced(loaded: LoadedModel, engine: Engine, tmp_path: Path) -> None:
    trainer = trainer_of(loaded, engine, tmp_path, rollout=BUDGET, max_completion_length=24)
    batch = trainer.draw(list(trainer.train_dataset)[:2] * 4)
    chosen = loss_mask(batch)
    assert 0 < chosen.sum() < batch["completion_mask"].sum()
    plain, of_chosen, of_forced = losses_after(trainer, batch, chosen, batch["completion_mask"] - chosen)
    assert of_chosen != pytest.approx(plain, rel=1e-3)
    assert of_forced == pytest.approx(plain, rel=1e-6)


def test_end_that_pads_is_taught(loaded: LoadedModel, engine: Engine, tmp_path: Path) -> None:
    tokenizer = copy.deepcopy(loaded.tokenizer)
    pad, ends = tokenizer.pad_token_id, (tokenizer.pad_token_id, *engine.eos)
    with pytest.raises(ModelError, match=r"leaves out every <\|.*set model.backend=transformers"):
        with_unsampled_pad(tokenizer, ends)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|reserved_0|>"]})
    counts = {}
    for name, one in (("its own", tokenizer), ("reserved", with_unsampled_pad(tokenizer, ends))):
        trainer = trainer_of(replace(loaded, tokenizer=one), engine, tmp_path / name)
        batch = trainer.draw(list(trainer.train_dataset)[:2] * 4)
        batch["completion_ids"][:, 2:] = one.pad_token_id
        batch["completion_ids"][:, 2] = pad  # the end of the turn
        batch["completion_mask"][:] = torch.arange(batch["completion_ids"].shape[1]) < 3
        last = torch.zeros_like(batch["completion_mask"])
        last[:, 2] = 1
        plain, of_last = losses_after(trainer, batch, last)
        counts[name] = plain != of_last
    assert counts == {"its own": False, "reserved": True}


def test_steps_train_the_adapter(loaded: LoadedModel, engine: Engine, tmp_path: Path) -> None:
    rows = RunCallback(RunDir(tmp_path), ())
    check = policy_check.PolicyCheck(engine, PROMPTS, 1, rows, "bf16")
    options: dict[str, Any] = {"rollout": BUDGET, "learning_rate": 1e-2, "max_completion_length": 24}
    trainer = trainer_of(loaded, engine, tmp_path, callbacks=[rows, check], **options)
    before = {name: parameter.detach().clone() for name, parameter in loaded.model.named_parameters()}
    trainer.train()
    steps = [row for row in trainer.state.log_history if "grad_norm" in row]
    assert len(steps) == 2
    assert all(row["grad_norm"] > 0 and 0 < row["forced_share"] < 1 for row in steps)
    assert len(list(read_jsonl(tmp_path / "rollouts.jsonl"))) == 16
    changed = {name for name, p in loaded.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    gap = policy_check.agreement(engine, loaded.model, PROMPTS)
    assert gap.effect is not None
    assert gap.effect > 5 * gap.mean
