"""Budget-forced evaluation: one engine, every problem under every budget, with statistics and every sample.

    python -m evaluation.evaluate --config aime24.yaml [key.path=value …] [--resume] [--dry-run] [--lm-eval]
                                  [--compare base|RUN] [--budget FILE]

A recipe with a `harness:` section asks lm-evaluation-harness's tasks instead of problems (`evaluation.harness`).

Departs from s1's evaluation (arXiv 2501.19393 §4.1): one budget covers the whole thinking instead of each round, an
answer phase always follows, truncated thinking is never graded as the answer, and every figure has its interval.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command import prepare_libraries, recipe_parser, run_command

if TYPE_CHECKING:
    from configs.schema.evaluation import EvalConfig
    from configs.schema.harness import HarnessEvalConfig


TOO_FEW_GRADED = 3
"""The exit code of a finished evaluation in which too many samples of a point could not be graded."""


def main(argv: list[str]) -> int:
    """Parse the command line and evaluate; returns the exit code."""
    parser = recipe_parser(
        "evaluation.evaluate",
        "eval",
        "Budget-forced evaluation.",
        resume="keep the run's samples and make those that are missing",
        dry_run="print the resolved config and the plan, make nothing",
    )
    parser.add_argument("--lm-eval", action="store_true", help="also write samples in lm-evaluation-harness's format")
    parser.add_argument(
        "--compare",
        metavar="base|RUN",
        help="also say what changed, question by question: against the model without its adapter, or another run",
    )
    parser.add_argument(
        "--budget",
        metavar="FILE",
        help="take the budget of a budget.yaml in place of the recipe's, and say whether its promise is kept",
    )
    args = parser.parse_intermixed_args(argv)

    options = {name: getattr(args, name) for name in ("resume", "dry_run", "lm_eval", "compare", "budget")}
    results = evaluate(args.config, args.overrides, **options)

    from evaluation.results import is_mostly_graded

    return 0 if results is None or all(map(is_mostly_graded, results["points"])) else TOO_FEW_GRADED


def evaluate(
    recipe: "EvalConfig | HarnessEvalConfig | str",
    overrides: Sequence[str] = (),
    *,
    resume: bool = False,
    dry_run: bool = False,
    lm_eval: bool = False,
    compare: str | None = None,
    budget: str | Path | None = None,
) -> dict[str, Any] | None:
    """Measure `config.model` on the recipe's problems under each of its budgets; returns what `results.json` holds.

    `recipe` is a config, or the name or path of a recipe; `overrides` are changes to it, as `data.limit=50`. `resume`
    keeps the run's samples and makes those that are missing; `dry_run` prints the plan and returns None; `lm_eval` also
    writes samples as lm-evaluation-harness does; `compare`: "base" evaluates the model without its adapter too, into
    `<output_dir>-base`, a run's folder is taken as it is, and the paired changes are `comparison`; `budget`: a
    `budget.yaml` of `calibrate`, whose budget stands in place of the recipe's, after the longest one that its promise
    compares it with, and `promise` says whether it is kept. Raises a `MullError`, before torch is imported, for all
    that can be seen without it.
    """
    from configs.recipe import load_recipe
    from configs.schema.harness import HarnessEvalConfig

    config: EvalConfig | HarnessEvalConfig = load_recipe("eval", recipe, overrides)
    if isinstance(config, HarnessEvalConfig):
        return _ask_harness(config, resume=resume, dry_run=dry_run, compare=compare, budget=budget)
    promise = None
    if budget is not None:
        from evaluation.promise import under_budget_file

        config, promise = under_budget_file(config, budget)

    from configs.run_directory import RunDir
    from models.backend import check_model_config, import_backend

    # 1. refuse what can be refused at once
    run = RunDir(config.output_dir)
    if config.judge is not None:
        from models.server import api_key

        api_key(config.judge.server)
    if compare is not None:
        from evaluation.against import check_compared

        check_compared(config, compare)
    if config.answers is None:
        check_model_config(config.model)
    if config.environment is not None:
        from rewards.plugin import load

        load(config.environment, "environment")
    if not dry_run:
        run.check(resume)

    # 2. the rest imports numpy, and torch where something is generated
    prepare_libraries()
    if config.answers is None:
        import_backend(config.model)
    from evaluation.run import run_evaluation

    return run_evaluation(config, run, dry_run=dry_run, lm_eval=lm_eval, compare=compare, promise=promise)


def _ask_harness(
    config: "HarnessEvalConfig", *, resume: bool, dry_run: bool, compare: str | None, budget: str | Path | None
) -> dict[str, Any] | None:
    """`evaluate` where the recipe asks lm-evaluation-harness's tasks."""
    from configs.errors import ConfigError
    from configs.run_directory import RunDir
    from evaluation.harness.tasks import check_harness
    from models.backend import check_model_config, import_backend

    if budget is not None:
        raise ConfigError("--budget: a recipe with `harness:` has its own `budget:`; write it there")
    if compare is not None:
        raise ConfigError("--compare: runs of the harness's tasks are compared by `mull compare RUN_A RUN_B`")
    check_harness(config.harness)
    check_model_config(config.model)
    run = RunDir(config.output_dir)
    if not dry_run:
        run.check(resume)

    prepare_libraries()
    import_backend(config.model)
    from evaluation.harness.run import run_harness

    return run_harness(config, run, dry_run=dry_run)


if __name__ == "__main__":
    run_command(main)
