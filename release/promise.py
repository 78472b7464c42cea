"""What a card says of a budget with a promise: what is proven, on what, and what that assumes."""

from pathlib import Path

import yaml

from configs.budget_file import BUDGET_FILE, budget_section, read_budget_file
from configs.errors import ConfigError
from configs.schema.promise import Promise
from configs.schema.publish import PublishConfig
from configs.schema.sections import BudgetConfig
from evaluation.promise import check_promise
from report.page import percent
from training.finished_run import TrainedRun


def promises(run: TrainedRun, config: PublishConfig) -> list[tuple[BudgetConfig, Promise]]:
    """The budgets with a promise: the recipe's, else those in the folders of the run and of its evaluations.

    Raises `ConfigError` for a file that can't be read, holds no promise, or one about another model.
    """
    folders = [run.path, *map(Path, config.evaluations)]
    files = [Path(config.budget)] if config.budget else [folder / BUDGET_FILE for folder in folders]
    found = []
    for file in files:
        if config.budget is None and not file.is_file():
            continue
        content = read_budget_file(file, "budget:")
        if content.promise is None:
            raise ConfigError(
                f"budget: {file} holds no promise for the card; `mull calibrate` writes one, or remove it"
            )
        check_promise(content.promise, f"budget: {file}", *run.weights, run.think_format)
        found.append((content.budget, content.promise))
    return found


def promise_text(run: TrainedRun, config: PublishConfig) -> str:
    """The card's paragraphs, a pair for each promise; empty without any."""
    return "".join(f"\n\n{_paragraphs(budget, promise)}" for budget, promise in promises(run, config))


def _paragraphs(budget: BudgetConfig, promise: Promise) -> str:
    section = yaml.safe_dump({"budget": budget_section(budget)}, sort_keys=False, allow_unicode=True)
    drawn = ", ".join(f"{name} {value:g}" for name, value in promise.sampling)
    asked = f" Every question ended in: {promise.instruction!r}." if promise.instruction else ""
    return (
        f"A budget with a promise: it {promise} ({percent(promise.saved)} of the thinking tokens saved: "
        f"{promise.thinking_tokens:,.0f} in place of {promise.thinking_tokens_longest:,.0f} a question). "
        f"This assumes that {promise.assumption}; it says nothing of other questions. Sampling: {drawn}.{asked}\n\n"
        f"```yaml\n{section}```"
    )
