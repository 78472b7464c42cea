"""A parser for the part of LaTeX (and of plain text) that single mathematical values are written in.

It reads the spelling of `rewards.grading.math.normalize` into small tuples, and refuses (`Unread`) what it does not
know or what people read in two ways (`1/2x`): such answers are math-verify's business. Nothing is evaluated, and depth
is bounded.

    ("num", Fraction, decimals)   a number; `decimals`: digits after its point, or None when it has none
    ("var", name)  ("const", "π" | "e" | "i" | "∞")
    ("add", (…))  ("mul", (…))  ("div", a, b)  ("pow", a, b)  ("neg", a)  ("pm", a, b, sign)
    ("call", function, a)  ("root", degree, a)  ("log", base, a)  ("fact", a)  ("binom", n, k)  ("abs", a)
    ("floor", a)  ("ceil", a)  ("several", "gcd" | "lcm" | "max" | "min", (…))
    ("dots", "add" | "mul", (…))   terms with an ellipsis among them (`None`), whose rule is not known
"""

import itertools
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

Node = tuple[Any, ...]

DEPTH = 40
_LONGEST_NUMBER = 400
_NUMBER = re.compile(r"(\d+)(?:\.(\d+))?|\.(\d+)")
_BARE_POINT = re.compile(r"\.(?![\w.…])")  # "3./2"
_GOES_ON = re.compile(r"(\d*)\.(\d{1,40})…")
_CYCLE = re.compile(r"(\d*?)(\d{1,12}?)\2+")  # of digits that all repeat behind a start
_MINUTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*′(?!′)(?:\s*(\d+(?:\.\d+)?)\s*(?:′′|″))?")
_ACCENTED = re.compile(r"\{\s*\\?([A-Za-z]+)\s*\}|\s*([A-Za-z])")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot|overset)\s*\{?(\d+)\}?")
_WORD = re.compile(r"\\?[A-Za-z]+")
_SUBSCRIPT = re.compile(r"_\s*(?:\{\s*([A-Za-z0-9]+)\s*\}|\\text\{\s*([A-Za-z0-9]+)\s*\}|([A-Za-z0-9]))")
_DIGITS = re.compile(r"\d+")
_UPRIGHT = re.compile(r"\{\s*([A-Za-z])\s*\}")
FUNCTIONS = {
    *("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "exp", "ln", "arcsin", "arccos", "arctan"),
}
_INVERSES = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
GREEK = {
    *("alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega"),
    *("Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Upsilon", "Phi", "Psi", "Omega", "ell"),
}
_SPELLINGS = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "tg": "tan", "ctg": "cot", "cosec": "csc"}
_SEVERAL = {"gcd", "lcm", "max", "min"}
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class Unread(Exception):
    """Not a value that this parser knows."""


def parse(text: str) -> Node:
    """The tree of one value in canonical spelling; raises `Unread`."""
    if not text:
        raise Unread
    parser = _Parser(text)
    node = parser.sum(0)
    parser.skip()
    if parser.at < len(text):
        raise Unread
    return node


