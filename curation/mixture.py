"""How many rows of each source, and which rows go into which split."""

import random
from collections.abc import Mapping, Sequence

from configs.errors import DataError
from data.similarity.near_duplicates import near_duplicates

SAME_SIDE = 0.7
"""Texts whose words overlap this much (Dice) stay on one side of a split; looser than what counts as a duplicate."""


def counts(available: Mapping[str, int], shares: Mapping[str, float], total: int | None = None) -> dict[str, int]:
    """Rows of each source, in proportion to `shares`, without repeating any; a source without a share gives all it has.

    `total` None: as many as the scarcest source allows. Raises `DataError` if a source has too few for `total`.
    """
    shared = {name: shares[name] for name in available if name in shares}
    if not shared:
        return dict(available)
    rest = {name: size for name, size in available.items() if name not in shares}
    whole = sum(shared.values())
    most = min(available[name] * whole / share for name, share in shared.items())
    wanted = most if total is None else total - sum(rest.values())
    result = _rounded({name: wanted * share / whole for name, share in shared.items()}, int(wanted + 1e-9))
    for name, count in result.items():
        if not 0 <= count <= available[name]:
            raise DataError(
                f"mix: {count} rows of {name} wanted for its share, {available[name]} there; lower n or its share"
            )
    return {name: result.get(name, rest.get(name, 0)) for name in available}


def _rounded(values: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers that sum to `total`: the largest remainders round up."""
    floors = {name: int(value + 1e-9) for name, value in values.items()}
    order = sorted(values, key=lambda name: floors[name] - values[name])
    for name in order[: max(0, total - sum(floors.values()))]:
        floors[name] += 1
    return floors


def split_rows(
    texts: Sequence[str], shares: Mapping[str, float], seed: int, key: str = "splits.{}"
) -> dict[str, list[int]]:
    """Indices of each split, ascending, in proportion to `shares`; near-duplicates are never on two sides.

    Raises `DataError` for a split that would be empty; `key` is what a recipe calls the share of one.
    """
    groups: dict[int, list[int]] = {}
    leader = near_duplicates(texts, words=SAME_SIDE)
    for i in range(len(texts)):
        groups.setdefault(leader.get(i, i), []).append(i)
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    order.sort(key=len, reverse=True)  # large groups first: small ones even the sizes out
    wanted = {name: len(texts) * share / sum(shares.values()) for name, share in shares.items()}
    result: dict[str, list[int]] = {name: [] for name in shares}
    for group in order:
        name = max(shares, key=lambda name: wanted[name] - len(result[name]))
        result[name] += group
    for name, rows in result.items():
        if not rows:
            raise DataError(
                f"{key.format(name)}: no rows left for {name}; change the share or bring more than {len(texts)} rows"
            )
    return {name: sorted(rows) for name, rows in result.items()}
