"""LaTeX commands of an answer in one spelling: `\\cdot` as `*`, `\\{` as `⦃`, fonts as `\\text{…}`, no typesetting."""

import re

_COMMANDS = {
    **dict.fromkeys(["cdot", "times", "ast", "bullet"], "*"),
    **dict.fromkeys(["leq", "le", "leqslant"], "≤"),
    **dict.fromkeys(["geq", "ge", "geqslant"], "≥"),
    **dict.fromkeys(["neq", "ne"], "≠"),
    **dict.fromkeys(["approx", "simeq"], "≈"),
    **dict.fromkeys(["lbrace"], "⦃"),
    **dict.fromkeys(["rbrace"], "⦄"),
    **dict.fromkeys(["langle", "lparen"], "("),
    **dict.fromkeys(["rangle", "rparen"], ")"),
    **dict.fromkeys(["lbrack"], "["),
    **dict.fromkeys(["rbrack"], "]"),
    **dict.fromkeys(["lvert", "rvert", "vert", "mid"], "|"),
    **dict.fromkeys(["dfrac", "tfrac", "cfrac"], "\\frac"),
    **dict.fromkeys(["dbinom", "tbinom"], "\\binom"),
    **dict.fromkeys(["varnothing"], "\\emptyset"),
    **dict.fromkeys(["land", "wedge"], ","),
    **dict.fromkeys(["lor", "vee"], "∨"),
    **dict.fromkeys(["quad", "qquad", "space", "enspace", "thinspace"], " "),
    **dict.fromkeys(["cdots", "ldots", "dots", "dotsc", "dotsb"], "…"),
    **dict.fromkeys(["arccot", "arcctg"], "\\arccot"),
    **dict.fromkeys(["tg"], "\\tan"),
    **dict.fromkeys(["ctg"], "\\cot"),
    **dict.fromkeys(["prime"], "′"),
    **dict.fromkeys(["setminus", "smallsetminus"], "∖"),
    "lfloor": "⌊",
    "rfloor": "⌋",
    "lceil": "⌈",
    "rceil": "⌉",
    "Z": "\\mathbb{Z}",
    "div": "/",
    "lt": "<",
    "gt": ">",
    "infty": "∞",
    "cup": "∪",
    "in": "∈",
    "pm": "±",
    "mp": "∓",
    "pi": "π",
    "degree": "°",
    "degrees": "°",
    "euro": "€",
    "pounds": "£",
    "yen": "¥",
}
_TYPESETTING = {
    *("left", "right", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr"),
    *("displaystyle", "textstyle", "limits", "boxed", "fbox", "ensuremath", "negthinspace", "rm", "bf", "it"),
}
_FONTS = {
    *("text", "textbf", "textit", "textrm", "textnormal", "texttt", "textsf", "mathrm", "mathbf", "mathit", "mathsf"),
    *("mbox", "hbox", "operatorname", "boldsymbol", "emph"),
}
_TOKEN = re.compile(
    r"\\(?P<name>(?![hv]?phantom)[A-Za-z]+)(?P<gap>\s*)"
    r"|\\(?P<mark>[^A-Za-z])"
    r"|(?P<arc>\^\s*(?:\{\s*(?:\\prime\s*)+\}|\\prime(?![A-Za-z])))"
    r"|(?P<degree>\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z])|°|\{\s*°\s*\}))"
    r"|(?P<comma>\{\s*,\s*\}|,\s*\\!\s*)"
    r"|(?P<phantom>\\[hv]?phantom\s*(?:\{[^{}]*\}|.))"
    r"|(?P<power>\*\*)"
    r"|~"
)
_MARKS = {"{": "⦃", "}": "⦄", "$": "$", "%": "%", "|": "|", "!": "", "\\": "\\\\", "(": "(", ")": ")", "#": "#"}


def with_plain_commands(text: str) -> str:
    """`text` with every command in its canonical form; thin spaces become U+2009, which may group digits."""
    return _TOKEN.sub(_respelled, text)


def _respelled(match: re.Match[str]) -> str:
    """The canonical form of one command or mark."""
    name, gap = match["name"], match["gap"]
    if name is not None:
        if name in _TYPESETTING:
            return ""
        if name in _FONTS:
            return "\\text"
        known = _COMMANDS.get(name)
        return f"\\{name}{gap}" if known is None else known + (gap if known.startswith("\\") else "")
    if match["mark"] is not None:
        mark = match["mark"]
        if mark in ", ":
            return "\u2009" if mark == "," else " "
        return _MARKS.get(mark, " " if mark in ";:>" else mark)
    if match["degree"]:
        return "°"
    if match["arc"]:
        return "′" * match["arc"].count("prime")
    if match["comma"]:
        return "\u2009"
    if match["phantom"]:
        return ""
    return "^" if match["power"] else " "
