"""Generated arithmetic word problems of a few steps, with the step-by-step trace that solves each.

They need no network, any number can be made, and a 135M model can learn them in minutes, which makes them the problems
of the demo. The trace is one line a step, `12 + 7 = 19.`, and the answer is the last result. All randomness comes from
one `random.Random(seed)`, so a seed gives the same problems on every machine.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from configs.errors import DataError
from data.problem import Problem

OPERATIONS = ("+", "-", "*", "/", "k-")
"""As in `arithmetic_scenarios.yaml`."""
TRIES = 10_000
"""Fruitless ones in a row, after which there is nothing to be found."""
WAY_OUT = "lower data.params.steps_max or data.limit, or allow more data.params.operations"


Line = tuple[str, str]
"""(operation, sentence)."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of story."""

    name: str
    things: tuple[str, ...]
    openings: tuple[Line, ...]
    events: tuple[Line, ...]
    endings: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Women's names, men's names, and the kinds of stories."""

    she: tuple[str, ...]
    he: tuple[str, ...]
    scenarios: tuple[Scenario, ...]


@cache
def vocabulary() -> Vocabulary:
    """What `arithmetic_scenarios.yaml` holds, read once; that file says what its templates mean."""
    text = Path(__file__).with_name("arithmetic_scenarios.yaml").read_text(encoding="utf-8")
    content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    scenarios = tuple(
        Scenario(
            name=one["name"],
            things=tuple(one["things"]),
            openings=_lines(one["openings"]),
            events=_lines(one["events"]),
            endings=_lines(one["endings"]),
        )
        for one in content["scenarios"]
    )
    return Vocabulary(tuple(content["she"]), tuple(content["he"]), scenarios)


def _lines(pairs: Sequence[Sequence[str]]) -> tuple[Line, ...]:
    return tuple((operation, sentence) for operation, sentence in pairs)


@dataclass(frozen=True, slots=True)
class _Limits:
    """How hard the arithmetic may get."""

    largest: int
    operations: frozenset[str]

    @property
    def addend(self) -> int:
        """The largest number that is added or taken away."""
        return self.largest * 3 // 10


@dataclass(frozen=True, slots=True)
class _Story:
    sentences: tuple[str, ...]
    steps: tuple[str, ...]
    amount: int
    scenario: str


def generate_problems(
    n: int, seed: int, steps: tuple[int, int] = (2, 4), largest: int = 200, operations: Sequence[str] = OPERATIONS
) -> list[Problem]:
    """`n` different problems of `steps[0]` to `steps[1]` arithmetic steps, their traces in `solution`.

    No number in a problem or its trace is over `largest`, and none is below 2, which keeps every plural right. Two
    seeds share next to no question. Raises `DataError` for step counts outside 1–6, a `largest` below 20, an operation
    that is not in `OPERATIONS`, and where these allow no problem, or too few different ones.
    """
    least, most = steps
    if largest < 20 or not operations or not set(operations) <= set(OPERATIONS):
        raise DataError(
            f"arithmetic: largest {largest}, operations {list(operations)}: take >= 20, and of {OPERATIONS}"
        )
    if not 1 <= least <= most <= 6:
        raise DataError(f"arithmetic: steps {least} to {most}: take 1 <= steps_min <= steps_max <= 6")
    rng = random.Random(f"arithmetic-{seed}")
    limits = _Limits(largest, frozenset(operations))
    problems: dict[str, Problem] = {}
    fruitless = 0
    while len(problems) < n:
        if fruitless > TRIES:
            raise DataError(f"arithmetic: {n} problems wanted, only {len(problems)} different ones found; {WAY_OUT}")
        story = _story(rng, rng.randint(least, most), limits)
        question = " ".join(story.sentences)
        fruitless = fruitless + 1 if question in problems else 0
        problems.setdefault(
            question,
            Problem(
                id=f"arithmetic-{seed}-{len(problems)}",
                question=question,
                answer=str(story.amount),
                source="arithmetic",
                solution="\n".join(story.steps),
                metadata={"steps": len(story.steps), "scenario": story.scenario},
            ),
        )
    return list(problems.values())


def _story(rng: random.Random, steps: int, limits: _Limits) -> _Story:
    """A story with exactly `steps` operations, every number of it within `limits`. Raises `DataError` for none."""
    scenarios = vocabulary().scenarios
    for _ in range(TRIES):
        scenario = rng.choice(scenarios)
        opens = rng.random() < 0.5
        ends = steps > int(opens) and rng.random() < 0.5
        events = steps - opens - ends
        known = [line for line in scenario.events if line[0] in limits.operations]
        openings = _with_step(scenario.openings, opens, limits)
        endings = _with_step(scenario.endings, ends, limits)
        if events > len(known) or not openings or not endings:
            continue
        story = _numbered(
            rng, scenario, (rng.choice(openings), *rng.sample(known, events), rng.choice(endings)), limits
        )
        if story is not None:
            return story
    raise DataError(
        f"arithmetic: operations {sorted(limits.operations)} make no problem of {steps} steps up to {limits.largest}; "
        f"{WAY_OUT}"
    )


def _with_step(lines: Sequence[Line], step: bool, limits: _Limits) -> list[Line]:
    return [line for line in lines if (line[0] in limits.operations if step else not line[0])]


def _numbered(rng: random.Random, scenario: Scenario, lines: Sequence[Line], limits: _Limits) -> _Story | None:
    """Fill in names and numbers; None where the drawn operations leave no number in range."""
    words = _words(rng, scenario)
    (operation, opening), *rest = lines
    start = _start(rng, operation, limits)
    sentences = [opening.format(**words, a=start[0], b=start[1])]
    steps = [_line(*start, operation)] if operation else []
    amount = _apply(*start, operation) if operation else start[0]
    for operation, sentence in rest:
        if not operation:
            sentences.append(sentence.format(**words))
            continue
        number = _operand(rng, operation, amount, limits)
        if number is None:
            return None
        left, right = (number, amount) if operation.startswith("k") else (amount, number)
        sentences.append(sentence.format(**words, k=number))
        steps.append(_line(left, right, operation))
        amount = _apply(left, right, operation)
    return _Story(tuple(sentences), tuple(steps), amount, scenario.name)


def _words(rng: random.Random, scenario: Scenario) -> dict[str, str]:
    she, he = vocabulary().she, vocabulary().he
    own, other, pronoun = rng.choice(((she, he, "She"), (he, she, "He")))
    second, third = rng.sample(other, 2)
    return {"n": rng.choice(own), "m": second, "o": third, "n_": pronoun, "t": rng.choice(scenario.things)}


def _start(rng: random.Random, operation: str, limits: _Limits) -> tuple[int, int]:
    """The two numbers of an opening."""
    half = limits.largest // 2
    match operation:
        case "*":
            first = rng.randint(2, min(12, half))
            return first, rng.randint(2, min(12, limits.largest // first))
        case "/":
            share = rng.randint(2, min(20, half))
            parts = rng.randint(2, min(9, limits.largest // share))
            return share * parts, parts
        case "-":
            first = rng.randint(10, half)
            return first, rng.randint(2, first - 2)
        case _:
            return rng.randint(5, half), rng.randint(2, limits.addend)


def _operand(rng: random.Random, operation: str, amount: int, limits: _Limits) -> int | None:
    """A number that keeps the amount within the limits and products near the tables; None where none does."""
    match operation:
        case "+":
            choices = range(2, min(limits.addend, limits.largest - amount) + 1)
        case "-":
            choices = range(2, min(limits.addend, amount - 2) + 1)
        case "k-":
            choices = range(amount + 2, min(amount + limits.addend, limits.largest) + 1)
        case "*":
            choices = range(2, min(9, 120 // amount, limits.largest // amount) + 1)
        case _:
            return _pick(rng, [k for k in range(2, 10) if amount % k == 0 and 2 <= amount // k <= 20])
    return _pick(rng, choices)


def _pick(rng: random.Random, choices: Sequence[int]) -> int | None:
    return rng.choice(choices) if choices else None


def _apply(left: int, right: int, operation: str) -> int:
    match operation[-1]:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left // right


def _line(left: int, right: int, operation: str) -> str:
    return f"{left} {operation[-1]} {right} = {_apply(left, right, operation)}."
