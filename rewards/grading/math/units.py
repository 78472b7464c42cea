"""Units of measure at the end (or, for money, the front) of an answer: which they are, and whether two of them agree.

An answer without a unit agrees with any: graders everywhere accept "5" for "5 cm". Two units agree when they are the
same, or of one dimension with a known factor (then the values are compared in it); unknown words agree when they share
one. `%` and degrees are units like the others here; that 50% is also 0.5 is `rewards.grading.math.compare`'s business.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_NAMES: dict[str, tuple[str, Fraction]] = {}  # spelling → (dimension, size in the dimension's base unit)


def _define(dimension: str, size: Fraction | int, spellings: str) -> None:
    for spelling in spellings.split():
        _NAMES[spelling] = (dimension, Fraction(size))


_define("length", Fraction(1, 1000), "mm millimeter millimetre")
_define("length", Fraction(1, 100), "cm centimeter centimetre")
_define("length", 1, "m meter metre")
_define("length", 1000, "km kilometer kilometre")
_define("length", Fraction(254, 10000), "in inch inche")
_define("length", Fraction(3048, 10000), "ft foot feet")
_define("length", Fraction(9144, 10000), "yd yard")
_define("length", Fraction(1609344, 1000), "mi mile")
_define("mass", Fraction(1, 1000), "mg milligram")
_define("mass", 1, "g gram")
_define("mass", 1000, "kg kilogram")
_define("mass", Fraction(45359237, 100000), "lb pound")
_define("mass", Fraction(45359237, 1600000), "oz ounce")
_define("time", 1, "s sec second")
_define("time", 60, "min minute")
_define("time", 3600, "h hr hour")
_define("time", 86400, "d day")
_define("time", 604800, "wk week")
_define("month", 1, "mo month")
_define("month", 12, "yr year")
_define("volume", Fraction(1, 1000), "ml milliliter millilitre")
_define("volume", 1, "l liter litre")
_define("volume", Fraction(3785411784, 1000000000), "gal gallon")
_define("dollar", 1, "$ dollar usd buck")
_define("dollar", Fraction(1, 100), "cent ¢")
_define("euro", 1, "€ euro eur")
_define("sterling", 1, "£ gbp")
_define("yen", 1, "¥ yen yuan rmb")
_define("angle", 1, "° deg degree")
_define("radian", 1, "rad radian")
_define("percent", 1, "% percent percentage pct")
_define("newton", 1, "newton")
_define("joule", 1, "joule")
_define("joule", 1000, "kj kilojoule")
_define("watt", 1, "watt")
_define("watt", 1000, "kw kilowatt")
_define("volt", 1, "volt")
_define("ampere", 1, "ampere amp")
_define("ohm", 1, "ohm")
_define("frequency", 1, "hz hertz")
_define("frequency", 1000, "khz kilohertz")
_define("pressure", 1, "pa pascal")
_define("pressure", 1000, "kpa kilopascal")
_define("temperature", 1, "kelvin")
_define("amount", 1, "mol mole")
_define("angle", Fraction(1, 60), "′ arcminute arcmin")
_define("temperature C", 1, "°c celsius")
_define("temperature F", 1, "°f fahrenheit")
_CHINESE = {
    "米": "m",
    "厘米": "cm",
    "千米": "km",
    "公里": "km",
    "千克": "kg",
    "公斤": "kg",
    "克": "g",
    "秒": "s",
    "分钟": "min",
    "小时": "h",
    "天": "d",
    "年": "yr",
    "元": "¥",
    "美元": "$",
    "升": "l",
    "度": "°",
}
_CAPITALS = {"N": "newton", "J": "joule", "W": "watt", "V": "volt", "A": "ampere", "K": "kelvin"}
_POWERS = {"square": 2, "squared": 2, "sq": 2, "cubic": 3, "cubed": 3, "cu": 3}
_FILLERS = {"unit", "the", "a", "an", "of", "in", "total", "approximately", "about", "us", "all", "altogether"}
_HIGHEST_POWER = 9  # which another "squared" may still raise
_PER = {"mph": "mi/h", "kmph": "km/h", "kph": "km/h"}
_WORD = re.compile(r"([A-Za-z$€£¥¢°′%\u4e00-\u9fff]+)\.?(?:\s*\^?\s*\{?([23])\}?)?|(/)")
_NO_UNIT = {
    *("not", "does", "did", "will", "would", "wrong", "incorrect", "false", "fails", "works", "work", "than", "roots"),
    *("plus", "minus", "times", "maybe", "perhaps", "either"),
}
"""Words that say something of the number before them."""
_PER_TIME = re.compile(
    r"/\s*(?:\\text\s*\{)?\s*(?:year|month|week|day|hour|minute|second|yr|person|mile|unit|item|hr)s?\s*\}?"
)
_TAIL = 80  # characters at the end in which a unit is looked for
_TOKEN = (
    r"(?:\\text\{[^{}]*+\}|(?<=\d)′(?!′)|°(?:\s*[CF](?![A-Za-z]))?+|[%€£¥¢$]"
    r"|(?<![\\A-Za-z])[A-Za-z][A-Za-z.\-]*+|[\u4e00-\u9fff]++)"
)
_TRAILING = re.compile(
    rf"(?:\s*/(?=\s*(?:\\text|[A-Za-z])))?+(?>\s*+{_TOKEN}(?:\s*\^\s*(?:[23]|\{{[23]\}})(?!\d))?+(?:\s*/(?=\s*(?:\\text|[A-Za-z])))?+)++\s*$"
)
_VALUE_END = re.compile(r"[\d)}\].πa-z°]\s*$")
_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]+")
_TEMPERATURE = re.compile(r"(?:°|\bdeg(?:rees?)?\b)\s*(?:(C)(?:elsius)?|F(?:ahrenheit)?)\b", re.IGNORECASE)
_TEXT = re.compile(r"\\text\{[^{}]*\}")
_FUNCTIONS = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "pi", "arcsin", "arccos", "arctan"}
_LEADING_CURRENCY = re.compile(r"([-+]?)\s*([$€£¥])\s*(?=[-+\d.\\])")


@dataclass(frozen=True, slots=True)
class Unit:
    """`powers`: dimension → power, for known units; `words`: what was not known; `size` in base units."""

    powers: tuple[tuple[str, int], ...]
    size: Fraction
    words: frozenset[str]


def split_unit(text: str) -> tuple[str, Unit | None]:
    """(value, unit) of a normalised answer; the whole text and None when it has no unit behind (before) a number."""
    currency = _LEADING_CURRENCY.match(text)
    if currency:
        value = currency[1] + text[currency.end() :]
        inner, behind = split_unit(value)
        return inner, behind or unit_of(currency[2])
    found = _TRAILING.search(text, max(0, len(text) - _TAIL)) if _may_end_in_unit(text) else None
    if not found:
        return text, None
    value, words = text[: found.start()].strip(), text[found.start() :].strip()
    if words.startswith("/") and not _PER_TIME.fullmatch(words):
        return text, None  # 12/x
    if not _VALUE_END.search(value) or not _reads_as_unit(words, text[found.start()].isspace()):
        return text, None
    return value, unit_of(words)


def _may_end_in_unit(text: str) -> bool:
    """Whether the last character is one that `_TRAILING` can end with; most numbers and brackets are told by it."""
    last = text.rstrip()[-1:]
    if last.isdigit():
        return "^" in text  # cm^2
    return last not in ")]|" and (last != "}" or "^" in text or "\\text" in text)


def same_unit(first: Unit, second: Unit) -> Fraction | None:
    """The factor that turns a value in `second` into one in `first`; None when they do not agree."""
    if first.powers != second.powers:
        return None
    if first.words and second.words:
        kind = first.words <= second.words or second.words <= first.words
        return second.size / first.size if kind else None
    return second.size / first.size if first.powers else None


def is_angle(unit: Unit) -> bool:
    """Whether a unit is degrees or minutes of arc."""
    return unit.powers == (("angle", 1),)


@lru_cache(maxsize=2048)
def unit_of(words: str) -> Unit | None:
    """The unit that `words` name; None for words that name none ("units", "in total")."""
    text = words.replace("\\text", " ").replace("{", " ").replace("}", " ").replace("\\", " ")
    text = _TEMPERATURE.sub(lambda match: "°C" if match[1] else "°F", re.sub(r"\^\s*([23])", r"^\1", text))
    powers: dict[str, int] = {}
    unknown: set[str] = set()
    size, sign, pending = Fraction(1), 1, 1
    for match in _WORD.finditer(" ".join(_PER.get(word.lower(), word) for word in text.split())):
        word, power = match[1], int(match[2] or 1)
        if match[3] or word.lower() == "per":
            sign = -1
        elif word.lower() in _POWERS:
            last = next(reversed(powers), "")
            if last and abs(powers[last]) <= _HIGHEST_POWER and word.lower() in ("squared", "cubed"):
                powers[last] *= _POWERS[word.lower()]
                size **= _POWERS[word.lower()]
            else:
                pending = _POWERS[word.lower()]
        else:
            name = _CAPITALS.get(word) or _singular(_CHINESE.get(word, word))
            if name in _NAMES:
                dimension, scale = _NAMES[name]
                exponent = sign * power * pending
                powers[dimension] = powers.get(dimension, 0) + exponent
                size *= scale**exponent
            elif name not in _FILLERS:
                unknown.add(name)
            sign, pending = 1, 1
    if not powers and not unknown:
        return None
    return Unit(tuple(sorted(powers.items())), size, frozenset(unknown))


def _singular(word: str) -> str:
    word = word.lower().strip(".-")
    if word in _NAMES:
        return word
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _reads_as_unit(words: str, apart: bool) -> bool:
    """Whether plain words (outside `\\text{}`) are a unit, not variables: known, or long and `apart` from the value."""
    first = _PLAIN_WORD.match(words)
    if first and first[0].lower() in ("squared", "cubed", "doubled", "halved", "tripled"):
        return False  # 24 squared
    for word in _PLAIN_WORD.findall(_TEXT.sub(" ", _TEMPERATURE.sub(" ", words))):
        known = _singular(word) in _NAMES or word.lower() in (*_PER, *_POWERS, "per", "unit", "units", "us")
        if len(word) == 1 and "/" not in words and " " not in words and "°" not in words:
            return False
        if not known and (len(word) < 3 or not apart or word.lower() in (*_FUNCTIONS, *_NO_UNIT)):
            return False
    return True
