"""Bags of hashes, one per text, and how much of one is in another; all pairs of texts at once."""

import numpy as np
from numpy.typing import NDArray

from data.similarity.words import Hashes, Ints, Words, ngrams

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ODD, _STEP = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)


class Table:
    """Sorted hashes, found by their leading bits: a look or two each, where a binary search takes twenty."""

    def __init__(self, hashes: Hashes) -> None:
        """`hashes` are sorted and different."""
        bits = max(12, len(hashes).bit_length() + 3)
        self.hashes, self.shift = np.append(hashes, np.uint64(0)), np.uint64(64 - bits)
        slots = hashes >> self.shift
        self.counts = np.bincount(slots.astype(np.int64), minlength=1 << bits).astype(np.uint8)
        self.first = np.zeros(1 << bits, np.int32)
        self.first[slots[::-1]] = np.arange(len(hashes), dtype=np.int32)[::-1]

    def find(self, hashes: Hashes) -> tuple[Ints, Ints]:
        """(which of `hashes` are in the table, their places in it), in no order."""
        slots = (hashes >> self.shift).astype(np.int64)
        counts = self.counts[slots]
        open_ = np.flatnonzero(counts)
        places = self.first[slots[open_]].astype(np.int64)
        found, where = [], []
        for look in range(int(self.counts.max(initial=0))):
            same = self.hashes[places] == hashes[open_]
            found.append(open_[same])
            where.append(places[same])
            more = ~same & (counts[open_] > look + 1)
            open_, places = open_[more], places[more] + 1
        return (np.concatenate(found), np.concatenate(where)) if found else (open_, places)


class Postings:
    """Which texts have each n-gram, and where; n-grams with more than `most` places are left out."""

    def __init__(self, words: Words, n: int, most: int | None = None) -> None:
        hashes, whole = ngrams(words, n)
        at = np.flatnonzero(whole)
        at = at[np.argsort(hashes[at], kind="stable")]
        unique, begins, counts = np.unique(hashes[at], return_index=True, return_counts=True)
        rare = counts <= (most or len(at))
        self.table = Table(unique[rare])
        self.begins, self.counts = begins[rare], counts[rare]
        self.texts = words.texts()[at]
        self.positions = at - words.starts[self.texts]
        self.per_text = np.bincount(self.texts[np.repeat(rare, counts)], minlength=len(words))

    def look_up(self, hashes: Hashes, whole: Bools) -> tuple[Ints, Ints, Ints]:
        """(which hash, text, position in the text) of every hit of the hashes that are `whole`."""
        at, place = self.table.find(hashes)
        keep = whole[at]
        at, place = at[keep], place[keep]
        posting = spans(self.begins[place], self.counts[place])
        return np.repeat(at, self.counts[place]), self.texts[posting], self.positions[posting]


class Bags:
    """The hashes of some texts as bags: the k-th time a text has a hash is an entry of its own."""

    def __init__(self, hashes: Hashes, owner: Ints, count: int) -> None:
        """`owner` (entries,) ascends through the `count` texts."""
        self.sizes = np.bincount(owner, minlength=count)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])
        order = np.argsort(_owned(hashes, owner))
        same = hashes[order]
        fresh = np.flatnonzero(
            np.append(True, (same[1:] != same[:-1]) | np.diff(owner[order]).astype(bool))[: len(same)]
        )
        times = np.empty(len(hashes), np.uint64)
        times[order] = np.arange(len(hashes)) - np.repeat(fresh, np.diff(np.append(fresh, len(hashes))))
        self.entries = (hashes + times * _STEP) * _ODD
        self._table: Table | None = None

    def table(self) -> Table:
        """All (text, entry), to look up."""
        if self._table is None:
            owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
            self._table = Table(np.unique(_owned(self.entries, owner)))
        return self._table

    def shared(self, other: "Bags", mine: Ints, theirs: Ints) -> Ints:
        """How many entries of text `mine[i]` are in text `theirs[i]` of `other`, (pairs,)."""
        sizes = self.sizes[mine]
        pair = np.repeat(np.arange(len(mine)), sizes)
        entries = self.entries[spans(self.starts[mine], sizes)]
        found, _ = other.table().find(_owned(entries, theirs[pair]))
        return np.bincount(pair[found], minlength=len(mine))


def spans(begins: Ints, counts: Ints) -> Ints:
    """The numbers begins[i], begins[i] + 1, … counts[i] of them, for every i in turn."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - ends + counts, counts)


def _owned(entries: Hashes, owner: Ints) -> Hashes:
    mixed = (entries ^ (owner.astype(np.uint64) + np.uint64(1)) * _STEP) * _ODD
    return mixed ^ (mixed >> np.uint64(32)) * _ODD
