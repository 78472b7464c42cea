"""Completions of a file as rollouts: rows of a run's `rollouts.jsonl`, of TRL, or of the user's own columns."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs.errors import DataError
from configs.schema.sections import DataConfig
from data.cells import Fields, gold_of, text_at
from data.json_rows import jsonl_rows
from data.messages import messages_in, read_message
from data.multiple_choice import pose
from data.problem import Problem, stated_references
from data.row import BadRow
from data.rows import read_rows
from data.sources import load_problems
from data.think_format import ThinkFormat
from rewards.grading.extract import extract
from rewards.rollout import Rollout

Known = Mapping[tuple[object, object], Problem]
"""Problems by id and question."""

_TEXT = ("text", "completion", "response", "output")
_GOLD = ("gold", "answer", "ground_truth")


def known_problems(data: DataConfig) -> Known:
    """The recipe's problems by id and question, where they are at hand: generated, or in a file."""
    if not data.path and not data.source.startswith("reasoning_gym:"):
        return {}
    return {(p.id, p.question): p for p in load_problems(data, rejected=lambda _: None)}


def read_rollouts(path: str, think_format: ThinkFormat, max_tokens: int, known: Known | None = None) -> list[Rollout]:
    """The completions of a file (`-`: JSONL from stdin), under the run's limit; raises DataError that names the row.

    `known`: problems that a row may be about, by id and question.
    """
    name = "stdin" if path == "-" else path
    rollouts: list[Rollout] = []
    for row in jsonl_rows(sys.stdin) if path == "-" else read_rows(Path(path)):
        where = f"{name}, line {row.line}"
        if row.error:
            raise DataError(f"{where}: {row.error}; give one JSON object a line")
        rollouts.append(_rollout(row.fields, where, think_format, max_tokens, known or {}))
    if not rollouts:
        raise DataError(f"{name}: is empty; give one JSON object a line, with `text` and `answer`")
    return rollouts


def _rollout(record: Fields, where: str, think_format: ThinkFormat, max_tokens: int, known: Known) -> Rollout:
    whole = _completion(record, where)
    results = _tool_results(record, where)
    start = results[-1][1] if results else 0
    text = whole[start:]
    try:
        prompt = _prompt(record)
        problem = known.get((record.get("id"), record.get("question"))) or _problem(record, where, prompt)
    except BadRow as error:
        raise DataError(f"{where}: {error}") from None
    return Rollout(
        problem=problem,
        text=text,
        think_format=think_format,
        prompt=prompt,
        completion_tokens=_count(record, "completion_tokens", whole, where),
        thinking_tokens=_count(record, "thinking_tokens", extract(text, think_format).thinking or "", where),
        max_tokens=max_tokens,
        max_thinking=_whole(record, "max_thinking", where),
        truncated=bool(record.get("truncated", False)) or record.get("finish") == "length",
        completion_ids=_ids(record, where),
        earlier=whole[:start],
        tool_results=results,
    )


def _problem(record: Fields, where: str, prompt: str) -> Problem:
    """What the completion answers, as far as its own row says it. Raises `BadRow`."""
    column = _field(record, _GOLD, where)
    answer = gold_of(record[column], column)
    try:
        references = stated_references(answer, record.get("references") or ())
    except ValueError as error:
        raise BadRow(str(error)) from None
    return pose(
        Problem(
            id=str(record.get("id", where)),
            question=str(record.get("question", prompt)),
            answer=answer,
            references=references,
            source="file",
            metadata={name: record[name] for name in ("options", "choices") if name in record},
            grader=str(record.get("grader") or "math"),
        )
    )


def _prompt(record: Fields) -> str:
    """The prompt, of messages the last one; "" for none. Raises `BadRow` for what is neither."""
    messages = messages_in(record.get("prompt"))
    return read_message(messages[-1]).text if messages else text_at(record, "prompt")


def _ids(record: Fields, where: str) -> tuple[int, ...]:
    """`completion_ids`; () where the record has none."""
    ids = record.get("completion_ids")
    if ids is None:
        return ()
    if not isinstance(ids, list) or not all(isinstance(id, int) for id in ids):
        raise DataError(f"{where}: completion_ids is no list of token ids; give whole numbers, or leave it out")
    return tuple(ids)


def _tool_results(record: Fields, where: str) -> tuple[tuple[int, int], ...]:
    """The ranges of the text that an environment wrote; () where the record has none."""
    try:
        return tuple((int(start), int(end)) for start, end in record.get("tool_results") or ())
    except (TypeError, ValueError):
        raise DataError(f"{where}: tool_results are no pairs of whole numbers; leave them out") from None


def _completion(record: Fields, where: str) -> str:
    """The completion, which TRL has as a list of messages for conversational data."""
    name = _field(record, _TEXT, where)
    value = record[name]
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        value = value[-1].get("content")
    if not isinstance(value, str):
        raise DataError(f"{where}: {name} is no text; give a string, or a list of messages with `content`")
    return value


def _field(record: Fields, names: Sequence[str], where: str) -> str:
    """The first of `names` that the record has."""
    for name in names:
        if record.get(name) is not None:
            return name
    raise DataError(f"{where}: has none of {', '.join(names)}; it has {', '.join(record) or 'no fields'}")


def _count(record: Fields, name: str, text: str, where: str) -> int:
    """The token count in the record, or the words of `text`."""
    value = _whole(record, name, where)
    return len(text.split()) if value is None else value


def _whole(record: Fields, name: str, where: str) -> int | None:
    """A whole number of the record; None where it has none of that name."""
    value = record.get(name)
    if value is not None and (not isinstance(value, int) or value < 0):
        raise DataError(f"{where}: {name} is {value!r}; give a whole number, or leave it out")
    return value
