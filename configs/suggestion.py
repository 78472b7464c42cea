"""What a message about an unknown name ends with."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], otherwise: str, prefix: str = "", cutoff: float = 0.6) -> str:
    """The question whether the nearest known name (after `prefix`) was meant; `otherwise` where none is near."""
    nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return f"did you mean {prefix + nearest[0]!r}?" if nearest else otherwise
