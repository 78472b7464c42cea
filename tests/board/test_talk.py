"""How a conversation looks: thinking folded behind its answer, what was forced marked, nothing of it HTML."""

from board.strings import Strings
from board.talk import Reply, Turn, exported, shown

SAY = Strings("en")


def reply(*pieces: tuple[str, str], ending: str = "") -> Reply:
    made = Reply("m")
    for kind, text in pieces:
        made.add({"kind": kind, "text": text})
    if ending:
        made.add({"ending": ending})
    return made


def test_thinking_folds_behind_its_answer() -> None:
    assert "<details open>" in shown([Turn("q", [reply(("thinking", "so"))])], SAY)
    after = shown([Turn("q", [reply(("thinking", "so"), ("forced", "Wait"), ("answer", "4"), ending="e")])], SAY)
    assert "<details>" in after
    assert '<summary>thinking <span class="forced"' in after
    assert after.index("</details>") < after.index("4")


def test_nothing_said_becomes_html() -> None:
    hostile = "<img src=x onerror=alert(1)> {{x}} ${y}"
    said = reply(("thinking", hostile), ("forced", hostile), ("answer", hostile), ending=hostile)
    page = shown([Turn(hostile, [said])], SAY)
    assert "<img" not in page
    assert "{" not in page
    assert "$" not in page
    assert page.count("&lt;img") == 6


def test_fault_stands_below_an_answer_that_is_there() -> None:
    said = reply(("thinking", "so"), ("answer", "4"), ending="e")
    assert said.has_thinking
    said.error = "the context is full"
    page = shown([Turn("q", [said])], SAY)
    assert page.index("4") < page.index("the context is full")
    said.ending = ""
    assert "so" not in shown([Turn("q", [said])], SAY)
    assert not reply(("answer", "4"), ending="e").has_thinking


def test_pieces_of_a_kind_are_saved_as_one() -> None:
    [turn] = exported([Turn("q", [reply(("thinking", "a"), ("thinking", "b"), ("forced", "Wait"), ending="e")])])
    assert turn["replies"][0] == {
        "model": "m",
        "pieces": [{"kind": "thinking", "text": "ab"}, {"kind": "forced", "text": "Wait"}],
        "ending": "e",
    }
