"""GRPO in an environment: what is trained on, what rewards see, and what a run leaves behind."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from configs.errors import ConfigError, RewardError
from configs.recipe import load_recipe
from configs.run_directory import read_jsonl
from configs.sample import read_samples
from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig
from data.think_format import NONE
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel, load_model
from report.samples import spans_of
from rewards.composition import RewardSet
from rewards.environment import ToolUse, tool_use
from rewards.registry import build_rewards
from rewards.rollout_file import read_rollouts
from rl import rollout as rollouts
from rl.calculator import Calculator
from rl.trainer import RolloutTrainer
from tests.rl.plugins import calculated
from tests.rl.trainers import PROBLEMS, built, by_hand, gradients, randomise, recipe
from tests.tool_model import CALLS, SUMS, tool_model, tool_tokenizer

ROOT = Path(__file__).parents[2]
PATH = "rl.calculator:Calculator"
RESULTS = {str(a + b) for a, b in SUMS}


class Paying(Calculator):
    """A calculator with a reward of its own."""

    def get_reward(self) -> float:
        """How often it was asked."""
        return float(len(self.values))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tool_model(tmp_path_factory.mktemp("tools"))


@pytest.fixture(scope="module")
def tools_model(folder: Path) -> LoadedModel:
    return load_model(ModelConfig(name=str(folder), precision="fp32"), LoraConfig(r=4, alpha=8))


def acting(model: LoadedModel, path: str = PATH) -> ToolUse:
    tools = tool_use(path, model.tokenizer, NONE)
    assert tools is not None
    return tools


def trainer_of(model: LoadedModel, folder: Path, rewards: RewardSet, path: str = PATH) -> RolloutTrainer:
    tools = acting(model, path)
    engine = tools.engine(TransformersEngine(model.model, model.tokenizer, NONE, 1024), 2, 16)
    rollout = {"environment": path, "max_turns": 2}
    lengths: dict[str, Any] = {"max_completion_length": 96, "per_device_train_batch_size": 16}
    made = built(model, folder, rewards, think=NONE, engine=engine, rollout=rollout, **lengths)
    randomise(made.model)
    return made


def draw(trainer: RolloutTrainer) -> dict[str, Any]:
    torch.manual_seed(0)
    trainer.model.train()
    prompts = trainer.sampler.prompts
    output: dict[str, Any] = trainer._generate_and_score_completions(
        [{"prompt": prompts[i], "problem": i} for i in range(4) for _ in range(4)]
    )
    return output


CALCULATED = [{"name": "tests.rl.plugins:calculated"}]


@pytest.mark.engine
def test_results_have_no_gradient(tools_model: LoadedModel, tmp_path: Path) -> None:
    trainer = trainer_of(tools_model, tmp_path, build_rewards(CALCULATED))
    output = draw(trainer)
    forced = (output["completion_mask"] == 1) & (output["tool_mask"] == 0)
    assert forced.any()
    texts = [tools_model.tokenizer.decode(ids[own]) for ids, own in zip(output["completion_ids"], forced, strict=True)]
    assert all(not text or text.startswith("\n<|im_start|>tool\n") for text in texts)
    found = gradients(trainer, trainer._compute_loss, output)
    for mine, theirs in zip(found[1:], by_hand(trainer.model, output), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.engine
def test_reward_sees_environments(tools_model: LoadedModel, tmp_path: Path) -> None:
    trainer = trainer_of(tools_model, tmp_path, build_rewards(CALCULATED))
    draw(trainer)
    samples = read_samples(tmp_path / "rollouts.jsonl")
    assert len(samples) == 16
    calls = [len(sample.tool_results) for sample in samples]
    assert max(calls) > 0
    for sample, called in zip(samples, calls, strict=True):
        assert called <= (sample.reward or 0.0) <= called + 2  # one for a short answer, one that had no round left
        assert all(
            sample.text[start:end].split("\n")[2].removesuffix("<|im_end|>") in RESULTS
            for start, end in sample.tool_results
        )
        assert [span.text for span in spans_of(sample) if span.kind == "environment"] == [
            sample.text[start:end] for start, end in sample.tool_results
        ]
    replayed = read_rollouts(str(tmp_path / "rollouts.jsonl"), NONE, 96)
    assert [one.earlier + one.text for one in replayed] == [sample.text for sample in samples]
    assert all("<|im_start|>tool" not in one.text for one in replayed)
    assert trainer._metrics["train"]["tools/call_frequency"][0] >= sum(calls) / 16
    assert trainer._metrics["train"]["tools/failure_frequency"] == [0.0]


@pytest.mark.engine
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_completions_are_trls(folder: Path, tmp_path: Path) -> None:
    """The most likely tokens, by TRL's trainer with `environment_factory` and by our engine: the same rollouts."""
    model = load_model(ModelConfig(name=str(folder), precision="fp32"))
    with torch.no_grad():  # so that the most likely turn is a call
        model.model.lm_head.weight[model.tokenizer.convert_tokens_to_ids(CALLS[0])] *= 1.5

    # 1. TRL's, of conversational prompts
    own = {"use_cpu": True, "report_to": "none", "save_strategy": "no", "disable_tqdm": True, "bf16": False}
    lengths = {"per_device_train_batch_size": 8, "num_generations": 2, "max_completion_length": 96}
    arguments = GRPOConfig(
        str(tmp_path), top_k=1, max_tool_calling_iterations=2, gradient_checkpointing=False, **own, **lengths
    )
    rows = [
        {"prompt": [{"role": "user", "content": problem.question}], "answer": problem.answer} for problem in PROBLEMS
    ]
    trainer = GRPOTrainer(
        model.model,
        reward_funcs=calculated,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=model.tokenizer,
        environment_factory=Calculator,
    )
    theirs = trainer._generate_and_score_completions([row for row in rows for _ in range(2)])

    # 2. ours
    config = recipe(model, think_format="none", rollout={"environment": PATH}, trainer={**lengths, "top_k": 1})
    tools = acting(model)
    engine = tools.engine(TransformersEngine(model.model, model.tokenizer, NONE, 1024), 2, 16)
    problems = [problem for problem in PROBLEMS for _ in range(2)]
    prompts = rollouts.prompts(problems, tools.tokenizer, NONE)
    drawn = rollouts.make_generate(engine, config)(problems, prompts, [None] * 8, model.model)
    ours = rollouts.trl_columns(drawn, is_forced=True)

    assert sum(generation.conversation.calls for generation in drawn if generation.conversation) > 0
    for row in range(8):
        has_prompt, has_token = theirs["prompt_mask"][row].bool(), theirs["completion_mask"][row].bool()
        assert ours["prompt_ids"][row] == theirs["prompt_ids"][row][has_prompt].tolist()
        assert ours["completion_ids"][row] == theirs["completion_ids"][row][has_token].tolist()
        assert ours["env_mask"][row] == theirs["tool_mask"][row][has_token].tolist()


