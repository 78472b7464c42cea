"""Which rows repeat a benchmark's question: verbatim, written another way, or lightly paraphrased.

A shared n-gram alone proves little (any 8-gram would remove 12% of MATH train against MATH-500). A row is contaminated
by a benchmark question when

    coverage    shared n-grams cover nearly all of the question's words, and the row has its numbers;
    similarity  words × numbers × (1 + numbers in their places) / 2 is high, each an overlap (Dice, with repetitions);
    answer      that is a little lower, but the answers are the same; or
    story       they share several rare words and a good part of the word pairs, and the numbers agree; or a little
                fewer, where the numbers are nearly all the same.

Twins, the same template with other numbers, are other problems: the numbers tell them apart.

All of it runs on arrays of hashes (`data.similarity.words`), a batch of rows at a time: time grows linearly with the
rows, memory with the batch. s1 compares 8-grams through dictionaries of strings (arXiv 2501.19393,
`data/decontaminate_util.py`).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from configs.errors import DataError
from configs.schema.sections import DataConfig
from data.benchmarks import BENCHMARKS
from data.multiple_choice import stem
from data.problem import Problem, Trace
from data.similarity.bags import Bags, Bools, Floats, Postings
from data.similarity.words import Ints, Words, hash_words, ngrams
from data.sources import load_problems, nearest

Item = str | Problem | Trace | Mapping[str, object]
Benchmarks = Mapping[str, Sequence[Item]] | Sequence[Item]

COVERAGE = 0.8
CONTAINED = 0.9
"""The share of the question's numbers that a covered row has."""
SIMILARITY = 0.54
SIMILARITY_SAME_ANSWER = 0.36
NO_NUMBERS = 0.7
"""What the numbers' overlap counts as where neither text has any."""
STORY_RARE = 4
STORY_PAIRS = 0.35
STORY_NUMBERS = 0.5
STORY_SAME_NUMBERS = 0.8
STORY_SIMILARITY = 0.38
STORY_TWIN = 0.3
"""Numbers that overlap this much less than the other words do are a twin's."""

_RARE = 0.01
"""A word is rare if at most this share of the benchmark questions has it."""
_LEAST = 0.2
"""Below this product of words and numbers nothing more is compared."""
_BATCH = 1 << 13
_THREADS = 2
_COMMON = 6
"""A word pair that more benchmark questions have brings no candidates."""
_SHARED = 0.22
"""The share of a question's rarer word pairs that a candidate row has, and at least two."""


@dataclass(frozen=True, slots=True)
class Match:
    """Row `row` repeats item `item` of `benchmark`; `score` is the coverage or similarity that `rule` looked at."""

    row: int
    benchmark: str
    item: int
    rule: str
    score: float


def contaminated(rows: Sequence[Item], benchmarks: Benchmarks, n: int = 8) -> set[int]:
    """Indices of the rows that repeat a benchmark question; see `matches`."""
    return {match.row for match in matches(rows, benchmarks, n)}


def matches(rows: Sequence[Item], benchmarks: Benchmarks, n: int = 8) -> list[Match]:
    """The best match of every contaminated row, by row.

    `rows` and `benchmarks` hold questions, or anything with a `question` (and, where known, an `answer`); `benchmarks`
    is one sequence, several under their names, or a list of names that `data.sources` knows. Raises `DataError` for a
    row without a question, and for an unknown name among known ones.
    """
    named = _named(benchmarks)
    items = [item for sequence in named.values() for item in sequence]
    if not items:
        return []
    index = _Index(items, n)
    names = [(name, i) for name, sequence in named.items() for i in range(len(sequence))]
    starts = range(0, len(rows), _BATCH)
    with ThreadPoolExecutor(_THREADS) as pool:  # NumPy lets go of the interpreter's lock
        batches = pool.map(index.find, (rows[first : first + _BATCH] for first in starts))
        return [
            Match(first + row, *names[question], rule, score)
            for first, found in zip(starts, batches, strict=True)
            for row, question, rule, score in found
        ]


