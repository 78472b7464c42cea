"""GRPO with pluggable rewards.

    python -m rl.grpo --config gsm8k.yaml [key.path=value …] [--resume] [--dry-run]

Departs from DeepSeekMath's GRPO (arXiv 2402.03300 §4.1) as TRL's defaults do: no KL term unless `trainer.beta` is set,
token-level loss (`trainer.loss_type`). Everything else is the recipe's. One run reads top to bottom in `rl.run`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from configs.command import is_lead, prepare_libraries, recipe_parser, run_command

if TYPE_CHECKING:
    from configs.schema.grpo import GrpoConfig


def main(argv: list[str]) -> None:
    """Parse the command line and train."""
    parser = recipe_parser(
        "rl.grpo",
        "grpo",
        "GRPO with pluggable rewards.",
        resume="go on from the run's last checkpoint",
        dry_run="print the resolved config and the plan, train nothing",
    )
    args = parser.parse_intermixed_args(argv)

    train_grpo(args.config, args.overrides, resume=args.resume, dry_run=args.dry_run)


def train_grpo(
    recipe: "GrpoConfig | str", overrides: Sequence[str] = (), *, resume: bool = False, dry_run: bool = False
) -> None:
    """Train `config.model` with GRPO into `config.output_dir`.

    `recipe` is a config, or the name or path of a recipe; `overrides` are changes to it, as `trainer.max_steps=10`.
    `resume` goes on from the run's last checkpoint; `dry_run` prints the plan and trains nothing. Raises a `MullError`,
    before torch is imported, for all that can be seen without it.
    """
    from configs.recipe import load_recipe

    config: GrpoConfig = load_recipe("grpo", recipe, overrides)

    from configs.resume import resumed_config
    from configs.run_directory import RunDir
    from data.splits import split_problems
    from models.backend import import_backend
    from rewards.composition import RewardSet
    from rewards.registry import build_rewards

    # 1. refuse what can be refused at once: names, files, rewards, an output folder in use, data
    run = RunDir(config.output_dir)
    check_recipe(config)
    reward_set = build_rewards(config.rewards) if config.rewards else RewardSet([])  # a teacher, or an environment
    if is_lead():
        run.check(resume)
    if resume:
        config = resumed_config(config, run)
    problems, held_out = split_problems(config.data, config.eval)

    # 2. Unsloth patches Transformers and TRL, so it is imported before them
    prepare_libraries()
    import_backend(config.model, config)

    # 3. the rest needs torch
    from rl.run import run_grpo

    run_grpo(config, run, reward_set, problems, held_out, resume=resume, dry_run=dry_run)


def check_recipe(config: "GrpoConfig") -> None:
    """Raise a `MullError` for what the recipe asks of the model and its backend in vain, without torch."""
    from configs.errors import ConfigError
    from models.backend import about_teacher, check_model_config, choose_backend, use_v1_runner
    from rewards import plugin
    from training.launch_check import check_launch
    from training.tracking import check_tracker

    check_model_config(config.model, config)
    if config.teacher and config.teacher.model:
        with about_teacher():
            check_model_config(config.teacher.model)
    check_tracker(config.tracking)
    if config.rollout.environment is not None:
        plugin.load(config.rollout.environment, "environment")
    check_launch(config)
    if config.rollout.budget is not None:
        use_v1_runner(config.model, config)
    if (
        choose_backend(config.model, config).backend == "unsloth"
        and config.model.adapter
        and config.trl_setting("beta")
    ):
        raise ConfigError(
            "trainer.beta: Unsloth measures the distance to the base model, not to the adapter that training starts "
            "from; set model.backend=transformers, or beta to 0"
        )


if __name__ == "__main__":
    run_command(main)
