"""Rows for the curation benchmark: real questions brought to any size, with contamination and near-duplicates planted.

Real rows come first; beyond them, GSM8K and MATH train questions with other numbers. Planted copies of benchmark
questions are verbatim, reformatted (case, spacing, LaTeX, number style) or lightly paraphrased (at least 60% of the
words kept).
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from configs.schema.sections import DataConfig
from data.formats import read
from data.sources import load_problems

KINDS = ("verbatim", "reformatted", "paraphrased")
KEPT = 0.6
_SYNONYMS = {
    "find": "determine", "compute": "work out", "determine": "find", "what": "which", "evaluate": "calculate",
    "how": "precisely how", "many": "numerous", "total": "overall", "buys": "purchases", "bought": "purchased",
    "gives": "hands", "gave": "handed", "makes": "produces", "sells": "vends", "costs": "is priced at",
    "each": "every", "every": "each", "day": "workday", "week": "seven days", "friends": "buddies", "children": "kids",
    "kids": "children", "money": "cash", "needs": "requires", "wants": "wishes", "has": "owns", "have": "own",
    "there": "in total there",
    "number": "count", "positive": "strictly positive", "greatest": "largest", "largest": "greatest",
    "smallest": "least",
    "simplify": "reduce", "express": "write", "let": "suppose", "suppose": "assume", "if": "given that", "then": "next",
    "also": "in addition", "pays": "spends", "gets": "receives", "starts": "begins", "house": "home", "store": "shop",
}  # fmt: skip
_OPENINGS = ("Please solve this problem. ", "Question: ", "Here is a problem for you: ", "Solve: ", "")
_ENDINGS = (" Show your work.", " Explain each step.", " Give only the final answer.", "", "")
_NAMES = ("Priya", "Olga", "Kenji", "Fatima", "Diego", "Ingrid", "Kwame", "Yusuf", "Mei", "Lars")
_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, slots=True)
class Row:
    """A question; `kind` is "" for a row that nobody planted; `origin` is what it was made from."""

    question: str
    answer: str
    kind: str = ""
    origin: str = ""


def benchmark_questions() -> dict[str, list[tuple[str, str]]]:
    """(question, answer) of MATH-500, AIME 2024 and GSM8K test."""
    configs = {"math500": None, "aime24": None, "gsm8k": "test"}
    return {
        name: [(p.question, p.answer) for p in load_problems(DataConfig(source=name, split=split))]
        for name, split in configs.items()
    }


def planted_rows(count: int, seed: int, folder: str) -> list[Row]:
    """`count` rows: 5% contaminated (a third of each kind), 5% near-duplicates of other rows, the rest unplanted."""
    rng = random.Random(seed)
    share = count // 20
    rows = _unplanted(count - 2 * share, rng, folder)
    near = [_near_duplicate(row, rng) for row in rng.sample(rows, share)]
    questions = [pair for pairs in benchmark_questions().values() for pair in pairs]
    planted = [_planted(*rng.choice(questions), KINDS[i % 3], rng) for i in range(share)]
    rows = [*rows, *near, *planted]
    rng.shuffle(rows)
    return rows


def _unplanted(count: int, rng: random.Random, folder: str) -> list[Row]:
    rows = [
        Row(p.question, p.answer)
        for name in ("gsm8k", "math")
        for p in load_problems(DataConfig(source=name, split="train"))
    ]
    mathematics = [row for row in rows if len(re.findall(r"\d+", row.question)) >= 2]
    for file in ("alpaca/alpaca_en_demo.json", "alpaca/alpaca_zh_demo.json", "medical_zh/internal_medicine_gbk.csv"):
        rows += [Row(t.question, t.reply) for t in read(f"{folder}/{file}", rejected=lambda _: None)]
    seen = {row.question: row for row in rows}
    rows = list(seen.values())
    rng.shuffle(rows)
    while len(rows) < count:
        row = rng.choice(mathematics)
        question = _other_numbers(row.question, rng)
        if question not in seen:
            rows.append(Row(question, str(rng.randrange(1000))))
            seen[question] = rows[-1]
    return rows[:count]


def _other_numbers(question: str, rng: random.Random) -> str:
    return re.sub(r"\d+", lambda m: str(rng.randrange(10 ** (len(m[0]) - 1), 10 ** len(m[0]))), question)


def _planted(question: str, answer: str, kind: str, rng: random.Random) -> Row:
    change: Callable[[str, random.Random], str] = {
        "verbatim": lambda text, _: text,
        "reformatted": reformatted,
        "paraphrased": paraphrased,
    }[kind]
    return Row(change(question, rng), answer, kind, question)


def _near_duplicate(row: Row, rng: random.Random) -> Row:
    """The same question with a few words changed, or written another way."""
    text = reformatted(row.question, rng) if rng.random() < 0.5 else _replaced(row.question, 0.05, rng)
    return Row(text, row.answer, "near-duplicate", row.question)


def reformatted(text: str, rng: random.Random) -> str:
    """Another case, spacing, LaTeX and number style; the words stay."""
    styles: list[Callable[[str], str]] = [
        str.lower,
        str.upper if "\\" not in text else str.lower,
        lambda t: re.sub(r"\s+", "  ", t),
        lambda t: re.sub(r"(?<=[.?!]) ", "\n", t),
        lambda t: re.sub(r"\s*([-+=*/<>])\s*", r" \1 ", t),
        lambda t: t.replace("$", ""),
        lambda t: re.sub(r"\$([^$]+)\$", r"\\(\1\\)", t),
        lambda t: re.sub(r"\\[dt]?frac\{(\w+)\}\{(\w+)\}", r"\1/\2", t),
        lambda t: t.replace("\\frac", "\\dfrac").replace("\\left", "").replace("\\right", ""),
        lambda t: t.replace("\\cdot", "\\times").replace("\\le ", "\\leq "),
        lambda t: re.sub(r"(?<![\d.])(\d{1,3})(\d{3})(?![\d.])", r"\1,\2", t),
        lambda t: re.sub(r"(?<=\d),(?=\d{3})", "", t),
        lambda t: re.sub(r"(?<![\d.,$\\{^_])\b(\d|1[0-2])\b(?!,?\d|[.%}^_/])", lambda m: _SMALL[int(m[0])], t),
        lambda t: re.sub(rf"\b({'|'.join(_SMALL[2:])})\b", lambda m: str(_SMALL.index(m[0])), t),
    ]
    for style in rng.sample(styles, 4):
        text = style(text)
    return text


def paraphrased(text: str, rng: random.Random) -> str:
    """Light edits that keep at least `KEPT` of the words: synonyms, names, sentence order, words put in or out."""
    result = text
    edits: list[Callable[[str], str]] = [
        lambda t: _synonyms(t, rng),
        lambda t: _renamed(t, rng),
        lambda t: rng.choice(_OPENINGS) + t + rng.choice(_ENDINGS),
        lambda t: _reordered(t, rng),
        lambda t: _replaced(t, rng.uniform(0.05, 0.3), rng),
        lambda t: reformatted(t, rng),
    ]
    for edit in rng.sample(edits, 4):
        candidate = edit(result)
        if kept(text, candidate) >= KEPT:
            result = candidate
    return result


def kept(original: str, copy: str) -> float:
    """The share of the original's words that the copy still has."""
    ours, theirs = (Counter(re.findall(r"\w+", text.lower())) for text in (original, copy))
    return (ours & theirs).total() / max(1, ours.total())


