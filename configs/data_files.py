"""The files that a recipe's path names: one, all data files of a folder, or those that fit a pattern.

In several files rows come in the order of the files' names, and each row's id begins with the name of its file.
"""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from configs.errors import DataError

SHEETS = (".xlsx", ".xls", ".ods")
KINDS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".parquet", *SHEETS)
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
REGISTRY = "dataset_info.json"
"""LLaMA-Factory's list of the data sets in a folder."""

ENDINGS = tuple(kind + packed for kind in KINDS for packed in ("", *COMPRESSIONS))
"""How the names of data files end."""
_PATTERN = "*?["


def data_files(path: str | Path) -> list[Path]:
    """The files that `path` names, in the order of their names; a path to no folder and no pattern is its own file.

    Raises `DataError` for a folder without data files, one with a registry, and a pattern that nothing fits.
    """
    if os.path.isdir(path):
        return _of_folder(Path(path))
    if os.path.exists(path) or not any(sign in str(path) for sign in _PATTERN):
        return [Path(path)]
    found = [Path(one) for one in sorted(glob.glob(str(path), recursive=True)) if os.path.isfile(one)]
    if not found:
        raise DataError(f"{path}: no file fits this pattern; look from the folder that it starts in")
    return [file for file in found if not _is_lock(file) and file.name != REGISTRY]


def check_data_files(path: str) -> None:
    """Raise `DataError`, before a model is fetched, where `path` names no file; `…/dataset_info.json#NAME` is one."""
    folder, registry, _ = path.partition(f"{REGISTRY}#")
    for file in data_files(folder + REGISTRY if registry else path):
        if not file.is_file():
            raise no_such_file(file)


def no_such_file(path: Path) -> DataError:
    """The error of a file that is not there; shipped recipes take theirs out of a folder that `MULL_DATA` names."""
    is_shipped = path.parts[:1] == ("data",) and "MULL_DATA" not in os.environ
    return DataError(f"{path}: no such file" + "; set MULL_DATA to the folder that has it, or data.path" * is_shipped)


def _of_folder(folder: Path) -> list[Path]:
    if (folder / REGISTRY).is_file():
        raise DataError(
            f"{folder}: a folder of LLaMA-Factory's, with a registry of data sets; name one: {folder / REGISTRY}#NAME; "
            f"or some of its files by a pattern such as {folder}/*.csv"
        )
    shown = sorted(file for file in folder.iterdir() if not file.name.startswith(".") and not _is_lock(file))
    files = [file for file in shown if file.name.lower().endswith(ENDINGS) and file.is_file()]
    files = [file for file in files if not file.name.lower().endswith(".txt")] or files  # a licence, a list of columns
    if not files:
        below = any(entry.is_dir() for entry in shown)
        way_out = f"for those in its folders write {folder}/**/*.csv" if below else f"it takes {' '.join(KINDS)}"
        raise DataError(f"{folder}: no data file in this folder; {way_out}")
    return files


def _is_lock(file: Path) -> bool:
    """What Excel lays beside a workbook while it is open."""
    return file.name.startswith("~$")


def id_prefixes(files: Sequence[Path]) -> list[str]:
    """What the ids of each file's rows begin with: nothing for a single file, else a name that no other file has."""
    if len(files) == 1:
        return [""]
    common = os.path.commonpath([file.parent for file in files])
    names = [file.relative_to(common).as_posix() for file in files]
    short = [next((name[: -len(end)] for end in ENDINGS if name.lower().endswith(end)), name) for name in names]
    times = Counter(short)
    return [one if times[one] == 1 else name for one, name in zip(short, names, strict=True)]
