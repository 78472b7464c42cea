"""Graders by name, and a grader of the user's own by dotted path."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from configs.errors import RewardError
from configs.suggestion import did_you_mean
from data.problem import TEXT_GRADERS, Problem
from data.think_format import ThinkFormat
from rewards import plugin
from rewards.grading.extract import extract
from rewards.grading.literal.answer import literal_answer
from rewards.grading.literal.entities import grade_entities
from rewards.grading.literal.json_fields import grade_json
from rewards.grading.literal.terms import grade_terms, grade_text
from rewards.grading.math_equivalence import grade_math
from rewards.grading.multiple_choice import grade_choice
from rewards.grading.reasoning_gym import grade_reasoning_gym
from rewards.grading.text_metrics.nearness import nearness
from rewards.grading.verdict import Verdict

Judge = Callable[[Sequence[Problem], Sequence[str | None], float], list[Verdict]]
"""(problems, answers, seconds) → verdicts, one a problem, in order.

An answer is None where the completion has none; `seconds` is what one answer may take, where a grader limits it.
"""


def extracted_answer(completion: str, think_format: ThinkFormat | None) -> str | None:
    """The bare answer inside a completion: what stands in a box, behind a marker, or in the answer section."""
    return extract(completion, think_format).answer


@dataclass(frozen=True, slots=True)
class Grader:
    """How one kind of problem is graded: what of a completion is the answer, and what an answer is worth.

    `reads_references`: it judges by all right replies of a problem at once (`Problem.golds`). Any other is asked about
    each of them alone, as a problem's `answer`, and the best verdict counts.
    """

    judge: Judge
    answer: Callable[[str, ThinkFormat | None], str | None] = extracted_answer
    reads_references: bool = False

    def __call__(self, problems: Sequence[Problem], answers: Sequence[str | None], seconds: float) -> list[Verdict]:
        return self.judge(problems, answers, seconds)


GRADERS: dict[str, Grader] = {
    "math": Grader(grade_math),
    "choice": Grader(grade_choice),
    "reasoning_gym": Grader(grade_reasoning_gym),
    "text": Grader(grade_text, literal_answer),
    "terms": Grader(grade_terms, literal_answer),
    "json": Grader(grade_json, literal_answer),
    "entities": Grader(grade_entities, literal_answer),
    **{metric: Grader(nearness(metric), literal_answer, reads_references=True) for metric in TEXT_GRADERS},
}
"""The shipped graders. A new one is a line here."""


@cache
def grader_named(name: str) -> Grader:
    """The grader that a problem names: a shipped one, or the user's at `my_module:my_grader`.

    A user's is a function `f(problems, answers) -> list[Verdict]`, or a `Grader`. Raises `RewardError`.
    """
    if name in GRADERS:
        return GRADERS[name]
    if ":" not in name and "." not in name:
        hint = did_you_mean(name, GRADERS, otherwise="no shipped one is spelled like it")
        raise RewardError(
            f"grader '{name}' is unknown ({hint}); shipped: {', '.join(GRADERS)}; or a dotted path "
            "`my_module:my_grader`"
        )
    grader = plugin.load(name, "grader")
    return grader if isinstance(grader, Grader) else Grader(lambda problems, answers, _: grader(problems, answers))


def check_graders(problems: Iterable[Problem]) -> None:
    """Raise `RewardError` for a problem whose grader is unknown or can't be imported."""
    for name in dict.fromkeys(problem.grader for problem in problems):
        grader_named(name)
