"""Some of many, drawn by a seed."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def drawn(items: Sequence[T], limit: int | None, seed: int) -> list[T]:
    """`limit` items by `seed`, in their own order; a larger limit with the same seed contains a smaller one's."""
    if limit is None or limit >= len(items):
        return list(items)
    order = list(range(len(items)))
    random.Random(seed).shuffle(order)
    return [items[i] for i in sorted(order[:limit])]
