"""Rows that say the same: exactly, or nearly.

Two texts are near-duplicates when nearly all their words, and all their numbers, are the same: with other numbers, a
text is another problem. Candidates have the same numbers and share one of the few smallest hashes of their word triples
(a bottom-k sketch: Broder, 1997); each pair is then compared for real. Time grows linearly with the rows.
"""

from collections.abc import Sequence

import numpy as np

from data.similarity.bags import Bags
from data.similarity.words import Hashes, Ints, Words, hash_words, ngrams

WORDS = 0.85
"""The least overlap (Dice, with repetitions) of the words of near-duplicates."""

_SKETCH = 6
_TRIPLE = 3
_NEIGHBOURS = 24
_BATCH = 1 << 15
SHORT = 20
"""Characters below which texts are alike only if they have the same words: 左 for 右, or one "not", is another text."""


def near_duplicates(texts: Sequence[str], words: float = WORDS) -> dict[int, int]:
    """Each near-duplicate's index → the index of the first text of its group, which stays."""
    # 1. pairs: the same words throughout, or nearly
    hashed = hash_words(texts)
    is_long = [len(text) >= SHORT for text in texts]
    pairs = [*_exact(hashed), *(pair for pair in _near(hashed, words) if all(is_long[i] for i in pair))]

    # 2. groups, by union-find: the first text of a group is its root
    parents = list(range(len(texts)))
    for first, second in pairs:
        low, high = sorted((_root(parents, first), _root(parents, second)))
        parents[high] = low
    return {i: root for i in range(len(texts)) if (root := _root(parents, i)) != i}


def _root(parents: list[int], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


def _exact(hashed: Words) -> list[tuple[int, int]]:
    """(first text, later text) of texts with the very same words."""
    seen: dict[bytes, int] = {}
    pairs = []
    for i, (begin, end) in enumerate(zip(hashed.starts[:-1], hashed.starts[1:], strict=True)):
        first = seen.setdefault(hashed.hashes[begin:end].tobytes(), i)
        if first != i:
            pairs.append((first, i))
    return pairs


def _near(hashed: Words, least: float) -> list[tuple[int, int]]:
    """Candidate pairs whose words overlap by at least `least` (Dice)."""
    left_P, right_P = _candidates(hashed)
    pairs: list[tuple[int, int]] = []
    for begin in range(0, len(left_P), _BATCH):
        left, right = left_P[begin : begin + _BATCH], right_P[begin : begin + _BATCH]
        # 1. bags of the texts of this batch alone
        used, place = np.unique(np.concatenate([left, right]), return_inverse=True)
        part = hashed.part(used)
        bags = Bags(part.hashes, part.texts(), len(part))
        # 2. the words that a pair shares, for all pairs at once
        first, second = place[: len(left)], place[len(left) :]
        dice = 2 * bags.shared(bags, first, second) / np.maximum(1, bags.sizes[first] + bags.sizes[second])
        pairs += zip(left[dice >= least].tolist(), right[dice >= least].tolist(), strict=True)
    return pairs


def _candidates(hashed: Words) -> tuple[Ints, Ints]:
    """(left, right): pairs of texts, left < right, of the same numbers and with a common hash in their sketches."""
    # 1. word triples, mixed with all of the text's numbers: with other numbers nothing is in common
    triples, is_whole = ngrams(hashed, _TRIPLE)
    owner = hashed.texts()[is_whole]
    triples = triples[is_whole] ^ _numbers(hashed)[owner]

    # 2. each text's sketch: its few smallest hashes, which texts that are alike tend to share
    order = np.lexsort((triples, owner))
    owner, triples = owner[order], triples[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, np.arange(len(hashed)))[owner]
    owner, triples = owner[rank < _SKETCH], triples[rank < _SKETCH]

    # 3. sort by hash: texts with a common one are neighbours; so many of them are paired that a hash which thousands
    #    of texts share costs no square
    order = np.argsort(triples, kind="stable")
    owner, triples = owner[order], triples[order]
    neighbours = [np.empty(0, np.int64)]
    for gap in range(1, _NEIGHBOURS + 1):
        same = np.flatnonzero(triples[gap:] == triples[:-gap])
        neighbours.append(owner[same] << 32 | owner[same + gap])  # a pair in one number, so that `unique` is a sort
        if not len(same):
            break
    pairs = np.unique(np.concatenate(neighbours))
    left, right = pairs >> 32, pairs & 0xFFFFFFFF
    return left[left != right], right[left != right]


def _numbers(hashed: Words) -> Hashes:
    """One hash per text of its numbers, whatever their order; (texts,)."""
    # a sum does not depend on the order, and a difference of running sums is the sum over a text
    total = np.concatenate([[np.uint64(0)], np.cumsum(np.where(hashed.digits, hashed.hashes, np.uint64(0)))])
    sums: Hashes = (total[hashed.starts[1:]] - total[hashed.starts[:-1]]) * np.uint64(0x9E3779B97F4A7C15)
    return sums
