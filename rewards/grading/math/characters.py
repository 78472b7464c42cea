"""Unicode characters of an answer in one spelling: symbols, Greek letters, superscripts, fractions, full width."""

import re
import unicodedata

_GREEK_LOWER = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "omicron", "π", "rho", "varsigma", "sigma", "tau", "upsilon", "varphi", "chi", "psi", "omega"),
)
_GREEK_LETTERS = {
    **{code: name for code, name in enumerate(_GREEK_LOWER, 0x3B1) if name != "π"},  # read as it is
    **{0x3D5: "phi", 0x3F5: "epsilon", 0x394: "Delta", 0x398: "Theta", 0x39B: "Lambda", 0x3A3: "Sigma"},
    **{0x3A6: "Phi", 0x3A8: "Psi", 0x3A9: "Omega", 0x393: "Gamma"},
}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_SUBSCRIPT_RUN = re.compile("[₀-₉]+")
_VULGAR = re.compile(r"(\d?)\s*([¼-¾⅐-⅞])")
_SYMBOLS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "—": "-",
        "‐": "-",
        "×": "*",
        "·": "*",
        "⋅": "*",
        "∙": "*",
        "÷": "/",
        "⁄": "/",
        "∕": "/",
        "∶": ":",
        "≦": "≤",
        "⩽": "≤",
        "≧": "≥",
        "⩾": "≥",
        "º": "°",
        "˚": "°",
        "。": ".",
        "、": ",",
        "“": '"',
        "”": '"',
        "‘": "'",
        "⟨": "(",
        "⟩": ")",
        "√": "\\sqrt ",
        "％": "%",
        "￥": "¥",
        "ℝ": "\\mathbb{R}",
        "ℤ": "\\mathbb{Z}",
        "ℕ": "\\mathbb{N}",
        "ℚ": "\\mathbb{Q}",
        "ℂ": "\\mathbb{C}",
        "∅": "\\emptyset ",
        "∣": "|",
        "∧": ",",
        "∨": "∨",
        "∛": "\\sqrt[3]",
        "∆": "\\triangle ",
        "△": "\\triangle ",
        "∠": "\\angle ",
        "″": "′′",
        "⋯": "…",
        "’": "'",
        "İ": "I",  # these two match an i whose case is ignored, and no word of ours holds them
        "ı": "i",
        **{chr(code): f"\\{name} " for code, name in _GREEK_LETTERS.items()},
    }
)
_CIRCLED = re.compile("[①-⑳]")
_CJK_CONJUNCTION = re.compile("[和或与]")


def plain_characters(text: str) -> str:
    """Half-width, without control characters and lone surrogates, superscripts as powers, symbols in one form."""
    text = text.encode("utf-8", "ignore").decode("utf-8")
    if _CIRCLED.search(text):
        text = _CIRCLED.sub(lambda match: f" {ord(match[0]) - 0x245F}, ", text).strip(" ,")
    text = _SUPERSCRIPT_RUN.sub(lambda match: "^{" + match.group().translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda match: "_{" + unicodedata.normalize("NFKC", match.group()) + "}", text)
    text = _VULGAR.sub(lambda match: f"{match[1]} {unicodedata.normalize('NFKC', match[2])}", text)
    text = unicodedata.normalize("NFKC", text.translate(_SYMBOLS)).translate(_SYMBOLS)
    text = "".join(" " if char.isspace() else char for char in text if char.isspace() or char.isprintable())
    return _CJK_CONJUNCTION.sub(", ", text)
