"""What an evaluation prints: the plan, its progress, the table of its points."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import yaml
from rich.markup import escape
from rich.table import Table

from budget_forcing.budget import Budget
from configs.progress import Progress
from configs.run_directory import RunDir
from configs.schema.evaluation import EvalConfig
from evaluation.compare import screen, table_of
from evaluation.plan import shared_thinking
from report import width_depth
from report.confusion import confused_pairs
from report.evaluation import figure_text, names_of, optional_interval
from report.page import percent

_MOST_PAIRS = 5  # of confused labels on the screen


def describe(config: EvalConfig, problems: int) -> str:
    """The resolved recipe and the plan, for `--dry-run`."""
    recipe = yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)
    if config.answers is not None:
        return f"{recipe}\nplan: grade the answers in {config.answers} against {problems} problems"
    context = config.model.max_length
    budgets = [Budget.from_config(section, context) for section in config.budgets]
    total = problems * config.samples
    lines = [
        f"{recipe}\nplan: {problems} problems × {len(budgets)} budgets × {config.samples} samples = "
        f"{total * len(budgets):,} completions, into {config.output_dir}"
    ]
    for numbers in shared_thinking(config.budgets):
        limits = [budgets[at].max_thinking for at in numbers]
        thinking = context if None in limits else max(limit for limit in limits if limit is not None)
        answers = sum(budgets[at].max_answer for at in numbers)
        most = total * min(thinking + answers, context * len(numbers)) * config.budgets[numbers[0]].tries
        names = "1 budget" if len(numbers) == 1 else f"{len(numbers)} budgets, whose thinking is decoded once"
        lines.append(f"      {names}: at most {most:,} tokens")
    return "\n".join(lines)


@contextmanager
def progress_line() -> Iterator[Callable[[str, int, int, int], None]]:
    """A bar for the points made together, one after the other, with their accuracy so far; gives what moves them."""
    with ExitStack() as shown:
        points: dict[str, Progress] = {}

        def move(label: str, done: int, total: int, right: int) -> None:
            if label not in points:
                shown.close()
                points[label] = shown.enter_context(Progress(label, total))
            points[label].update(done, f"right {percent(right / done)}")

        yield move


def _metrics_of(point: dict[str, Any], name: str) -> Table:
    """A point's metrics beside what answers without a model reach."""
    table = table_of(("metric", "value, 95% interval", *point["baselines"]), name)
    for metric, figure in point["metrics"].items():
        trivial = (percent(its[metric]) if metric in its else "–" for its in point["baselines"].values())
        table.add_row(escape(metric), figure_text(figure), *trivial)
    return table


def _confused(pairs: Sequence[tuple[str, str, int, int]]) -> str:
    """The most confused labels of a point in one line."""
    texts = [f"{gold} → {answered} {count} of {total}" for gold, answered, count, total in pairs[:_MOST_PAIRS]]
    return f"most confused: {', '.join(texts)}"


def show_results(found: dict[str, Any], run: RunDir) -> None:
    """The table of points, the sweep's figures, the warnings, and where everything is."""
    title = f"{found['benchmark']['source']}, {found['benchmark']['problems']} problems"
    columns = ("budget", "accuracy, 95% interval", "thinking tokens", "limited", "unanswered", "ungraded")
    table = table_of(columns, title)
    names = names_of(found["points"])
    for point in found["points"]:
        thinking = point["thinking_tokens"]
        shares = [percent(point["shares"][name]) for name in ("limited", "unanswered", "ungraded")]
        table.add_row(
            escape(names[point["label"]]),
            optional_interval(point["accuracy"]) or "–",
            f"{thinking['mean']:.0f}" if thinking else "–",
            *shares,
        )
    console = screen()
    console.print(table)
    for point in found["points"]:
        if point.get("metrics") and "comparison" not in found:
            console.print(_metrics_of(point, names[point["label"]] if len(found["points"]) > 1 else ""))
        if pairs := confused_pairs(point):
            console.print(escape(_confused(pairs)), highlight=False, soft_wrap=True)
    if found["scaling"] is not None:
        console.print(
            f"control {percent(found['control'])}, scaling {100_000 * found['scaling']:+.1f} points per 1,000 tokens"
            f", performance {percent(found['performance'])}"
        )
    if line := width_depth.best_line(found["width_depth"], names):
        console.print(escape(line), highlight=False, soft_wrap=True)
    for warning in run.summary()["warnings"]:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    console.print(f"report: {escape(str(run / 'report.html'))}", highlight=False)
