"""Who watches no terminal sees how far a command is, too."""

from io import StringIO

from rich.console import Console

from configs.progress import Progress


def lines(between_lines: float, terminal: bool = False) -> str:
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, width=100)
    with Progress("samples", 4, between_lines, console) as progress:
        for done in range(5):
            progress.update(done, "right 50.0%")
    return out.getvalue()


def test_lines_tell_count_and_time_left() -> None:
    shown = lines(0.0).splitlines()
    assert [line.split()[:4] for line in shown] == [["samples", f"{n}/4", "left", "0:00:00"] for n in (1, 2, 3, 4)]
    assert all(line.endswith("right 50.0%") for line in shown)


def test_lines_are_far_apart() -> None:
    assert lines(3600.0) == ""


def test_terminal_gets_a_bar() -> None:
    shown = lines(0.0, terminal=True)
    assert "4/4" in shown
    assert "samples 1/4" not in shown
