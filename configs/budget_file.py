"""`budget.yaml` read and written: the budget that `--budget FILE` takes, with its promise where it has one."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from configs.errors import ConfigError, RunError
from configs.recipe import explain
from configs.schema.promise import BudgetFile
from configs.schema.sections import BudgetConfig

BUDGET_FILE = "budget.yaml"


def read_budget_file(path: str | Path, key: str = "--budget") -> BudgetFile:
    """The file's budget and promise; `key` is what an error calls it. Raises `ConfigError`."""
    try:
        return BudgetFile.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigError(f"{key} {path}: no such file; `mull calibrate RUN` writes one") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{key} {path}: can't be read: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise ConfigError(f"{key} {path}: {explain(BudgetFile, error)}") from None


def read_fixed_budget_file(path: str | Path) -> BudgetFile:
    """`read_budget_file`, for what can't probe while it answers somebody. Raises `ConfigError` for a stopping rule."""
    content = read_budget_file(path)
    if content.budget.stop_when is not None:
        raise ConfigError(
            f"--budget {path}: stop_when forces answers and takes them back while the model thinks, which nobody can "
            "be shown as it comes; `mull evaluate` keeps it. Take a fixed budget: `mull calibrate RUN --fixed`"
        )
    return content


def write_budget_file(path: Path, content: BudgetFile) -> None:
    """Write the file, or leave it where it says the same. Raises `RunError` where it says anything else."""
    from configs.run_directory import write_text

    values: dict[str, Any] = {"budget": budget_section(content.budget)}
    if content.promise is not None:
        values["promise"] = content.promise.model_dump() | {"longest": budget_section(content.promise.longest)}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") != text:
                raise RunError(f"{path}: holds another budget already; remove it, or name another with --output")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: can't be written: {error}") from error


def budget_section(budget: BudgetConfig) -> dict[str, Any]:
    """The budget as a recipe's section: what is not its default, and how long the answer may be."""
    return {**budget.model_dump(exclude_defaults=True), "max_answer": budget.max_answer}
