"""`Inspection`: what a look at a data file found, as `mull inspect --json` prints it and a page reads it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self

QUANTILES = (0.0, 0.5, 0.9, 0.95, 0.99, 1.0)
MOST_SHOWN = 20_000
"""Characters of a shown text that JSON holds; what is over that is cut from the middle."""
MOST_REASONS = 50
"""Reasons that JSON holds."""


@dataclass(frozen=True, slots=True)
class BadRows:
    """Rows that can't be used for one reason.

    `rows`: the lines of the first ones, or ids; `first`: where the first one is, and what it reads.
    """

    reason: str
    count: int
    rows: Sequence[str]
    first: str

    NAMED: ClassVar[int] = 5
    """So many of `rows` are named."""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row as the model would see it: its prompt, and the completion, which carries the loss.

    A problem has a gold answer in the place of the completion, and `tokens` are those of its prompt.
    """

    id: str
    tokens: int
    prompt: str
    completion: str
    gold: str = ""


@dataclass(slots=True)
class Inspection:
    """What was found; `fault` is why nothing could be read, "" where something could.

    `encodings`: encoding → the text files in it. `rejected`: lines of bad rows. `lengths`: tokens of prompt and
    completion → how many rows are so long. `warnings`: what the readers warned of. `residue`: what is no text and is
    read as it is. `is_whole`: whether every row was looked at.

    Of problems (`are_problems`) `lengths` are those of the prompts, and `unread` are those whose gold answer the grader
    can't read, so that a wrong answer to them gets no verdict.
    """

    layout: str = ""
    files: list[str] = field(default_factory=list)
    encodings: dict[str, list[str]] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    with_thinking: int = 0
    rejected: int = 0
    bad: list[BadRows] = field(default_factory=list)
    shown: list[ShownRow] = field(default_factory=list)
    lengths: dict[int, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    residue: list[str] = field(default_factory=list)
    are_problems: bool = False
    unread: list[BadRows] = field(default_factory=list)
    is_whole: bool = True
    fault: str = ""

    @property
    def rows(self) -> int:
        """How many can be used."""
        return sum(self.lengths.values())

    @property
    def golds_unread(self) -> int:
        """How many problems have a gold answer that the grader can't read."""
        return sum(one.count for one in self.unread)

    def over(self, limit: int) -> int:
        """How many rows are longer than `limit` tokens."""
        return sum(count for tokens, count in self.lengths.items() if tokens > limit)

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints; long texts are cut, rare reasons left out."""
        shown = [ShownRow(one.id, one.tokens, *map(_cut, (one.prompt, one.completion, one.gold))) for one in self.shown]
        plain = {
            "shown": list(map(asdict, shown)),
            "bad": _reasons(self.bad),
            "unread": _reasons(self.unread),
            "lengths": list(self.lengths.items()),
        }
        return {**{one.name: getattr(self, one.name) for one in fields(self)}, **plain}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """The reader of `as_json`."""
        rows = {key: [BadRows(**one) for one in found[key]] for key in ("bad", "unread")}
        shown = [ShownRow(**one) for one in found["shown"]]
        return cls(**{**found, **rows, "shown": shown, "lengths": dict(found["lengths"])})

    def lines(self, limit: int | None = None) -> Iterator[str]:
        """The same for a terminal, which has seen the warnings; `limit`: tokens, over which rows are counted."""
        yield f"layout: {self.layout}"
        several = len(self.files) > 1
        if several:
            yield f"files: {len(self.files):,}, from {self.files[0]} to {self.files[-1]}"
        for encoding, files in self.encodings.items():
            yield f"encoding: {encoding}" + f" ({len(files):,} files, the first: {files[0]})" * several
        for row in self.shown:
            end = f"\ngold answer: {row.gold}" if self.are_problems else f"⟦{row.completion}⟧"
            yield f"\n──── {row.id} ({row.tokens} tokens)\n{row.prompt}{end}"
        part = "" if self.is_whole else "; the first ones alone were looked at"
        usable = f"rows: {self.rows:,}, {self.with_thinking:,} with thinking"
        if self.are_problems:
            usable = f"problems: {self.rows:,}"
        yield f"\n{usable}; rejected: {self.rejected:,}{part}"
        yield from _counted(self.bad)
        if self.unread:
            share = f"{self.golds_unread:,} of {self.rows:,} ({self.golds_unread / self.rows:.1%})"
            yield f"gold answers that the grader can't read: {share}; a wrong answer to them gets no verdict"
            yield from _counted(self.unread)
        yield from self.residue
        if self.lengths:
            known = ", ".join(f"{name} {value:,}" for name, value in quantiles(self.lengths).items())
            yield f"tokens{' of the prompts' * self.are_problems}: {known}"
        if limit is not None:
            yield f"over {limit:,} tokens: {self.over(limit):,}"


def quantiles(lengths: Mapping[int, int]) -> dict[str, int]:
    """The smallest length that so many rows don't exceed: min, 50%, 90%, 95%, 99%, max; `lengths`: length → rows."""
    ordered = [length for length, count in sorted(lengths.items()) for _ in range(count)]
    names = {0.0: "min", 1.0: "max"}
    return {
        names.get(share, f"{share:.0%}"): ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]
        for share in QUANTILES
    }


def _reasons(rows: Sequence[BadRows]) -> list[dict[str, Any]]:
    cut = [BadRows(one.reason[:500], one.count, one.rows, one.first[:500]) for one in rows[:MOST_REASONS]]
    return list(map(asdict, cut))


def _counted(rows: Sequence[BadRows]) -> Iterator[str]:
    for one in rows:
        yield f"  {one.count:,} × {one.reason} (first: {one.first})"


def _cut(text: str) -> str:
    if len(text) <= MOST_SHOWN:
        return text
    half = MOST_SHOWN // 2
    return f"{text[:half]}\n[… {len(text) - MOST_SHOWN:,} characters …]\n{text[-half:]}"