def rewritten(texts: Sequence[str], share: float, seed: int) -> list[str]:
    """Harder than a paraphrase: each word, numbers included, is dropped or replaced by chance, blindly."""
    rng = random.Random(seed)
    words = [word for text in texts for word in text.split()]
    result = []
    for text in texts:
        kept = [word if rng.random() >= share else rng.choice(["", rng.choice(words)]) for word in text.split()]
        result.append(" ".join(filter(None, kept)))
    return result


def _synonyms(text: str, rng: random.Random) -> str:
    def other(match: re.Match[str]) -> str:
        word = _SYNONYMS.get(match[0].lower())
        return word if word and rng.random() < 0.8 else match[0]

    return re.sub(r"\b[A-Za-z]+\b", other, text)


def _renamed(text: str, rng: random.Random) -> str:
    """Every capitalised word inside a sentence becomes another name."""
    names = set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b", text))
    for name in sorted(names):
        text = re.sub(rf"\b{name}\b", rng.choice(_NAMES), text)
    return text


def _reordered(text: str, rng: random.Random) -> str:
    sentences = re.split(r"(?<=[.?!]) ", text)
    if len(sentences) > 2:
        i = rng.randrange(len(sentences) - 1)
        sentences[i], sentences[i + 1] = sentences[i + 1], sentences[i]
    return " ".join(sentences)


def _replaced(text: str, share: float, rng: random.Random) -> str:
    """A share of the plain words is dropped, or replaced by another word of the same text or a filler."""
    words: list[str] = text.split(" ")
    fillers: Sequence[str] = (
        "really",
        "thing",
        "given",
        "whole",
        "quantity",
        "certain",
        "exactly",
        "value",
        *words[:5],
    )
    result = []
    for word in words:
        if re.fullmatch(r"[A-Za-z]+[.,?]?", word) and rng.random() < share:
            if rng.random() < 0.5:
                result.append(rng.choice(fillers))
        else:
            result.append(word)
    return " ".join(result)
