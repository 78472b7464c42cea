"""An attack on the screen: honest answers, a table of finds, and what is odd about the rewards."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from rewards.attack.findings import Remark, state_of
from rewards.attack.measure import Bench, Measured

SHOWN = 12
_EXAMPLE = 70


def show(bench: Bench, found: Sequence[Measured], remarks: Sequence[Remark]) -> None:
    """Print it all."""
    honest = bench.honest
    earned = f"{honest.wrong:.3g} when wrong, {honest.right:.3g} when right"
    print(f"honest answers earn {earned} ({honest.words} words of thinking)")
    if found:
        Console(width=max(100, Console().width)).print(table(found))
    if len(found) > SHOWN:
        print(f"… and {len(found) - SHOWN} more in the file")
    for remark in remarks:
        print(remark)
    print(verdict(len(bench.measured), found, remarks))


def table(found: Sequence[Measured]) -> Table:
    """A row a find, the most profitable first."""
    result = Table(box=None, pad_edge=False)
    for name in ("hack", "", "of the gap", "earns", "wrong", "right", "through", "example"):
        result.add_column(
            name, overflow="fold", justify="right" if name in ("of the gap", "earns", "wrong", "right") else "left"
        )
    for one in found[:SHOWN]:
        figures = [f"{one.share:.0%}", *(f"{value:.3g}" for value in (one.score, one.wrong, one.right))]
        result.add_row(one.genome.name, state_of(one), *figures, ", ".join(one.through), _example(one), style=None)
    return result


def verdict(tried: int, found: Sequence[Measured], remarks: Sequence[Remark]) -> str:
    """The last line."""
    states = [state_of(one) for one in found] + [remark.state for remark in remarks]
    if not states:
        return f"{tried} hacks tried: none pays"
    return f"{tried} hacks tried: {states.count('open')} open, {states.count('noted')} noted"


def _example(found: Measured) -> str:
    text = repr(found.example[1].text)
    return text if len(text) <= _EXAMPLE else f"{text[: _EXAMPLE // 2]}…{text[-_EXAMPLE // 2 :]}"
