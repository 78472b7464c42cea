"""What would go wrong in a GRPO run, found in a minute: every line passed, warned or failed, with the fix.

    python -m rl.doctor --config gsm8k.yaml [key.path=value …]

Loads the model, draws one completion a prompt on the run's own engine, grades it with every reward and compares the
engine with the model in training. Exit code 1 if a line failed.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from configs.command import prepare_libraries, recipe_parser, run_command

if TYPE_CHECKING:
    from configs.schema.grpo import GrpoConfig
    from training.preflight import Finding


def main(argv: list[str]) -> int:
    """Parse the command line, print each finding as it comes, and count them."""
    args = recipe_parser("rl.doctor", "grpo", "Checks a GRPO recipe before its run.").parse_intermixed_args(argv)

    findings = examine(args.config, args.overrides, show=lambda finding: print(finding, flush=True))
    print(tally(findings))
    return int(any(finding.state == "failed" for finding in findings))


def examine(
    recipe: "GrpoConfig | str",
    overrides: Sequence[str] = (),
    *,
    show: "Callable[[Finding], None]" = lambda finding: None,
) -> "list[Finding]":
    """Everything that can be seen of a run before it starts; `show` gets each finding as it comes.

    `recipe` is a config, or the name or path of a recipe; `overrides` are changes to it. Raises a `MullError`, before
    torch is imported, for what stops the command itself.
    """
    from configs.recipe import load_recipe

    config: GrpoConfig = load_recipe("grpo", recipe, overrides)

    from data.splits import split_problems
    from models.backend import import_backend
    from rewards.composition import RewardSet
    from rewards.registry import build_rewards
    from rl.grpo import check_recipe

    # 1. refuse what can be refused at once: names, files, rewards, data
    check_recipe(config)
    reward_set = build_rewards(config.rewards) if config.rewards else RewardSet([])
    problems, held_out = split_problems(config.data, config.eval)

    # 2. Unsloth patches Transformers and TRL, so it is imported before them
    prepare_libraries()
    import_backend(config.model, config)

    # 3. the rest needs torch
    from rl.doctor_checks import examine_run

    findings = []
    for finding in examine_run(config, reward_set, problems, held_out):
        show(finding)
        findings.append(finding)
    return findings


def tally(findings: "Sequence[Finding]") -> str:
    """How many lines are fine, and how many are not."""
    count = {state: sum(finding.state == state for finding in findings) for state in ("passed", "warned", "failed")}
    others = "".join(f", {count[state]} {state}" for state in ("warned", "failed") if count[state])
    return f"{count['passed']} of {len(findings)} lines are fine{others}"


if __name__ == "__main__":
    run_command(main)
