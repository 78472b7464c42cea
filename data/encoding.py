"""Which encoding a text file is in."""

import codecs
import logging
import re
from pathlib import Path

from configs.errors import DataError
from data.compressed import open_bytes

UNDECODED = re.compile("[\udc80-\udcff]")
"""What `surrogateescape` makes of bytes that are no character of the encoding."""

log = logging.getLogger("mull.data")

_SAMPLE = 1 << 20
_ENOUGH = 1 << 16
_CUT = 3  # bytes that the beginning of a cut character may have
_WHOLE_TO_BROKEN = 20
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "big5": "big5hkscs", "ascii": "utf-8"}
"""GB18030 reads every GBK and GB2312 file, and also the rare characters a sample did not show."""


def detect_encoding(path: Path) -> str:
    """The encoding's Python name, from a BOM, from being valid UTF-8, or guessed from the file's first megabyte.

    What was guessed is logged. Raises `DataError` where nothing fits.
    """
    with open_bytes(path) as file:
        sample = file.read(_SAMPLE)
    for bom, name in _BOMS:
        if sample.startswith(bom):
            log.info("%s: %s (byte order mark)", path, name)
            return name
    if _is_utf8(sample):
        return "utf-8"
    return _guess(path, sample)


def _is_utf8(sample: bytes) -> bool:
    """Also with a few broken characters among many whole ones: those rows are bad, not the file."""
    text = sample.decode("utf-8", "surrogateescape")
    if len(sample) == _SAMPLE:
        text = text[:-_CUT]
    broken = len(UNDECODED.findall(text))
    if not broken:
        return True
    whole = sum(map(len, _NOT_ASCII.findall(text))) - broken
    return whole > _WHOLE_TO_BROKEN * broken


def _telling(sample: bytes) -> bytes:
    """Whole lines from the first one that is not ASCII; enough of them to guess by."""
    first = next((i for i, byte in enumerate(sample) if byte >= 0x80), 0)
    part = sample[sample.rfind(b"\n", 0, first) + 1 :][:_ENOUGH]
    return part[: part.rfind(b"\n") + 1] or part


def _guess(path: Path, sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(_telling(sample)).best()
    if best is None:
        raise DataError(f"{path}: no known text encoding fits; convert the file to UTF-8")
    name = _SUPERSETS.get(best.encoding, best.encoding)
    log.warning("%s: read as %s (guessed from its bytes: %s)", path, name, best.encoding)
    return name
