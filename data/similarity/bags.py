"""Bags of hashes, one per text, and how much of one is in another; all pairs of texts at once.

Letters behind an underscore give the shape: W words or entries of all texts, T texts, P pairs of texts, H looked-up
hashes, U different hashes.
"""

import numpy as np
from numpy.typing import NDArray

from data.similarity.words import Hashes, Ints, Words, ngrams

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ODD, _STEP = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)


class HashTable:
    """Sorted hashes, found by their leading bits: a look or two each, where a binary search takes twenty."""

    def __init__(self, hashes_U: Hashes) -> None:
        """`hashes_U` are sorted and different."""
        # A slot for each value of the leading bits, eight times as many as hashes: most slots hold one hash or none.
        bits = max(12, len(hashes_U).bit_length() + 3)
        self.hashes, self.shift = np.append(hashes_U, np.uint64(0)), np.uint64(64 - bits)
        slots_U = hashes_U >> self.shift
        self.counts = np.bincount(slots_U.astype(np.int64), minlength=1 << bits).astype(np.uint8)
        self.first = np.zeros(1 << bits, np.int32)
        # NumPy keeps the last of several writes to one place: written backwards, that is a slot's first hash.
        self.first[slots_U[::-1]] = np.arange(len(hashes_U), dtype=np.int32)[::-1]

    def find(self, hashes_H: Hashes) -> tuple[Ints, Ints]:
        """(which of `hashes_H` are in the table, their places in it), in no order."""
        # 1. hashes whose slot holds anything at all, and the first place of that slot
        slots_H = (hashes_H >> self.shift).astype(np.int64)
        counts_H = self.counts[slots_H]
        searching = np.flatnonzero(counts_H)
        places = self.first[slots_H[searching]].astype(np.int64)

        # 2. compare; those that differ look at the slot's next place, until every slot is through
        hits, hit_places = [], []
        for look in range(int(self.counts.max(initial=0))):
            equal = self.hashes[places] == hashes_H[searching]
            hits.append(searching[equal])
            hit_places.append(places[equal])
            has_more = ~equal & (counts_H[searching] > look + 1)
            searching, places = searching[has_more], places[has_more] + 1
        return (np.concatenate(hits), np.concatenate(hit_places)) if hits else (searching, places)


class Postings:
    """Which texts have each n-gram, and where; n-grams with more than `most` places are left out."""

    def __init__(self, words: Words, n: int, most: int | None = None) -> None:
        # 1. the n-grams that lie in one text, sorted by hash: equal ones stand together
        hashes_W, is_whole_W = ngrams(words, n)
        order = np.flatnonzero(is_whole_W)
        order = order[np.argsort(hashes_W[order], kind="stable")]
        unique_U, begins_U, counts_U = np.unique(hashes_W[order], return_index=True, return_counts=True)

        # 2. only those with few places are looked up later
        is_rare_U = counts_U <= (most or len(order))
        self.table = HashTable(unique_U[is_rare_U])
        self.begins, self.counts = begins_U[is_rare_U], counts_U[is_rare_U]

        # 3. the text and the position of each place, in the same order
        self.texts = words.texts()[order]
        self.positions = order - words.starts[self.texts]
        self.per_text = np.bincount(self.texts[np.repeat(is_rare_U, counts_U)], minlength=len(words))

    def look_up(self, hashes_W: Hashes, is_whole_W: Bools) -> tuple[Ints, Ints, Ints]:
        """(which hash, text, position in the text) of every hit of the hashes that are whole n-grams."""
        hit, place = self.table.find(hashes_W)
        is_whole = is_whole_W[hit]
        hit, place = hit[is_whole], place[is_whole]
        posting = _ranges(self.begins[place], self.counts[place])
        return np.repeat(hit, self.counts[place]), self.texts[posting], self.positions[posting]


class Bags:
    """The hashes of some texts as bags: the k-th time a text has a hash is an entry of its own."""

    def __init__(self, hashes_W: Hashes, owner_W: Ints, count: int) -> None:
        """`owner_W`, the text of each hash, ascends through the `count` texts."""
        self.sizes = np.bincount(owner_W, minlength=count)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])

        # 1. sort by (text, hash): the same hash of the same text is a run
        order = np.argsort(_owned(hashes_W, owner_W))
        sorted_W = hashes_W[order]
        differs_W = np.append(True, (sorted_W[1:] != sorted_W[:-1]) | np.diff(owner_W[order]).astype(bool))
        run_starts = np.flatnonzero(differs_W[: len(sorted_W)])

        # 2. how often the text has had the hash before, in the hash's own place again
        times_W = np.empty(len(hashes_W), np.uint64)
        run_lengths = np.diff(np.append(run_starts, len(hashes_W)))
        times_W[order] = np.arange(len(hashes_W)) - np.repeat(run_starts, run_lengths)

        # 3. mixed into the hash, the k-th occurrence is an entry of its own: bags become sets
        self.entries = (hashes_W + times_W * _STEP) * _ODD
        self._table: HashTable | None = None

    def table(self) -> HashTable:
        """All (text, entry), to look up."""
        if self._table is None:
            owner_W = np.repeat(np.arange(len(self.sizes)), self.sizes)
            self._table = HashTable(np.unique(_owned(self.entries, owner_W)))
        return self._table

    def shared(self, other: "Bags", ours_P: Ints, others_P: Ints) -> Ints:
        """How many entries of text `ours_P[i]` are in text `others_P[i]` of `other`, (P,)."""
        sizes_P = self.sizes[ours_P]
        pair = np.repeat(np.arange(len(ours_P)), sizes_P)
        entries = self.entries[_ranges(self.starts[ours_P], sizes_P)]
        hits, _ = other.table().find(_owned(entries, others_P[pair]))
        return np.bincount(pair[hits], minlength=len(ours_P))


def _ranges(begins: Ints, counts: Ints) -> Ints:
    """The numbers begins[i], begins[i] + 1, … counts[i] of them, for every i in turn."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - ends + counts, counts)


def _owned(entries: Hashes, owner: Ints) -> Hashes:
    """Entries mixed with the text that owns them: one 64-bit key, whose collisions are too rare to count."""
    mixed = (entries ^ (owner.astype(np.uint64) + np.uint64(1)) * _STEP) * _ODD
    return mixed ^ (mixed >> np.uint64(32)) * _ODD
