"""LLaMA-Factory's registry of data sets, `dataset_info.json`: where a data set's rows are, and how they read.

What its keys mean is said in LLaMA-Factory's `data/README.md`, and their defaults in `src/llamafactory/data/parser.py`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.errors import DataError
from configs.suggestion import did_you_mean
from data import layouts
from data.cells import Fields, cell, text_at
from data.draw import drawn
from data.hub_rows import hub_rows
from data.layouts import Layout, Turn
from data.messages import TOOL
from data.row import BadRow, Row
from data.rows import read_rows

NAME = "dataset_info.json"
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
ROLES = {
    "observation_tag": TOOL,
    "function_tag": TOOL,
    "system_tag": "system",
    "user_tag": "user",
    "assistant_tag": "assistant",
}
TAGS = ("role_tag", "content_tag", *ROLES)
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
    """What a path names. `origin`: the file, or the hub's id; `entry`: what a registry says of it, where it was named
    there."""

    origin: Path
    where: str
    entry: Mapping[str, Any] | None = None

    @property
    def file(self) -> Path | None:
        """The file that holds it; None for one on the hub."""
        return None if self.entry and "hf_hub_url" in self.entry else self.origin

    def rows(self, split: str | None = None) -> Iterator[Row]:
        """Its rows; `split`: which one of several, in place of the registry's. Raises `DataError`."""
        said = self.entry or {}
        split, count = split or said.get("split"), said.get("num_samples")
        if self.file is None:
            rows = hub_rows(str(self.origin), said.get("subset"), split or "train", said.get("folder"))
        elif "[" in (split or ""):
            raise DataError(f"{self.where}: split {split!r} is a part of a file; name a number of rows with data.limit")
        else:
            rows = read_rows(self.origin, split=split)
        return rows if count is None else iter(drawn(list(rows), count, seed=0))

    def layout(self) -> Layout | None:
        """How the rows read, as the registry says: the one that names it, or that is beside the file; None: detect it.

        Raises `DataError` for what is no data set for SFT.
        """
        if self.entry is not None:
            return _layout(self.where, self.entry)
        registry = self.origin.with_name(NAME)
        for name, entry in (_entries(registry) if registry.is_file() else {}).items():
            if entry.get("file_name") == self.origin.name and entry.keys() & {"columns", "formatting", "ranking"}:
                return _layout(f"{registry}#{name}", entry)
        return None


def find(path: str) -> DataSet:
    """The file, or the data set that `FOLDER/dataset_info.json#NAME` names. Raises `DataError`."""
    folder, hashed, name = path.partition(f"{NAME}#")
    if not hashed and Path(path).name != NAME:
        return DataSet(Path(path), path)
    registry = Path(folder, NAME) if hashed else Path(path)
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
        raise DataError(f"{path}: not a readable {NAME} ({error})") from None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise DataError(f"{path}: not a {NAME}; it holds one object of objects")
    return entries


def _check(where: str, entry: Mapping[str, Any]) -> None:
    """Raise `DataError` for a misspelt column, tag or format, and a number that is none."""
    for key, known in (("columns", (*TEXT_COLUMNS, *UNSEEN, *PREFERENCES)), ("tags", TAGS)):
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
    if preferred := [key for key in ("ranking",) if entry.get(key)] + [key for key in PREFERENCES if key in columns]:
        raise DataError(
            f"{where}: a preference data set ({', '.join(preferred)}), not one for SFT; to learn the answers of one "
            "column all the same, map it with data.fields={question: …, reply: …}"
        )
    name = f"dataset_info {where.rpartition('#')[2]}"
    if entry.get("formatting", FORMATS[0]) != "alpaca":
        names = {"messages": columns.get("messages", "conversations")}
        roles = {tags[tag]: role for tag, role in ROLES.items() if tag in tags}
        read = layouts.conversation(names, name, tags.get("role_tag"), tags.get("content_tag"), roles)
        read = _with_system(read, columns["system"]) if "system" in columns else read
    else:
        read = layouts.columns(name, _alpaca(where, columns))
    return _refusing(read, {columns[kind]: kind for kind in UNSEEN if kind in columns})


def _alpaca(where: str, columns: Mapping[str, str]) -> dict[str, str]:
    """Our names → the columns. Where an entry names columns, it names all that are read."""
    if not columns:
        return {"question": "instruction", "input": "input", "reply": "output"}
    if "response" not in columns:
        raise DataError(f"{where}: columns names no response: texts to pre-train on, not questions with replies")
    asked = [columns[key] for key in ("prompt", "query") if key in columns]
    if not asked:
        raise DataError(f"{where}: columns names no prompt and no query; add the column that asks")
    names = dict(zip(("question", "input"), asked, strict=False)) | {"reply": columns["response"]}
    return names | {key: columns[key] for key in ("system", "history") if key in columns}


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