class _Parser:
    """Recursive descent over the characters; `at` is the position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> str:
        """Skip white space; the next character, or ""."""
        while self.at < len(self.text) and self.text[self.at] == " ":
            self.at += 1
        return self.text[self.at] if self.at < len(self.text) else ""

    def sum(self, depth: int) -> Node:
        """term (± term)*"""
        if depth > DEPTH:
            raise Unread
        terms: list[Node] = []
        sign = "+"
        if self.skip() in ("+", "-", "±", "∓"):
            sign = self._take()
        while True:
            if self.skip() == "…" and sign == "+" and terms:
                self.at += 1
                term: Node = _DOTS
            else:
                term = self._product(depth)
            if sign in "±∓":
                base = _joined("add", terms) if terms else ("num", Fraction(0), None)
                terms = [("pm", base, term, 1 if sign == "±" else -1)]
            else:
                terms.append(("neg", term) if sign == "-" else term)
            if self.skip() not in ("+", "-", "±", "∓") or not self.text[self.at : self.at + 1]:
                return _joined("add", terms)
            sign = self._take()

    def _product(self, depth: int) -> Node:
        """factor (* factor | / factor | factor)*, and mixed numbers"""
        factors = [self._signed(depth)]
        divided = False
        while True:
            char = self.skip()
            if char == "*":
                self.at += 1
                if self.skip() == "…":
                    self.at += 1
                    factors.append(_DOTS)
                else:
                    factors.append(self._signed(depth))
            elif char == "/":
                self.at += 1
                factors = [("div", _joined("mul", factors), self._signed(depth))]
                divided = True
            elif char and self._starts_factor(char):
                if divided:
                    raise Unread  # 1/2x is read in two ways
                factors.append(self._juxtaposed(factors[-1], depth))
                if factors[-1][0] == "mixed":
                    factors[-2:] = [("add", (factors[-2], factors[-1][1]))]
            else:
                return _joined("mul", factors)

    def _signed(self, depth: int) -> Node:
        """A factor that may have its own sign, after `*` or `/` or at the start."""
        if self.skip() == "-":
            self.at += 1
            return ("neg", self._signed(depth + 1)) if depth < DEPTH else self._power(depth)
        return self._power(depth)

    def _juxtaposed(self, before: Node, depth: int) -> Node:
        """What follows a factor without an operator; a proper fraction behind an integer makes a mixed number."""
        fraction = self.text.startswith("\\frac", self.at)
        digits = self.text[self.at].isdigit()
        after = self._power(depth)
        whole = before[0] == "num" and before[2] is None
        if digits:  # "1 4/5"; two numbers side by side are anything else
            if not whole or after[0] != "num" or after[2] is not None or self.skip() != "/":
                raise Unread
            self.at += 1
            after, fraction = ("div", after, self._power(depth)), True
        if not fraction or not whole or after[0] != "div" or after[1][0] != "num" or after[2][0] != "num":
            return after
        if not 0 < after[1][1] < after[2][1]:
            raise Unread  # 2\frac{7}{3}: a product, or a slip
        return ("mixed", after)

    def _starts_factor(self, char: str) -> bool:
        return char.isalnum() or char in "(\\{π∞.⌊⌈"

    def _power(self, depth: int) -> Node:
        """atom (^ exponent | ! | degree)*"""
        if depth > DEPTH:
            raise Unread
        base = self._atom(depth + 1)
        for _ in range(DEPTH):  # each mark nests what is before it
            char = self.skip()
            if char == "^":
                self.at += 1
                base = ("pow", base, self._exponent(depth + 1))
            elif char == "!":
                self.at += 1
                base = ("fact", base)
            elif char == "°":
                self.at += 1
                base = ("mul", (self._with_minutes(base), _DEGREE))
            elif char == "′" and base[0] == "num":
                self.at += 1
                base = ("mul", (base, _DEGREE, ("num", Fraction(1, 60), None)))
            elif char == "%":
                self.at += 1
                base = ("div", base, ("num", Fraction(100), None))
            else:
                return base
        raise Unread

    def _exponent(self, depth: int) -> Node:
        """A group, a signed number, or one letter."""
        char = self.skip()
        if char == "-":
            self.at += 1
            return ("neg", self._exponent(depth + 1)) if depth < DEPTH else self._group(depth)
        if char in "{(":
            return self._group(depth)
        node = self._atom(depth)
        if self.skip() == "^":
            self.at += 1
            return ("pow", node, self._exponent(depth + 1))
        return node

    def _atom(self, depth: int) -> Node:
        char = self.skip()
        if not char or depth > DEPTH:
            raise Unread
        if char.isdigit() or char == ".":
            return self._number()
        if char in _CLOSING:
            return self._group(depth)
        if char in "π∞":
            self.at += 1
            return ("const", char)
        if char == "|":
            return self._absolute(depth)
        if char in "⌊⌈":
            self.at += 1
            node = self.sum(depth + 1)
            self._expect("⌋" if char == "⌊" else "⌉")
            return ("floor" if char == "⌊" else "ceil", node)
        if char == "\\" or char.isalpha():
            return self._named(depth)
        raise Unread

    def _number(self) -> Node:
        repeating = _REPEATING.match(self.text, self.at)
        if repeating and repeating.end() - repeating.start() > _LONGEST_NUMBER:
            raise Unread
        if repeating:
            self.at = repeating.end()
            whole, fixed, cycle = repeating.groups()
            scale = 10 ** len(fixed)
            value = Fraction(int((whole + fixed) or "0"), scale)
            return ("num", value + Fraction(int(cycle), scale * (10 ** len(cycle) - 1)), None)
        goes_on = _GOES_ON.match(self.text, self.at)
        if goes_on:
            self.at = goes_on.end()
            return _going_on(goes_on[1], goes_on[2])
        found = _NUMBER.match(self.text, self.at)
        if not found or found.end() - found.start() > _LONGEST_NUMBER:
            raise Unread
        self.at = found.end()
        bare_point = _BARE_POINT.match(self.text, self.at) if found[1] and not found[2] else None
        self.at = bare_point.end() if bare_point else self.at
        decimals = found[2] or found[3]
        return ("num", Fraction(found.group()), len(decimals) if decimals else None)

    def _with_minutes(self, degrees: Node) -> Node:
        """Degrees, and the minutes and seconds of arc behind them."""
        found = _MINUTES.match(self.text, self.at)
        if not found or degrees[0] != "num":
            return degrees
        self.at = found.end()
        parts = Fraction(found[1]) / 60 + Fraction(found[2] or 0) / 3600
        return ("num", degrees[1] + parts, None)

    def _group(self, depth: int) -> Node:
        """A bracketed sum."""
        opening = self._take()
        closing = _CLOSING.get(opening)
        if closing is None or depth > DEPTH:
            raise Unread
        node = self.sum(depth + 1)
        self._expect(closing)
        return node

    def _absolute(self, depth: int) -> Node:
        """`|x|`, or `|AB|`, a length."""
        self.at += 1
        node = self.sum(depth + 1)
        self._expect("|")
        return ("abs", node)

    def _argument(self, depth: int) -> Node:
        """A braced group, or one digit, letter or command: what `\\frac` and `\\sqrt` take."""
        char = self.skip()
        if char == "{":
            return self._group(depth)
        if char.isdecimal():  # "❶" is a digit too, but no number
            self.at += 1
            return ("num", Fraction(int(char)), None)
        return self._atom(depth)

    def _named(self, depth: int) -> Node:
        """A command, a function's name in plain text, or a run of variables (its first letter)."""
        found = _WORD.match(self.text, self.at)
        if not found:
            raise Unread
        word = found.group().removeprefix("\\")
        command = found.group().startswith("\\")
        name = _SPELLINGS.get(word, word)
        if name in FUNCTIONS:
            self.at = found.end()
            return self._call(name, depth)
        reader = _READERS.get(name) if command or name in _PLAIN_READERS else None
        if reader is not None:
            self.at = found.end()
            return reader(self, depth)
        if name in _SEVERAL:
            self.at = found.end()
            return self._read_several(name, depth)
        if word in _ACCENTS and command:
            self.at = found.end()
            return self._read_accented(word)
        if word in GREEK or (not command and word in ("pi", "infinity", "inf", "oo")):
            self.at = found.end()
            constant = {"pi": "π", "infinity": "∞", "inf": "∞", "oo": "∞"}.get(word)
            return ("const", constant) if constant else self._variable(word)
        if command or len(word) > 3:
            raise Unread  # a command we don't know, or a word
        self.at += 1
        letter = word[0]
        if letter in "CA" and self.text.startswith("_", self.at):
            counted = self._read_counted(letter, depth)
            if counted is not None:
                return counted
        return ("const", letter) if letter in "ei" and self.skip() != "_" else self._variable(letter)

    def _variable(self, name: str) -> Node:
        subscript = _SUBSCRIPT.match(self.text, self.at)
        if subscript:
            self.at = subscript.end()
            name = f"{name}_{subscript[1] or subscript[2] or subscript[3]}"
        while self.text.startswith(("'", "′"), self.at):
            self.at += 1
            name += "′"
        if self.text.startswith("(", self.at) and name in "fghFGH":
            raise Unread  # a function we don't know
        return ("var", name)

    def _call(self, name: str, depth: int) -> Node:
        """`\\sin x`, `\\sin^2 x`, `\\sin(x)`, `\\sin 2x`."""
        exponent = None
        if self.skip() == "^":
            self.at += 1
            exponent = self._exponent(depth + 1)
        argument = self._call_argument(depth + 1)
        if exponent == ("neg", ("num", Fraction(1), None)):
            if name not in _INVERSES:
                raise Unread
            return ("call", _INVERSES[name], argument)
        node: Node = ("call", name, argument)
        return ("pow", node, exponent) if exponent else node

    def _call_argument(self, depth: int) -> Node:
        if depth > DEPTH:
            raise Unread
        char = self.skip()
        if char and char in "({[":
            group = self._group(depth)
            if self.skip() in ("^", "/"):
                raise Unread  # \sin(x)^2, \sin(x)/2 are read in two ways
            return group
        factors = [self._power(depth)]
        while (char := self.skip()) and (char.isalnum() or char in "π\\"):
            found = _WORD.match(self.text, self.at)
            word = found.group().removeprefix("\\") if found else ""
            if word in FUNCTIONS or word == "log":
                break
            if char == "\\" and word not in GREEK:
                raise Unread  # \sin 2\sqrt{x}
            factors.append(self._power(depth))
        if char == "(":
            raise Unread  # \sin x(y)
        return _joined("mul", factors)

    def _read_frac(self, depth: int) -> Node:
        top = self._argument(depth)
        bottom = self._argument(depth)
        if top[0] == "num" and self.text[self.at : self.at + 1].isdigit() and self.text[self.at - 1] != "}":
            raise Unread  # \frac123
        return ("div", top, bottom)

    def _read_sqrt(self, depth: int) -> Node:
        degree: Node = ("num", Fraction(2), None)
        if self.skip() == "[":
            degree = self._group(depth)
        digits = _DIGITS.match(self.text, self.at) if self.skip().isdigit() else None
        if digits:
            return ("root", degree, self._number())
        if self.skip() == "(":
            return ("root", degree, self._group(depth))
        return ("root", degree, self._argument(depth))

    def _read_log(self, depth: int) -> Node:
        base: Node | None = None
        if self.skip() == "_":
            self.at += 1
            base = self._argument(depth)
        return ("log", base, self._call_argument(depth))

    def _read_lg(self, depth: int) -> Node:
        return ("log", ("num", Fraction(10), None), self._call_argument(depth))

    def _read_binom(self, depth: int) -> Node:
        return ("binom", self._argument(depth), self._argument(depth))

    def _read_several(self, name: str, depth: int) -> Node:
        """`\\gcd(a, b)`"""
        self._expect("(")
        parts = [self.sum(depth + 1)]
        while self.skip() == "," and len(parts) < DEPTH:
            self.at += 1
            parts.append(self.sum(depth + 1))
        self._expect(")")
        return ("several", name, tuple(parts))

    def _read_accented(self, accent: str) -> Node:
        """A letter with a mark; arrows and hats of vectors are as good as none."""
        found = _ACCENTED.match(self.text, self.at)
        if not found:
            raise Unread
        self.at = found.end()
        letters = found[1] or found[2]
        return self._variable(letters if _ACCENTS[accent] == "" else f"{_ACCENTS[accent]} {letters}")

    def _read_counted(self, letter: str, depth: int) -> Node | None:
        """`C_5^2` and `A_5^2`: combinations and arrangements; None where it is a letter with an index."""
        start = self.at
        self.at += 1
        total = self._argument(depth)
        if self.skip() == "^":
            self.at += 1
            chosen = self._argument(depth)
            if total[0] == chosen[0] == "num" and total[1] >= chosen[1]:
                left: Node = ("add", (total, ("neg", chosen)))
                return ("binom", total, chosen) if letter == "C" else ("div", ("fact", total), ("fact", left))
        self.at = start
        return None

    def _read_text(self, depth: int) -> Node:
        """A single upright letter: a variable, or e and i."""
        found = _UPRIGHT.match(self.text, self.at)
        if not found:
            raise Unread
        self.at = found.end()
        return ("const", found[1]) if found[1] in "ei" else self._variable(found[1])

    def _take(self) -> str:
        char = self.skip()
        self.at += 1
        return char

    def _expect(self, char: str) -> None:
        if self.skip() != char:
            raise Unread
        self.at += 1


