"""The browser of samples: what it shows of one, how much of a large run fits, and the data its script reads."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

from configs.sample import Sample
from report.latex import split_answer, split_formulas

MOST_SAMPLES = 2_000
MOST_CHARACTERS = 8_000_000  # of samples' text; a page beyond ~20 MB opens slowly
LONGEST_TEXT = 60_000  # characters of one text; the rest is in the run's own file
VERDICTS = {True: "right", False: "wrong", None: "ungraded"}

SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a completion.

    `kind`: "prefill", "thinking", "answer", "text", "forced" (by a budget), or "environment" (results of tools).
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class OtherCompletion:
    """What another run, called `name`, answered to the same question."""

    name: str
    spans: Sequence[Span]
    answer: str | None
    verdict: bool | None


@dataclass(frozen=True, slots=True)
class ShownSample:
    """One completion as the browser shows it.

    `group` is what a page is cut into (a step, a budget). `golds` are the right answers. `verdict`: right, wrong or
    None (ungraded). `tags` are filters (truncated, disagreeing, …); right, wrong and ungraded are added to them.
    `scores` has one value a reward, None where it could not be judged. `facts` are further names and values, such as
    the advantage and token counts.
    """

    id: str
    group: str
    question: str
    spans: Sequence[Span]
    golds: Sequence[str] = ()
    answer: str | None = None
    verdict: bool | None = None
    reason: str = ""
    tags: Sequence[str] = ()
    scores: Mapping[str, float | None] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""
    other: OtherCompletion | None = None

    def characters(self) -> int:
        spans = [*self.spans, *(self.other.spans if self.other else ())]
        return len(self.question) + len(self.prompt) + sum(len(s.text) for s in spans)


def spread(
    samples: Sequence[ShownSample], most: int = MOST_SAMPLES, characters: int = MOST_CHARACTERS
) -> list[ShownSample]:
    """At most `most` samples and `characters` of text: whole (group, id) groups, evenly spread, in order of the first.

    Samples of one question in one group come together, wherever they were, so that they can be compared.
    """
    by_question: dict[tuple[str, str], list[ShownSample]] = {}
    for sample in samples:
        by_question.setdefault((sample.group, sample.id), []).append(sample)
    clusters = list(by_question.values())
    sizes = [sum(s.characters() for s in cluster) for cluster in clusters]
    share = min(1.0, most / max(1, len(samples)), characters / max(1, sum(sizes)))
    kept: list[ShownSample] = []
    credit = 0.0
    for cluster in clusters:
        credit += share
        if credit >= 1 - 1e-9:
            credit -= 1
            kept.extend(cluster)
    return kept if kept or not clusters else list(clusters[0])


@dataclass(frozen=True, slots=True)
class Samples:
    """The browser as a section of the page. `source` names the file that has every sample whole.

    `words`: what the browser says, English → the page's language; `folded`: whether thinking is folded at first.
    """

    samples: Sequence[ShownSample]
    source: str
    title: str = "Samples"
    group_name: str = "group"
    most: int = MOST_SAMPLES
    words: Mapping[str, str] = field(default_factory=dict)
    folded: bool = False

    def html(self) -> str:
        if not self.samples:
            return '<p class="calm">No samples.</p>'
        kept = spread(self.samples, self.most)
        note = f"All {len(kept):,} samples."
        if len(kept) < len(self.samples):
            note = f"{len(kept):,} of {len(self.samples):,} samples, evenly spread; all of them are in {self.source}."
        content = payload(kept, self.group_name, self.source) | {"words": self.words, "folded": self.folded}
        data = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        # inside <script>, "</script>" and "<!--" would end or change it
        data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return (
            f'<p class="note">{html.escape(note)}</p><div id="samples"></div>'
            '<noscript><p class="note">The browser of samples needs JavaScript.</p></noscript>'
            f'<script type="application/json" id="samples-data">{data}</script>'
        )


def payload(samples: Sequence[ShownSample], group_name: str, source: str) -> dict[str, Any]:
    """`{group_name, math: [MathML], samples: [...]}`; texts as lists of [source] or [source, index into math]."""
    math: dict[str, int] = {}

    def pieces(parts: Sequence[tuple[str, str | None]]) -> list[list[Any]]:
        return [
            [_text(source)] if mathml is None else [_text(source), math.setdefault(mathml, len(math))]
            for source, mathml in parts
        ]

    def clip(text: str) -> str:
        if len(text) <= LONGEST_TEXT:
            return text
        return f"{text[:LONGEST_TEXT]} […{len(text) - LONGEST_TEXT:,} more characters in {source}]"

    def spanned(spans: Sequence[Span]) -> list[list[Any]]:
        return [[span.kind, pieces(split_formulas(clip(span.text)))] for span in spans if span.text]

    def answered(answer: str | None) -> list[list[Any]] | None:
        return None if answer is None else pieces(split_answer(answer))

    def beside(other: OtherCompletion) -> dict[str, Any]:
        return {
            "name": _text(other.name),
            "spans": spanned(other.spans),
            "answer": answered(other.answer),
            "verdict": VERDICTS[other.verdict],
        }

    rows = [
        {
            "id": _text(s.id),
            "group": _text(s.group),
            "question": pieces(split_formulas(clip(s.question))),
            "prompt": _text(clip(s.prompt)),
            "spans": spanned(s.spans),
            "golds": [answered(gold) for gold in s.golds],
            "answer": answered(s.answer),
            "verdict": VERDICTS[s.verdict],
            "other": None if s.other is None else beside(s.other),
            "reason": _text(s.reason),
            "tags": list(s.tags),
            "scores": {name: _number(score) for name, score in s.scores.items()},
            "facts": {name: _number(v) if isinstance(v, float) else v for name, v in s.facts.items()},
        }
        for s in samples
    ]
    return {"group_name": group_name, "math": list(math), "samples": rows}


def _text(text: str) -> str:
    """Without lone surrogates, which UTF-8 can't hold."""
    return SURROGATES.sub("\ufffd", text)


