"""Down to the few rows to train on: diverse by domain, and within a domain the long traces first.

s1's rule (arXiv 2501.19393 §2.2): draw a domain uniformly, then a row of it with weight 2^-rank, where rank 1 is the
longest trace of the domain that is still there; until n rows are drawn.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from configs.errors import DataError
from data.problem import Trace

Row = Trace | Mapping[str, object]


def select(rows: Sequence[Row], n: int, seed: int, quota: Mapping[str, float] | None = None) -> list[int]:
    """`n` indices, ascending; a row's domain is its `domain` (in a trace's metadata).

    `quota` weighs the domains (default: all the same); a domain that runs out leaves its turns to the others. Raises
    `DataError` if there are fewer than `n` rows to draw from, or a quota names no domain that there is.
    """
    weights = _weights([domain_of(row) for row in rows], quota)
    queues: dict[str, list[int]] = {domain: [] for domain in weights}
    for i in sorted(range(len(rows)), key=lambda i: (-length_of(rows[i]), i)):
        if domain_of(rows[i]) in queues:
            queues[domain_of(rows[i])].append(i)
    there = sum(map(len, queues.values()))
    if there < n:
        raise DataError(f"select: {n} rows asked for, {there} left to draw from; ask for fewer, or filter less")
    rng = random.Random(seed)
    chosen: list[int] = []
    while len(chosen) < n:
        names = list(queues)
        domain = rng.choices(names, [weights[name] for name in names])[0]
        chosen.append(queues[domain].pop(_rank(rng, len(queues[domain]))))
        if not queues[domain]:
            del queues[domain]
    return sorted(chosen)


def _weights(domains: Sequence[str], quota: Mapping[str, float] | None) -> dict[str, float]:
    there = dict.fromkeys(sorted(set(domains)), 1.0)
    if quota is None:
        return there
    weights = {name: quota[name] for name in there if quota.get(name, 0) > 0}
    if domains and not weights:
        raise DataError(
            f"select: no row is of a domain of the quota ({', '.join(quota)}); there are {', '.join(there)}"
        )
    return weights


def _rank(rng: random.Random, size: int) -> int:
    """0 with probability 1/2, 1 with 1/4, … cut off at `size`."""
    return min(size - 1, int(-math.log2(1 - rng.random() * (1 - 2.0**-size))))


def domain_of(row: Row) -> str:
    """The row's domain, "" if it has none."""
    value = row.metadata.get("domain") if isinstance(row, Trace) else row.get("domain")
    return "" if value is None else str(value)


def length_of(row: Row) -> int:
    """How long the row reasons, in characters; its reply counts where there is no thinking."""
    if isinstance(row, Trace):
        return len(row.thinking or row.reply)
    if isinstance(row.get("length"), int):
        return int(str(row["length"]))
    keys = ("thinking", "thinking_trajectories", "reply", "answer")
    return len(str(next((row[key] for key in keys if row.get(key)), "")))


def shape(domains: Sequence[str]) -> dict[str, float]:
    """The quota that gives a selection the shape of a benchmark whose problems are of these domains."""
    counts = Counter(domains)
    return {domain: count / len(domains) for domain, count in sorted(counts.items())}


def clusters(texts: Sequence[str], count: int, seed: int, others: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Domains for texts that come without: k-means over TF-IDF; (the texts' clusters, those that `others` fall into).

    A cluster is named by its number and its three heaviest words.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2 if len(texts) > count else 1, max_features=20_000)
    matrix = vectorizer.fit_transform(texts)
    model = MiniBatchKMeans(min(count, len(texts)), random_state=seed, n_init=3).fit(matrix)
    words = vectorizer.get_feature_names_out()
    names = [
        f"{i}: {' '.join(words[j] for j in center.argsort()[::-1][:3])}"
        for i, center in enumerate(model.cluster_centers_)
    ]
    placed = model.predict(vectorizer.transform(others)) if others else []
    return [names[i] for i in model.labels_], [names[i] for i in placed]
