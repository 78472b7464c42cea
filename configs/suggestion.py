"""What a message about an unknown name ends with."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], otherwise: str, prefix: str = "", cutoff: float = 0.6) -> str:
    """The question whether the nearest known name (after `prefix`) was meant; `otherwise` where none is near.

    Capitals make no distance: BLEU is near bleu.
    """
    by_letters = {one.casefold(): one for one in sorted(known)}
    nearest = difflib.get_close_matches(name.casefold(), by_letters, n=1, cutoff=cutoff)
    return f"did you mean {prefix + by_letters[nearest[0]]!r}?" if nearest else otherwise
