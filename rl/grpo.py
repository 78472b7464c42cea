"""GRPO with pluggable rewards.

    python -m rl.grpo --config gsm8k.yaml [key.path=value …] [--resume] [--dry-run]

Departs from DeepSeekMath's GRPO (arXiv 2402.03300 §4.1) as TRL's defaults do: no KL term unless `trainer.beta` is set,
token-level loss (`trainer.loss_type`). Everything else is the recipe's.
"""

from configs.command import is_lead, prepare_libraries, recipe_parser, run_command


def main(argv: list[str]) -> None:
    """Load → data → rewards → measure → train → measure → save."""
    args = recipe_parser(
        "rl.grpo",
        "grpo",
        "GRPO with pluggable rewards.",
        resume="go on from the run's last checkpoint",
        dry_run="print the resolved config and the plan, train nothing",
    ).parse_intermixed_args(argv)

    from configs.recipe import load

    config = load("grpo", args.config, args.overrides)  # before anything heavy is imported

    import rewards
    from configs.run_directory import RunDir
    from data.prompts import token_ids
    from data.splits import split
    from data.think_format import resolve_think_format
    from models.backend import check, import_backend
    from rl import rollout
    from training import heldout, preflight

    run = RunDir(config.output_dir)
    check(config.model)
    reward_set = rewards.build(config.rewards)
    lead = is_lead()  # one process of several checks, prints, measures and writes
    if lead:
        run.check(args.resume)
    problems, held_out = split(config.data, config.eval)
    think_format = resolve_think_format(config.think_format)

    prepare_libraries()
    import_backend(config.model)

    from models.load import load_model
    from models.tokenizer import load_tokenizer

    reward_set.check(think_format, problems[0])
    tokenizer = load_tokenizer(config.model)
    heldout.check(config, held_out, tokenizer, think_format)
    prompts = rollout.prompts(problems, tokenizer, think_format)
    problems, prompts = rollout.fitting(config, problems, prompts, tokenizer)
    longest = rollout.longest_prompt(config, problems, prompts, tokenizer)
    rollout.check_budget(config, tokenizer, think_format, longest)
    if args.dry_run:
        from training.dry_run import grpo_plan

        print(grpo_plan(config, len(problems), len(held_out), longest))
        return

    if lead:
        preflight.refuse(preflight.quick(config, tokenizer, think_format, prompts[0]))
    loaded = load_model(config.model, config.adapter, config.seed)
    print(loaded.choice)

    import torch
    from datasets import Dataset
    from trl import GRPOConfig

    from rl import memory_check, policy_check
    from rl.sampling import Curriculum, GroupSampler
    from rl.scoring import RolloutScorer
    from rl.trainer import Recorder, RolloutTrainer
    from training.trainer import (
        RunCallback,
        build_trainer,
        engine_of,
        finish_run,
        run_training,
        save_product,
        start_run,
        trainer_arguments,
    )

    with run.removed_if_unused():
        callback = RunCallback(run, ("reward", "completion_tokens"))
        arguments = trainer_arguments(GRPOConfig, config, run, reward_weights=reward_set.weights)
        engine = engine_of(loaded, config, think_format)
        print(f"rollouts: {rollout.choice(engine, config, loaded.backend)}")
        scorer = RolloutScorer(reward_set, problems, tokenizer, think_format, engine.eos)
        group = arguments.num_generations
        curriculum = Curriculum(problems, group) if config.rollout.curriculum else None
        sampler = None if arguments.use_vllm else GroupSampler(engine, config, scorer, prompts, group, curriculum)
        texts = rollout.as_trl_wants(prompts, tokenizer) if arguments.use_vllm else prompts
        trainer = build_trainer(
            RolloutTrainer,
            scorer=scorer,
            sampler=sampler,
            recorder=Recorder(run, callback, config.on_alarm),
            backend=loaded.backend,
            model=loaded.model,
            args=arguments,
            train_dataset=Dataset.from_list([{"prompt": text, "problem": i} for i, text in enumerate(texts)]),
            processing_class=tokenizer,
            callbacks=[callback, *([curriculum] if curriculum else [])],
        )
        probes = token_ids(tokenizer, prompts[: policy_check.PROMPTS])
        trainer.add_callback(policy_check.Proof(engine, probes, config.rollout.check_every, callback, loaded.precision))
        if torch.cuda.is_available():
            memory_check.probe(trainer, longest, config.completion_length)
        measure = heldout.Measure(run, engine, config, held_out)
        if lead:
            start_run(run, config, loaded, args.resume)
            engine.follow(trainer.model)
            measure("before")
        run_training(trainer, run, args.resume, config.steps_per_rollout)
    if lead:
        product = save_product(trainer.model, tokenizer, run)
        engine.follow(trainer.model)
        measure("after")
        finish_run(run, product)


if __name__ == "__main__":
    run_command(main)
