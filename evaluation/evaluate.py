"""Budget-forced evaluation: one engine, every problem under every budget, with statistics and every sample.

    python -m evaluation.evaluate --config aime24.yaml [key.path=value …] [--resume] [--dry-run] [--lm-eval]

Departs from s1's evaluation (arXiv 2501.19393 §4.1): one budget covers the whole thinking instead of each round, an
answer phase always follows, truncated thinking is never graded as the answer, and every figure has its interval.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from configs.command import prepare_libraries, recipe_parser, run_command


def main(argv: list[str]) -> None:
    """Load → problems → generate and grade → results."""
    parser = recipe_parser(
        "evaluation.evaluate",
        "eval",
        "Budget-forced evaluation.",
        resume="keep the run's samples and make those that are missing",
        dry_run="print the resolved config and the plan, make nothing",
    )
    parser.add_argument("--lm-eval", action="store_true", help="also write samples in lm-evaluation-harness's format")
    args = parser.parse_intermixed_args(argv)

    from configs.errors import RunError
    from configs.recipe import load
    from configs.run_directory import RunDir

    config = load("eval", args.config, args.overrides)
    run = RunDir(config.output_dir)
    if config.answers is None:
        from models.load import check

        check(config.model)
    if not args.dry_run:
        run.check(args.resume)

    prepare_libraries()
    from evaluation import runner as evaluation

    problems = evaluation.problems_of(config)
    if args.dry_run:
        print(describe(config, len(problems)))
        return
    if config.answers is not None:
        from evaluation import answers_file

        points = [answers_file.grade_file(config, problems, answers_file.answers_of(config, problems), run)]
    else:
        from data.think_format import resolve_think_format
        from models.engines.base import load_engine

        engine = load_engine(config.engine, config.model, resolve_think_format(config.think_format))
        with progress_line() as progress:
            points = evaluation.generate(config, problems, run, engine, progress)
        engine.close()
    try:
        found = evaluation.finish(config, problems, run, points)
    except OSError as error:
        raise RunError(f"{error.filename}: can't be written: {error.strerror}; go on with --resume") from error
    if args.lm_eval:
        for file in evaluation.export_lm_eval(config, problems, run, points):
            print(f"wrote {file}")
    show(found, run)


def describe(config: Any, problems: int) -> str:
    """The resolved recipe and the plan, for `--dry-run`."""
    import yaml

    recipe = yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)
    if config.answers is not None:
        return f"{recipe}\nplan: grade the answers in {config.answers} against {problems} problems"
    from budget_forcing.budget import Budget

    context = config.model.max_length
    budgets = [Budget.from_config(section, context) for section in config.budgets]
    longest = [
        min(context, (b.max_thinking if b.max_thinking is not None else context) + b.max_answer) for b in budgets
    ]
    total = problems * config.samples
    return (
        f"{recipe}\nplan: {problems} problems × {len(budgets)} budgets × {config.samples} samples = "
        f"{total * len(budgets):,} completions of at most {total * sum(longest):,} tokens, into {config.output_dir}"
    )


@contextmanager
def progress_line() -> Iterator[Callable[[str, int, int, int], None]]:
    """A bar a point with the accuracy so far, one after the other; gives the callback that moves them."""
    from configs.progress import Progress

    with ExitStack() as shown:
        points: dict[str, Progress] = {}

        def move(label: str, done: int, total: int, right: int) -> None:
            if label not in points:
                shown.close()
                points[label] = shown.enter_context(Progress(label, total))
            points[label].update(done, f"right {100 * right / done:.1f}%")

        yield move


def show(found: dict[str, Any], run: Any) -> None:
    """The table of points, the sweep's figures, the warnings, and where everything is."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from report.evaluation import interval, names_of

    title = f"{found['benchmark']['source']}, {found['benchmark']['problems']} problems"
    table = Table(title=escape(title), box=SIMPLE)
    for column in ("budget", "accuracy, 95% interval", "thinking tokens", "limited", "unanswered", "ungraded"):
        table.add_column(column, justify="left" if column == "budget" else "right", no_wrap=True)
    names = names_of(found["points"])
    for point in found["points"]:
        thinking = point["thinking_tokens"]
        shares = [f"{100 * point['shares'][name]:.1f}%" for name in ("limited", "unanswered", "ungraded")]
        table.add_row(
            escape(names[point["label"]]),
            interval(point["accuracy"]) or "–",
            f"{thinking['mean']:.0f}" if thinking else "–",
            *shares,
        )
    console = Console(width=None if sys.stdout.isatty() else 160)  # a log file has no width to fit
    console.print(table)
    if found["scaling"] is not None:
        console.print(
            f"control {100 * found['control']:.1f}%, scaling {100_000 * found['scaling']:+.1f} points per 1,000 tokens"
            f", performance {100 * found['performance']:.1f}%"
        )
    for warning in run.summary()["warnings"]:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    console.print(f"report: {escape(str(run / 'report.html'))}", highlight=False)


if __name__ == "__main__":
    run_command(main)
