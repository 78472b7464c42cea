"""Files as bytes, `.gz`, `.bz2`, `.xz` and `.zst` unpacked while they are read."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from configs.data_files import COMPRESSIONS
from configs.errors import DataError

_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def plain_name(path: Path) -> str:
    """The file's name without the suffix of its compression: `rows.jsonl` for `rows.jsonl.gz`."""
    return path.stem if path.suffix.lower() in COMPRESSIONS else path.name


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked. Raises `DataError` for a broken archive, and where `.zst` has no reader."""
    suffix = path.suffix.lower()
    try:
        with _zstandard(path) if suffix == ".zst" else _OPENERS.get(suffix, _plain)(path) as file:
            yield file
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path}: not a whole {suffix} file ({error}); make or download it again") from None


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _zstandard(path: Path) -> IO[bytes]:
    try:
        import zstandard
    except ImportError:
        raise DataError(
            f"{path}: reading .zst needs the package zstandard (pip install zstandard); or unpack it: zstd -d {path}"
        ) from None
    return cast(IO[bytes], zstandard.open(path, "rb"))
