"""Near-duplicates, mixing, splitting and selecting: right counts, no leaks, the same for a seed."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import DataError
from curation.mixture import counts, split_rows
from curation.selection import clusters, select, shape
from data.arithmetic import generate_problems
from data.corpus import solution_traces
from data.problem import Trace
from data.similarity.near_duplicates import near_duplicates

LONG = "A farmer has 12 cows and 30 sheep on a green hill, sells 7 of the cows at the market, and buys 4 goats instead."


def test_near_duplicates_point_to_the_first() -> None:
    texts = [LONG, "Something else entirely, with 3 words.", LONG.upper(), LONG.replace("green ", ""), LONG]
    assert near_duplicates(texts) == {2: 0, 3: 0, 4: 0}


def test_other_numbers_make_another_problem() -> None:
    assert near_duplicates([LONG, LONG.replace("12", "15"), LONG.replace("30", "12").replace("has 12", "has 30")]) == {
        2: 0
    }


def test_generated_problems_are_no_duplicates() -> None:
    questions = [problem.question for problem in generate_problems(2000, 0)]
    assert len(near_duplicates(questions)) < 20


@given(st.lists(st.text(max_size=20), max_size=12))
def test_texts_of_the_same_words_always_group(texts: list[str]) -> None:
    leader = near_duplicates([*texts, *texts])
    roots = [leader.get(i, i) for i in range(2 * len(texts))]
    assert roots[: len(texts)] == roots[len(texts) :]


def test_mix_keeps_its_proportions() -> None:
    assert counts({"general": 900, "domain": 100}, {"general": 1, "domain": 1}) == {"general": 100, "domain": 100}
    assert counts({"a": 90, "b": 90, "c": 5}, {"a": 2, "b": 1}, total=65) == {"a": 40, "b": 20, "c": 5}
    assert counts({"a": 3, "b": 4}, {}) == {"a": 3, "b": 4}
    with pytest.raises(DataError, match=r"50 rows of b wanted for its share, 10 there"):
        counts({"a": 100, "b": 10}, {"a": 1, "b": 1}, total=100)


@given(st.integers(1, 500), st.integers(1, 9), st.integers(1, 9))
def test_mix_has_the_requested_size(total: int, first: int, second: int) -> None:
    result = counts({"a": 1000, "b": 1000}, {"a": first, "b": second}, total)
    assert sum(result.values()) == total
    assert abs(result["a"] - total * first / (first + second)) <= 1


def test_split_keeps_near_duplicates_together() -> None:
    texts = [problem.question for problem in generate_problems(400, 0)]
    doubled = [*texts, *(text.upper() for text in texts[:200])]
    parts = split_rows(doubled, {"train": 0.8, "validation": 0.2}, seed=1)
    assert sorted(i for rows in parts.values() for i in rows) == list(range(600))
    assert abs(len(parts["validation"]) - 120) <= 3
    side = {i: name for name, rows in parts.items() for i in rows}
    assert all(side[i] == side[400 + i] for i in range(200))
    assert parts == split_rows(doubled, {"train": 0.8, "validation": 0.2}, seed=1)
    assert parts != split_rows(doubled, {"train": 0.8, "validation": 0.2}, seed=2)


def test_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match=r"splits\.validation"):
        split_rows(["only one"], {"train": 0.9, "validation": 0.1}, seed=0)
    with pytest.raises(DataError, match=r"^validation\.share: no rows left for validation"):
        split_rows(["only one"], {"train": 0.9, "validation": 0.1}, seed=0, key="validation.share")


def rows(domains: dict[str, int], rng: random.Random) -> list[dict[str, object]]:
    found: list[dict[str, object]] = [
        {"domain": domain, "length": rng.randrange(10_000)} for domain, count in domains.items() for _ in range(count)
    ]
    rng.shuffle(found)
    return found


def test_selection_favors_small_domains_and_long_traces() -> None:
    pool = rows({"large": 900, "small": 100}, random.Random(0))
    chosen = [pool[i] for i in select(pool, 80, seed=0)]
    sizes = Counter(row["domain"] for row in chosen)
    assert 25 <= sizes["small"] <= 55
    longest = sorted((int(str(r["length"])) for r in pool if r["domain"] == "large"), reverse=True)
    taken = [int(str(r["length"])) for r in chosen if r["domain"] == "large"]
    assert min(taken) > longest[100]  # of 900, only the longest come near
    assert set(taken) != set(longest[: len(taken)])  # but by weight, not by rank alone


def test_exhausted_domain_yields_to_the_others() -> None:
    pool = rows({"large": 90, "small": 10}, random.Random(0))
    assert Counter(pool[i]["domain"] for i in select(pool, 90, seed=0))["small"] == 10


@given(st.integers(0, 30), st.integers(0, 5))
def test_selection_is_seeded_and_without_repeats(n: int, seed: int) -> None:
    pool = rows({"a": 20, "b": 10}, random.Random(7))
    chosen = select(pool, n, seed)
    assert chosen == select(pool, n, seed)
    assert len(set(chosen)) == n == len(chosen)
    assert chosen == sorted(chosen)


def test_quota_weighs_domains() -> None:
    pool = rows({"a": 500, "b": 500, "c": 500}, random.Random(0))
    sizes = Counter(pool[i]["domain"] for i in select(pool, 400, seed=0, quota={"a": 3, "b": 1}))
    assert set(sizes) == {"a", "b"}
    assert 260 <= sizes["a"] <= 340


def test_too_few_rows_or_unknown_domain_is_refused() -> None:
    pool = rows({"a": 5}, random.Random(0))
    with pytest.raises(DataError, match="6 rows asked for, 5 left"):
        select(pool, 6, seed=0)
    with pytest.raises(DataError, match=r"of a domain of the quota \(b\); there are a"):
        select(pool, 1, seed=0, quota={"b": 1})


def test_traces_are_selected_by_domain_and_length() -> None:
    made = [Trace(str(i), "q", "t" * i, "r", "s", metadata={"domain": "ab"[i % 2]}) for i in range(200)]
    chosen = select(made, 10, seed=0)
    assert {made[i].metadata["domain"] for i in chosen} == {"a", "b"}
    assert min(chosen) > 150


def test_clusters_separate_subjects() -> None:
    stories = [
        t.question for t in solution_traces(generate_problems(300, 0)) if t.metadata["scenario"] in ("farm", "travel")
    ]
    chinese = ["肝 硬 化 怎 么 治 疗", "高 血 压 怎 么 治 疗", "头 晕 怎 么 办"] * 20
    labels, placed = clusters([*stories, *chinese], 3, seed=0, others=["A bus has 20 people on it. Then 5 get off."])
    assert len({*labels}) == 3
    assert placed[0] in {*labels}
    assert shape(placed) == {placed[0]: 1.0}
    assert labels == clusters([*stories, *chinese], 3, seed=0)[0]
