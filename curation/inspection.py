"""Traces or problems looked at before they are trained on: as a model would see them, how long, which are bad."""

import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from configs.data_files import SHEETS
from configs.errors import DataError, MullError
from configs.schema.sections import DataConfig, ModelConfig
from curation.inspection_record import BadRows, Inspection, ShownRow
from data.corpus import column_names, open_data
from data.dataset_info import find
from data.encoding import detect_encoding
from data.formats import Reject
from data.prompts import render_problem, render_turn, token_ids
from data.residue import ResidueCount, add_residue, residue_lines
from data.sources import load_problems
from data.think_format import resolve_think_format
from models.tokenizer import load_tokenizer
from rewards.grading.grade import unread_golds

SHOWN = 3


class _Enough(Exception):
    """As many rows were looked at as were asked for."""


class _Tally:
    """Bad rows by reason, and how many rows were looked at."""

    def __init__(self, most: int | None) -> None:
        self.most, self.looked_at, self.lines = most, 0, 0
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._rows: dict[str, list[str]] = {}

    def count(self) -> None:
        """One more row. Raises `_Enough` where it is one too many."""
        if self.most is not None and self.looked_at >= self.most:
            raise _Enough
        self.looked_at += 1

    def reject(self, found: Reject) -> None:
        """Count a row that can't be used. Raises `_Enough`."""
        self.count()
        self.lines += found.lines
        self.add(found.reason, str(found.line or found.fields["id"]), f"{found.place}{found.extent}")

    def add(self, reason: str, row: str, first: str) -> None:
        """One more row for a reason: what it is called, and where it is and what it reads, if it is the first."""
        self._counts[reason] += 1
        self._first.setdefault(reason, first)
        rows = self._rows.setdefault(reason, [])
        if len(rows) < BadRows.NAMED:
            rows.append(row)

    def bad(self) -> list[BadRows]:
        """The reasons, the most frequent first."""
        return [BadRows(reason, n, self._rows[reason], self._first[reason]) for reason, n in self._counts.most_common()]


def inspect_data(config: DataConfig, model: str, think_format: str, most: int | None = None) -> Inspection:
    """Look at the rows of a `data:` section, or the first `most` of them.

    Raises `MullError` for what can't be read at all.
    """
    # 1. the layout
    tally = _Tally(most)
    with _warnings() as warned:
        opened = open_data(config, tally.reject)
        files, encodings = encodings_of(config)

    # 2. each row as it would be trained
    tokenizer = load_tokenizer(ModelConfig(name=model))
    written_as = resolve_think_format(think_format)
    lengths: Counter[int] = Counter()
    shown: list[ShownRow] = []
    with_thinking, residue, is_whole = 0, dict[str, ResidueCount](), True
    try:
        for trace in opened.traces:
            try:
                prompt, completion = render_turn(tokenizer, trace, written_as)
            except DataError as error:
                tally.reject(Reject(config.path or config.source, 0, str(error).partition(": ")[2], {"id": trace.id}))
                continue
            tally.count()
            tokens = len(tokenizer(prompt + completion, add_special_tokens=False)["input_ids"])
            lengths[tokens] += 1
            with_thinking += bool(trace.thinking)
            add_residue(residue, trace)
            if len(shown) < SHOWN:
                shown.append(ShownRow(trace.id, tokens, prompt, completion))
    except _Enough:
        is_whole = False
    return Inspection(
        layout=opened.layout,
        files=files,
        encodings=encodings,
        with_thinking=with_thinking,
        rejected=tally.lines,
        bad=tally.bad(),
        shown=shown,
        lengths=dict(sorted(lengths.items())),
        warnings=warned,
        residue=residue_lines(residue),
        is_whole=is_whole,
    )


def inspect_problems(config: DataConfig, model: str, think_format: str, most: int | None = None) -> Inspection:
    """Look at problems as GRPO asks them; of more than `most` the first ones are shown to the tokenizer and the grader.

    Raises `MullError` for what can't be read at all.
    """
    # 1. questions and gold answers, bad rows aside
    tally = _Tally(None)
    with _warnings() as warned:
        problems = load_problems(config, tally.reject)
        files, encodings = encodings_of(config)
    looked_at = problems[:most]

    # 2. the prompts
    tokenizer, written_as = load_tokenizer(ModelConfig(name=model)), resolve_think_format(think_format)
    prompts = [render_problem(tokenizer, problem, written_as) for problem in looked_at]
    tokens = list(map(len, token_ids(tokenizer, prompts)))
    shown = [
        ShownRow(problem.id, count, prompt, "", " | ".join(problem.golds))
        for problem, count, prompt in itertools.islice(zip(looked_at, tokens, prompts, strict=True), SHOWN)
    ]

    # 3. the gold answers
    unread = _Tally(None)
    for at, reason in unread_golds(looked_at).items():
        problem = looked_at[at]
        unread.add(reason, problem.id, f"{problem.id}: {' | '.join(problem.golds)}")
    return Inspection(
        layout="problems",
        files=files,
        encodings=encodings,
        rejected=tally.lines,
        bad=tally.bad(),
        shown=shown,
        lengths=dict(sorted(Counter(tokens).items())),
        warnings=warned,
        are_problems=True,
        unread=unread.bad(),
        is_whole=len(looked_at) == len(problems),
    )


def inspection_or_fault(look: Callable[[], Inspection], config: DataConfig) -> Inspection:
    """What `look` finds, with the columns that may be mapped; for what can't be read, why."""
    try:
        found = look()
    except MullError as error:
        found = Inspection(fault=str(error))
        config = config.model_copy(update={"fields": {}})
        with contextlib.suppress(MullError, OSError):
            found.files, found.encodings = encodings_of(config)
    with contextlib.suppress(MullError):
        found.columns = column_names(config)
    return found


def encodings_of(config: DataConfig) -> tuple[list[str], dict[str, list[str]]]:
    """(the files of a path, those of them that are text by their encoding). Raises `DataError`."""
    files = find(config.path).paths if config.path is not None else []
    by_encoding: dict[str, list[str]] = {}
    for file in files:
        if not file.name.lower().endswith((".parquet", *SHEETS)):
            by_encoding.setdefault(detect_encoding(file), []).append(str(file))
    return list(map(str, files)), by_encoding


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the readers warn of inside, once each."""
    said = list[str]()

    class Collected(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if (text := record.getMessage()) not in said:
                said.append(text)

    log, handler = logging.getLogger("mull.data"), Collected(logging.WARNING)
    log.addHandler(handler)
    try:
        yield said
    finally:
        log.removeHandler(handler)
