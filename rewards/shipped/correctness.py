"""`correctness`: whether the answer is equivalent to the gold one.

Range: {0, score}, and up to `partial` · score for a list with some of its elements right; None when the grader could
not judge. Source: the GSM8K GRPO demo (W. Brown, 2025) gives 2.0; the equivalence is
`rewards.grading.math_equivalence`.
"""

from collections.abc import Sequence

from rewards.grading.extract import extract, gold_answer
from rewards.grading.math.compare import list_elements
from rewards.grading.math.equivalence import Equivalence
from rewards.grading.math_equivalence import DEFAULT_TIMEOUT, grade_many, judge_many
from rewards.grading.unevaluated import is_unevaluated
from rewards.rollout import Reward, Rollout


def correctness(
    *, score: float = 2.0, partial: float = 0.0, unevaluated: float = 1.0, timeout: float = DEFAULT_TIMEOUT
) -> Reward:
    """`score` for a right answer; `partial` is the share of it that all but one of many right elements approach.

    A list (or tuple, or set) of n elements with k of them right, and no more than n given, gets partial · score · k/n.
    `unevaluated`: the share of it for a right answer that leaves its arithmetic to the grader (`9*2` for 18).
    `timeout`: seconds of execution for each answer that needs a grader process.
    """

    def reward(rollouts: Sequence[Rollout]) -> list[float | None]:
        golds = [rollout.problem.answer for rollout in rollouts]
        answers = [extract(rollout.text, rollout.think_format).answer for rollout in rollouts]
        correct = grade_many(golds, answers, timeout)
        scores: list[float | None] = [None if verdict is None else score * verdict for verdict in correct]
        for row, (gold, answer) in enumerate(zip(golds, answers, strict=True)):
            if (
                unevaluated != 1.0
                and scores[row]
                and is_unevaluated(answer or "")
                and not is_unevaluated(gold_answer(gold))
            ):
                scores[row] = score * unevaluated
        if partial:
            for row, (gold, answer) in enumerate(zip(golds, answers, strict=True)):
                if scores[row] == 0.0 and answer is not None:
                    scores[row] = score * partial * _share_right(gold, answer, timeout)
        return scores

    return reward


def judged(rollouts: Sequence[Rollout], timeout: float = DEFAULT_TIMEOUT) -> list[Equivalence]:
    """The grader's verdict on each rollout's answer; cheap to ask again, the grader remembers."""
    golds = [rollout.problem.answer for rollout in rollouts]
    return judge_many(golds, [extract(rollout.text, rollout.think_format).answer for rollout in rollouts], timeout)


def is_correct(rollouts: Sequence[Rollout], timeout: float = DEFAULT_TIMEOUT) -> list[bool | None]:
    """Whether each rollout's answer is right."""
    return [verdict.correct for verdict in judged(rollouts, timeout)]


def _share_right(gold: str, answer: str, timeout: float) -> float:
    """The share of the gold list's elements that the answer's list holds; 0 when either is no list."""
    wanted, given = list_elements(gold_answer(gold)), list_elements(answer)
    if len(wanted) < 2 or not given or len(given) > len(wanted):
        return 0.0
    pairs = [(want, have) for want in wanted for have in given]
    verdicts = grade_many([want for want, _ in pairs], [have for _, have in pairs], timeout)
    right = {want for (want, _), verdict in zip(pairs, verdicts, strict=True) if verdict}
    return len(right) / len(wanted)
