"""Problems written to a file whole, and read back: gold answers, options and graders included."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from configs.errors import DataError
from configs.run_directory import read_jsonl, write_jsonl
from data.problem import Problem, stated_references


def write_problems(path: Path, problems: Sequence[Problem]) -> None:
    """One problem a line. What JSON has no word for in the metadata (a date, a fraction) is kept as its text."""
    write_jsonl(path, (asdict(problem) for problem in problems), default=str)


def read_problems(path: Path) -> list[Problem]:
    """The problems of a file made by `write_problems`, or by hand: `question` and `answer` are enough.

    Raises `DataError` naming the line that is none.
    """
    known = {field.name for field in fields(Problem)}
    problems = []
    for line, row in enumerate(read_jsonl(path), 1):
        if not {"question", "answer"} <= row.keys() or not row.keys() <= known:
            raise DataError(f"{path}:{line}: not a problem; write question and answer, and of others only {known}")
        history = tuple((user, assistant) for user, assistant in row.get("history", ()))
        try:
            references = stated_references(row["answer"], row.get("references", ()))
        except ValueError as error:
            raise DataError(f"{path}:{line}: {error}") from None
        read: dict[str, Any] = row | {"history": history, "references": references}
        problems.append(Problem(**{"id": f"{path.stem}-{line}", "source": "file"} | read))
    return problems
