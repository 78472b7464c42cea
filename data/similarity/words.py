r"""Texts as arrays of word hashes, whole corpora at once.

Words are runs of letters, runs of digits, or single characters outside ASCII, lower-cased; punctuation, spacing and
LaTeX layout (`\left`, `\frac`, `$`) don't count, `1,000` is `1000` and `three` is `3`. Everything happens in NumPy on
the bytes of about a megabyte of text at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

_CHUNK = 1 << 20
_SEPARATOR, _LETTER, _DIGIT, _CONTINUATION, _LEAD = range(5)
_LAYOUT = (
    "left right frac dfrac tfrac cfrac text textbf textit mathrm mathbf mathbb mbox displaystyle cdot cdots ldots dots "
    "times quad qquad circ big bigg bigl bigr begin end hspace vspace le leq ge geq ne neq"
)
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve"
_SAME = {"π": "pi", "θ": "theta", "²": "2", "³": "3"}
_SYMBOLS = ((b"\xe2", 3), (b"\xc2", 2), (b"\xc3\x97", 2), (b"\xc3\xb7", 2), (b"\xe3\x80", 3), (b"\xef\xbc", 3))
"""UTF-8 beginnings, and lengths, of symbols: U+2000-2FFF, 80-BF, the signs × and ÷, 3000-303F, FF00-FF3F."""


@dataclass(frozen=True, slots=True)
class Words:
    """`hashes` (W,): every text's words after each other; text i's are `hashes[starts[i]:starts[i + 1]]`; `digits` (W,)
    marks numbers."""

    hashes: Hashes
    starts: Ints
    digits: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def counts(self) -> Ints:
        """Words per text, (texts,)."""
        return np.diff(self.starts)

    def texts(self) -> Ints:
        """The text of each word, (W,)."""
        return np.repeat(np.arange(len(self)), self.counts())

    def part(self, texts: Ints) -> "Words":
        """The words of some texts alone."""
        counts = self.counts()[texts]
        ends = np.cumsum(counts)
        at = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts[texts] - ends + counts, counts)
        return Words(self.hashes[at], np.concatenate([[0], ends]), self.digits[at])


def hash_words(texts: Sequence[str]) -> Words:
    """The words of every text."""
    parts = [_scan(chunk) for chunk in _chunks(texts)]
    if not parts:
        return Words(np.empty(0, np.uint64), np.zeros(1, np.int64), np.empty(0, np.bool_))
    starts = np.concatenate([[0], np.cumsum(np.concatenate([counts for _, counts, _ in parts]))])
    return Words(np.concatenate([p[0] for p in parts]), starts, np.concatenate([p[2] for p in parts]))


def ngrams(words: Words, n: int) -> tuple[Hashes, NDArray[np.bool_]]:
    """(hashes (W,), whole (W,)): the n words from each word on, and whether they all belong to one text."""
    size = len(words.hashes)
    hashes = words.hashes.copy()
    for offset in range(1, min(n, size)):
        hashes[: size - offset] *= _MULTIPLIER
        hashes[: size - offset] += words.hashes[offset:]
    whole = np.arange(size) + n <= np.repeat(words.starts[1:], words.counts())
    return _mixed(hashes), whole


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    first = 0
    while first < len(texts):
        done = ends[first - 1] if first else 0
        after = max(first + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        yield texts[first:after]
        first = after


def _scan(texts: Sequence[str]) -> tuple[Hashes, Ints, NDArray[np.bool_]]:
    """(hashes (W,), words per text (texts,), digits (W,)) of one chunk."""
    # 1. the kind of every byte; a word begins where the kind changes, and with every character outside ASCII
    data = _bytes(texts)
    kind = _KIND.take(data)
    before = np.empty_like(kind)
    before[0], before[1:] = _SEPARATOR, kind[:-1]
    begins = np.flatnonzero((kind != before) & (kind != _SEPARATOR) & (kind != _CONTINUATION) | (kind == _LEAD))
    ends_of_texts = np.flatnonzero(data == 0)
    if not len(begins):
        return np.empty(0, np.uint64), np.zeros(len(texts), np.int64), np.empty(0, np.bool_)

    # 2. a word's hash: a polynomial in its bytes. Powers count from the chunk's start, so that one pass serves all
    #    words; the inverse power of where a word begins takes that away again
    powers, inverses = _powers(len(data))
    hashes = _mixed(np.add.reduceat(_VALUE.take(data) * powers[: len(data)], begins) * inverses[begins])
    digits = kind[begins] == _DIGIT

    # 3. "three" is 3, "π" is "pi"
    respelled = _lookup(hashes, _RESPELLED)
    other = np.flatnonzero(respelled >= 0)
    hashes[other] = _SPELLINGS[respelled[other]]
    digits[other] = _ARE_DIGITS[respelled[other]]

    # 4. words behind a backslash that are layout (`\frac`) don't count
    command = np.flatnonzero(data[np.maximum(begins - 1, 0)] == ord("\\"))
    keep = np.ones(len(begins), np.bool_)
    keep[command] = _lookup(hashes[command], _LAYOUT_WORDS) < 0
    begins, hashes, digits = begins[keep], hashes[keep], digits[keep]
    counts = np.diff(np.searchsorted(begins, ends_of_texts), prepend=0)
    return hashes, counts, digits


def _bytes(texts: Sequence[str]) -> NDArray[np.uint8]:
    """The chunk's bytes, lower-cased, each text ended by a zero, without thousands separators."""
    joined = "\0".join(texts)
    if joined.count("\0") != len(texts) - 1:
        joined = "\0".join(text.replace("\0", " ") for text in texts)
    data = np.frombuffer((joined + "\0").encode("utf-8", "replace").lower(), np.uint8).copy()
    if not joined.isascii():
        _blank_symbols(data)
    return _without_thousands(data)


