"""Which encoding a text file is in, and what stands in a row that is in another.

Files that were put together from several may change their encoding: a file has that of most of its text, and a row in
another is a bad one. Text is looked at in pieces without line breaks, tabs, commas and quotes, which are the same bytes
in all encodings that are told apart here; a JSON file may have but one line.
"""

import codecs
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from configs.errors import DataError
from data.compressed import open_bytes

log = logging.getLogger("mull.data")

_SAMPLE = 1 << 20
_ENOUGH = 1 << 16
_SHOWN = 60  # characters of a row in another encoding
_BREAKS = re.compile(rb'[\r\n\t",]+')
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "big5": "big5hkscs", "ascii": "utf-8"}
"""GB18030 reads every GBK and GB2312 file, and also the rare characters a sample did not show."""
_WIDE = re.compile("[\u0800-\uffff]")
"""Three bytes in UTF-8, which words in GBK and its like hardly ever are by chance; two bytes some are, such as 谢谢."""
_COMMON = 0.9  # share of characters in GB2312 from which bytes are taken for Chinese


def detect_encoding(path: Path) -> str:
    """The encoding's Python name: from a BOM, from most text being valid UTF-8, or guessed from what is not.

    The file's first megabyte decides. What was guessed is logged. Raises `DataError` where nothing fits.
    """
    with open_bytes(path) as file:
        sample = file.read(_SAMPLE)
    for bom, name in _BOMS:
        if sample.startswith(bom):
            log.info("%s: %s (byte order mark)", path, name)
            return name
    pieces = _pieces(sample)
    if len(sample) == _SAMPLE and len(pieces) > 1:
        pieces.pop()  # it may be cut
    others = [piece for piece in pieces if _decoded(piece, "utf-8") is None]
    if 2 * sum(map(len, others)) <= sum(map(len, pieces)):
        return "utf-8"
    return _guess(path, others)


def _pieces(raw: bytes) -> list[bytes]:
    """The pieces that are not ASCII."""
    return [piece for piece in _BREAKS.split(raw) if not piece.isascii()]


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _guess(path: Path, pieces: list[bytes]) -> str:
    from charset_normalizer import from_bytes

    telling = b"\n".join(pieces)
    best = from_bytes(telling[: telling.rfind(b"\n", 0, _ENOUGH) + 1] if len(telling) > _ENOUGH else telling).best()
    if best is None:
        raise DataError(f"{path}: no known text encoding fits; convert the file to UTF-8")
    name = _SUPERSETS.get(best.encoding, best.encoding)
    log.warning("%s: read as %s (guessed from its bytes: %s)", path, name, best.encoding)
    return name


def in_another_encoding(text: str, encoding: str) -> tuple[str, str]:
    """(the encoding, what is in it) of what was decoded as `encoding` and is in another; "" for what is not known.

    `text` has what `surrogateescape` makes of bytes that are no characters; in encodings other than UTF-8 all bytes may
    be characters, and wrong ones.
    """
    if encoding.startswith("utf") and not encoding.startswith("utf-8"):
        return "", ""
    if encoding.startswith("utf-8"):
        pieces = [piece for piece in _pieces(_bytes_of(text, "utf-8")) if _decoded(piece, "utf-8") is None]
        return _shown("gb18030", [_decoded(piece, "gb18030") for piece in pieces])
    texts = [_decoded(piece, "utf-8") for piece in _pieces(_bytes_of(text, encoding))]
    return _shown("utf-8", [one for one in texts if one and _WIDE.search(one)])


def _shown(encoding: str, texts: Sequence[str | None]) -> tuple[str, str]:
    """The encoding and the texts, where they are text and, for GB18030, Chinese that is in use."""
    whole = "".join(text or "\ufffd" for text in texts)
    foreign = [character for character in whole if not character.isascii()]
    common = len("".join(foreign).encode("gb2312", "ignore")) / 2
    if not foreign or (encoding == "gb18030" and common < _COMMON * len(foreign)):
        return "", ""
    return encoding, " ".join(text for text in texts if text)[:_SHOWN]


def _bytes_of(text: str, encoding: str) -> bytes:
    """The bytes that were decoded; JSON's escapes may stand for characters that the encoding lacks."""
    try:
        return text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return text.encode(encoding, "ignore")
