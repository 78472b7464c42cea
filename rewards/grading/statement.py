"""What a sentence says that the answer is: which of its values it affirms, and which it denies, bounds or mentions.

    The answer is 1,200 gallons of blood for 10 sharks     1,200 gallons: the other value follows a preposition
    She has 16 eggs, eats 3, so 13 are left                13 is concluded
    could be 17 or could be 18                             both: "17 or 18"
    18 is not the answer                                   "not 18"
    more than 18; 18 dollars and 50 cents                  nothing is clear: None

Every pass is linear, and no sentence longer than `LONGEST` is looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from rewards.grading.computation import result_of
from rewards.grading.denial import bounds, denies_after, denies_before, leaves_open
from rewards.grading.option_letter import chosen_letter, mentioned

LONGEST = 1_000
FORMULA = re.compile(
    r"\$\$([^$]{1,1000})\$\$|\\\[(.{1,1000}?)\\\]|\$((?:[^$\\\n]|\\.){1,500})\$"
    r"|\\\(([^\n]{1,500}?)\\\)",
    re.DOTALL,
)
_DIGITS = r"(?:\d+(?:,\d+)*(?:\.\d+)?|\.\d+)"
_NUMBER = (
    rf"(?:[$€£¥]\s?-?|\\\$)?{_DIGITS}(?:[eE][-+]?\d+|st\b|nd\b|rd\b|th\b)?(?:_\{{?\d+\}}?|:\d+|/\d+"
    rf"|\s\d+/\d+)?(?:\\?%|°)?"
)
_BRACES = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_TERM = (
    rf"(?:{_NUMBER}|\\(?!text|mbox|boxed|left\b)[A-Za-z]+(?:\s*(?:{_BRACES}|\[\d+\]))*"
    rf"|[A-Za-z](?![A-Za-z'’])|(?<![\u0370-\u03ff])π(?![\u0370-\u03ff])|√"
    r"|[(\[](?:[^()\[\]A-Za-z\n]|[A-Za-z](?![A-Za-z])|\\[A-Za-z]+){1,80}[)\]]|\\\{[^{}\n]{1,100}\\\}|\^\s*"
    + _BRACES
    + r"|[_^]\{?\w+\}?)"
)
_OPERATOR = r"\s*(?:[-+*/×·÷^=−<>≤≥]|\\(?:times|cdot|div)\b)\s*"
_EXPRESSION = re.compile(rf"(?<![A-Za-z\d.])[-+−]?{_TERM}(?:(?:{_OPERATOR})?[-+−]?{_TERM})*+")
_HOLDS_VALUE = re.compile(r"[\dπ]|\\[A-Za-z]")
_UNIT = re.compile(
    r"\s?(?:(?:hundred|thousand|million|billion|trillion|dozen|percent|cents?|dollars?|euros?|pounds?"
    r"|hours?|minutes?|seconds?"
    r"|days?|weeks?|months?|years?|miles?|inches|feet|yards?|[mck]?m|k?g|m[gl]|liters?|gallons?|(?:centi"
    r"|kilo|milli)?met(?:er|re)s?"
    r"|(?:kilo)?grams?|degrees?|square|cubic)(?:\s(?:squared|cubed))?(?![A-Za-z'’]|\s+old\b)"
    r"|[万亿元米])(?:\s(?:per|an?)\s(?:hour|minute|second|day|week|month|year|mile|kg)\b)?"
)
_WORD = re.compile(r"(?<![\\\w])[^\W\d_]{2,}|[\u0590-\u1cff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_COMMAND = re.compile(r"\\begin\s*\{[^{}]*\}(?:\{[^{}]*\})?|\\[A-Za-z]+\s*\{[^{}]*\}")
_EMPHASIS = re.compile(r"\*\*|__|`")
_COMMENT = re.compile(r"(?<=[\w}$%])\s*[(（](?=[^()（）]*[^\W\d_]{2})[^()（）\\]{1,300}[)）]")
_BECAUSE = re.compile(
    r"[,;:，；]?\s*[-–—]?\s*(?:\b(?:since|because|as(?! well\b| long\b| a\b)|where|which|given|i\.e\."
    r"|namely|due to|thanks to|so that)(?![A-Za-z])"
    r"|因为|由于|其中|porque|weil|denn|car\b|потому)",
    re.IGNORECASE,
)
_GLUE_WORD = (
    r"(?:and|or|also|maybe|perhaps|possibly|either|even|else|be|it|is|could|can|but|both|then|might|may|they"
    r"|are|we|get|just|an?|the|other|values?)"
)
_GLUE = re.compile(
    rf"[\s,;/|&()\\、，；$*]*(?:(?:{_GLUE_WORD}(?![A-Za-z])|[和或与及]|または|또는)[\s,;/|&()\\$*]*)*", re.IGNORECASE
)
_CONJUNCTION = re.compile(
    r"\b(?:and|or|but|also|maybe|perhaps|possibly|then|else)\b|[,;/|&()、，；和或与及]|또는|または", re.IGNORECASE
)
_RELATION = re.compile(
    r"\s*(?:in|to|over|by|per|plus|minus|times|sqrt|root|divided by|modulo|mod|vs\.?|versus"
    r"|[-–—~:])\s*",
    re.IGNORECASE,
)
_RATE = re.compile(r"\s*(?:in|per)\s*")  # "24 dollars in 3 days"
_PURPOSE = re.compile(r"\s*to\s+(?!be|equal|exactly|about|get|make|give|obtain|find|have|reach|a\b|the\b)[a-z]{3,}\s*")
_CONTRAST = re.compile(
    r"\bbut\b(?!\s+(?:maybe|perhaps|possibly|also|could|might))|^\W*it(?:['’]s| is)\b", re.IGNORECASE
)
_THOUGHT = re.compile(r"\b(?:thought|guess(?:ed)?|at first|initially)\b", re.IGNORECASE)
_PREPOSITION = re.compile(
    r"(?<!equal )(?<!equals )(?<!comes )(?<!amounts )(?<!up )(?<!reduces )(?<!simplifies )(?<!evaluates )\b"
    r"(?:(?<!total )(?<!sum )(?<!value )(?<!amount )(?<!area )"
    r"(?<!length )(?<!number )(?<!price )(?<!cost )(?<!profit )(?<!answer )of"
    r"|from|for|in|per|with|using|by|after|on|across|among|into|to|since|than|out of|without|until|every"
    r"|each|additional)"
    r"(?:\s+(?:the|an?|all|its|his|her|their|my|our|these|those|total|exactly|about|only|first|last"
    r"|other))*\s*[$(]*$",
    re.IGNORECASE,
)
_COPULA = re.compile(
    r"(?:\b(?:is|are|equals?|be|was|were|makes?|gives?|leaves?|leaving|totals?|yields?|equal to"
    r"|comes? to|total of|result of)|[=:：≈]"
    r"|[是为得共剩有])(?:\s+(?:exactly|about|approximately|therefore|just|only|then|thus|simply|now"
    r"|equal to|a total of|around))*[\s$\\(]*$",
    re.IGNORECASE,
)
_IN_ALL = re.compile(r"\b(?:altogether|in total|in all)\b")
_AND = re.compile(r"[\s,]*(?:and|or|nor)?\s*(?:option\s+)?\(?")  # "A and B are wrong"
_CONCLUSION = re.compile(
    r"\b(?:so|thus|therefore|hence|total|altogether|in all|finally|final|answer|leaving|leaves)\b|所以"
    r"|因此|总共|一共|答案|最终",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """`answer`: what the sentence affirms, None where that isn't clear; `is_open`: it denies or weighs values."""

    answer: str | None
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class _Value:
    start: int
    end: int
    text: str