@pytest.mark.engine
def test_environment_may_own_the_reward(tools_model: LoadedModel, tmp_path: Path) -> None:
    path = "tests.rl.test_environment:Paying"
    rewards = acting(tools_model, path).with_own_reward(RewardSet([]))
    assert (rewards.names, rewards.weights) == (["Paying"], [1.0])
    draw(trainer_of(tools_model, tmp_path, rewards, path))
    samples = read_samples(tmp_path / "rollouts.jsonl")
    assert {sample.rewards["Paying"] for sample in samples} > {0.0}


def test_run_without_any_reward_is_refused(tools_model: LoadedModel) -> None:
    with pytest.raises(RewardError, match="has no get_reward; give a reward"):
        acting(tools_model).with_own_reward(RewardSet([]))


def test_dummy_batch_has_environments(tools_model: LoadedModel) -> None:
    tools = acting(tools_model)
    build_rewards(CALCULATED).check(NONE, PROBLEMS[0], None, tools.fresh(PROBLEMS[0]))
    with pytest.raises(RewardError, match="'calculated' takes environments; set rollout"):
        build_rewards(CALCULATED).check(NONE, PROBLEMS[0])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "think_format=s1",
            "rollout.environment: tool calls are read by the chat template, which knows no think_format s1",
        ),
        ("rollout.environment=null", "rollout.max_turns: there is no environment"),
        ("rollout.engine=unsloth", "rollout.environment: not tried with Unsloth"),
        ("trainer.max_tool_calling_iterations=2", "trainer.max_tool_calling_iterations: set rollout.max_turns instead"),
        ("teacher={self: true, sees: solution}", "teacher: what it would have to see of an environment"),
    ],
)
def test_impossible_recipe_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_recipe("grpo", "calculator_cpu", [override])
    assert message in str(error.value)


# ---- whole commands


def command(model: Path, run: Path, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    arguments = [
        "--config=calculator_cpu.yaml", f"output_dir={run}", f"model.name={model}", "model.precision=fp32",
        "data.limit=20", "eval.data.limit=4", "eval.k=1", "eval.max_tokens=96",
        "rewards.0={name: 'tests.rl.plugins:calculated'}", "trainer.max_steps=2", "trainer.save_steps=1",
        "trainer.learning_rate=1e-3", "trainer.per_device_train_batch_size=4", "trainer.max_completion_length=96",
        *more,
    ]  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "rl.grpo", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
    )


@pytest.mark.recipe
def test_calculator_recipe_runs_and_resumes(folder: Path, tmp_path: Path) -> None:
    # 1. two steps, measured with the calculator before and after
    done = command(folder, tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    assert "environment: rl.calculator:Calculator (calculate), at most 2 rounds" in done.stdout
    rows = list(read_jsonl(tmp_path / "whole" / "metrics.jsonl"))
    assert [row["step"] for row in rows] == [1, 2]
    assert any(row["tools/call_frequency"] > 0 for row in rows)
    drawn = read_samples(tmp_path / "whole" / "rollouts.jsonl")
    assert any(sample.tool_results for sample in drawn)
    for when in ("before", "after"):
        measured = read_samples(tmp_path / "whole" / f"heldout_{when}.jsonl")
        assert len(measured) == 8
        assert all("<|im_start|>tool" not in sample.text[sample.turn_start :] for sample in measured)
    saved = AutoTokenizer.from_pretrained(tmp_path / "whole" / "adapter")
    assert saved.chat_template == tool_tokenizer().chat_template  # it offers no tools by itself
    assert any(sample.tool_results for sample in read_samples(tmp_path / "whole" / "heldout_before.jsonl"))
    assert "environment" in (tmp_path / "whole" / "report.html").read_text()

    # 2. killed in its second step, and resumed: the same
    killed = command(folder, tmp_path / "killed", "eval=null", MULL_TEST_KILL="2")
    assert killed.returncode == -9
    resumed = command(folder, tmp_path / "killed", "eval=null", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    found = read_samples(tmp_path / "killed" / "rollouts.jsonl")
    assert [(s.step, s.text, s.reward) for s in found] == [(s.step, s.text, s.reward) for s in drawn]
    name = "adapter/adapter_model.safetensors"
    whole, mine = load_file(tmp_path / "whole" / name), load_file(tmp_path / "killed" / name)
    for key, value in mine.items():
        torch.testing.assert_close(value, whole[key], atol=1e-5, rtol=1e-5)
