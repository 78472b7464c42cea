"""Tasks: prompt, reply, key and grader of a row, declared once in YAML and used by every stage.

Templates are Jinja's, in its sandbox and strict about names: a column that is not there is a bad row.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import (
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
    pass_context,
)
from jinja2.filters import FILTERS
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from pydantic import ValidationError

from configs.errors import ConfigError
from configs.recipe import RECIPES, explain
from configs.schema.task import TaskConfig
from configs.suggestion import did_you_mean
from data.cells import list_of, text_at
from data.compressed import plain_name
from data.formats import Reject, reject_of
from data.header import without_header
from data.problem import Trace, check_replies, references_of
from data.row import BadRow, Row

TEMPLATES = ("prompt", "reply", "key")
_EXPRESSION = re.compile(r"\s*\{\{(.*)\}\}\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CompiledTask:
    """A task with its templates compiled."""

    name: str
    config: TaskConfig
    templates: Mapping[str, Template]
    references: Callable[[Mapping[str, Any]], Any] | None
    """The value of its expression."""
    columns: Collection[str]
    """Names in the templates that a row has to have, or may."""

    def trace(self, fields: Mapping[str, Any], id: str, source: str) -> Trace:
        """The row's trace; its reply is its gold answer, and its references are right too. Raises `BadRow`."""
        columns = {name: "" if value is None else value for name, value in fields.items()}
        names = self.config.params | {"labels": self.config.labels} | columns
        texts = {part: self._text(part, names, columns) for part in self.templates}
        replies = [] if self.references is None else self._replies(self.references, names, columns)
        reply = texts.get("reply") or replies[0]
        references = references_of(reply, replies)
        for label in references or (reply,):
            if self.config.labels and label not in self.config.labels:
                known = ", ".join(self.config.labels)
                raise BadRow(f"task {self.name}: unknown label {label[:40]!r}; known: {known}")
        return Trace(
            id=id,
            question=texts["prompt"],
            thinking="",
            reply=reply,
            source=source,
            answer=reply,
            system=self.config.system,
            metadata=dict(fields),
            grader=self.config.grader,
            key=texts["key"],
            references=references,
        )

    def _text(self, part: str, names: Mapping[str, Any], columns: Mapping[str, Any]) -> str:
        with self._bad_row(part, columns):
            text = self.templates[part].render(names).strip()
        if not text:
            raise BadRow(f"task {self.name}: empty {part}")
        return text

    def _replies(
        self, expression: Callable[[Mapping[str, Any]], Any], names: Mapping[str, Any], columns: Mapping[str, Any]
    ) -> list[str]:
        """The row's list of right replies, one at least; a text may hold it as JSON, as in a CSV."""
        with self._bad_row("references", columns):
            value = expression(names)
            if not isinstance(value, str | Mapping) and isinstance(value, Iterable):  # filters make generators
                value = list(value)
            elif isinstance(value, str):
                value = value if (listed := list_of(value)) is None else listed
            check_replies(value)
        if not value:
            raise BadRow(f"task {self.name}: references: an empty list; give a right reply at least")
        return [reply.strip() for reply in value]

    @contextmanager
    def _bad_row(self, part: str, columns: Mapping[str, Any]) -> Iterator[None]:
        """What a template raises, as the `BadRow` that names the task's part."""
        try:
            yield
        except UndefinedError as error:
            has = f"{', '.join(columns)}{without_header(list(columns))}"
            raise BadRow(f"task {self.name}: {part}: {error}; the row has {has}") from None
        except (TemplateError, ValueError, TypeError, ArithmeticError) as error:
            raise BadRow(f"task {self.name}: {part}: {' '.join(str(error).split())}") from None


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
        if (source := getattr(config, part)) is None:
            continue
        try:
            templates[part] = _environment().from_string(source)
            columns |= find_undeclared_variables(_environment().parse(source))
        except TemplateSyntaxError as error:
            raise ConfigError(f"{path}: {part}, line {error.lineno}: {error.message}") from None
    # 3. the expression of its references
    references = None
    if config.references is not None:
        inside = _EXPRESSION.fullmatch(config.references)
        source = inside[1] if inside else config.references
        try:
            references = _environment().compile_expression(source, undefined_to_none=False)
            columns |= find_undeclared_variables(_environment().parse(f"{{{{ {source} }}}}"))
        except TemplateSyntaxError as error:
            way_out = "write one expression whose value is a list, or a column"
            raise ConfigError(f"{path}: references: {error.message}; {way_out}") from None
    return CompiledTask(path.stem, config, templates, references, columns - config.params.keys() - {"labels"})


@cache
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"tojson": _to_json, "map": _map}
    return environment


@pass_context
def _map(context: Context, value: Any, *names: Any, **settings: Any) -> Iterator[Any]:
    """Jinja's own, but of no text: where a row has one in a list's place, its characters are not meant."""
    if isinstance(value, str):
        raise ValueError(f"{value[:40]!r} is a text, where a list is expected")
    return iter(FILTERS["map"](context, value, *names, **settings))


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