def plain_words(text: str) -> int:
    """How many words (CJK: characters) `text` has outside of LaTeX commands; 2,000 characters will do to tell."""
    return len(_WORD.findall(_COMMAND.sub(" ", text[:2000])))


def read_statement(sentence: str) -> Statement:
    """What one sentence affirms; see the module's examples."""
    if len(sentence) > LONGEST:
        return Statement(None)
    # 1. leave out what comments on the value behind it
    text = _without_comments(_EMPHASIS.sub("", sentence).strip())
    values = list(values_of(text))
    reason = _BECAUSE.search(text) if values else None
    if reason and reason.end() <= values[0].start and mentioned(text[: reason.start()]):
        text, values = text[: reason.start()], []
    if not values:
        return _read_letters(text)
    # 2. values joined by nothing but "and", "or" and commas are one answer
    groups = _grouped(text, values)
    if any(_relates(before, lead) for (before, _, _), (_, lead, _) in pairwise(groups)):
        is_computed = len(groups) > 2 and _COPULA.fullmatch(groups[-1][1].strip()) is not None
        return _said(text, groups[-1][0]) if is_computed else Statement(None, True)
    # 3. which of the groups are affirmed
    denied: list[list[_Value]] = []
    bounded: list[list[_Value]] = []
    affirmed: list[list[_Value]] = []
    in_passing: list[list[_Value]] = []
    for group, lead, tail in groups:
        if denies_before(lead) or denies_after(tail):
            denied.append(group)
        elif bounds(lead, tail):
            bounded.append(group)
        else:
            is_passing = _PREPOSITION.search(lead[-60:]) or (group is not groups[0][0] and _PURPOSE.fullmatch(lead))
            (in_passing if is_passing else affirmed).append(group)
    candidates = affirmed or in_passing
    # 4. the only one, or the one that is concluded
    if len(candidates) == 1 and (affirmed or not bounded):
        return _said(text, candidates[0])
    if candidates:
        last = _concluded(text, groups, candidates)
        if last is not None:
            return _said(text, last)
        return Statement(None, bool(denied) or leaves_open(text) or _is_parallel(groups[-1][1]))
    if len(denied) == 1 and not bounded:
        return Statement("not " + _joined(text, denied[0]), True)
    return Statement(None, True)