def _joined(kind: str, nodes: list[Node]) -> Node:
    if len(nodes) == 1:
        return nodes[0]
    return _with_dots(kind, nodes) if _DOTS in nodes else (kind, tuple(nodes))


def _with_dots(kind: str, terms: list[Node]) -> Node:
    """`1 + 2 + … + n`: the sum of an arithmetic sequence where it is clearly one, else terms with a gap."""
    at = terms.index(_DOTS)
    shown, rest = terms[:at], terms[at + 1 :]
    numbers = [term[1] for term in shown if term[0] == "num"]
    is_plain = kind == "add" and len(rest) == 1 and len(numbers) == len(shown) >= 2 and _is_linear(rest[0])
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    if not is_plain or len(steps) != 1 or 0 in steps or (len(shown) == 2 and numbers != [1, 2] and rest[0][0] == "num"):
        return ("dots", kind, tuple(terms))
    first, step = shown[0], ("num", steps.pop(), None)
    count: Node = ("add", (("div", ("add", (rest[0], ("neg", first))), step), ("num", Fraction(1), None)))
    return ("div", ("mul", (count, ("add", (first, rest[0])))), ("num", Fraction(2), None))


def _is_linear(node: Node) -> bool:
    """Whether an expression is made of numbers, variables, sums and products with one variable at most."""
    if node[0] in ("num", "var"):
        return True
    if node[0] == "neg":
        return _is_linear(node[1])
    if node[0] not in ("add", "mul"):
        return False
    factors = [child for child in node[1] if node[0] == "add" or child[0] != "num"]
    return all(_is_linear(child) for child in node[1]) and (node[0] == "add" or len(factors) <= 1)


