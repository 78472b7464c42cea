"""A small GRPO trainer of ours, and its gradients."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig

from configs.recipe import validate
from configs.run_directory import RunDir
from configs.schema.grpo import GrpoConfig
from data.problem import Problem
from data.think_format import S1, ThinkFormat
from models.engines.base import Engine
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel
from rewards.composition import RewardSet
from rl import rollout as rollouts
from rl.recorder import Recorder
from rl.sampling import Curriculum, GroupSampler
from rl.scoring import RolloutScorer
from rl.teacher import build_teacher, teacher_prompts
from rl.trainer import RolloutTrainer
from training.run_callback import RunCallback
from training.trainer_internals import own_defaults

PROBLEMS = [Problem(str(i), f"{i} + 1?", str(i + 1), "test") for i in range(4)]


def recipe(tiny: LoadedModel, **sections: Any) -> GrpoConfig:
    """A recipe for the tiny model; `trainer` options are added to small ones."""
    trainer = {"max_steps": 2, "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 6}
    values = {
        "model": {"name": tiny.base, "precision": "fp32", "max_length": 256},
        "data": {"source": "arithmetic"},
        "rewards": [{"name": "correctness"}],
        "trainer": trainer | sections.pop("trainer", {}),
    }
    config: GrpoConfig = validate("grpo", values | sections, "test.yaml")
    return config


def built(
    tiny: LoadedModel,
    folder: Path,
    rewards: RewardSet,
    recorder: Recorder | None = None,
    problems: Sequence[Problem] = PROBLEMS,
    rollout: dict[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
    exact: bool = True,
    backend: str = "transformers",
    engine: Engine | None = None,
    teacher: dict[str, Any] | None = None,
    think: ThinkFormat = S1,
    **options: Any,
) -> RolloutTrainer:
    """A trainer whose completions our engine draws, as a recipe's `rollout` section says.

    `exact`: whether that engine passes for the model in training. `backend`: whose model it passes for. `engine`: what
    draws, in place of the model itself. `teacher`: the recipe's section.
    """
    run = RunDir(folder)
    config = recipe(tiny, rollout=rollout or {}, trainer=options, teacher=teacher, think_format=think.name)
    fixed = {"output_dir": str(folder / "checkpoints"), "use_cpu": True, "dataloader_pin_memory": False}
    fixed |= {"report_to": "none", "disable_tqdm": True, "logging_steps": 1}
    saving = {} if "save_steps" in options else {"save_strategy": "no"}
    plain = own_defaults(GRPOConfig) | {"gradient_checkpointing": False, "bf16": False}
    arguments = GRPOConfig(**plain | config.trainer | fixed | saving)
    tokenizer = engine.tokenizer if engine else tiny.tokenizer
    prompts = rollouts.prompts(problems, tokenizer, think)
    eos = (tiny.tokenizer.eos_token_id,)
    scorer = RolloutScorer(rewards, problems, tokenizer, think, eos, config.completion_length)
    curriculum = Curriculum(problems, 4) if config.rollout.curriculum else None
    if engine is None:
        engine = TransformersEngine(tiny.model, tiny.tokenizer, think, config.model.max_length)
        engine.is_exact = exact
    taught = teacher_prompts(config, problems, prompts, tiny.tokenizer, think)
    sampler = GroupSampler(engine, config, scorer, prompts, 4, curriculum)
    callbacks = [*callbacks, *([curriculum] if curriculum else [])]
    return RolloutTrainer(
        sampler=sampler,
        recorder=recorder or Recorder(run, RunCallback(run, ()), "warn"),
        backend=backend,
        teacher=build_teacher(config, taught, engine, tiny.model, len(tiny.tokenizer)),
        model=tiny.model,
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": p, "problem": i} for i, p in enumerate(prompts)]),
        processing_class=tiny.tokenizer,
        callbacks=list(callbacks),
    )


def randomise(model: Any) -> None:
    """Give a fresh LoRA, whose B matrices are zero, an effect."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05, generator=torch.Generator().manual_seed(1))


def gradients(trainer: Any, compute: Any, inputs: dict[str, Any]) -> list[torch.Tensor]:
    trainer.model.train()
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1
    loss = compute(trainer.model, dict(inputs))
    loss.backward()
    found = [parameter.grad for parameter in trainer.model.parameters() if parameter.requires_grad]
    assert all(grad is not None for grad in found)
    return [torch.stack([loss.detach()]), *(grad.clone() for grad in found)]


def by_hand(model: Any, output: dict[str, Any]) -> list[torch.Tensor]:
    """The policy gradient over the tokens that the policy chose, one completion at a time."""
    model.train()
    model.zero_grad()
    total = torch.tensor(0.0)
    for row in range(len(output["advantages"])):
        prompt = output["prompt_ids"][row][output["prompt_mask"][row].bool()]
        length = int(output["completion_mask"][row].sum())
        completion = output["completion_ids"][row][:length]
        logits = model(input_ids=torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1]
        logps = logits.log_softmax(-1)[torch.arange(length), completion]
        total = total - output["advantages"][row] * logps[output["tool_mask"][row][:length].bool()].sum()
    (total / (output["completion_mask"] * output["tool_mask"]).sum()).backward()
    return [p.grad.clone() for p in model.parameters() if p.requires_grad]