def values_of(text: str) -> Iterator[_Value]:
    """Every formula, and every number or expression outside the formulas, in order."""
    at = 0
    for formula in FORMULA.finditer(text):
        content = inside(formula)
        if formula.start() < at or plain_words(content):
            continue  # "$5 and $": two prices
        yield from _expressions(text, at, formula.start())
        yield _Value(formula.start(), formula.end(), content)
        at = formula.end()
    yield from _expressions(text, at, len(text))


def inside(formula: re.Match[str]) -> str:
    """The content of a match of `FORMULA`."""
    return next(group for group in formula.groups() if group is not None)


def _expressions(text: str, start: int, end: int) -> Iterator[_Value]:
    for found in _EXPRESSION.finditer(text, start, end):
        expression = found.group().rstrip()
        if _HOLDS_VALUE.search(expression):
            unit = _UNIT.match(text, found.start() + len(expression), end) if expression[-1].isdigit() else None
            stop = unit.end() if unit else found.start() + len(expression)
            yield _Value(found.start(), stop, text[found.start() : stop])


def _without_comments(text: str) -> str:
    """Without "(…)" in words, and without the clause that gives a reason, behind the first value."""
    first = next(values_of(text), None)
    if first is None:
        return text
    head, tail = text[: first.end], text[first.end :]
    if (reason := _BECAUSE.search(tail)) is not None:
        tail = tail[: reason.start()]
    return head + _COMMENT.sub("", head[-1:] + tail)[1:] if tail else head


