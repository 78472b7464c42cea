"""Texts as hashes: what counts as the same word, at every length and in every script."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.similarity import words as module
from data.similarity.bags import Bags, HashTable
from data.similarity.words import hash_words, ngrams


def hashes(text: str) -> list[int]:
    return [int(value) for value in hash_words([text]).hashes]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Find THE sum.", "find the   sum"),
        ("1,234,567 pounds", "1234567 pounds"),
        (r"10{,}000 or 2,\!500", "10000 or 2500"),
        (r"$\frac{1}{2}$", "1/2"),
        (r"\left( x \right)", "(x)"),
        ("three cats", "3 cats"),
        ("2x", "2 x"),
        ("x² + π", r"x^2 + \pi"),
        ("Janet’s “eggs” — 3 × 4", 'Janet\'s "eggs" - 3 * 4'),
        ("你好，世界。", "你好 世界"),
    ],
)
def test_spellings_of_the_same_words_hash_alike(one: str, other: str) -> None:
    assert hashes(one) == hashes(other)


@pytest.mark.parametrize(
    ("one", "other"), [("12", "21"), ("1,23", "123"), ("a b", "ab"), ("ab", "ba"), ("sin x", "cos x"), ("世界", "界世")]
)
def test_other_words_hash_otherwise(one: str, other: str) -> None:
    assert hashes(one) != hashes(other)


@given(st.lists(st.text(max_size=60), max_size=20), st.integers(1, 200))
def test_hash_does_not_depend_on_other_texts(texts: list[str], chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        together = hash_words(texts)
    assert len(together) == len(texts)
    for i, text in enumerate(texts):
        assert together.hashes[together.starts[i] : together.starts[i + 1]].tolist() == hashes(text)


@given(st.lists(st.sampled_from(["a", "b", "7"]), max_size=12), st.integers(1, 4))
def test_ngrams_stay_inside_their_text(words: list[str], n: int) -> None:
    hashed = hash_words([" ".join(words), "a b 7 a b 7"])
    found, whole = ngrams(hashed, n)
    alone, _ = ngrams(hash_words([" ".join(words)]), n)
    expected = max(0, len(words) - n + 1)
    assert whole[: len(words)].sum() == expected
    assert found[:expected].tolist() == alone[:expected].tolist()


@given(st.sets(st.integers(0, 2**64 - 1), max_size=300), st.lists(st.integers(0, 2**64 - 1), max_size=50))
def test_table_finds_exactly_the_stored_values(known: set[int], others: list[int]) -> None:
    stored = np.array(sorted(known), np.uint64)
    asked = np.array([*known, *others], np.uint64)
    at, place = HashTable(stored).find(asked)
    assert sorted(at.tolist()) == [i for i, value in enumerate(asked.tolist()) if value in known]
    assert (stored[place] == asked[at]).all()


@given(st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=6), st.data())
def test_shared_counts_match_counters(texts: list[list[int]], data: st.DataObject) -> None:
    from collections import Counter

    flat = np.array([word for text in texts for word in text], np.uint64)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    bags = Bags(flat, owner, len(texts))
    pairs = data.draw(st.lists(st.tuples(*[st.integers(0, len(texts) - 1)] * 2), max_size=10))
    mine, theirs = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    expected = [(Counter(texts[a]) & Counter(texts[b])).total() for a, b in pairs]
    assert bags.shared(bags, mine, theirs).tolist() == expected
