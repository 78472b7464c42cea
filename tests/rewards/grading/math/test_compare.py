"""What counts as the same answer, decided without SymPy: our own cases for what the public graders' suites pin."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.grading.math.compare import compare_answers, list_elements

SAME = [
    # numbers
    ("5", "5.0"),
    ("5", "+5"),
    ("-5", "−5"),
    ("0.4", ".4"),
    ("7425000", "7,425,000"),
    ("7425000", "7{,}425{,}000"),
    ("7425000", "7\\,425\\,000"),
    ("7425000", "7 425 000"),
    ("1,000.50", "1000.5"),
    ("1000.99", "1000,99"),
    ("12", "１２"),
    ("2.5 \\times 10^{3}", "2500"),
    ("\\frac{1}{3}", "0.3333333"),
    ("1.05", "1,05"),
    ("0.005", "0,005"),
    ("2.74", "2,74 $"),
    ("2.74", "+2,74"),
    ("-0.5", "-0,5"),
    ("-0,5", "-0.5"),
    ("1005", "1,005"),
    ("1.5e-05", "1.5 \\times 10^{-5}"),
    ("0.0012", "1.2e-3"),
    ("10^6", "1e6"),
    ("6.02 \\times 10^{23}", "6.02E+23"),
    ("5000", "5/1e-3"),
    ("2e-1", "-1 + 2e"),  # Euler's number
    ("2e^3", "e^3 \\cdot 2"),
    ("0.\\overline{3}", "1/3"),
    # fractions and mixed numbers
    ("\\frac{10}{9}", "10/9"),
    ("-\\frac{10}{9}", "\\frac{-10}{9}"),
    ("\\frac13", "\\dfrac{1}{3}"),
    ("\\frac9{19}", "\\tfrac{27}{57}"),
    ("\\frac{3}{2}", "1\\frac{1}{2}"),
    ("40/9", "4 4/9"),
    ("-\\frac{5}{2}", "-2\\frac12"),
    ("1.5", "1½"),
    # roots, powers, constants, functions
    ("11\\sqrt2", "\\sqrt{242}"),
    ("\\frac{\\sqrt{3}}{3}", "\\frac{1}{\\sqrt{3}}"),
    ("\\sqrt[3]{8}", "2"),
    ("2^{-3}", "\\frac18"),
    ("288 \\pi", "288π"),
    ("\\log_2 8", "3"),
    ("\\cot x", "\\frac{\\cos x}{\\sin x}"),
    ("\\tan^2(y)+1", "\\sec^2(y)"),
    ("\\binom{5}{2}", "10"),
    ("5!", "120"),
    ("|-7|", "7"),
    # algebra
    ("2k+2", "2(k+1)"),
    ("(x+1)(x-1)", "x^2-1"),
    ("p - q", "-q + p"),
    ("x^{2}y", "y x^2"),
    ("6 - 5i", "-5i + 6"),
    ("\\frac{x^2-1}{x-1}", "x+1"),
    # percent, money, units
    ("28\\%", "28"),
    ("28\\%", "28 percent"),
    ("28\\%", "0.28"),
    ("\\$36", "36 dollars"),
    ("\\$32,\\!348", "$32348"),
    ("90^\\circ", "90"),
    ("90^\\circ", "90 degrees"),
    ("15\\mbox{ cm}^2", "15 cm²"),
    ("864 \\mbox{ inches}^2", "864 square inches"),
    ("5 \\text{ m}", "500 cm"),
    ("5.4 \\text{ cents}", "5.4"),
    ("30 \\text{ mph}", "30 miles per hour"),
    ("18", "18 apples"),
    ("5", "5 m"),
    ("18", "18元"),
    ("25", "25°C"),
    ("20 °C", "20 degrees Celsius"),
    ("20^\\circ\\text{C}", "20 degrees C"),
    ("68°F", "68 deg Fahrenheit"),
    ("25", "25^\\circ C"),
    ("98.6", "98.6 °F"),
    ("25°C", "25 \\text{°C}"),
    ("5 m", "5"),
    ("5 m", "5 meters"),
    ("5 m", "500 cm"),
    ("-10 s", "-10"),
    ("40 L", "40 \\text{ L}"),
    ("m + m", "2 m"),  # a product
    ("2 m", "m + m"),
    ("\\$18", "18 US dollars"),
    ("5 \\text{ m}", "5 m"),
    ("5000000", "5 million"),
    ("\\$5,000,000", "5 \\text{ million dollars}"),
    ("50000", "5万元"),
    ("18", "approximately 18"),
    # lists and sets
    ("3, 5, 7", "7,3,5"),
    ("1,-2", "\\{-2, 1\\}"),
    ("1,-2", "1 and -2"),
    ("81, 256", "81,256"),
    ("81, 256", "256\\text{ and }81"),
    ("81, 256", "256和81"),
    ("1,-2", "1\\text{ or }-2"),
    ("19, 46, and 82", "19, 46, \\text{ and } 82"),
    ("1 \\pm \\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"),
    ("\\{1\\pm\\sqrt{5},-2\\}", "-2, 1-\\sqrt5, 1+\\sqrt5"),
    ("\\emptyset", "\\{\\}"),
    ("1,2", "１，２"),
    # tuples, intervals, unions, inequalities
    ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3, 0.5\\pi)"),
    ("(6,31,-1)", "[6, 31, -1]"),
    ("(3,4]", "3 < x \\le 4"),
    ("(5,\\infty)", "x > 5"),
    ("(-\\infty, 0]", "0 \\geq x"),
    ("x \\in [-2,7]", "[-2,7]"),
    ("[-2,7]", "-2 \\le x \\le 7"),
    ("(2,12) \\cup (12,102)", "(12,102)\\cup(2,12)"),
    ("(-\\infty, 2) \\cup (3, \\infty)", "x < 2 \\text{ or } x > 3"),
    ("(1,5]", "(1,3) \\cup [2,5]"),
    ("(1,3] \\cup (3,5)", "(1,5)"),
    ("(-\\infty, 1-\\sqrt2) \\cup \\{4\\}", "\\{4\\} \\cup (-\\infty, 1-2^{1/2})"),
    ("a + b + c + d + f + g + h", "h + g + f + d + c + b + a"),
    ("\\mathbb{R}", "(-\\infty, \\infty)"),
    # equations and names
    ("x=5", "5"),
    ("5", "x = 2 + 3 = 5"),
    ("x = 2, y = 3", "(2,3)"),
    ("y = 2x + 3", "2x - y + 3 = 0"),
    ("5x - 7y + 11z + 4 = 0", "-5x+7y-11z=4"),
    ("12", "AB + BC = 12"),
    ("90", "\\angle ABC = 90^\\circ"),
    ("\\frac{1}{3}", "x = \\frac13 \\approx 0.33"),
    # matrices
    ("\\begin{pmatrix} -1/3 \\\\ 2/3 \\end{pmatrix}", "\\begin{bmatrix} -\\frac13 \\\\ \\frac23 \\end{bmatrix}"),
    ("\\begin{pmatrix} 1 & 0 \\\\ 0 & 1 \\end{pmatrix}", "\\left[\\begin{array}{cc}1&0\\\\0&1\\end{array}\\right]"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\\\ 3 \\end{pmatrix}", "(1,2,3)"),
    # numerals in a base, texts, choices
    ("52_8", "52_{8}"),
    ("4210_{5}", "4210"),
    ("\\text{Evelyn}", "evelyn"),
    ("No", "no"),
    ("yes", "YES"),
    ("\\text{ellipse}", "an ellipse"),
    ("\\text{(C)}", "C"),
    ("\\text{(C)}", "\\textbf{(C)}"),
    ("\\text{(C)}", "(C) 12 apples"),
    ("C", "C. 12 apples"),
    ("B", "It is not A, so I am sure that it's B"),
    ("D", "for sure D, it can't be A or B"),
    ("D", "D, since the others are too large"),
    # typesetting
    ("42", "\\boxed{42}"),
    ("42", "**42**"),
    ("\\frac12", "\\mathbf{\\frac{1}{2}}"),
    ("-18", "\\text{Answer: } -18"),
    ("52_8", "= 52_8"),
    ("58,500", "{58,500}"),
    ("\\frac12", "\\displaystyle\\left(\\frac{1}{2}\\right)"),
    ("\\frac{1}{2}", "\\\\frac{1}{2}"),
]

DIFFERENT = [
    ("5", "-5"),
    ("5", "6"),
    ("2220", "222"),
    ("1000000000000", "1000000000001"),
    (".0000672", ".0000673"),
    ("\\frac{14}{3}", "4.667"),
    ("1.5", "1,05"),
    ("0.5", "0,005"),
    ("5.5", "5, 5"),
    ("1.005", "1,005"),
    ("1.5e-05", "0.00015"),
    ("5", "1e299"),
    ("\\frac{14}{3}", "\\frac{3}{14}"),
    ("1\\frac{4}{5}", "\\frac{4}{5}"),
    ("\\pi", "3.14"),
    ("0.5", "0.5\\%"),
    ("28", "0.28"),
    ("3\\sqrt{13}", "3 \\cdot 13"),
    ("6 - 5i", "6 + 5i"),
    ("2k+2", "2n+2"),
    ("3R^2", "3r^2"),
    ("x+2n+1", "x+1"),
    ("5.4 \\text{ cents}", "5.4 \\text{ dollars}"),
    ("90^\\circ", "90 \\text{ radians}"),
    ("864 \\mbox{ inches}^2", "864 \\text{ inches}^3"),
    ("15\\mbox{ cm}^2", "15 m^2"),
    ("5 \\text{ apples}", "5 \\text{ pears}"),
    ("5 \\text{ m}", "5 g"),
    ("25°C", "25°F"),
    ("68°F", "68 degrees Celsius"),
    ("-0.5", "0,5"),
    ("-1,5", "-0.5"),
    ("5m", "5"),
    ("5 m", "6"),
    ("5 m", "5 km"),
    ("5 x", "5"),
    ("5", "5 million"),
    ("5", "5万"),
    ("18", "not 18"),
    ("x = 2, y = 3", "(3,2)"),
    ("3, 5, 7", "3, 5"),
    ("3, 5", "3, 5, 7"),
    ("32349", "32, 349"),
    ("-1,3,3", "-1,3"),
    ("1,-2", "1,2"),
    ("1 \\pm \\sqrt{19}", "1 + \\sqrt{19}"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "\\{1,2\\}"),
    ("(3,4]", "[3,4]"),
    ("(3,4]", "(4,3]"),
    ("[0,1)", "(0,1)"),
    ("(5,\\infty)", "x \\ge 5"),
    ("x > 5", "y > 5"),
    ("x=5", "y=5"),
    ("y = 2x + 3", "y = 2x - 3"),
    ("5x - 7y + 11z + 4 = 0", "5x - 7y + 11z + 5 = 0"),
    ("5x - 7y + 11z + 4 = 0", "5x - 7y + 11z"),
    ("0", "5x - 7y = 0"),
    ("(2,12) \\cup (12,102)", "(2,12)"),
    ("(2,12) \\cup (12,102)", "(2,102)"),
    ("(2,12) \\cup (12,102)", "(2,12] \\cup (12,102)"),
    ("(-\\infty, 2) \\cup (3, \\infty)", "(-\\infty, 2) \\cup (3, 9)"),
    ("x < 2 \\text{ or } x > 3", "y < 2 \\text{ or } y > 3"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 2 \\\\ 1 \\end{pmatrix}"),
    ("\\begin{pmatrix} 1 & 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
    ("52_8", "52_9"),
    ("52_8", "42"),
    ("\\text{east}", "\\text{west}"),
    ("No", "yes"),
    ("Mgh", "mgh"),
    ("\\text{east}", "\\text{seat}"),
    ("\\text{(C)}", "D"),
    ("\\text{(C)}", "(C) (D)"),
    ("B", "The right option is B or it is C"),
    ("A", "A car is what she wants to buy"),
    ("28/100", "28"),
    ("4", "4\\sqrt{2}"),
    ("(3,1)", "1,3"),
    ("18", "I am not sure"),
    # words in a formula, and many symbols: minutes for SymPy
    ("1", "1RecipeSteps"),
    ("x^2+1", "x^{RecipeSteps}+1"),
    ("\\sum_{k=1}^{3} k", "TotalCost \\cdot 3"),
    ("18", "a + b + c + d + f + g + h + j + k + l + m"),
    ("x + 1", "\\alpha\\beta\\gamma\\delta\\epsilon\\zeta\\eta x"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_equivalent_answer_is_right(gold: str, answer: str) -> None:
    verdict = compare_answers(gold, answer)
    assert verdict is not None
    assert verdict.correct is True


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_answer_is_wrong(gold: str, answer: str) -> None:
    verdict = compare_answers(gold, answer)
    assert verdict is not None
    assert verdict.correct is False


@pytest.mark.parametrize(
    "answer",
    [
        "1/2x",  # (1/2)x or 1/(2x)
        "\\frac123",
        "\\sin(x)^2",
        "f(x) + 1",
        "\\sum_{k=1}^{3} k",
        "\\begin{vmatrix} 1 & 2 \\\\ 3 & 4 \\end{vmatrix}",
        "\\{x : x > 3\\}",
        "2\\frac{7}{3}",
        "\\sqrt❶",
        "\\frac❶2",
        "18" + "%" * 380,
    ],
)
def test_ambiguous_answer_is_undecided(answer: str) -> None:
    verdict = compare_answers("\\oint x", answer)
    assert verdict is None


@pytest.mark.parametrize(
    "answer",
    [
        "9^{9^{9^9}}",
        "9**9**9**9",
        "((20!)!)!",
        "10^{10^{10}}",
        "\\sqrt{2^{3^{4^{5^6}}}}",
        "\\binom{1000000000}{500000000}",
        "1000000000!",
        "7^{7^{7^7}} - 7^{7^{7^7}}",
        "\\sum_{k=1}^{1000000000000} \\frac{1}{k}",
        "\\int_0^1 e^{x^x} dx",
        "x_{" * 50 + "1" + "}" * 50,
        "1" * 450 + "2",
        "18" + "!" * 330,
    ],
)
def test_huge_power_is_refused(answer: str) -> None:
    verdict = compare_answers("18 + 1" if len(answer) < 400 else "9" * 500, answer)
    assert verdict is not None
    assert verdict.correct is None
    assert verdict.reason.startswith("refused: ")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("1" + "/1" * 2000, "refused: nested too deep"),  # without a bracket
        ("0.\\overline{" + "3" * 4400 + "}", "refused: too many digits"),  # more than `int` reads
    ],
)
def test_parser_breaking_answer_is_refused(answer: str, reason: str) -> None:
    verdict = compare_answers("1" + "+1" * 600, answer)
    assert verdict is not None
    assert (verdict.correct, verdict.reason) == (None, reason)


def test_repeated_unit_powers_are_fast() -> None:
    began = time.perf_counter()
    assert compare_answers("5", "5 mi" + " cubed" * 12) is not None
    assert time.perf_counter() - began < 1


def test_sum_is_undecided_against_sum() -> None:
    assert compare_answers("\\sum_{k=1}^{n} k^2", "\\sum_{j=1}^{n} j^2") is None


def test_essay_is_too_long() -> None:
    verdict = compare_answers("18", "9" * 1_000_000)
    assert verdict is not None
    assert (verdict.correct, verdict.reason) == (False, "too long")


@pytest.mark.parametrize(
    ("answer", "elements"),
    [
        ("1, 2,3", ["1", "2", "3"]),
        ("\\{a, (1,2)\\}", ["a", "(1,2)"]),
        ("(1, -2)", ["1", "-2"]),
        ("1,000", []),
        ("5", []),
    ],
)
def test_list_elements_are_split(answer: str, elements: list[str]) -> None:
    assert list_elements(answer) == elements


FRACTIONS = st.fractions(min_value=-10_000, max_value=10_000, max_denominator=997)


def spellings(value: Fraction) -> list[str]:
    """A fraction in the ways that people write one."""
    sign, top, bottom = "-" if value < 0 else "", abs(value.numerator), value.denominator
    written = [
        f"{sign}\\frac{{{top}}}{{{bottom}}}",
        f"\\frac{{{sign}{7 * top}}}{{{7 * bottom}}}",
        f"{sign}{top}/{bottom}",
        f"x = {sign}\\dfrac{{{top}}}{{{bottom}}}",
        f"$ {sign}\\left(\\frac{{{top}}}{{{bottom}}}\\right) $",
        f"{sign}{top} \\div {bottom}",
    ]
    return written + ([f"{sign}{top:,}", f"{sign}{top}.0"] if bottom == 1 else [])


@given(FRACTIONS, st.data())
def test_fraction_spellings_are_equal(value: Fraction, data: st.DataObject) -> None:
    gold, answer = (data.draw(st.sampled_from(spellings(value))) for _ in range(2))
    verdict = compare_answers(gold, answer)
    assert verdict is not None
    assert verdict.correct is True


@given(FRACTIONS, FRACTIONS, st.data())
def test_different_fractions_differ(value: Fraction, other: Fraction, data: st.DataObject) -> None:
    gold, answer = data.draw(st.sampled_from(spellings(value))), data.draw(st.sampled_from(spellings(other)))
    verdict = compare_answers(gold, answer)
    assert verdict is not None
    assert verdict.correct is (value == other)


@given(st.lists(FRACTIONS, min_size=2, max_size=6, unique=True), st.randoms())
def test_lists_ignore_order_and_tuples_do_not(values: list[Fraction], random: object) -> None:
    written = [spellings(value)[0] for value in values]
    turned = [*written[1:], written[0]]
    as_list, as_tuple = (
        compare_answers(", ".join(written), ", ".join(turned)),
        compare_answers(f"({','.join(written)})", f"({','.join(turned)})"),
    )
    assert as_list is not None
    assert as_tuple is not None
    assert (as_list.correct, as_tuple.correct) == (True, False)


@given(st.lists(st.integers(-500, 500), min_size=4, max_size=8, unique=True), st.data())
def test_union_equals_its_pieces(ends: list[int], data: st.DataObject) -> None:
    low = sorted(ends)
    whole = [(low[at], low[at + 1]) for at in range(0, len(low) - 1, 2)]
    pieces = [piece for a, b in whole for piece in (f"({a},{(a + b) / 2}]", f"({(a + b) / 2},{b})")]
    gold = " \\cup ".join(f"({a},{b})" for a, b in whole)
    shuffled = data.draw(st.permutations(pieces))
    same, less = compare_answers(gold, " \\cup ".join(shuffled)), compare_answers(gold, " \\cup ".join(shuffled[1:]))
    assert same is not None
    assert less is not None
    assert (same.correct, less.correct) == (True, False)


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9))
def test_factored_equals_expanded_polynomial(a: int, b: int, c: int) -> None:
    verdict = compare_answers(f"(x + {a})(x + {b}) + {c}", f"x^2 + ({a + b})x + {a * b + c}")
    assert verdict is not None
    assert verdict.correct is True


@given(st.text(max_size=80), st.sampled_from(["18", "\\frac12", "(1,2]", "\\text{east}", "x^2+1", "1,-2", "52_8"]))
def test_any_text_compares_without_error(answer: str, gold: str) -> None:
    verdict = compare_answers(gold, answer)
    assert verdict is None or verdict.correct in (True, False, None)


LATEX = st.sampled_from(
    [
        *"0123456789+-*/^_(){}[]|,=<>!.%$ xyein",
        "\\frac",
        "\\sqrt",
        "\\pi",
        "\\sin",
        "\\left(",
        "\\text{",
        "\\begin{pmatrix}",
        "\\pm",
        "\\cup",
    ]
)


@given(st.lists(LATEX, max_size=30).map("".join))
def test_any_latex_compares_without_error(answer: str) -> None:
    for gold in ("18", "(1,2]"):
        verdict = compare_answers(gold, answer)
        assert verdict is None or verdict.correct in (True, False, None)
