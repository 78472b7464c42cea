"""A parser for the part of LaTeX (and of plain text) that single mathematical values are written in.

It reads the spelling of `rewards.grading.math.normalize` into a tree (`rewards.grading.math.tree`), and refuses
(`Unread`) what it does not know or what people read in two ways (`1/2x`): such answers are math-verify's business.
Nothing is evaluated, and depth is bounded. Operators are `rewards.grading.math.grammar`'s, names and commands are here.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from rewards.grading.math.grammar import DEPTH, Grammar
from rewards.grading.math.scanner import Unread
from rewards.grading.math.series import product_of
from rewards.grading.math.tree import (
    Binomial,
    Call,
    Constant,
    Factorial,
    Log,
    Negative,
    Node,
    Number,
    Power,
    Quotient,
    Root,
    Several,
    Sum,
    Variable,
)

_ACCENTED = re.compile(r"\{\s*\\?([A-Za-z]+)\s*\}|\s*([A-Za-z])")
_WORD = re.compile(r"(\\?)([A-Za-z]+)")
_SUBSCRIPT = re.compile(r"_\s*(?:\{\s*([A-Za-z0-9]+)\s*\}|\\text\{\s*([A-Za-z0-9]+)\s*\}|([A-Za-z0-9]))")
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
_PLAIN_CONSTANTS = {"pi": "π", "infinity": "∞", "inf": "∞", "oo": "∞"}  # without a backslash
_SEVERAL = {"gcd", "lcm", "max", "min"}
_ACCENTS = {  # command → what it adds to a name; arrows and hats of vectors are as good as none
    **dict.fromkeys(("vec", "hat", "mathbf", "overrightarrow"), ""),
    **dict.fromkeys(("bar", "overline"), "overline "),
    **dict.fromkeys(("tilde", "widetilde"), "tilde "),
}
_TEN, _TWO = Number(Fraction(10)), Number(Fraction(2))
_MINUS_ONE = Negative(Number(Fraction(1)))


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


def arrangements(total: Node, chosen: Node, are_ordered: bool) -> Node | None:
    """How many ways there are to choose, or to choose and arrange, some of a total; None unless both are numbers."""
    if not isinstance(total, Number) or not isinstance(chosen, Number) or total.value < chosen.value:
        return None
    if not are_ordered:
        return Binomial(total, chosen)
    return Quotient(Factorial(total), Factorial(Sum((total, Negative(chosen)))))


class _Parser(Grammar):
    """The grammar with its names: functions, commands, constants and variables."""

    def named(self, depth: int) -> Node:
        """A command, a function's name in plain text, or a run of variables (its first letter)."""
        found = _WORD.match(self.text, self.at)
        if not found:
            raise Unread
        is_command, word = found[1] != "", found[2]
        name = _SPELLINGS.get(word, word)
        start, self.at = self.at, found.end()
        if name in FUNCTIONS:
            return self._call(name, depth)
        if name in _READERS and (is_command or name in _PLAIN_READERS):
            return _READERS[name](self, depth)
        if name in _SEVERAL:
            return self._several(name, depth)
        if is_command and word in _ACCENTS:
            return self._accented(_ACCENTS[word])
        if word in GREEK:
            return self._variable(word)
        if not is_command and word in _PLAIN_CONSTANTS:
            return Constant(_PLAIN_CONSTANTS[word])
        if is_command or len(word) > 3:
            raise Unread  # a command we don't know, or a word
        self.at = start + 1
        return self._letter(word[0], depth)

    def _letter(self, letter: str, depth: int) -> Node:
        """One letter of a run: e, i, a variable, or the C of `C_5^2`."""
        if letter in "CA" and self.text.startswith("_", self.at):
            counted = self._counted(letter, depth)
            if counted is not None:
                return counted
        return Constant(letter) if letter in "ei" and self.skip() != "_" else self._variable(letter)

    def _counted(self, letter: str, depth: int) -> Node | None:
        """`C_5^2` and `A_5^2`: combinations and arrangements; None where it is a letter with an index."""
        start = self.at
        self.at += 1
        total = self.argument(depth)
        if self.skip() == "^":
            self.at += 1
            counted = arrangements(total, self.argument(depth), are_ordered=letter == "A")
            if counted is not None:
                return counted
        self.at = start
        return None

    def _variable(self, name: str) -> Node:
        subscript = self.match(_SUBSCRIPT)
        if subscript:
            name = f"{name}_{subscript[1] or subscript[2] or subscript[3]}"
        while self.text.startswith(("'", "′"), self.at):
            self.at += 1
            name += "′"
        if self.text.startswith("(", self.at) and name in "fghFGH":
            raise Unread  # a function we don't know
        return Variable(name)

    def _call(self, name: str, depth: int) -> Node:
        """`\\sin x`, `\\sin^2 x`, `\\sin(x)`, `\\sin 2x`."""
        exponent = None
        if self.skip() == "^":
            self.at += 1
            exponent = self.exponent(depth + 1)
        argument = self._call_argument(depth + 1)
        if exponent is None:
            return Call(name, argument)
        if exponent != _MINUS_ONE:
            return Power(Call(name, argument), exponent)
        if name not in _INVERSES:
            raise Unread
        return Call(_INVERSES[name], argument)

    def _call_argument(self, depth: int) -> Node:
        if depth > DEPTH:
            raise Unread
        char = self.skip()
        if char and char in "({[":
            group = self.group(depth)
            if self.skip() in ("^", "/"):
                raise Unread  # \sin(x)^2, \sin(x)/2 are read in two ways
            return group
        factors = [self.power(depth)]
        while (char := self.skip()) and (char.isalnum() or char in "π\\"):
            found = _WORD.match(self.text, self.at)
            word = found[2] if found else ""
            if word in FUNCTIONS or word == "log":
                break
            if char == "\\" and word not in GREEK:
                raise Unread  # \sin 2\sqrt{x}
            factors.append(self.power(depth))
        if char == "(":
            raise Unread  # \sin x(y)
        return product_of(factors)

    def _several(self, name: str, depth: int) -> Node:
        """`\\gcd(a, b)`"""
        self.expect("(")
        arguments = [self.sum(depth + 1)]
        while self.skip() == "," and len(arguments) < DEPTH:
            self.at += 1
            arguments.append(self.sum(depth + 1))
        self.expect(")")
        return Several(name, tuple(arguments))

    def _accented(self, accent: str) -> Node:
        """A letter with a mark."""
        found = self.match(_ACCENTED)
        if not found:
            raise Unread
        return self._variable(accent + (found[1] or found[2]))

    def _frac(self, depth: int) -> Node:
        top, bottom = self.argument(depth), self.argument(depth)
        is_digit_next = self.text[self.at : self.at + 1].isdigit()
        if isinstance(top, Number) and is_digit_next and self.text[self.at - 1] != "}":
            raise Unread  # \frac123
        return Quotient(top, bottom)

    def _sqrt(self, depth: int) -> Node:
        degree = self.group(depth) if self.skip() == "[" else _TWO
        char = self.skip()
        if char.isdigit():
            return Root(degree, self.number())
        return Root(degree, self.group(depth) if char == "(" else self.argument(depth))

    def _log(self, depth: int) -> Node:
        """A logarithm without a base is common: equal on both sides either way, unless compared with a number."""
        base: Node = _TEN
        if self.skip() == "_":
            self.at += 1
            base = self.argument(depth)
        return Log(base, self._call_argument(depth))

    def _lg(self, depth: int) -> Node:
        return Log(_TEN, self._call_argument(depth))

    def _binom(self, depth: int) -> Node:
        return Binomial(self.argument(depth), self.argument(depth))

    def _text(self, depth: int) -> Node:
        """A single upright letter: a variable, or e and i."""
        found = self.match(_UPRIGHT)
        if not found:
            raise Unread
        return Constant(found[1]) if found[1] in "ei" else self._variable(found[1])


_READERS: dict[str, Callable[[_Parser, int], Node]] = {
    "frac": _Parser._frac,
    "sqrt": _Parser._sqrt,
    "log": _Parser._log,
    "lg": _Parser._lg,
    "binom": _Parser._binom,
    "text": _Parser._text,
}
_PLAIN_READERS = {"sqrt", "log", "lg"}  # also without a backslash
