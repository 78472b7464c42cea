"""Numbers in words: English and Chinese numerals, fractions and ordinals, as digits."""

import re

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {**{word: at for at, word in enumerate(_ONES)}, **{word: 10 * at for at, word in enumerate(_TENS, 2)}}
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_IRREGULAR = {"first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12}
_ORDINALS = {
    **{
        f"{word}th": value
        for word, value in _VALUES.items()
        if value not in _IRREGULAR.values() and value % 10 + value < 20
    },
    **{f"{word[:-1]}ieth": 10 * at for at, word in enumerate(_TENS, 2)},
    "tenth": 10,
    **_IRREGULAR,
    "hundredth": 100,
    "thousandth": 1000,
}
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
_START = re.compile(r"(-|minus |negative )?([a-z]+(?:(?:-| and | )[a-z]+)*)(?![\w])", re.IGNORECASE)
_SPLIT = re.compile(r"[- ]+")
_LONGEST_FIRST = sorted({*_VALUES, *_SCALES, *_ORDINALS, *_PARTS}, key=len, reverse=True)
_KNOWN = re.compile(rf"(?:minus |negative |an? )?(?:{'|'.join(_LONGEST_FIRST)})", re.IGNORECASE)
_SUFFIXES = ("st", "nd", "rd", "th")
_SUFFIX = re.compile(
    rf"(\d)\s*(?:\^\s*)?\{{?\s*(?:\\text\s*\{{\s*)?(?:{'|'.join(_SUFFIXES)})\s*\}}{{0,2}}(?![A-Za-z])(.*)$", re.DOTALL
)
_CHINESE_DIGITS = {**{char: at for at, char in enumerate("零一二三四五六七八九")}, "〇": 0, "两": 2, "兩": 2}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000}
_CHINESE_GROUPS = {"万": 10**4, "亿": 10**8}
_CHINESE_NUMERAL = "[零〇一二两兩三四五六七八九十百千万亿]"
_CHINESE = re.compile(
    rf"(负)?(?:第)?({_CHINESE_NUMERAL}+)(?:分之({_CHINESE_NUMERAL}+))?(?=$|[^\u4e00-\u9fff]|[个只条元人名岁天年倍次本件种位])"
)
_COUNTERS = re.compile(r"(?<=[\d}])\s*[个只条名岁倍次本件种位개명권]$")
_SIGN = re.compile(r"(?:minus|negative)\s+(?=[\d.$\\])", re.IGNORECASE)
_NOUN = re.compile(r"\s*[a-z]+", re.IGNORECASE)
_NO_NOUN = {
    *(
        "and",
        "or",
        "more",
        "less",
        "than",
        "of",
        "to",
        "from",
        "is",
        "are",
        "not",
        "but",
        "plus",
        "minus",
        "times",
        "by",
        "over",
    ),
    *("out", "in", "at", "per", "if", "with", "without", "above", "below", "only", "hundred", "each"),
}


def number_words(text: str) -> str:
    """`text` with digits for the number that it is, or starts with before one noun; any other text as it is."""
    if text[:1].isalpha():
        if _SIGN.match(text):
            return _SIGN.sub("-", text)
        if _KNOWN.match(text):
            return _english(text)
    if text[:1] in "负第零〇一二两兩三四五六七八九十百千万亿" and text:
        text = _CHINESE.sub(_chinese, text, count=1) if _CHINESE.match(text) else text
    if text[-1:] in "个只条名岁倍次本件种位개명권":
        text = _COUNTERS.sub("", text)
    if text[:1].isdigit() and any(suffix in text for suffix in _SUFFIXES):
        text = _SUFFIX.sub(_without_suffix, text, count=1)
    return text


def _without_suffix(match: re.Match[str]) -> str:
    """`6th` as 6, alone or before a noun."""
    return match[1] + match[2] if not match[2] or _is_noun(match[2]) else match[0]


def _english(text: str) -> str:
    """The longest run of number words at the start as digits, where nothing or one noun follows."""
    words = _SPLIT.split(text.strip().lower())
    sign = ""
    if words[0] in ("minus", "negative"):
        sign, words = "-", words[1:]
    if words[:1] in (["a"], ["an"]):
        words = ["one", *words[1:]]
    for count in range(min(len(words), 12), 0, -1):
        number = _number(words[:count])
        rest = " ".join(words[count:])
        if number is not None and (not rest or _is_noun(rest)):
            return f"{sign}{number} {rest}".strip()
    return text


def _is_noun(rest: str) -> bool:
    return bool(_NOUN.fullmatch(rest)) and rest.strip().lower() not in _NO_NOUN


def _number(words: list[str]) -> str | None:
    """Digits, or a fraction, for words that are one number."""
    last = words[-1]
    if last in _PARTS and len(words) <= 2 and (len(words) == 1 or words[0] in _VALUES):
        return f"{_VALUES[words[0]] if len(words) > 1 else 1}/{_PARTS[last]}"
    singular = last.removesuffix("s")
    if (
        singular in _ORDINALS
        and len(words) >= 2
        and words[-2] in _VALUES
        and not (words[-2] in _TENS and singular == last)
    ):
        top = _cardinal(words[:-1])
        return None if top is None or singular == "first" else f"{top}/{_ORDINALS[singular]}"
    if last in _ORDINALS:
        before = _cardinal(words[:-1]) if len(words) > 1 else 0
        return None if before is None or (before and before % 10) else str(before + _ORDINALS[last])
    whole = _cardinal(words)
    return None if whole is None else str(whole)


def _cardinal(words: list[str]) -> int | None:
    """The value of "one hundred and five"; None for anything else."""
    total = group = 0
    previous = ""
    for word in words:
        if word == "and":
            if previous not in _SCALES:
                return None
        elif word in _VALUES:
            value = _VALUES[word]
            if previous in _VALUES and not (previous in _TENS and 0 < value < 10):
                return None
            group += value
        elif word == "hundred" and 0 < group < 100:
            group *= 100
        elif word in _SCALES and group:
            total, group = total + group * _SCALES[word], 0
        else:
            return None
        previous = word
    return None if previous == "and" else total + group


def _chinese(match: re.Match[str]) -> str:
    """`十八` as 18, `三分之一` as 1/3."""
    number = _chinese_value(match[2])
    top = _chinese_value(match[3]) if match[3] else None
    if number is None or (match[3] and top is None):
        return match[0]
    return ("-" if match[1] else "") + (f"{top}/{number}" if match[3] else str(number))


def _chinese_value(numeral: str) -> int | None:
    """The value of a Chinese numeral; None where its order makes no number."""
    if all(char in _CHINESE_DIGITS for char in numeral):
        return int("".join(str(_CHINESE_DIGITS[char]) for char in numeral)) if len(numeral) != 2 else None
    total = group = 0
    digit: int | None = None
    for char in numeral:
        if char in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[char]
        elif char in _CHINESE_SCALES:
            group += (1 if digit is None else digit) * _CHINESE_SCALES[char]
            digit = None
        else:
            group += digit or 0
            total, group, digit = (total + group) * _CHINESE_GROUPS[char], 0, None
            if not total:
                return None
    return total + group + (digit or 0)
