"""What would go wrong in a GRPO run, found in a minute: every line passed, warned or failed, with the fix.

    python -m rl.doctor --config gsm8k.yaml [key.path=value …]

Loads the model, draws one completion a prompt on the run's own engine, grades it with every reward and compares the
engine with the model in training. Exit code 1 if a line failed.
"""

from collections import Counter
from collections.abc import Iterable

from configs.command import prepare_libraries, recipe_parser, run_command


def main(argv: list[str]) -> int:
    """Load → check → print."""
    args = recipe_parser("rl.doctor", "grpo", "Checks a GRPO recipe before its run.").parse_intermixed_args(argv)

    from configs.recipe import load

    config = load("grpo", args.config, args.overrides)

    import rewards
    from data.splits import split
    from data.think_format import resolve_think_format
    from models.backend import check, import_backend
    from rl import rollout
    from training import preflight

    check(config.model)
    reward_set = rewards.build(config.rewards)
    problems, held_out = split(config.data, config.eval)
    think_format = resolve_think_format(config.think_format)
    prepare_libraries()
    import_backend(config.model)

    from models.load import load_model
    from models.tokenizer import load_tokenizer
    from rl import doctor_checks
    from training.trainer import engine_of

    tokenizer = load_tokenizer(config.model)
    prompts = rollout.prompts(problems, tokenizer, think_format)
    problems, prompts = rollout.fitting(config, problems, prompts, tokenizer)
    findings = preflight.quick(config, tokenizer, think_format, prompts[0])
    findings.append(doctor_checks.lengths(config, problems, prompts, held_out, tokenizer, think_format))
    print(*findings, sep="\n", flush=True)
    if all(finding.state != "failed" for finding in findings):
        loaded = load_model(config.model, config.adapter, config.seed)
        engine = engine_of(loaded, config, think_format)
        exam = doctor_checks.Examination(config, engine, loaded, problems, prompts)
        for found in (exam.completion(), exam.loss_mask(), *exam.grades(reward_set), exam.agreement()):
            print(found, flush=True)
            findings.append(found)
    print(summary_of(finding.state for finding in findings))
    return int(any(finding.state == "failed" for finding in findings))


def summary_of(states: Iterable[str]) -> str:
    """The last line: how many findings passed, and how many did not."""
    counts = Counter(states)
    others = [f"{counts[state]} {state}" for state in ("warned", "failed") if counts[state]]
    return ", ".join([f"{counts['passed']} of {counts.total()} lines are fine", *others])


if __name__ == "__main__":
    run_command(main)
