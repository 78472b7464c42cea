"""Answers to questions that have no gold answer: nothing says which is right, but several can agree."""

from collections.abc import Sequence
from dataclasses import replace

from data.problem import Problem
from data.think_format import ThinkFormat
from rewards.grading.grade import extracted_answer, grade_answers
from rewards.grading.graders import GRADERS


def has_no_gold(problem: Problem) -> bool:
    """Whether no answer to it can be graded; a family's own score and a grader of the user's need no gold answer."""
    return not problem.answer and problem.grader in GRADERS and problem.grader != "reasoning_gym"


def in_majority(problem: Problem, completions: Sequence[str], think_format: ThinkFormat, samples: int) -> list[bool]:
    """Of each completion: whether its answer is that of more than half of the `samples` that were asked for.

    Answers are the same where the problem's grader takes one for the other.
    """
    # 1. groups of completions whose answers are the same as that of their first one
    answers = [extracted_answer(problem, completion, think_format) for completion in completions]
    groups: list[list[int]] = []
    for place, answer in enumerate(answers):
        if answer is None or not answer.strip():
            continue
        golds = [replace(problem, answer=answers[group[0]] or "", references=()) for group in groups]
        verdicts = grade_answers(golds, [answer] * len(groups))
        same = next((group for group, verdict in zip(groups, verdicts, strict=True) if verdict.is_right), None)
        if same is None:
            groups.append([place])
        else:
            same.append(place)
    # 2. the one that more than half are in
    majority = next((group for group in groups if 2 * len(group) > samples), [])
    return [place in majority for place in range(len(completions))]
