"""A hack as a combination of named parts, and the completion that it writes for a problem."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rewards.attack import answers, extras, layouts, thinkings
from rewards.attack.scene import Scene, strict
from rewards.grading.grade import extracted_answer

_TOKEN = re.compile(r"[A-Za-z]{1,7}|\d{1,3}|[^\w\s]|[^\W\dA-Za-z]|\n")

CountTokens = Callable[[str], int]


def estimated_tokens(text: str) -> int:
    """About as many as a tokenizer makes of it: pieces of words and numbers, signs, line breaks, Han characters."""
    return sum(1 for _ in _TOKEN.finditer(text))


@dataclass(frozen=True, slots=True)
class Completion:
    """What a genome writes for one problem; `commits`: the one value it answers, None for none or several."""

    text: str
    answer: str
    commits: str | None
    is_cut: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Genome:
    """Parts by their names in the catalogue; all at their defaults is the honest wrong answer."""

    answer: str = answers.PLAIN
    thinking: str = thinkings.PLAIN
    layout: str = layouts.PLAIN
    extra: str = extras.PLAIN
    place: str = extras.PLACES[0]
    times: int = extras.TIMES[0]

    @property
    def name(self) -> str:
        """The parts that are not honest, for a person."""
        parts = [
            getattr(self, part) for part in ("answer", "thinking", "layout") if getattr(self, part) != DEFAULTS[part]
        ]
        if self.extra != extras.PLAIN:
            often = "to the limit" if self.times == 0 else f"×{self.times}" if self.times > 1 else ""
            where = (
                "" if self.place == "answer" else f"in the {self.place}" if self.place == "thinking" else "at the end"
            )
            parts.append(" ".join(filter(None, (f"{self.extra}", often, where))))
        return " + ".join(parts) or "honest"

    def without(self, part: str) -> "Genome":
        """With one part as it is by default; an extra goes with its place and its number."""
        names = ("extra", "place", "times") if part == "extra" else (part,)
        return replace(self, **{name: DEFAULTS[name] for name in names})

    def write(self, scene: Scene, count: CountTokens = estimated_tokens) -> Completion | None:
        """The completion for a problem, cut at its limit; None where a part does not fit the problem."""
        # 1. what is thought and answered
        answer = answers.ANSWERS[self.answer](scene)
        if answer is None:
            return None
        thinking = thinkings.THINKINGS[self.thinking](scene, answer.text) if scene.think_format.has_thinking else ""
        if thinking is None:
            return None
        # 2. what is added to them
        more = self._extra(scene, count)
        if not more and self.extra != extras.PLAIN:
            return None
        said = f"{answer.text} {more}".strip() if more and self.place == "answer" else answer.text
        if more and self.place == "thinking":
            if not scene.think_format.has_thinking:
                return None
            thinking = f"{thinking} {more}"
        # 3. the turn
        turn = layouts.LAYOUTS[self.layout](scene, thinking, said)
        if turn is None:
            return None
        text = f"{turn.text.rstrip()}\n{more}" if more and self.place == "end" else turn.text
        # 4. the length limit: where the text is cut, what is left of the answer is what it commits to
        tokens = count(text)
        commits = answer.commits if turn.answers else None
        if tokens > scene.room:
            text = text[: len(text) * scene.room // tokens]
            commits = extracted_answer(strict(scene.problem), text, scene.think_format)
        return Completion(text, answer.text, commits, turn.is_cut or tokens > scene.room, min(tokens, scene.room))

    def _extra(self, scene: Scene, count: CountTokens) -> str:
        extra = extras.EXTRAS[self.extra]
        one = count(extra(scene, 0))
        if not one:
            return ""
        times = self.times or max(1, (scene.room * 3 // 4) // one)
        return " ".join(extra(scene, number) for number in range(min(times, 1 + scene.room // one)))


DEFAULTS: Mapping[str, Any] = {name: getattr(Genome(), name) for name in Genome.__slots__}
PARTS: Mapping[str, tuple[Any, ...]] = {
    "answer": tuple(answers.ANSWERS),
    "thinking": tuple(thinkings.THINKINGS),
    "layout": tuple(layouts.LAYOUTS),
    "extra": tuple(extras.EXTRAS),
    "place": extras.PLACES,
    "times": extras.TIMES,
}
"""Part → the names that it may have."""


def catalogue() -> Iterator[Genome]:
    """Every known hack by itself."""
    for part in ("answer", "thinking", "layout"):
        yield from (Genome(**{part: name}) for name in PARTS[part] if name != DEFAULTS[part])
    for extra in PARTS["extra"][1:]:
        for place in extras.PLACES:
            yield from (Genome(extra=extra, place=place, times=times) for times in (1, 10, 0))


def mutated(genome: Genome, generator: random.Random) -> Genome:
    """With one part changed, now and then two."""
    for _ in range(generator.choice((1, 1, 2))):
        part = generator.choice([*PARTS])
        genome = replace(genome, **{part: generator.choice(PARTS[part])})
    return genome


def crossed(one: Genome, other: Genome, generator: random.Random) -> Genome:
    """Each part of one or the other; an extra keeps its place and its number."""
    chosen = {part: getattr(generator.choice((one, other)), part) for part in ("answer", "thinking", "layout")}
    extra = generator.choice((one, other))
    return Genome(**chosen, extra=extra.extra, place=extra.place, times=extra.times)
