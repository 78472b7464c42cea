"""What an evaluation by the harness's tasks prints: the plan, and the table of its points."""

from typing import Any

import yaml
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from configs.run_directory import RunDir
from configs.schema.harness import HarnessEvalConfig
from evaluation.compare import screen
from evaluation.harness.tasks import HarnessTasks
from report.harness import cells


def describe(config: HarnessEvalConfig, tasks: HarnessTasks) -> str:
    """The resolved recipe and the plan, for `--dry-run`."""
    recipe = yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)
    lines = []
    for name in dict.fromkeys(tasks.asked_as.values()):
        its = [tasks.tasks[leaf] for leaf, asked in tasks.asked_as.items() if asked == name]
        sizes = [min(len(task.eval_docs), config.harness.limit or len(task.eval_docs)) for task in its]
        kinds = ", ".join(sorted({task.OUTPUT_TYPE for task in its}))
        shots = ", ".join(map(str, sorted({task.get_config("num_fewshot") for task in its})))
        lines.append(f"plan: {name}: {len(its)} tasks, {sum(sizes):,} documents, {kinds}, examples: {shots}")
    return "\n".join([recipe, *lines, f"      into {config.output_dir}"])


def show_results(found: dict[str, Any], run: RunDir) -> None:
    """The table of what the recipe asked for, the warnings, and where everything is."""
    table = Table(
        title=escape(f"{found['benchmark']['source']}, {found['benchmark']['problems']} documents"), box=SIMPLE
    )
    for column in ("task", "metric", "value, 95% interval", "stderr", "documents"):
        table.add_column(column, justify="left" if column in ("task", "metric") else "right", no_wrap=True)
    shown = [point for point in found["points"] if point["is_summary"]]
    for point in shown:
        table.add_row(*(escape("–" if cell is None else str(cell)) for cell in cells(point)))
    console = screen()
    console.print(table)
    if left := len({point["task"] for point in found["points"]} - {point["task"] for point in shown}):
        console.print(f"{left} tasks of these groups are in the report and in results.json", highlight=False)
    for warning in run.summary()["warnings"]:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    console.print(f"report: {escape(str(run / 'report.html'))}", highlight=False)
