"""What would go wrong in a GRPO run, found in a minute: every line passed, warned or failed, with the fix.

    python -m models.doctor --config gsm8k.yaml [key.path=value …]

Loads the model, draws one completion a prompt on the run's own engine, grades it with every reward and compares the
engine with the model in training. Exit code 1 if a line failed.
"""

from configs.command import prepare_libraries, recipe_parser, run_command


def main(argv: list[str]) -> int:
    """Load → check → print."""
    args = recipe_parser("models.doctor", "grpo", "Checks a GRPO recipe before its run.").parse_intermixed_args(argv)

    from configs.recipe import load

    config = load("grpo", args.config, args.overrides)

    import rewards
    from data import think
    from data.heldout import split
    from models import diagnosis
    from models.load import check, import_backend, load_model, load_tokenizer
    from rl import rollout

    check(config.model)
    reward_set = rewards.build(config.rewards)
    problems, held_out = split(config.data, config.eval)
    think_format = think.resolve(config.think_format)
    prepare_libraries()
    import_backend(config.model)

    from models import training
    from rl import examination

    tokenizer = load_tokenizer(config.model)
    prompts = rollout.prompts(problems, tokenizer, think_format)
    problems, prompts = rollout.fitting(config, problems, prompts, tokenizer)
    findings = diagnosis.quick(config, tokenizer, think_format, prompts[0])
    findings.append(examination.lengths(config, problems, prompts, held_out, tokenizer, think_format))
    print(*findings, sep="\n", flush=True)
    if all(finding.state != "failed" for finding in findings):
        loaded = load_model(config.model, config.adapter, config.seed)
        engine = training.engine_of(loaded, config, think_format)
        exam = examination.Examination(config, engine, loaded, problems, prompts)
        for found in (exam.completion(), exam.loss_mask(), *exam.grades(reward_set), exam.agreement()):
            print(found, flush=True)
            findings.append(found)
    failed = sum(finding.state == "failed" for finding in findings)
    print(f"{len(findings) - failed} of {len(findings)} lines are fine" + (f", {failed} failed" if failed else ""))
    return int(failed > 0)


if __name__ == "__main__":
    run_command(main)
