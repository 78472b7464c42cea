"""Completions that score high and are wrong under a recipe's rewards, found before training finds them.

    python -m rl.attack --config gsm8k.yaml [--minutes 10] [--problems 12] [--seed 0] [key.path=value …]

A catalogue of known reward hacks, then combinations of them, on the recipe's own problems; no model is loaded. Each
find is shown beside what honest right and wrong answers earn, and kept in `outputs/attack/<recipe>/attack.jsonl`, which
`rewards.score` replays. Exit code 3 where a find is open: a wrong completion earns half of what being right adds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from configs.command import recipe_parser, run_command
from configs.errors import ConfigError

if TYPE_CHECKING:
    from configs.schema.grpo import GrpoConfig
    from rewards.attack.run import Attack

OPEN_FINDS = 3
"""The exit code of an attack that ran well and found what has to be mended."""


def main(argv: list[str]) -> int:
    """Parse the command line and attack; returns the exit code."""
    parser = recipe_parser("rl.attack", "grpo", "Attacks a recipe's rewards before training does.")
    parser.add_argument("--minutes", type=float, default=10.0, help="most time that it takes (10)")
    parser.add_argument("--problems", type=int, default=12, help="how many of the recipe's problems (12)")
    parser.add_argument("--seed", type=int, default=0, help="of the problems and the search (0)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: outputs/attack/<recipe>")
    args = parser.parse_intermixed_args(argv)
    attack = attack_rewards(
        args.config,
        args.overrides,
        minutes=args.minutes,
        problems=args.problems,
        seed=args.seed,
        output=args.output,
    )
    return OPEN_FINDS if attack.open else 0


def attack_rewards(
    recipe: "GrpoConfig | str",
    overrides: Sequence[str] = (),
    *,
    minutes: float = 10.0,
    problems: int = 12,
    seed: int = 0,
    output: Path | None = None,
) -> "Attack":
    """Attack the rewards of a recipe (a config, or its name or path) for `minutes` at most, on so many problems.

    Prints the finds and writes them to `output` (default: `outputs/attack/<recipe>`). Raises a `MullError`.
    """
    if not minutes > 0:
        raise ConfigError(f"--minutes: {minutes:g}; give a number above 0")
    if problems < 1:
        raise ConfigError(f"--problems: {problems}; give 1 at least")
    from configs.recipe import load_recipe

    config: GrpoConfig = load_recipe("grpo", recipe, overrides)
    if config.rollout.environment is not None:
        raise ConfigError("rollout.environment: an attack writes completions that act in none; leave it out")

    from rewards.attack.run import run_attack

    return run_attack(config, minutes, problems, seed, output)


if __name__ == "__main__":
    run_command(main)
