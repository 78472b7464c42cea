"""Whether a promise is about the model at hand; and an evaluation that looks whether it is kept."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from configs.budget_file import budget_section, read_budget_file
from configs.errors import ConfigError
from configs.recipe import explain
from configs.schema.evaluation import EvalConfig
from configs.schema.promise import Promise
from configs.schema.sections import SamplingConfig
from data.problem import Problem, problems_hash
from data.think_format import ThinkFormat, resolve_think_format
from evaluation.plan import adapter_hash

WITHOUT = "calibrate this one, or take `promise:` out of the file to use its budget without it"


def check_promise(
    promise: Promise,
    where: str,
    model: str,
    adapter: str | None,
    think_format: ThinkFormat,
    sampling: SamplingConfig | None = None,
) -> None:
    """Raise `ConfigError` where the promise is about something else than this.

    `where`: what the error calls the file; `model`, `adapter`: as a recipe names them; `sampling` None: not known yet.
    """
    if not _is_same(promise.model.name, model):
        about = f"its promise is about the model {promise.model.name}"
        raise ConfigError(f"{where}: {about}, and this is {model}; {WITHOUT}")
    weights = adapter_hash(adapter)
    if weights != promise.model.adapter:
        own = "no adapter" if adapter is None else adapter if weights == adapter else f"{adapter} ({weights})"
        about = f"its promise is about {promise.model.adapter or 'no adapter'}"
        raise ConfigError(f"{where}: {about}, and this is {own}; {WITHOUT}")
    promised = resolve_think_format(promise.think_format)
    if promised != think_format:
        raise ConfigError(
            f"{where}: its promise is about think format {promised.name}, and this is {think_format.name}; {WITHOUT}"
        )
    if sampling is not None and sampling != promise.sampling:
        name, value = next(pair for pair in promise.sampling if getattr(sampling, pair[0]) != pair[1])
        raise ConfigError(
            f"{where}: its promise is about {name} {value:g}, and this is {getattr(sampling, name):g}; {WITHOUT}"
        )


def _is_same(name: str, other: str) -> bool:
    """Whether two names of `model.name` mean one model: the same text, or the same file or folder."""
    return name == other or (Path(name).exists() and Path(other).exists() and Path(name).samefile(other))


def under_budget_file(config: EvalConfig, file: str | Path) -> tuple[EvalConfig, Promise | None]:
    """The recipe with the file's budget in place of its own; with a promise, the longest budget before it.

    Raises `ConfigError` for a promise about something else than the recipe evaluates.
    """
    content = read_budget_file(file)
    promise, where = content.promise, f"--budget {file}"
    if config.answers is not None:
        raise ConfigError(f"{where}: the recipe's `answers` are another tool's, under no budget; leave one of them out")
    if promise is not None:
        think_format = resolve_think_format(config.think_format)
        check_promise(promise, where, config.model.name, config.model.adapter, think_format, config.sampling)
        if promise.instruction != config.instruction:
            raise ConfigError(
                f"{where}: its promise is about the instruction {promise.instruction!r}, and this is "
                f"{config.instruction!r}; {WITHOUT}"
            )
    budgets = [*([promise.longest] if promise else []), content.budget]
    values = config.model_dump() | {"budgets": [budget_section(budget) for budget in budgets]}
    try:
        return EvalConfig.model_validate(values), promise
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(EvalConfig, error)}") from None


def check_other_questions(promise: Promise, problems: Sequence[Problem]) -> None:
    """Raise `ConfigError` for the questions that the promise was proven on: they can't say whether it is kept."""
    if problems_hash(problems) == promise.benchmark.hash:
        raise ConfigError(
            "--budget: these are the very questions that its promise was proven on, which say nothing new; evaluate "
            "on others (data.…), or take `promise:` out of the file"
        )
