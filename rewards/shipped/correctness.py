"""Rewards for the answer: `correctness`, `grade`, `exact`, `integer`."""

import re
from collections.abc import Sequence
from dataclasses import replace

from data.problem import Problem
from rewards.grading.extract import extract, gold_answer
from rewards.grading.grade import extracted_answer, grade_answers
from rewards.grading.graders import grader_named
from rewards.grading.math.compare import list_elements
from rewards.grading.math_equivalence import DEFAULT_TIMEOUT
from rewards.grading.unevaluated import is_unevaluated
from rewards.grading.verdict import Verdict
from rewards.rollout import Reward, Rollout

_INTEGER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)", re.ASCII)


def correctness(
    *, score: float = 2.0, partial: float = 0.0, unevaluated: float = 1.0, timeout: float = DEFAULT_TIMEOUT
) -> Reward:
    """`correctness`: how right the answer is, by its problem's grader.

    `score` for a right answer; `partial` is the share of it that all but one of many right elements approach.

    A mathematical list (or tuple, or set) of n elements with k of them right, and no more than n given, gets partial ·
    score · k/n. `unevaluated`: the share of it for a right answer that leaves its arithmetic to the grader (`9*2` for
    18). `timeout`: seconds of execution for each answer that needs a grader process.

    Range: [0, score]: `score` for a right answer, 0 for a wrong one, a share of it where the grader knows shares (a
    family of reasoning-gym, the fields of an object), and up to `partial` · score for a list with some of its elements
    right; None when the answer could not be judged. Source: the GSM8K GRPO demo (W. Brown, 2025) gives 2.0; the verdict
    is `rewards.grading.grade`'s.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        problems = [rollout.problem for rollout in rollouts]
        answers = answers_of(rollouts)
        verdicts = grade_answers(problems, answers, timeout)
        scores = [None if verdict.score is None else score * verdict.score for verdict in verdicts]
        if unevaluated != 1.0:
            for row, (problem, answer) in enumerate(zip(problems, answers, strict=True)):
                if scores[row] and _leaves_arithmetic(problem, answer):
                    scores[row] = score * unevaluated
        if partial:
            for row, (problem, answer) in enumerate(zip(problems, answers, strict=True)):
                if scores[row] == 0.0 and answer is not None and problem.grader == "math":
                    scores[row] = (
                        score * partial * max(_share_right(problem, gold, answer, timeout) for gold in problem.golds)
                    )
        return scores

    return reward


def grade(*, grader: str | None = None, score: float = 1.0) -> Reward:
    """`grade`: the answer's score by a grader that may be another than its problem's.

    `grader`: a shipped one (`entities`, `rougeL`, …) or `my_module:my_grader`; None: the problem's own. `score` for a
    right answer.

    Range: [0, score], as the grader scores; None when the answer could not be judged. Source: `rewards.grading`.
    """
    if grader is not None:
        grader_named(grader)

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        named = [grader or rollout.problem.grader for rollout in rollouts]
        pairs = zip(rollouts, named, strict=True)
        asked = [replace(rollout, problem=replace(rollout.problem, grader=name)) for rollout, name in pairs]
        return [None if verdict.score is None else score * verdict.score for verdict in judged(asked)]

    return reward


def judged(rollouts: Sequence[Rollout]) -> list[Verdict]:
    """The grader's verdict on each rollout; cheap to ask again, the grader of mathematics remembers."""
    return grade_answers([rollout.problem for rollout in rollouts], answers_of(rollouts))


def is_correct(rollouts: Sequence[Rollout]) -> list[bool | None]:
    """Whether each rollout's answer is right; None where it could not be judged."""
    return [verdict.is_right for verdict in judged(rollouts)]


def answers_of(rollouts: Sequence[Rollout]) -> list[str | None]:
    """What is graded of each rollout."""
    return [extracted_answer(rollout.problem, rollout.text, rollout.think_format) for rollout in rollouts]


def _leaves_arithmetic(problem: Problem, answer: str | None) -> bool:
    """Whether a mathematical answer is an expression to be computed, and the gold answer is none."""
    return (
        problem.grader == "math"
        and is_unevaluated(answer or "")
        and not any(is_unevaluated(gold_answer(gold)) for gold in problem.golds)
    )


def _share_right(problem: Problem, gold: str, answer: str, timeout: float) -> float:
    """The share of the gold list's elements that the answer's list holds; 0 when either is no list."""
    wanted, given = list_elements(gold_answer(gold)), list_elements(answer)
    if len(wanted) < 2 or not given or len(given) > len(wanted):
        return 0.0
    pairs = [(want, have) for want in wanted for have in given]
    elements = [replace(problem, answer=want, references=()) for want, _ in pairs]
    verdicts = grade_answers(elements, [have for _, have in pairs], timeout)
    right = {want for (want, _), verdict in zip(pairs, verdicts, strict=True) if verdict.is_right}
    return len(right) / len(wanted)


def exact(*, score: float = 1.0) -> Reward:
    """`exact`: whether the answer is the gold answer, or another right one, character by character.

    `score` when the strings are the same.

    Range: {0, score}. Source: string match, as in SQuAD's exact match (Rajpurkar et al. 2016, arXiv 1606.05250 §6.1),
    without its normalisation: white space around the answers is all that is forgiven.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        answers = [extract(rollout.text, rollout.think_format).answer for rollout in rollouts]
        golds = [[gold.strip() for gold in rollout.problem.golds] for rollout in rollouts]
        return [score if answer in right else 0.0 for answer, right in zip(answers, golds, strict=True)]

    return reward


def integer(*, score: float = 0.5) -> Reward:
    """`integer`: whether the answer is an integer, right or wrong.

    `score` when the extracted answer is an integer and nothing else.

    Range: {0, score}. Source: the GSM8K GRPO demo (W. Brown, 2025): 0.5; signs, thousands separators and full-width
    digits count as an integer here.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        answers = [extract(rollout.text, rollout.think_format).answer for rollout in rollouts]
        return [score if answer is not None and _INTEGER.fullmatch(answer) else 0.0 for answer in answers]

    return reward
