"""The one grader: whether completions answer their problems, everywhere that an answer is judged.

Training, held-out measuring, evaluation, distillation, difficulty and the publish gate call `grade`, or `grade_answers`
for answers that were extracted before. Each problem names its grader (`rewards.grading.graders`). Where several
replies are right, an answer is as good as it is against the best of them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from configs.errors import RewardError
from data.problem import Problem
from data.think_format import ThinkFormat, resolve_think_format
from rewards.grading.extract import gold_answer
from rewards.grading.graders import GRADERS, grader_named
from rewards.grading.math_equivalence import DEFAULT_TIMEOUT
from rewards.grading.unclosed import is_unclosed
from rewards.grading.verdict import Verdict, best

_FAMILYS_OWN = "reasoning_gym"
_OTHER_ANSWER = "1"
"""What a gold answer that can be read is told from, or is."""


def grade(
    problems: Sequence[Problem],
    completions: Sequence[str],
    think_format: ThinkFormat | str | None,
    seconds: float = DEFAULT_TIMEOUT,
) -> list[Verdict]:
    """Verdicts on whole completions, one a problem, in order.

    A completion is the raw text with special tokens and the prefilled part; `think_format`: one, the name of a shipped
    one ("s1", "deepseek", "xml", "none"), or None for bare text. `seconds` is what one answer may take, where its
    grader limits it. Raises `RewardError` for an unknown grader, and where a grader of the user's own fails.
    """
    written = None if think_format is None else resolve_think_format(think_format)
    pairs = zip(problems, completions, strict=True)
    return grade_answers(problems, [extracted_answer(*pair, written) for pair in pairs], seconds)


def extracted_answer(problem: Problem, completion: str, think_format: ThinkFormat | None) -> str | None:
    """What the problem's grader takes as the answer of a completion; None where there is none."""
    return grader_named(problem.grader).answer(completion, think_format)


def grade_answers(
    problems: Sequence[Problem], answers: Sequence[str | None], seconds: float = DEFAULT_TIMEOUT
) -> list[Verdict]:
    """Verdicts on answers that `extracted_answer` took out of their completions; see `grade`."""
    if len(problems) != len(answers):
        raise RewardError(f"{len(problems)} problems for {len(answers)} answers: give one problem for each")
    # 1. rows by their grader, so that each is called once, with all that it can judge together
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    for row, problem in enumerate(problems):
        rows_of[problem.grader].append(row)
    # 2. verdicts back into the order of the rows
    verdicts: dict[int, Verdict] = {}
    for name, rows in rows_of.items():
        judged = _best(name, [problems[row] for row in rows], [answers[row] for row in rows], seconds)
        verdicts.update(zip(rows, judged, strict=True))
    return [verdicts[row] for row in range(len(problems))]


def ungradable(problem: Problem) -> bool:
    """Whether every answer to it stays without a verdict, because its gold answer is LaTeX that was cut."""
    return problem.grader == "math" and all(is_unclosed(gold_answer(gold)) for gold in problem.golds)


def unread_golds(problems: Sequence[Problem], seconds: float = DEFAULT_TIMEOUT) -> dict[int, str]:
    """Which problems have a gold answer that their grader can't read, and why: place in the list → reason.

    Wrong answers to them get no verdict, and in training no reward: they are found by asking about one. Graders of the
    user's own and a family's own score are not asked, as only they know what they need.
    """
    known = [at for at, problem in enumerate(problems) if problem.grader in GRADERS and problem.grader != _FAMILYS_OWN]
    verdicts = grade_answers([problems[at] for at in known], [_OTHER_ANSWER] * len(known), seconds)
    return {at: verdict.reason for at, verdict in zip(known, verdicts, strict=True) if verdict.score is None}


def _best(name: str, problems: Sequence[Problem], answers: Sequence[str | None], seconds: float) -> list[Verdict]:
    """One grader's verdicts; of a problem with several right replies the `best` over them."""
    if grader_named(name).reads_references or not any(problem.references for problem in problems):
        return _judged(name, problems, answers, seconds)
    alone = [replace(problem, answer=gold, references=()) for problem in problems for gold in problem.golds]
    given = [answer for problem, answer in zip(problems, answers, strict=True) for _ in problem.golds]
    verdicts = iter(_judged(name, alone, given, seconds))
    return [best([*islice(verdicts, len(problem.golds))]) for problem in problems]


def _judged(name: str, problems: Sequence[Problem], answers: Sequence[str | None], seconds: float) -> list[Verdict]:
    """One grader's verdicts, held to the contract: a list, one verdict a problem."""
    try:
        verdicts = grader_named(name).judge(problems, answers, seconds)
    except RewardError:
        raise
    except Exception as error:
        raise RewardError(f"grader '{name}' raised {type(error).__name__}: {error}") from error
    if not isinstance(verdicts, list) or len(verdicts) != len(problems):
        given = f"{len(verdicts)} verdicts" if isinstance(verdicts, list) else f"a {type(verdicts).__name__}"
        raise RewardError(f"grader '{name}' returned {given} for {len(problems)} answers; return a Verdict for each")
    if other := next((verdict for verdict in verdicts if not isinstance(verdict, Verdict)), None):
        raise RewardError(f"grader '{name}' returned a {type(other).__name__}; return a Verdict for each answer")
    return verdicts
