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


def near_duplicates(texts: Sequence[str], words: float = WORDS) -> dict[int, int]:
    """Each near-duplicate's index → the index of the first text of its group, which stays."""
    hashed = hash_words(texts)
    parents = list(range(len(texts)))
    for first, second in [*_exact(hashed), *_near(hashed, words)]:
        low, high = sorted((_root(parents, first), _root(parents, second)))
        parents[high] = low
    return {i: root for i in range(len(texts)) if (root := _root(parents, i)) != i}


def _root(parents: list[int], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


def _exact(hashed: Words) -> list[tuple[int, int]]:
    seen: dict[bytes, int] = {}
    pairs = []
    for i, (begin, end) in enumerate(zip(hashed.starts[:-1], hashed.starts[1:], strict=True)):
        first = seen.setdefault(hashed.hashes[begin:end].tobytes(), i)
        if first != i:
            pairs.append((first, i))
    return pairs


def _near(hashed: Words, least: float) -> list[tuple[int, int]]:
    left, right = _candidates(hashed)
    pairs: list[tuple[int, int]] = []
    for begin in range(0, len(left), _BATCH):
        one, other = left[begin : begin + _BATCH], right[begin : begin + _BATCH]
        used, place = np.unique(np.concatenate([one, other]), return_inverse=True)
        part = hashed.part(used)
        bags = Bags(part.hashes, part.texts(), len(part))
        first, second = place[: len(one)], place[len(one) :]
        dice = 2 * bags.shared(bags, first, second) / np.maximum(1, bags.sizes[first] + bags.sizes[second])
        pairs += zip(one[dice >= least].tolist(), other[dice >= least].tolist(), strict=True)
    return pairs


def _candidates(hashed: Words) -> tuple[Ints, Ints]:
    """(left, right): pairs of texts, left < right, of the same numbers and with a common hash in their sketches."""
    triples, whole = ngrams(hashed, _TRIPLE)
    owner = hashed.texts()[whole]
    triples = triples[whole] ^ _numbers(hashed)[owner]
    order = np.lexsort((triples, owner))
    owner, triples = owner[order], triples[order]
    smallest = np.arange(len(owner)) - np.searchsorted(owner, np.arange(len(hashed)))[owner] < _SKETCH
    owner, triples = owner[smallest], triples[smallest]
    order = np.argsort(triples, kind="stable")
    owner, triples = owner[order], triples[order]
    found = [np.empty(0, np.int64)]
    for gap in range(1, _NEIGHBOURS + 1):
        same = np.flatnonzero(triples[gap:] == triples[:-gap])
        found.append(owner[same] << 32 | owner[same + gap])
        if not len(same):
            break
    pairs = np.unique(np.concatenate(found))
    left, right = pairs >> 32, pairs & 0xFFFFFFFF
    return left[left != right], right[left != right]


def _numbers(hashed: Words) -> Hashes:
    """One hash per text of its numbers, whatever their order; (texts,)."""
    total = np.concatenate([[np.uint64(0)], np.cumsum(np.where(hashed.digits, hashed.hashes, np.uint64(0)))])
    sums: Hashes = (total[hashed.starts[1:]] - total[hashed.starts[:-1]]) * np.uint64(0x9E3779B97F4A7C15)
    return sums
