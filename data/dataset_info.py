"""LLaMA-Factory's registry of data sets, `dataset_info.json`: where a data set's rows are, and how they read.

What its keys mean is said in LLaMA-Factory's `data/README.md`, and their defaults in `src/llamafactory/data/parser.py`.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.data_files import REGISTRY, data_files
from configs.errors import DataError
from configs.suggestion import did_you_mean
from data import layouts
from data.cells import Fields, cell, text_at
from data.draw import drawn
from data.hub_rows import hub_rows
from data.layouts import Layout, Turn
from data.messages import TOOL
from data.row import BadRow, Row
from data.rows import read_files, read_rows

FORMATS = ("alpaca", "sharegpt", "openai")
TEXT_COLUMNS = ("prompt", "query", "response", "history", "messages", "system")
UNSEEN = {
    "tools": "which no prompt would show",
    "images": "which no model here sees",
    "videos": "which no model here sees",
    "audios": "which no model here hears",
}
"""Columns that are no text to learn from, and why a row that uses them is refused."""
PREFERENCES = ("chosen", "rejected", "kto_tag")
ROLE_OF_TAG = {
    "observation_tag": TOOL,
    "function_tag": TOOL,
    "system_tag": "system",
    "user_tag": "user",
    "assistant_tag": "assistant",
}
"""What names a speaker in the rows → the role that is meant."""
TAG_KEYS = ("role_tag", "content_tag", *ROLE_OF_TAG)
ELSEWHERE = {
    "ms_hub_url": "it is on ModelScope alone; download it",
    "om_hub_url": "it is on Modelers alone; download it",
    "script_url": "a loading script makes its rows, and none is run here; write them to a file",
    "cloud_file_name": "it is in cloud storage; download it",
}
"""Where else a data set may be, and what to do."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a path names. `origin`: the file, folder or pattern, or the hub's id; `entry`: what a registry says of it,
    where it was named there."""

    origin: Path
    where: str
    entry: Mapping[str, Any] | None = None

    @property
    def paths(self) -> list[Path]:
        """The files that hold it; none for one on the hub. Raises `DataError`."""
        if self.entry is None:
            return data_files(self.origin)
        return [] if "hf_hub_url" in self.entry else [self.origin]

    def files(self, split: str | None = None, columns: Collection[str] = ()) -> Iterator[tuple[Path, Iterator[Row]]]:
        """Each of its files (or its hub id) with its rows; `split`: which one of several, in place of the registry's.

        `columns`: those that are asked for, by number where there is no header. Raises `DataError`.
        """
        if self.entry is None:
            yield from read_files(self.origin, split, columns)
            return
        split, count = split or self.entry.get("split"), self.entry.get("num_samples")
        if not self.paths:
            rows = hub_rows(str(self.origin), self.entry.get("subset"), split or "train", self.entry.get("folder"))
        elif "[" in (split or ""):
            raise DataError(f"{self.where}: split {split!r} is a part of a file; name a number of rows with data.limit")
        else:
            rows = read_rows(self.origin, split=split, columns=columns)
        yield self.origin, rows if count is None else iter(drawn(list(rows), count, seed=0))

    def layout(self, file: Path) -> Layout | None:
        """How its rows in `file` read, as the registry says: the one that names it, or that is beside the file; None:
        detect it.

        Raises `DataError` for what is no data set for SFT.
        """
        if self.entry is not None:
            return _layout(self.where, self.entry)
        registry = file.with_name(REGISTRY)
        for name, entry in (_entries(registry) if registry.is_file() else {}).items():
            if entry.get("file_name") == file.name and entry.keys() & {"columns", "formatting", "ranking"}:
                return _layout(f"{registry}#{name}", entry)
        return None


def find(path: str) -> DataSet:
    """The file, or the data set that `FOLDER/dataset_info.json#NAME` names. Raises `DataError`."""
    folder, hashed, name = path.partition(f"{REGISTRY}#")
    if not hashed and Path(path).name != REGISTRY:
        return DataSet(Path(path), path)
    registry = Path(folder, REGISTRY) if hashed else Path(path)
    entries = _entries(registry)
    if not hashed:
        shown = ", ".join([*entries][:_SHOWN])
        raise DataError(f"{path}: a registry of data sets; name one: {path}#NAME ({len(entries)} are: {shown}, …)")
    if name not in entries:
        raise DataError(
            f"{registry}: no data set {name!r}; {did_you_mean(name, entries, f'{len(entries)} are registered')}"
        )
    entry = entries[name]
    _check(path, entry)
    origin = Path(entry["hf_hub_url"]) if "hf_hub_url" in entry else _file(path, registry.parent, entry)
    return DataSet(origin, path, entry)


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable {REGISTRY} ({error})") from None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise DataError(f"{path}: not a {REGISTRY}; it holds one object of objects")
    return entries


def _check(where: str, entry: Mapping[str, Any]) -> None:
    """Raise `DataError` for a misspelt column, tag or format, and a number that is none."""
    for key, known in (("columns", (*TEXT_COLUMNS, *UNSEEN, *PREFERENCES)), ("tags", TAG_KEYS)):
        for name in entry.get(key) or {}:
            if name not in known:
                hint = did_you_mean(name, known, f"it is one of {', '.join(known)}")
                raise DataError(f"{where}: {key}.{name}: not known; {hint}")
    formatting, count = entry.get("formatting", FORMATS[0]), entry.get("num_samples")
    if formatting not in FORMATS:
        hint = did_you_mean(str(formatting), FORMATS, f"it is one of {', '.join(FORMATS)}")
        raise DataError(f"{where}: formatting {formatting!r} is not known; {hint}")
    if count is not None and (not isinstance(count, int) or count < 1):
        raise DataError(f"{where}: num_samples is {count!r}; give a whole number above 0, or leave it out")


def _file(where: str, folder: Path, entry: Mapping[str, Any]) -> Path:
    """The file that the entry names; of a folder, the only one in it."""
    for key, what in ELSEWHERE.items():
        if key in entry:
            raise DataError(f"{where}: {key} {entry[key]}: {what}, and give its path")
    if "file_name" not in entry:
        raise DataError(f"{where}: names no file and no data set on the hub; add file_name or hf_hub_url")
    path = folder / str(entry["file_name"])
    if not path.is_dir():
        return path
    files = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
    if len(files) != 1:
        raise DataError(f"{path}: a folder of {len(files)} files; name one, or mix several with `mull curate`")
    return files[0]


def _layout(where: str, entry: Mapping[str, Any]) -> Layout:
    """The layout that `formatting`, `columns` and `tags` spell out. Raises `DataError` for what is not for SFT."""
    columns = {key: name for key, name in (entry.get("columns") or {}).items() if name}
    tags = {key: tag for key, tag in (entry.get("tags") or {}).items() if tag}
    if preferred := ["ranking"] * bool(entry.get("ranking")) + [key for key in PREFERENCES if key in columns]:
        raise DataError(
            f"{where}: a preference data set ({', '.join(preferred)}), not one for SFT; to learn the answers of one "
            "column all the same, map it with data.fields={question: …, reply: …}"
        )
    name = f"dataset_info {where.rpartition('#')[2]}"
    if entry.get("formatting", FORMATS[0]) != "alpaca":
        names = {"messages": columns.get("messages", "conversations")}
        roles = {tags[tag]: role for tag, role in ROLE_OF_TAG.items() if tag in tags}
        read = layouts.conversation(names, name, tags.get("role_tag"), tags.get("content_tag"), roles)
        read = _with_system(read, columns["system"]) if "system" in columns else read
    elif columns.keys() & set(TEXT_COLUMNS) == {"prompt"}:
        read = _texts(name, columns["prompt"])
    else:
        read = layouts.columns(name, _alpaca(where, columns))
    return _refusing(read, {columns[kind]: kind for kind in UNSEEN if kind in columns})


def _alpaca(where: str, columns: Mapping[str, str]) -> dict[str, str]:
    """Our names → the columns. Where an entry names columns, it names all that are read."""
    if not columns:
        return {"question": "instruction", "input": "input", "reply": "output"}
    if "response" not in columns:
        raise DataError(
            f"{where}: columns names no response; name it, or of texts to pre-train on their column alone, as prompt"
        )
    asked = [columns[key] for key in ("prompt", "query") if key in columns]
    if not asked:
        raise DataError(f"{where}: columns names no prompt and no query; add the column that asks")
    names = dict(zip(("question", "input"), asked, strict=False)) | {"reply": columns["response"]}
    return names | {key: columns[key] for key in ("system", "history") if key in columns}


def _texts(name: str, column: str) -> Layout:
    """Texts to pre-train on, whose column is the `prompt`; in a text file without a header it has no name here."""

    def convert(row: Fields) -> Turn:
        if column not in row and row.keys() == {"column_0"}:
            return layouts.documents({"text": "column_0"}).convert(row)
        return layouts.documents({"text": column}).convert(row)

    return replace(layouts.documents({"text": column}), name=name, convert=convert)


def _with_system(layout: Layout, column: str) -> Layout:
    """The layout with a column of system prompts, which a system message of the row overrides."""

    def convert(row: Fields) -> Turn:
        turn = layout.convert(row)
        rest = {name: value for name, value in turn.metadata.items() if name != column}
        return replace(turn, system=turn.system or text_at(row, column) or None, metadata=rest)

    return replace(layout, convert=convert)


def _refusing(layout: Layout, unseen: Mapping[str, str]) -> Layout:
    """The layout for rows that leave the columns of tools and media empty; others are bad rows."""

    def convert(row: Fields) -> Turn:
        for column, kind in unseen.items():
            if cell(row, column) not in (None, "", "[]", "{}", [], {}):
                raise BadRow(f"column {column!r} holds {kind}, {UNSEEN[kind]}; remove the row")
        return layout.convert(row)

    return replace(layout, convert=convert) if unseen else layout