def _named(benchmarks: Benchmarks) -> dict[str, Sequence[Item]]:
    if isinstance(benchmarks, Mapping):
        return dict(benchmarks)
    names = [item for item in benchmarks if isinstance(item, str) and item in BENCHMARKS]
    if not names:
        return {"benchmark": benchmarks}
    for item in benchmarks:
        if item not in names:
            raise DataError(f"benchmarks: unknown name {str(item)[:60]!r}{nearest(str(item), BENCHMARKS)}")
    return {name: benchmark(name) for name in names}


def benchmark(name: str) -> list[Problem]:
    """The problems of a known benchmark's test split."""
    return load_problems(DataConfig(source=name, split="test" if name in ("gsm8k", "math") else None))


def _question(item: Item) -> str:
    if isinstance(item, str):
        return item
    question = item.get("question", item.get("problem")) if isinstance(item, Mapping) else stem(item)
    if not isinstance(question, str):
        raise DataError(f"a row without a question: {str(item)[:80]}")
    return question


def _answer(item: Item) -> str:
    if isinstance(item, str):
        return ""
    answer = item.get("answer") if isinstance(item, Mapping) else item.answer
    return "".join(str(answer or "").lower().split())


class _Index:
    """The benchmark questions, ready to be compared with any number of rows.

    A pair of a row and a question is one number, row × questions + question.
    """

    def __init__(self, items: Sequence[Item], n: int) -> None:
        self.n, self.size = n, len(items)
        words = hash_words([_question(item) for item in items])
        self.counts = words.counts()
        self.answers = [_answer(item) for item in items]
        self.grams = Postings(words, n)
        self.pairs = Postings(words, 2, most=_COMMON)
        self.rare = Postings(words, 1, most=max(1, round(_RARE * self.size))).table
        self.bags = {part: self._bags(words, part) for part in ("numbers", "words", "places", "pairs", "rare")}

    def find(self, rows: Sequence[Item]) -> list[tuple[int, int, str, float]]:
        """(row, question, rule, score) of each contaminated row of this batch, rows ascending."""
        # 1. candidates: pairs that share an n-gram, or several rare word pairs
        words = hash_words([row if isinstance(row, str) else _question(row) for row in rows])
        covered, coverage = self._covered(words)
        pairs = np.union1d(covered, self._candidates(words))
        cover = np.zeros(len(pairs))
        cover[np.searchsorted(pairs, covered)] = coverage

        # 2. how much the pairs have in common, for all of them at once
        row, question = np.divmod(pairs, self.size)
        overlaps = self._compared(words, row, question)

        # 3. the rules, for the few pairs that any of them may catch; a row's best match counts
        by_cover = (cover >= COVERAGE) & (overlaps.contained >= CONTAINED)
        close = np.flatnonzero(by_cover | (overlaps.similarity >= SIMILARITY_SAME_ANSWER) | overlaps.story)
        best: dict[int, tuple[float, int, str]] = {}
        for i in close:
            r, q, similarity = int(row[i]), int(question[i]), float(overlaps.similarity[i])
            match: tuple[float, int, str] | None = None
            if by_cover[i]:
                match = float(cover[i]), q, "coverage"
            elif similarity >= SIMILARITY:
                match = similarity, q, "similarity"
            elif overlaps.story[i]:
                match = similarity, q, "story"
            elif self.answers[q] and self.answers[q] == _answer(rows[r]):
                match = similarity, q, "answer"
            if match:
                best[r] = max(best.get(r, match), match)
        return [(r, q, rule, score) for r, (score, q, rule) in best.items()]

    def _covered(self, words: Words) -> tuple[Ints, Floats]:
        """(pairs, the share of the question's words that shared n-grams cover)."""
        # 1. (pair, position in the question) of every shared n-gram, each once, positions ascending within a pair
        at, question, position = self.grams.look_up(*ngrams(words, self.n))
        spot = np.unique((words.texts()[at] * self.size + question) << 24 | position)
        pair, position = spot >> 24, spot & 0xFFFFFF
        pairs, begins = np.unique(pair, return_index=True)
        if not len(pairs):
            return pairs, np.empty(0)

        # 2. an n-gram covers n words, or as many as lie before the next one; the last of a pair covers all n
        gap = np.append(np.diff(position), self.n)
        gap[np.append(begins[1:] - 1, len(gap) - 1)] = self.n
        return pairs, np.add.reduceat(np.minimum(gap, self.n), begins) / self.counts[pairs % self.size]

    def _candidates(self, words: Words) -> Ints:
        """Pairs that share enough of the question's rarer word pairs."""
        at, question, _ = self.pairs.look_up(*ngrams(words, 2))
        pairs, shared = np.unique(words.texts()[at] * self.size + question, return_counts=True)
        rarer = self.pairs.per_text[pairs % self.size]
        enough: Ints = pairs[shared >= np.minimum(np.maximum(2, _SHARED * rarer), rarer)]
        return enough

    def _compared(self, words: Words, row: Ints, question: Ints) -> "_Overlaps":
        """Numbers first: words, and then all the rest, are compared only where they leave a chance."""
        contained, similarity = np.zeros(len(row)), np.zeros(len(row))
        story = np.zeros(len(row), np.bool_)

        # 1. numbers: they reject most pairs
        shared, ours, theirs = self._shared("numbers", words, row, question)
        numbers = _dice(shared, ours, theirs, NO_NUMBERS)
        contained = np.where(theirs > 0, shared / np.maximum(1, theirs), 1.0)

        # 2. all words, of the pairs whose numbers agree
        near = np.flatnonzero(numbers >= SIMILARITY_SAME_ANSWER)
        row, question, numbers = row[near], question[near], numbers[near]
        shared_all, ours_all, theirs_all = self._shared("words", words, row, question)
        both = _dice(shared_all, ours_all, theirs_all, 0.0) * numbers
        others = _dice(shared_all - shared[near], ours_all - ours[near], theirs_all - theirs[near], 0.0)

        # 3. places of numbers, word pairs and rare words, of the pairs that are left
        close = np.flatnonzero(both >= _LEAST)
        near, row, question, numbers = near[close], row[close], question[close], numbers[close]
        similarity[near] = both[close] * (1 + _dice(*self._shared("places", words, row, question), 1.0)) / 2
        pairs = _dice(*self._shared("pairs", words, row, question), 0.0)
        rare, _, _ = self._shared("rare", words, row, question)
        agree = (numbers >= np.maximum(STORY_NUMBERS, others[close] - STORY_TWIN)) & (theirs[near] > 0)
        same = (numbers >= STORY_SAME_NUMBERS) & (similarity[near] >= STORY_SIMILARITY) & (theirs[near] > 0)
        story[near] = agree & (pairs >= STORY_PAIRS) & (rare >= STORY_RARE) | same & (rare >= STORY_RARE - 1)
        return _Overlaps(contained, similarity, story)

    def _shared(self, part: str, words: Words, row: Ints, question: Ints) -> tuple[Ints, Ints, Ints]:
        """(entries that the row's and the question's bags share, the row's, the question's), each (pairs,)."""
        used, mine = np.unique(row, return_inverse=True)
        ours, theirs = self._bags(words.part(used), part), self.bags[part]
        return ours.shared(theirs, mine, question), ours.sizes[mine], theirs.sizes[question]

    def _bags(self, words: Words, part: str) -> Bags:
        """Of each text: all words, the rare, the numbers, the pairs of words, or those with a number ("places")."""
        hashes, owner, keep = words.hashes, words.texts(), np.ones(len(words.hashes), np.bool_)
        if part in ("pairs", "places"):
            hashes, keep = ngrams(words, 2)
        if part == "places":
            keep &= words.digits | np.append(words.digits[1:], False)[: len(keep)]
        elif part == "numbers":
            keep = words.digits
        elif part == "rare":
            keep = np.zeros(len(hashes), np.bool_)
            keep[self.rare.find(ngrams(words, 1)[0])[0]] = True
        return Bags(hashes[keep], owner[keep], len(words))


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """Per pair: the share of the question's numbers that the row has; similarity; whether it is the same story."""

    contained: Floats
    similarity: Floats
    story: Bools


def _dice(shared: Ints, ours: Ints, theirs: Ints, empty: float) -> Floats:
    return np.where(ours + theirs > 0, 2 * shared / np.maximum(1, ours + theirs), empty)