def _without_thousands(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    r"""1,000 and LaTeX's 1{,}000 and 1,\!000 become 1000."""
    # 1. commas, bare, in braces, or with a thin space behind; padding spares a check of the end
    padded = np.concatenate([data, np.zeros(8, np.uint8)])
    comma = np.flatnonzero(data == ord(","))
    comma = comma[comma > 0]
    braced = (padded[comma - 1] == ord("{")) & (padded[comma + 1] == ord("}"))
    thin = (padded[comma + 1] == ord("\\")) & (padded[comma + 2] == ord("!"))
    before, after = comma - 1 - braced, comma + 1 + braced + 2 * thin

    # 2. of these, between a digit and exactly three more
    digit = _KIND == _DIGIT
    inner = digit[padded[before]] & ~digit[padded[after + 3]]
    for offset in range(3):
        inner &= digit[padded[after + offset]]
    gone = [np.arange(first + 1, end) for first, end in zip(before[inner], after[inner], strict=True)]
    return np.delete(data, np.concatenate(gone)) if gone else data


def _blank_symbols(data: NDArray[np.uint8]) -> None:
    """Make spaces of symbols and of full-width punctuation, in place."""
    for lead, length in _SYMBOLS:
        at = np.flatnonzero(data == lead[0])
        if lead == b"\xc2":
            at = at[(data[at + 1] != 0xB2) & (data[at + 1] != 0xB3)]  # ² and ³ are numbers
        if len(lead) == 2:
            at = at[data[at + 1] == lead[1]]
        for offset in range(length):
            data[at + offset] = ord(" ")


def _powers(size: int) -> tuple[Hashes, Hashes]:
    """Powers of the multiplier and of its inverse modulo 2^64, computed once for the longest chunk seen.

    Overflow is meant: `uint64` arithmetic is arithmetic modulo 2^64, where every odd number has an inverse.
    """
    global _cached_powers
    if len(_cached_powers[0]) < size:
        ones = np.full((2, size), [[_MULTIPLIER], [_INVERSE]], np.uint64)
        ones[:, 0] = 1
        powers, inverses = np.multiply.accumulate(ones, axis=1)
        _cached_powers = powers, inverses
    return _cached_powers


def _mixed(hashes: Hashes) -> Hashes:
    """Spread the entropy over all bits (the finalizer of SplitMix64, shortened)."""
    hashes = hashes ^ (hashes >> np.uint64(31))
    hashes *= np.uint64(0x94D049BB133111EB)
    hashes ^= hashes >> np.uint64(29)
    return hashes


def _lookup(hashes: Hashes, known: Hashes) -> Ints:
    """The place of each hash in the few `known` ones, -1 for none."""
    slots = np.full(1 << 12, -1, np.int64)
    slots[(known & np.uint64(0xFFF)).astype(np.int64)] = np.arange(len(known))
    place = slots[(hashes & np.uint64(0xFFF)).astype(np.int64)]
    found = np.flatnonzero(place >= 0)
    place[found[known[place[found]] != hashes[found]]] = -1
    return place


def _hash(word: str) -> np.uint64:
    """One word's hash, as `_scan` computes it."""
    total = sum(int(_VALUE[byte]) * pow(int(_MULTIPLIER), i, 1 << 64) for i, byte in enumerate(word.encode()))
    return np.uint64(_mixed(np.array([total % (1 << 64)], np.uint64))[0])


def _kinds() -> NDArray[np.uint8]:
    kinds = np.zeros(256, np.uint8)
    kinds[list(b"abcdefghijklmnopqrstuvwxyz")] = _LETTER
    kinds[list(b"0123456789")] = _DIGIT
    kinds[0x80:0xC0] = _CONTINUATION
    kinds[0xC0:] = _LEAD
    return kinds


_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_KIND = _kinds()
_VALUE = np.where(_KIND > 0, np.random.default_rng(0).integers(1, 1 << 63, 256, dtype=np.uint64), np.uint64(0))
_LAYOUT_WORDS = np.array([_hash(word) for word in _LAYOUT.split()], np.uint64)
_SAME_WORDS = {**_SAME, **{word: str(i) for i, word in enumerate(_NUMBERS.split())}}
_RESPELLED = np.array([_hash(word) for word in _SAME_WORDS], np.uint64)
_SPELLINGS = np.array([_hash(same) for same in _SAME_WORDS.values()], np.uint64)
_ARE_DIGITS = np.array([same.isdigit() for same in _SAME_WORDS.values()])
_cached_powers = (np.empty(0, np.uint64), np.empty(0, np.uint64))