def _going_on(whole: str, digits: str) -> Node:
    """`0.333…`, `0.1666…`: the repeating decimal that it shows; digits without a cycle are a decimal cut short."""
    found = _CYCLE.fullmatch(digits)
    if not found:
        return ("num", Fraction(f"{whole or 0}.{digits}"), len(digits))
    fixed, cycle = found[1], found[2]
    value = Fraction(int((whole + fixed) or "0"), 10 ** len(fixed))
    return ("num", value + Fraction(int(cycle), 10 ** len(fixed) * (10 ** len(cycle) - 1)), len(digits))


_DOTS: Node = ("…",)
_DEGREE: Node = ("div", ("const", "π"), ("num", Fraction(180), None))
_ACCENTS = {
    **dict.fromkeys(("vec", "hat", "mathbf", "overrightarrow"), ""),
    **dict.fromkeys(("bar", "overline"), "overline"),
    **dict.fromkeys(("tilde", "widetilde"), "tilde"),
}
_READERS: dict[str, Callable[[_Parser, int], Node]] = {
    "frac": _Parser._read_frac,
    "sqrt": _Parser._read_sqrt,
    "log": _Parser._read_log,
    "lg": _Parser._read_lg,
    "binom": _Parser._read_binom,
    "text": _Parser._read_text,
}
_PLAIN_READERS = {"sqrt", "log", "lg"}  # also without a backslash
