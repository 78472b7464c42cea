"""LaTeX in model output becomes MathML where it can be parsed, stays text where not, and is never markup."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.latex import ELEMENTS, FORMULA, split_answer, split_formulas, to_mathml


@given(st.text(alphabet="$\\[](){}abx12 ^_\nfrac=<&"))
def test_joined_pieces_are_the_text(text: str) -> None:
    assert "".join(source for source, _ in split_formulas(text)) == text


@pytest.mark.parametrize(
    "text", ["$x^2$", "\\(x^2\\)", "\\[x^2\\]", "$$x^2$$", "\\boxed{x^2}", "\\begin{align*}x&=2\\end{align*}"]
)
def test_every_formula_delimiter_is_found(text: str) -> None:
    pieces = split_formulas(f"so {text} holds")
    assert [source for source, _ in pieces] == ["so ", text, " holds"]
    assert (pieces[1][1] or "").startswith("<math")


@pytest.mark.parametrize("text", ["costs $18 and $20 each", "9 * 2 = $<<9*2=18>>18", "\\$5 and \\$6", "$ 5 $", "$3$4"])
def test_money_is_no_formula(text: str) -> None:
    assert split_formulas(text) == [(text, None)]


def test_display_formula_is_a_block() -> None:
    assert 'display="block"' in (to_mathml("x", display=True) or "")


@pytest.mark.parametrize("source", ["\\frac{1}{", "\\left(", "\\notacommand{x}"])
def test_unparsable_formula_stays_text(source: str) -> None:
    assert to_mathml(source) is None
    assert split_formulas(f"a ${source}$ b") == [(f"a ${source}$ b", None)]


@pytest.mark.parametrize(
    "source",
    [
        "\\text{<script>alert(1)</script>}",
        "\\href{javascript:alert(1)}{x}",
        "\\text{&lt;img src=x onerror=alert(1)&gt;}",
        "\\style{background:url(http://x)}{y}",
        "x <img src=x>",
    ],
)
def test_model_output_never_becomes_markup(source: str) -> None:
    math = to_mathml(source)
    for element in ElementTree.fromstring(math or "<math/>").iter():
        assert ELEMENTS.fullmatch(element.tag)
        assert not {"href", "style", "onerror", "src"} & element.attrib.keys()


def test_answer_without_dollars_is_a_formula() -> None:
    [(source, math)] = split_answer("\\frac{3}{4}")
    assert source == "\\frac{3}{4}"
    assert "<mfrac>" in (math or "")
    assert split_answer("18") == [("18", None)]
    assert split_answer("March 3") == [("March 3", None)]


def test_unclosed_formulas_take_linear_time() -> None:
    for text in ("\\[" * 20_000, "$" * 20_000, "\\begin{align}" * 3_000, "\\boxed{" * 5_000, "$x " * 10_000):
        assert "".join(source for source, _ in split_formulas(text)) == text


def test_deep_nesting_stays_text() -> None:
    text = "$" + "{" * 900 + "x" + "}" * 900 + "$"
    assert "".join(source for source, _ in split_formulas(text)) == text


@pytest.mark.skipif("MULL_DATA" not in os.environ, reason="MULL_DATA names no folder of real data")
def test_nearly_every_math500_formula_is_drawn() -> None:
    lines = (Path(os.environ["MULL_DATA"]) / "math500/test.jsonl").read_text(encoding="utf-8").splitlines()
    found = drawn = 0
    for row in map(json.loads, lines):
        found += sum(1 for _ in FORMULA.finditer(row["problem"] + "\n" + row["solution"]))
        drawn += sum(math is not None for _, math in split_formulas(row["problem"] + "\n" + row["solution"]))
    assert found > 5_000
    assert drawn / found > 0.99
