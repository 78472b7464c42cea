"""Operators, brackets and marks of the notation in which single values are written: a grammar by recursive descent.

sum       term (± term)*
term      factor (* factor | / factor | factor)*
factor    atom (^ exponent | ! | ° | % | ′)*
atom      number | bracketed sum | constant | what a name starts (`rewards.grading.math.parser`)
"""

from abc import ABC, abstractmethod
from fractions import Fraction

from rewards.grading.math.scanner import Scanner, Unread
from rewards.grading.math.series import product_of, sum_of
from rewards.grading.math.tree import (
    Absolute,
    Ceiling,
    Constant,
    Factorial,
    Floor,
    Gap,
    Negative,
    Node,
    Number,
    PlusMinus,
    Power,
    Product,
    Quotient,
    Sum,
)

DEPTH = 40
_SIGNS = ("+", "-", "±", "∓")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_DEGREE = Quotient(Constant("π"), Number(Fraction(180)))
_ARC_MINUTE = Number(Fraction(1, 60))


class Grammar(Scanner, ABC):
    """One method a rule; each reads from the position on, `depth` rules deep, and raises `Unread`."""

    @abstractmethod
    def named(self, depth: int) -> Node:
        """What a command, a function's name or a letter starts."""

    def sum(self, depth: int) -> Node:
        """term (± term)*"""
        if depth > DEPTH:
            raise Unread
        terms: list[Node] = []
        sign = self.take() if self.skip() in _SIGNS else "+"
        while True:
            if sign == "+" and terms and self.skip() == "…":
                self.at += 1
                terms.append(Gap())
            else:
                term = self._product(depth)
                if sign in "±∓":
                    base = sum_of(terms) if terms else Number(Fraction(0))
                    terms = [PlusMinus(base, term, 1 if sign == "±" else -1)]
                else:
                    terms.append(Negative(term) if sign == "-" else term)
            if self.skip() not in _SIGNS:
                return sum_of(terms)
            sign = self.take()

    def _product(self, depth: int) -> Node:
        """factor (* factor | / factor | factor)*, and mixed numbers"""
        factors = [self._signed(depth)]
        is_divided = False
        while True:
            char = self.skip()
            if char == "*":
                self.at += 1
                if self.skip() == "…":
                    self.at += 1
                    factors.append(Gap())
                else:
                    factors.append(self._signed(depth))
            elif char == "/":
                self.at += 1
                factors = [Quotient(product_of(factors), self._signed(depth))]
                is_divided = True
            elif char and (char.isalnum() or char in "(\\{π∞.⌊⌈"):
                if is_divided:
                    raise Unread  # 1/2x is read in two ways
                factors[-1:] = self._juxtaposed(factors[-1], depth)
            else:
                return product_of(factors)

    def _signed(self, depth: int) -> Node:
        """A factor that may have its own sign, after `*` or `/` or at the start."""
        if self.skip() == "-":
            self.at += 1
            return Negative(self._signed(depth + 1)) if depth < DEPTH else self.power(depth)
        return self.power(depth)

    def _juxtaposed(self, before: Node, depth: int) -> tuple[Node, ...]:
        """A factor, and what follows it without an operator; an integer and a proper fraction are a mixed number."""
        is_fraction = self.text.startswith("\\frac", self.at)
        is_digit = self.text[self.at].isdigit()
        after = self.power(depth)
        if is_digit:  # "1 4/5"; two numbers side by side are anything else
            if not _is_integer(before) or not _is_integer(after) or self.skip() != "/":
                raise Unread
            self.at += 1
            after, is_fraction = Quotient(after, self.power(depth)), True
        match after:
            case Quotient(Number(top), Number(bottom)) if is_fraction and _is_integer(before):
                if not 0 < top < bottom:
                    raise Unread  # 2\frac{7}{3}: a product, or a slip
                return (Sum((before, after)),)
        return before, after

    def power(self, depth: int) -> Node:
        """atom (^ exponent | ! | degree)*"""
        if depth > DEPTH:
            raise Unread
        base = self._atom(depth + 1)
        for _ in range(DEPTH):  # each mark nests what is before it
            char = self.skip()
            if not char or char not in "^!°′%" or (char == "′" and not isinstance(base, Number)):
                return base
            self.at += 1
            if char == "^":
                base = Power(base, self.exponent(depth + 1))
            elif char == "!":
                base = Factorial(base)
            elif char == "°":
                base = Product((self.with_minutes(base) if isinstance(base, Number) else base, _DEGREE))
            elif char == "′":
                base = Product((base, _DEGREE, _ARC_MINUTE))
            else:
                base = Quotient(base, Number(Fraction(100)))
        raise Unread

    def exponent(self, depth: int) -> Node:
        """A group, a signed number, or one letter."""
        char = self.skip()
        if char == "-":
            self.at += 1
            return Negative(self.exponent(depth + 1)) if depth < DEPTH else self.group(depth)
        if char in "{(":
            return self.group(depth)
        node = self._atom(depth)
        if self.skip() == "^":
            self.at += 1
            return Power(node, self.exponent(depth + 1))
        return node

    def argument(self, depth: int) -> Node:
        """A braced group, or one digit, letter or command: what `\\frac` and `\\sqrt` take."""
        char = self.skip()
        if char == "{":
            return self.group(depth)
        if char.isdecimal():  # "❶" is a digit too, but no number
            self.at += 1
            return Number(Fraction(int(char)))
        return self._atom(depth)

    def group(self, depth: int) -> Node:
        """A bracketed sum."""
        closing = _CLOSING.get(self.take())
        if closing is None or depth > DEPTH:
            raise Unread
        node = self.sum(depth + 1)
        self.expect(closing)
        return node

    def _atom(self, depth: int) -> Node:
        char = self.skip()
        if not char or depth > DEPTH:
            raise Unread
        if char.isdigit() or char == ".":
            return self.number()
        if char in _CLOSING:
            return self.group(depth)
        if char == "\\" or (char.isalpha() and char != "π"):
            return self.named(depth)
        self.at += 1
        if char in "π∞":
            return Constant(char)
        if char == "|":
            inner = self.sum(depth + 1)
            self.expect("|")
            return Absolute(inner)
        if char == "⌊":
            inner = self.sum(depth + 1)
            self.expect("⌋")
            return Floor(inner)
        if char == "⌈":
            inner = self.sum(depth + 1)
            self.expect("⌉")
            return Ceiling(inner)
        raise Unread


def _is_integer(node: Node) -> bool:
    return isinstance(node, Number) and node.decimals is None