def _number(value: float | None) -> float | str | None:
    """JSON has no NaN and no infinity."""
    if value is None or value - value == 0:
        return value
    return str(value)


def cut(
    text: str,
    forced: Sequence[tuple[int, int]] = (),
    prefilled: int = 0,
    answer_at: int | None = None,
    tool_results: Sequence[tuple[int, int]] = (),
) -> list[Span]:
    """A completion as spans, from character offsets into `text`.

    The first `prefilled` characters were put there by the prompt; `forced` are [start, end) ranges that the policy did
    not choose, `tool_results` those that an environment wrote; from `answer_at` on it is the answer. Without
    `answer_at` what remains is "text".
    """

    def kind(at: int) -> str:
        if at < prefilled:
            return "prefill"
        if any(start <= at < end for start, end in tool_results):
            return "environment"
        if any(start <= at < end for start, end in forced):
            return "forced"
        if answer_at is None:
            return "text"
        return "thinking" if at < answer_at else "answer"

    edges = {0, len(text), prefilled, answer_at or 0, *(edge for span in (*forced, *tool_results) for edge in span)}
    ends = sorted(edge for edge in edges if 0 <= edge <= len(text))
    pieces = [(kind(start), text[start:end]) for start, end in pairwise(ends)]
    return [Span(name, "".join(piece for _, piece in run)) for name, run in groupby(pieces, key=lambda piece: piece[0])]


def spans_of(sample: Sample) -> list[Span]:
    """A sample's text as spans, thinking and answer told apart."""
    answer_at = sample.text.rfind(sample.answer) if sample.answer else None
    return cut(sample.text, sample.forced, sample.prefilled, answer_at, sample.tool_results)


def shown_of(sample: Sample, group: str) -> ShownSample:
    """A sample as the browser shows it, without what a page adds: tags, facts, scores and the prompt."""
    return ShownSample(
        id=sample.id,
        group=group,
        question=sample.question,
        spans=spans_of(sample),
        golds=sample.golds,
        answer=sample.extracted,
        verdict=sample.is_right,
        reason=sample.reason,
    )
