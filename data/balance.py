"""Whether the parts of a split look alike: lengths, rows with digits, and labels where there are some.

A part differs where a two-sample test says that chance hardly ever does it (p < 0.001) and the difference can be seen.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from data.problem import Problem, Trace

LEVEL = 0.001
"""p from which on a difference is taken for chance; there are about four tests a part."""
VISIBLE = 0.1
"""Least difference of shares, and of labels' shares together (total variation)."""
VISIBLE_LENGTHS = 0.2
"""Least distance of two lengths' distributions (Kolmogorov-Smirnov)."""

_MOST_LABELS = 50
_ROWS_A_LABEL = 10
_LONGEST_LABEL = 40
_LEAST_EXPECTED = 5  # rows of a label in a part, for chi-square to hold
_DIGIT = re.compile(r"\d")


@dataclass(slots=True)
class Part:
    """What is compared of the rows of a part; `labels`: how often each is the answer, empty where answers are texts."""

    lengths: list[int] = field(default_factory=list)
    answer_lengths: list[int] = field(default_factory=list)
    with_digits: int = 0
    labels: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, rows: Iterable[Trace | Problem]) -> "Part":
        """The figures of these rows; a trace without a known answer is compared by its reply."""
        part, are_labels = cls(), True
        for row in rows:
            answer = row.answer or (row.reply if isinstance(row, Trace) else "")
            part.lengths.append(len(row.identity))
            part.answer_lengths.append(len(answer))
            part.with_digits += bool(_DIGIT.search(row.identity))
            if are_labels:
                part.labels[answer] += 1
                are_labels = 0 < len(answer) <= _LONGEST_LABEL and len(part.labels) <= _MOST_LABELS
        return part if are_labels else replace(part, labels=Counter())


def part_differences(parts: Mapping[str, Iterable[Trace | Problem]]) -> list[str]:
    """A line for each part that differs from the largest one by more than chance."""
    known = {name: Part.of(rows) for name, rows in parts.items()}
    known = {name: part for name, part in known.items() if part.lengths}
    if len(known) < 2:
        return []
    largest = max(known, key=lambda name: len(known[name].lengths))
    lines = []
    for name, part in known.items():
        if name != largest and (said := list(_differences(part, known[largest]))):
            lines.append(f"{name} differs from {largest} by more than chance: {'; '.join(said)}")
    return lines


def _differences(part: Part, reference: Part) -> Iterator[str]:
    labels = _labels(part, reference)
    yield from _lengths("questions", part.lengths, reference.lengths)
    if not labels:
        yield from _lengths("answers", part.answer_lengths, reference.answer_lengths)
    yield from _digits(part, reference)
    if labels:
        yield from _label_shares(labels, part, reference)


def _lengths(noun: str, these: list[int], those: list[int]) -> Iterator[str]:
    from scipy.stats import ks_2samp

    found = ks_2samp(these, those, method="asymp")
    if found.pvalue < LEVEL and found.statistic >= VISIBLE_LENGTHS:
        medians = f"{median(these):,.0f} characters in the median, {median(those):,.0f} there"
        yield f"{noun} of {medians} (Kolmogorov-Smirnov {found.statistic:.2f}, p < {LEVEL})"


def _digits(part: Part, reference: Part) -> Iterator[str]:
    from scipy.stats import fisher_exact

    table = [[it.with_digits, len(it.lengths) - it.with_digits] for it in (part, reference)]
    share, other = (row[0] / sum(row) for row in table)
    if abs(share - other) >= VISIBLE and fisher_exact(table).pvalue < LEVEL:
        yield f"digits in {share:.0%} of the questions, {other:.0%} there (Fisher, p < {LEVEL})"


def _labels(part: Part, reference: Part) -> list[str]:
    """The answers of both parts, most frequent first, where they are labels: few and short."""
    both = part.labels + reference.labels
    most = min(_MOST_LABELS, both.total() // _ROWS_A_LABEL)
    are_labels = part.labels and reference.labels and 2 <= len(both) <= most
    return [answer for answer, _ in both.most_common()] if are_labels else []


def _label_shares(labels: list[str], part: Part, reference: Part) -> Iterator[str]:
    from scipy.stats import chi2_contingency

    # 1. labels that a part has too few of to be tested are one
    sizes = part.labels.total(), reference.labels.total()
    smaller = min(sizes) / sum(sizes)
    common = [it for it in labels if (part.labels[it] + reference.labels[it]) * smaller >= _LEAST_EXPECTED]
    counts = [[it.labels[label] for label in common] for it in (part, reference)]
    table = [[*row, size - sum(row)] for row, size in zip(counts, sizes, strict=True)]
    if table[0][-1] + table[1][-1] == 0:
        table = counts
    if len(table[0]) < 2:
        return
    # 2. the test, and the label that differs most
    shares = {label: (part.labels[label] / sizes[0], reference.labels[label] / sizes[1]) for label in labels}
    distance = sum(abs(here - there) for here, there in shares.values()) / 2
    if distance >= VISIBLE and chi2_contingency(table).pvalue < LEVEL:
        label = max(shares, key=lambda it: abs(shares[it][0] - shares[it][1]))
        here, there = shares[label]
        yield f"{label!r} is {here:.0%} of the labels, {there:.0%} there (chi-square over all labels, p < {LEVEL})"
