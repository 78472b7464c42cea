"""The data files that the board may read: below its folder, below the folders that the user named, and dropped ones."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from board.folder import Folder
from board.runs import DEEPEST
from configs.data_files import ENDINGS, KINDS, REGISTRY
from configs.errors import DataError
from configs.run_record import RUN_FILE

UPLOADS = "uploads"
"""Where dropped files are kept, below the board's folder."""
MIB = 1 << 20
LARGEST = 64 * MIB
"""Bytes of one dropped file."""
MOST_KEPT = 1024 * MIB
"""Bytes of all dropped files."""
MOST_LISTED = 500
LONGEST_NAME = 80
"""Characters of a kept file's name before its ending."""


class DataFiles:
    """Files by name: relative below the board's folder, absolute below the others."""

    def __init__(self, folder: Folder, named: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.roots = [folder, *map(Folder, named)]

    def listed(self) -> list[str]:
        """The names of the data files, what was written last first; at most 500."""
        found = {path: path.stat().st_mtime for root in self.roots for path in _data_files(root)}
        return [self.name(path) for path in sorted(found, key=lambda path: -found[path])[:MOST_LISTED]]

    def name(self, path: Path) -> str:
        """What a file is called."""
        return self.folder.name(path) if path.is_relative_to(self.folder.root) else str(path)

    def path(self, name: str) -> Path:
        """The file called `name`, links followed. Raises `DataError` for one that is not there, or lies elsewhere."""
        for root in self.roots:
            path = root.root / name
            if name and root.holds(path) and _is_data(path):
                return path.resolve()
        roots = ", ".join(str(root.root) for root in self.roots)
        raise DataError(f"{name[:80]!r}: no data file below {roots}; name its folder with --data, or drop the file")

    def keep(self, upload: Path) -> str:
        """Copy a dropped file to `uploads/` under a harmless name that no other file has; that name.

        Raises `DataError` for one that is too large, or of another kind.
        """
        home = self.folder.root / UPLOADS
        home.mkdir(exist_ok=True)
        size = upload.stat().st_size
        if size > LARGEST:
            raise DataError(f"{upload.name[:80]!r}: over {LARGEST // MIB} MiB; put it below a folder named with --data")
        if sum(file.stat().st_size for file in home.iterdir()) + size > MOST_KEPT:
            raise DataError(f"{home}: dropped files would be over {MOST_KEPT // MIB:,} MiB; delete some")
        stem, ending = harmless_name(upload.name)
        for number in range(1, 10_000):
            path = home / (f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}")
            try:
                with upload.open("rb") as source, path.open("xb") as copy:
                    shutil.copyfileobj(source, copy)
            except FileExistsError:
                continue
            return self.folder.name(path)
        raise DataError(f"{home}: 10,000 files are called {stem}{ending}; delete some")

    def forget(self, name: str) -> None:
        """Delete a dropped file."""
        path = self.path(name)
        if path.parent == self.folder.root / UPLOADS:
            path.unlink()


def harmless_name(name: str) -> tuple[str, str]:
    """(a stem of letters, digits, '_', '-' and '.', the ending). Raises `DataError` for another kind of file."""
    ending = max((end for end in ENDINGS if name.lower().endswith(end)), key=len, default="")
    if not ending:
        raise DataError(f"{name[:80]!r}: no data file; take one of {' '.join(KINDS)}")
    stem = re.sub(r"[^\w.-]+", "_", name[: -len(ending)])[:LONGEST_NAME].strip("._-") or "data"
    return ("data" if f"{stem}{ending}".lower() == REGISTRY else stem), ending


def _is_data(path: Path) -> bool:
    """A registry of data sets names other files, anywhere, and is none."""
    return path.name.lower().endswith(ENDINGS) and path.resolve().name != REGISTRY


def _data_files(root: Folder) -> Iterator[Path]:
    """The data files below a root, links left out; of a run's those alone that a curation made."""
    for here, below, files in os.walk(root.root):
        path = Path(here)
        is_run = path != root.root and bool({RUN_FILE, "config.yaml"} & set(files))
        deep = is_run or len(path.relative_to(root.root).parts) >= DEEPEST
        below[:] = [] if deep else [name for name in below if not name.startswith(".")]
        if is_run and "manifest.json" not in files:
            continue
        logs = {"metrics.jsonl", "rejected.jsonl", RUN_FILE, "manifest.json", "summary.json"} if is_run else {REGISTRY}
        for name in files:
            file = path / name
            if not name.startswith((".", "~$")) and name not in logs and _is_data(file) and not file.is_symlink():
                yield file
