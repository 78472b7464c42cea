"""One GRPO run, top to bottom: prompts → model → trainer → measure → train → measure → save.

Who calls whom in one step:

    TRL's GRPOTrainer.train          (rl/trainer.py: RolloutTrainer, our one subclass)
    └── draw                         one generation: completions and advantages for `steps_per_rollout` steps
        ├── GroupSampler             (rl/sampling.py) which problems; groups without an advantage are drawn again
        │   ├── Engine.generate      (models/engines) budgets, stop reasons, log-probabilities; turns in an environment
        │   └── RolloutScorer        (rl/scoring.py) rollouts → scores, which travel with them as columns
        ├── reward functions         (rl/scoring.py) read those columns; TRL makes advantages of them
        ├── Teacher                  (rl/teacher.py) where there is one: what it finds of each token is added to them
        └── Recorder                 (rl/recorder.py) rollouts.jsonl, alarms
    └── loss                         rows without an advantage left out; no padding, prompts once (rl/packed_batch.py)
"""

import math

import torch
from datasets import Dataset
from trl import GRPOConfig

from configs.command import is_lead
from configs.run_directory import RunDir
from configs.schema.grpo import GrpoConfig
from data.problem import Problem
from data.prompts import token_ids
from data.think_format import resolve_think_format
from models.engines.base import Engine
from models.tokenizer import load_tokenizer, with_unsampled_pad
from rewards.composition import RewardSet
from rewards.environment import tool_use
from rl import budgets, memory_check, policy_check, rollout, teacher_check, truncation
from rl.doctor_checks import red_team
from rl.monitor import Limits
from rl.recorder import Recorder
from rl.sampling import Curriculum, GroupSampler
from rl.scoring import RolloutScorer
from rl.teacher import build_teacher, teacher_prompts
from rl.trainer import RolloutTrainer
from training import heldout, preflight
from training.dry_run import grpo_plan
from training.fsdp_internals import whole_weights
from training.run_callback import RunCallback
from training.trainer import (
    as_in_training,
    build_trainer,
    engine_of,
    finish_run,
    load_for_training,
    run_training,
    save_product,
    start_run,
    trainer_arguments,
)
from training.trainer_internals import gathered_weights
from training.watch import check_watched, watch_training


def run_grpo(
    config: GrpoConfig,
    run: RunDir,
    reward_set: RewardSet,
    problems: list[Problem],
    held_out: list[Problem],
    *,
    resume: bool,
    dry_run: bool,
) -> None:
    """Train on `problems`, or print the plan. Raises `MullError`s."""
    lead = is_lead()  # one process of several checks, prints, measures and writes

    # 1. prompts: what is too long is refused, or left out, before the weights are loaded
    think_format = resolve_think_format(config.think_format)
    own_tokenizer = load_tokenizer(config.model)
    tools = tool_use(config.rollout.environment, own_tokenizer, think_format)
    tokenizer = tools.tokenizer if tools else own_tokenizer  # prompts offer the tools, what is saved does not
    reward_set = tools.with_own_reward(reward_set) if tools else reward_set
    fresh = tools.fresh(problems[0]) if tools else ()
    reward_set.check(think_format, problems[0], budgets.limit_of(budgets.longest_budget(config)), fresh)
    held_out = heldout.fitting(config, held_out, tokenizer, think_format)
    check_watched(config, held_out)
    general = heldout.general_problems(config, tokenizer, think_format)
    prompts = rollout.longest_prompts(config, problems, tokenizer, think_format)
    problems, prompts = rollout.fitting(config, problems, prompts, tokenizer)
    longest = rollout.longest_prompt(config, problems, prompts, tokenizer)
    budgets.check_budget(config, tokenizer, think_format, longest)
    known_ids = teacher_check.check_teacher(config, prompts, tokenizer, think_format)
    taught = teacher_prompts(config, problems, prompts, tokenizer, think_format)
    teacher_check.check_context(config, problems, taught, tokenizer, think_format)
    about_teacher = teacher_check.described(config, problems)
    about_tools = tools.about(config.rollout.max_turns) if tools else ""
    if dry_run:
        print(grpo_plan(config, len(problems), len(held_out), longest, about_teacher, about_tools))
        return

    # 2. model
    if lead:
        preflight.refuse(preflight.quick(config, tokenizer, think_format, prompts[0]))
        if config.rewards and not tools:
            preflight.refuse([red_team(config)])
        if config.teacher and config.teacher.server:
            teacher_check.check_server(config.teacher.server, tokenizer, taught, config.completion_length)
    loaded = load_for_training(config)
    print(loaded.choice)

    with run.removed_if_unused():
        # 3. trainer, with the engine that draws its completions
        callback = RunCallback(run, ("reward", "teacher_kl", "completion_tokens"))
        arguments = trainer_arguments(GRPOConfig, config, run, reward_weights=reward_set.weights or None)
        trained_engine = engine_of(loaded, config, think_format)
        engine: Engine = trained_engine
        print(f"rollouts: {rollout.choice(engine, config, loaded.backend)}")
        if tools:
            engine = tools.engine(trained_engine, config.rollout.max_turns, config.completions_per_generation)
            print(f"environment: {about_tools}")
        if config.teacher:
            print(f"teacher: {about_teacher}")
        teacher = build_teacher(config, taught, engine, loaded.model, known_ids)
        limits = Limits(zero_variance=math.inf) if teacher else Limits()  # such groups have a teacher to learn from
        scorer = RolloutScorer(
            reward_set, problems, tokenizer, think_format, engine.eos, max_tokens=config.completion_length
        )
        group_size = arguments.num_generations
        curriculum = Curriculum(problems, group_size) if config.rollout.curriculum else None
        sampler = GroupSampler(engine, config, scorer, prompts, group_size, curriculum)
        trainer = build_trainer(
            RolloutTrainer,
            sampler=sampler,
            recorder=Recorder(run, callback, config.on_alarm, limits),
            teacher=teacher,
            backend=loaded.backend,
            model=loaded.model,
            args=arguments,
            train_dataset=Dataset.from_list([{"prompt": text, "problem": i} for i, text in enumerate(prompts)]),
            processing_class=with_unsampled_pad(own_tokenizer, engine.eos)
            if loaded.backend == "unsloth"
            else own_tokenizer,
            callbacks=[callback, *([curriculum] if curriculum else [])],
        )
        probes = token_ids(tokenizer, prompts[: policy_check.PROMPTS])
        every = config.rollout.check_every
        check = policy_check.PolicyCheck(engine, probes, every, callback, loaded.precision, config.sampling)
        trainer.add_callback(check)
        if config.sampling.truncations:
            print(truncation.compared(config.sampling, trainer.truncates))
        if torch.cuda.is_available() and not trainer.is_fsdp_enabled:  # no step has the whole weights then
            memory_check.try_worst_step(trainer, longest, config.completion_length)

        # 4. measure, train
        measure = heldout.Measure(run, engine, config, held_out, general)
        watch = watch_training(trainer, measure)
        if lead:
            start_run(run, config, loaded, held_out, resume)
            engine.follow(trainer.model)
            with as_in_training(trainer, trained_engine):
                measure("before")
        run_training(trainer, run, resume, config.steps_per_rollout)

    # 5. save, measure, report
    if watch:
        watch.load_best()
    weights = gathered_weights(trainer)
    with whole_weights(trainer.model):
        if lead:
            product = save_product(trainer.model, own_tokenizer, run, weights)
            engine.follow(trainer.model)
            measure("after")
            if watch:
                watch.report_unwatched()
            finish_run(run, product)
