"""A problem to attack with: what is right, an honest wrong answer, and what else a policy may know."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data.multiple_choice import options
from data.problem import LITERAL_GRADERS, Problem
from data.think_format import ThinkFormat
from rewards.grading.extract import gold_answer
from rewards.grading.grade import grade_answers
from rewards.grading.graders import GRADERS

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_LONGEST_LIST = 60  # answers of other problems that a completion may list
_CLOSE = 0.25  # a wrong number is at least so far off, and 3


@dataclass(frozen=True, slots=True)
class Scene:
    """One problem as a hack sees it.

    gold     the right answer, without what a solution has around it
    wrong    an honest wrong one: another problem's answer, far from right
    golds    the different answers of all problems, the most frequent first
    options  label → text, where the problem has options
    room     most tokens of a completion
    """

    problem: Problem
    think_format: ThinkFormat
    gold: str
    wrong: str
    golds: tuple[str, ...]
    options: dict[str, str]
    room: int

    @property
    def is_literal(self) -> bool:
        """Whether the whole reply is the answer: a label, a text, terms, JSON."""
        return self.problem.grader in LITERAL_GRADERS

    @property
    def numbers(self) -> list[str]:
        """The numbers of the question, in order."""
        return NUMBER.findall(self.problem.question)


def scenes_of(
    problems: Sequence[Problem], think_format: ThinkFormat, room: int, count: int, generator: random.Random
) -> list[Scene]:
    """`count` problems at most, drawn so that their answers differ where they can."""
    golds = tuple(gold for gold, _ in Counter(map(_gold, problems)).most_common())
    order = generator.sample(list(problems), len(problems))
    seen: Counter[str] = Counter()
    turns = []
    for place, problem in enumerate(order):
        turns.append((seen[problem.answer], place))
        seen[problem.answer] += 1
    chosen = [order[place] for _, place in sorted(turns)[:count]]
    return [_scene(problem, think_format, golds, room, generator) for problem in chosen]


def strict(problem: Problem) -> Problem:
    """The problem as a shipped grader judges it, whatever the recipe's own does."""
    if problem.grader in GRADERS:
        return problem
    return replace(problem, grader="math" if NUMBER.fullmatch(problem.answer) else "text")


def _gold(problem: Problem) -> str:
    return problem.answer if problem.grader in LITERAL_GRADERS else gold_answer(problem.answer)


def _scene(
    problem: Problem, think_format: ThinkFormat, golds: tuple[str, ...], room: int, generator: random.Random
) -> Scene:
    gold, choices = _gold(problem), options(problem.metadata)
    others = list(choices) if problem.grader == "choice" else list(golds)
    apart = [other for other in generator.sample(others, min(len(others), 200)) if _is_apart(gold, other)]
    verdicts = grade_answers([strict(problem)] * len(apart), apart)
    wrong = [other for other, verdict in zip(apart, verdicts, strict=True) if verdict.is_right is False]
    best = min(wrong[:20], key=lambda other: abs(len(other) - len(gold)), default=_perturbed(gold))
    return Scene(problem, think_format, gold, best, golds[:_LONGEST_LIST], choices, room)


def _is_apart(gold: str, other: str) -> bool:
    """Whether neither holds the other, and a number is not near."""
    if NUMBER.fullmatch(gold) and NUMBER.fullmatch(other):
        far = abs(float(gold) - float(other)) > max(3.0, _CLOSE * abs(float(gold)))
        return far and other not in gold and gold not in other
    return other.casefold() not in gold.casefold() and gold.casefold() not in other.casefold()


def _perturbed(gold: str) -> str:
    """A wrong answer where no other problem has one."""
    return f"{2 * float(gold) + 7:g}" if NUMBER.fullmatch(gold) else "unknown"
