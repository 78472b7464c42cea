"""Tasks: prompt, reply, key and grader of a row, declared once in YAML and used by every stage.

Templates are Jinja's, in its sandbox and strict about names: a column that is not there is a bad row.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import SandboxedEnvironment
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.recipe import RECIPES, explain
from configs.schema.task import TaskConfig
from configs.suggestion import did_you_mean
from data.cells import text_at
from data.compressed import plain_name
from data.formats import Reject, reject_of
from data.header import without_header
from data.problem import Trace
from data.row import BadRow, Row

TEMPLATES = ("prompt", "reply", "key")


@dataclass(frozen=True, slots=True)
class CompiledTask:
    """A task with its templates compiled."""

    name: str
    config: TaskConfig
    templates: Mapping[str, Template]
    columns: Collection[str]
    """Names in the templates that a row has to have, or may."""

    def trace(self, fields: Mapping[str, Any], id: str, source: str) -> Trace:
        """The row's trace; its reply is its gold answer. Raises `BadRow`."""
        columns = {name: "" if value is None else value for name, value in fields.items()}
        names = self.config.params | {"labels": self.config.labels} | columns
        texts = {part: self._text(part, names, columns) for part in TEMPLATES}
        if self.config.labels and texts["reply"] not in self.config.labels:
            known = ", ".join(self.config.labels)
            raise BadRow(f"task {self.name}: unknown label {texts['reply'][:40]!r}; known: {known}")
        return Trace(
            id=id,
            question=texts["prompt"],
            thinking="",
            reply=texts["reply"],
            source=source,
            answer=texts["reply"],
            system=self.config.system,
            metadata=dict(fields),
            grader=self.config.grader,
            key=texts["key"],
        )

    def _text(self, part: str, names: Mapping[str, Any], columns: Mapping[str, Any]) -> str:
        try:
            text = self.templates[part].render(names).strip()
        except UndefinedError as error:
            has = f"{', '.join(columns)}{without_header(list(columns))}"
            raise BadRow(f"task {self.name}: {part}: {error}; the row has {has}") from None
        except (TemplateError, ValueError, TypeError, ArithmeticError) as error:
            raise BadRow(f"task {self.name}: {part}: {' '.join(str(error).split())}") from None
        if not text:
            raise BadRow(f"task {self.name}: empty {part}")
        return text


@cache
def load_task(name: str) -> CompiledTask:
    """The task in the file `name`, or of that name in `configs/tasks`. Raises `ConfigError`."""
    # 1. the file
    shipped = RECIPES / "tasks" / f"{name.removesuffix('.yaml')}.yaml"
    path = next((path for path in (Path(name), shipped) if path.is_file()), None)
    if path is None:
        known = sorted(one.stem for one in (RECIPES / "tasks").glob("*.yaml"))
        hint = did_you_mean(name, known, f"shipped: {', '.join(known)}")
        raise ConfigError(f"data.task: {name}: no such file, and no task of that name; {hint}")
    try:
        config = TaskConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(TaskConfig, error)}") from None
    # 2. its templates
    templates, columns = {}, set()
    for part in TEMPLATES:
        try:
            templates[part] = _environment().from_string(getattr(config, part))
            columns |= find_undeclared_variables(_environment().parse(getattr(config, part)))
        except TemplateSyntaxError as error:
            raise ConfigError(f"{path}: {part}, line {error.lineno}: {error.message}") from None
    return CompiledTask(path.stem, config, templates, columns - config.params.keys() - {"labels"})


@cache
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = _to_json
    return environment


def _to_json(value: Any) -> str:
    """As people write it: Jinja's own is for HTML, and escapes <, >, & and '."""
    if isinstance(value, Undefined):
        str(value)  # raises, and says what is not there
    return json.dumps(value, ensure_ascii=False)


def task_traces(
    task: CompiledTask,
    rows: Iterable[Row],
    origin: Path,
    columns: Mapping[str, str],
    rejected: Callable[[Reject], None],
) -> Iterator[Trace]:
    """The traces of a file's rows, ids unique; a bad row goes to `rejected`.

    `columns`: the task's name of a column → the file's. Raises `ConfigError` for a name that the task does not have.
    """
    for name in columns:
        if name not in task.columns:
            known = sorted(task.columns)
            hint = did_you_mean(name, known, f"it has {', '.join(known)}")
            raise ConfigError(f"data.fields.{name}: the task {task.name} has no such column; {hint}")
    stem, line_of = Path(plain_name(origin)).stem, dict[str, int]()
    for row in rows:
        try:
            if row.error:
                raise BadRow(row.error)
            for name, column in columns.items():
                if column not in row.fields and name not in row.fields:
                    has = f"{', '.join(row.fields)}{without_header(list(row.fields))}"
                    raise BadRow(f"no column {column!r} for data.fields.{name}; it has {has}")
            # a file that has the task's own names needs no other, as a recipe's with data.path changed
            mapped = {name: row.fields[column] for name, column in columns.items() if column in row.fields}
            fields = row.fields | mapped
            named = text_at(row.fields, "id")
            trace = task.trace(fields, row.id_of(named, stem), origin.name)
            if line_of.setdefault(trace.id, row.line) != row.line:
                raise BadRow(f"id {trace.id!r} is already row {line_of[trace.id]}'s")
        except BadRow as error:
            rejected(reject_of(row, str(origin), str(error)))
            continue
        yield trace