def _grouped(text: str, values: list[_Value]) -> list[tuple[list[_Value], str, str]]:
    """(values of one group, the text before it since the last value, the text behind it up to the next)."""
    groups = [[values[0]]]
    for before, value in pairwise(values):
        gap = text[before.end : value.start]
        lead = text[: groups[-1][0].start]
        if _CONTRAST.search(gap) and (denies_before(lead) or _THOUGHT.search(lead[-60:])):
            groups.append([value])
        elif _GLUE.fullmatch(gap) and (_CONJUNCTION.search(gap) or not gap.strip()):
            groups[-1].append(value)
        else:
            groups.append([value])
    bounds_at = [0, *(group[-1].end for group in groups)]
    starts = [*(group[0].start for group in groups[1:]), len(text)]
    return [
        (group, text[begin : group[0].start], text[group[-1].end : stop])
        for group, begin, stop in zip(groups, bounds_at, starts, strict=False)
    ]


def _relates(before: list[_Value], lead: str) -> bool:
    """Whether the words between two values make one expression of both: "24 to 30"; "24 dollars in 3 days" does not."""
    if _RATE.fullmatch(lead) and before[-1].text[-1:].isalpha():
        return False
    return _RELATION.fullmatch(lead) is not None


def _concluded(
    text: str, groups: list[tuple[list[_Value], str, str]], candidates: list[list[_Value]]
) -> list[_Value] | None:
    """The last candidate, where the sentence ends with it as its conclusion; None where several are said alike."""
    last_group, lead, behind = groups[-1]
    last = candidates[-1]
    if last is not last_group:
        lead = next(before for group, before, _ in groups if group is last)
    if leaves_open(text):
        return None
    if _CONCLUSION.search(lead):
        return last
    if last is last_group and _IN_ALL.search(behind) and not _is_parallel(lead):
        return last
    parallel = _is_parallel(lead) and any(
        _COPULA.search(before) for group, before, _ in groups if group is not last and group in candidates
    )
    return last if _COPULA.search(lead[-40:]) and not parallel else None


def _is_parallel(lead: str) -> bool:
    """Whether what leads from one value to the next says the same of another thing: "and y is"."""
    return re.match(r"\W*(?:\w+\W+){0,3}?and\b", lead) is not None


def _said(text: str, group: list[_Value]) -> Statement:
    """The group as the answer; a single number is what its computation comes to."""
    if len(group) > 1:
        return Statement(_joined(text, group), True)
    return Statement(result_of(group[0].text))


def _joined(text: str, group: list[_Value]) -> str:
    """The values as a list, with "or" where the sentence has one between them."""
    between = text[group[0].end : group[-1].start]
    if not leaves_open(between) and sum(value.text[-1:].isalpha() for value in group) > 1:
        return text[group[0].start : group[-1].end]  # "3 hours and 20 minutes"
    return (" or " if leaves_open(between) else ", ").join(result_of(value.text) for value in group)


def _read_letters(text: str) -> Statement:
    """Of a sentence about options the letter that it affirms."""
    letters = mentioned(text)
    if not letters:
        return Statement(None)
    affirmed: list[str] = []
    denied: list[str] = []
    is_denied_behind = False
    for at, (start, end, letter) in reversed(list(enumerate(letters))):
        lead = text[letters[at - 1][1] if at else 0 : start]
        tail = text[end : letters[at + 1][0] if at + 1 < len(letters) else len(text)]
        is_denied_behind = denies_after(tail) or (is_denied_behind and _AND.fullmatch(tail) is not None)
        (denied if denies_before(lead) or is_denied_behind else affirmed).insert(0, letter)
    rest = set(affirmed) - set(denied)
    if denied:
        return Statement(rest.pop() if len(rest) == 1 else f"not {denied[0]}", True)
    if len(rest) == 1 and (chosen := chosen_letter(text)):
        return Statement(chosen)
    if len(rest) > 1 and leaves_open(text):
        return Statement(" or ".join(sorted(rest)), True)
    return Statement(None, len(rest) > 1)
