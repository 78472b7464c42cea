"""LLaMA-Factory's `dataset_info.json`: which file a registered data set is, and the layout that it has."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.data_files import REGISTRY
from configs.errors import DataError
from configs.suggestion import did_you_mean
from data import layouts
from data.layouts import Layout


def registered(path: str) -> tuple[Path, Layout | None]:
    """The file to read and its layout, if a LLaMA-Factory registry says so. Raises `DataError`."""
    registry, hashed, name = path.partition("#")
    if hashed and Path(registry).name == REGISTRY:
        entries = _registry(Path(registry))
        if name not in entries:
            hint = did_you_mean(name, entries, f"{len(entries)} are registered")
            raise DataError(f"{registry}: no data set {name!r}; {hint}")
        if "file_name" not in entries[name]:
            raise DataError(f"{registry}#{name}: not a local file; download it and give its path")
        file = Path(registry).parent / entries[name]["file_name"]
        return file, _entry_layout(f"{registry}#{name}", entries[name])
    file = Path(path)
    if file.name == REGISTRY:
        raise DataError(f"{file}: a registry of data sets; name one: {file}#NAME")
    registry_file = file.parent / REGISTRY
    if registry_file.is_file():
        for name, entry in _registry(registry_file).items():
            if entry.get("file_name") == file.name and (entry.get("columns") or entry.get("formatting")):
                return file, _entry_layout(f"{registry_file}#{name}", entry)
    return file, None


def _registry(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable dataset_info.json ({error})") from None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise DataError(f"{path}: not a dataset_info.json; it holds one object of objects")
    return entries


def _entry_layout(where: str, entry: Mapping[str, Any]) -> Layout:
    """LLaMA-Factory's `columns` and `tags`, with its defaults."""
    if entry.get("ranking"):
        raise DataError(f"{where}: a preference data set (chosen and rejected), not one for SFT")
    if seen := next((kind for kind in ("images", "videos", "audios") if (entry.get("columns") or {}).get(kind)), None):
        raise DataError(f"{where}: a data set with {seen}, which no model here sees; name one of text alone")
    columns, tags = dict(entry.get("columns") or {}), dict(entry.get("tags") or {})
    if entry.get("formatting") == "sharegpt":
        roles: Sequence[tuple[str, str]] = [
            (tags[f"{role}_tag"], role) for role in ("user", "assistant", "system") if f"{role}_tag" in tags
        ]
        names = {"messages": columns.get("messages", "conversations")}
        names |= {"system": columns["system"]} if "system" in columns else {}
        return layouts.conversation(
            names,
            name=f"dataset_info {where.rpartition('#')[2]}",
            role=tags.get("role_tag"),
            content=tags.get("content_tag"),
            roles=dict(roles),
        )
    names = {"question": columns.get("prompt", "instruction"), "input": columns.get("query", "input")}
    names["reply"] = columns.get("response", "output")
    names |= {key: columns[key] for key in ("system", "history") if key in columns}
    return layouts.columns(f"dataset_info {where.rpartition('#')[2]}", names)
