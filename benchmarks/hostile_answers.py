"""Completions that try to hang, crash, fool or take over a grader; distinct by number, so that no cache helps."""

from collections.abc import Callable

MARKER = "mull_was_here"
"""The file that every injection tries to create in the working directory."""


def _nested(opening: str, core: str, closing: str, depth: int) -> str:
    return opening * depth + core + closing * depth


def _matrix(size: int, seed: int) -> str:
    rows = (" & ".join(str((seed + row * column) % 97) for column in range(size)) for row in range(size))
    return "\\begin{pmatrix}" + " \\\\ ".join(rows) + "\\end{pmatrix}"


FAMILIES: dict[str, Callable[[int], str]] = {
    "tower": lambda n: f"\\boxed{{9^{{9^{{9^{{{n + 2}}}}}}}}}",
    "plain_tower": lambda n: f"\\boxed{{{n + 7}**9**9**9}}",
    "tower_in_sum": lambda n: f"\\boxed{{{n} + 7^{{7^{{7^7}}}} - 7^{{7^{{7^7}}}}}}",
    "big_power": lambda n: f"\\boxed{{{n + 3}^{{9999999999}}}}",
    "root_of_tower": lambda n: f"\\boxed{{\\sqrt{{2^{{3^{{4^{{{n + 5}}}}}}}}}}}",
    "factorials": lambda n: f"\\boxed{{(({n + 5}!)!)!}}",
    "long_factorial": lambda n: f"\\boxed{{{n + 10**9}!}}",
    "factorial_ratio": lambda n: f"\\boxed{{\\frac{{(10^{{8}} + {n})!}}{{(10^{{8}})!}}}}",
    "binomial": lambda n: f"\\boxed{{\\binom{{{n + 10**9}}}{{{10**8}}}}}",
    "long_sum": lambda n: f"\\boxed{{\\sum_{{k=1}}^{{{n + 10**12}}} \\frac{{1}}{{k^3}}}}",
    "long_product": lambda n: f"\\boxed{{\\prod_{{k=1}}^{{{n + 10**9}}} k}}",
    "hard_integral": lambda n: f"\\boxed{{\\int_0^{{{n + 1}}} e^{{x^x}} \\sin(x^{{x}}) dx}}",
    "expansion": lambda n: f"\\boxed{{(a + b + c + d + e)^{{{n + 200}}} - (a - b)^{{{n + 200}}}}}",
    "trigonometry": lambda n: "\\boxed{" + " + ".join(f"\\sin^{{{n + k}}}({k}x)" for k in range(3, 60)) + "}",
    "limit": lambda n: f"\\boxed{{\\lim_{{x \\to 0}} \\frac{{\\sin(x^{{{n}}})}}{{x^{{{n}}}}}}}",
    "equation": lambda n: f"\\boxed{{x^{{{n + 9}}} + \\sin(x) = e^{{x^5}} + \\ln(x)}}",
    "parentheses": lambda n: "\\boxed{" + _nested("(", str(n), ")", 3000) + "}",
    "braces": lambda n: "\\boxed{" + _nested("{", str(n), "}", 3000) + "}",
    "fractions": lambda n: "\\boxed{" + _nested("\\frac{1}{", str(n), "}", 1000) + "}",
    "roots": lambda n: "\\boxed{" + _nested("\\sqrt{", str(n), "}", 25) + "}",
    "unclosed": lambda n: "\\boxed{" * 2000 + str(n),
    "minuses": lambda n: "\\boxed{" + "-" * 1500 + f"{n}}}",
    "subscripts": lambda n: "\\boxed{" + _nested("x_{", str(n), "}", 200) + "}",
    "megabyte_of_digits": lambda n: "\\boxed{" + str(n + 1) * (1_000_000 // len(str(n + 1))) + "}",
    "megabyte_of_terms": lambda n: "\\boxed{" + f"x^{n}+" * 150_000 + "1}",
    "thousand_digits": lambda n: "\\boxed{" + str(n % 9 + 1) * (1000 + n) + "}",
    "many_boxes": lambda n: f"\\boxed{{{n}}} " * 20_000,
    "many_markers": lambda n: f"the answer is {n} " * 20_000,
    "many_tags": lambda n: f"<answer>{n}</answer>" * 20_000,
    "letters": lambda n: "\\boxed{" + "a" * (1500 + n % 100) + "!}",
    "spaces": lambda n: "\\boxed{" + " " * 100_000 + f"{n} }}",
    "commas": lambda n: "\\boxed{" + f"{n}," * 900 + "}",
    "units": lambda n: f"\\boxed{{{n} " + "cm kg / " * 200 + "}",
    "control_characters": lambda n: "\\boxed{" + "".join(map(chr, range(32))) + f"{n}\x7f\x00\x1b[31m}}",
    "broken_utf8": lambda n: b"\\boxed{\xff\xfe\xc3\x28\xed\xa0\x80".decode("utf-8", "surrogateescape") + f"{n}}}",
    "surrogates": lambda n: "\\boxed{" + "\ud800\udfff\udc00" + f"{n}}}",
    "right_to_left": lambda n: f"\\boxed{{\u202e\u2066{n}\u2069\ufeff\u200b}}",
    "combining": lambda n: "\\boxed{" + "1" + "\u0301" * 1500 + f"{n}}}",
    "emoji": lambda n: "\\boxed{" + "👩‍👩‍👧" * 100 + f"{n}}}",
    "shell": lambda n: f"\\boxed{{$(touch {MARKER}) `touch {MARKER}` ; touch {MARKER} # {n}}}",
    "pipe": lambda n: f"\\boxed{{{n} | touch {MARKER} && curl http://localhost:1/{n}}}",
    "python_import": lambda n: f"\\boxed{{__import__('os').system('touch {MARKER}') + {n}}}",
    "python_exec": lambda n: f"\\boxed{{exec(\"open('{MARKER}','w')\") or {n}}}",
    "python_open": lambda n: f"\\boxed{{[open('{MARKER}','w').write('x') for _ in range({n + 1})]}}",
    "python_class": lambda n: f"\\boxed{{().__class__.__bases__[0].__subclasses__()[{n}]}}",
    "sympy": lambda n: f"\\boxed{{factorial(10**{n + 9}).evalf(10**7)}}",
    "input": lambda n: f"\\boxed{{\\input{{/etc/passwd}} {n}}}",
    "write18": lambda n: f"\\boxed{{\\immediate\\write18{{touch {MARKER}}} {n}}}",
    "definition": lambda n: f"\\boxed{{\\def\\x{{\\x\\x}}\\x {n}}}",
    "json": lambda n: f'\\boxed{{{n}"}}\n{{"correct": true, "reason": "math-verify"}}\n',
    "huge_matrix": lambda n: "\\boxed{" + _matrix(150, n) + "}",
    "small_matrix_power": lambda n: "\\boxed{" + _matrix(9, n) + f"^{{{n + 50}}}}}",
    "undefined": lambda n: f"\\boxed{{\\frac{{{n}}}{{0}} - \\infty + \\infty}}",
}


def hostile(count: int) -> list[tuple[str, str]]:
    """`count` (family, completion) pairs, round and round over the families."""
    names = list(FAMILIES)
    return [(names[n % len(names)], FAMILIES[names[n % len(names)]](n // len(names))) for n in range(count)]
