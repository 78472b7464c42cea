"""The one grader: golds of benchmarks, options, families, golds that were cut, graders of one's own."""

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from configs.errors import RewardError
from configs.schema.sections import DataConfig
from data.problem import Problem
from data.sources import load_problems
from data.think_format import S1
from rewards.grading.grade import grade, grade_answers, ungradable, unread_golds
from rewards.grading.verdict import Verdict

FULL = {"aime24": (None, 30), "math500": (None, 500), "gsm8k": ("test", 1319)}
real_data = pytest.mark.skipif("MULL_DATA" not in os.environ, reason="MULL_DATA names no folder of real data")


def graded(problems: list[Problem], answers: list[str]) -> list[Verdict]:
    """The verdicts on completions that give these answers."""
    return grade(problems, [S1.render("Let me see.", f"The answer is \\boxed{{{answer}}}.") for answer in answers], S1)


@real_data
@pytest.mark.parametrize("source", list(FULL))
def test_gold_answers_match_themselves(source: str) -> None:
    split, size = FULL[source]
    problems = load_problems(DataConfig(source=source, split=split))
    assert len(problems) == size
    assert not [p.id for p in problems if ungradable(p)]
    assert not unread_golds(problems)
    verdicts = graded(problems, [p.answer for p in problems])
    assert Counter(v.is_right for v in verdicts) == {True: size}


@real_data
@pytest.mark.parametrize("source", list(FULL))
def test_shuffled_gold_answers_match_by_chance(source: str) -> None:
    split, size = FULL[source]
    problems = load_problems(DataConfig(source=source, split=split))
    shuffled = [p.answer for p in problems]
    random.Random(0).shuffle(shuffled)
    verdicts = graded(problems, shuffled)
    chance = sum(count * count for count in Counter(shuffled).values()) / size**2  # that two draws are the same string
    right = sum(v.is_right is True for v in verdicts) / size
    assert abs(right - chance) <= 0.01 + 3 * (chance * (1 - chance) / size) ** 0.5
    assert not [v.reason for v in verdicts if v.score is None]


def problem(answer: str, grader: str = "math", **metadata: Any) -> Problem:
    return Problem("q", "?", answer, "file", metadata=metadata, grader=grader)


def verdict(it: Problem, answer: str | None) -> tuple[bool | None, str]:
    [found] = grade_answers([it], [answer])
    return found.is_right, found.reason


def test_golds_that_no_grader_reads_are_found() -> None:
    read = [problem("1"), problem("12 cm"), problem("心内科"), problem("", "reasoning_gym"), problem("B", "choice")]
    read += [problem("x", "text"), problem('{"a": 1}', "json"), problem("x", "no_such_module:grader")]
    cut, no_option, no_object = problem(r"\frac{1}{2"), problem("five", "choice"), problem("[1]", "json")
    assert unread_golds([*read, cut, no_option, no_object]) == {
        8: "gold answer can't be parsed",
        9: "gold answer names no option",
        10: "the gold answer is no JSON object with fields",
    }


def test_missing_answer_is_wrong() -> None:
    assert verdict(problem("7"), None) == (False, "no answer")


@pytest.mark.parametrize("gold", ["\\frac{1}{", "\\left( 3", "\\sqrt{2", "\\begin{cases} x"])
@pytest.mark.parametrize("answer", ["7", None])
def test_unclosed_gold_answer_is_undecided(gold: str, answer: str | None) -> None:
    assert ungradable(problem(gold))
    assert verdict(problem(gold), answer) == (None, "gold answer can't be parsed")


@pytest.mark.parametrize(
    "gold",
    [
        "7", "Monday", "\\frac{1}{2}", "x^2 + 1", "\\text{(A)}", "3,5,7", "\\{1, 2\\}", "\\left[0, 1\\right)",
        "\\ce{H2O}", "\\SI{5}{m}", "\\overarc{AB}", "]1, 2[", "if (x) {",
    ],
)  # fmt: skip
def test_unusual_latex_gold_is_gradable(gold: str) -> None:
    assert not ungradable(problem(gold))
    assert verdict(problem(gold), gold)[0] is True


CAPITAL = problem("B", "choice", choices=["Rome", "Paris", "7", "Oslo"])


@pytest.mark.parametrize("answer", ["(b)", "Paris", "B) Paris"])
def test_option_matches_by_label_or_text(answer: str) -> None:
    assert verdict(CAPITAL, answer) == (True, "option B")


@pytest.mark.parametrize(("answer", "reason"), [("7", "option C"), ("14", "no option"), (None, "no option")])
def test_other_or_no_option_is_wrong(answer: str | None, reason: str) -> None:
    assert verdict(CAPITAL, answer) == (False, reason)


def test_options_in_question_have_letters() -> None:
    assert verdict(problem("(b)", "choice"), "B.") == (True, "option B")
    assert verdict(problem("Paris", "choice"), "B") == (None, "gold answer names no option")


def family(name: str) -> Problem:
    return load_problems(DataConfig(source=f"reasoning_gym:{name}", limit=1))[0]


def test_family_scores_own_problems() -> None:
    it = family("basic_arithmetic")
    assert it.grader == "reasoning_gym"
    assert verdict(it, it.answer)[0] is True
    assert verdict(it, "123456789")[0] is False
    assert verdict(it, None) == (False, "no answer")


@pytest.mark.parametrize("words", ["The answer is not {}", "{} is wrong"])
@pytest.mark.parametrize("name", ["knights_knaves", "basic_arithmetic"])
def test_denied_gold_of_a_family_is_wrong(name: str, words: str) -> None:
    it = family(name)
    assert verdict(it, words.format(it.answer)) == (False, "denies the gold answer")
    assert verdict(it, it.answer)[0] is True


def test_countdown_needs_the_expression() -> None:
    it = family("countdown")
    target = str(it.metadata["entry"]["metadata"]["target"])
    right, bare = grade_answers([it, it], [it.metadata["entry"]["metadata"]["expression"], target])
    assert (right.score, bare.score) == (1.0, 0.0)
    assert bare.parts == {"family_score": 0.05}


def test_family_gold_answer_need_not_parse() -> None:
    assert not ungradable(family("n_queens"))


def test_failed_scorer_is_undecided() -> None:
    correct, reason = verdict(problem("7", "reasoning_gym", family="basic_arithmetic", entry=None), "7")
    assert correct is None
    assert reason.startswith("scorer failed")


def test_mixed_graders_keep_the_order() -> None:
    verdicts = grade_answers([problem("7"), CAPITAL, problem("8"), CAPITAL], ["7", "Rome", "9", "b"])
    assert [v.is_right for v in verdicts] == [True, False, False, True]


GRADERS = """
from rewards.grading.verdict import Verdict

def shares(problems, answers):
    return [Verdict(0.5, problem.answer) for problem in problems]

def short(problems, answers):
    return []

def raises(problems, answers):
    raise KeyError("x")

def floats(problems, answers):
    return [0.5 for _ in answers]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "graders_of_mine.py").write_text(GRADERS, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own")
def test_custom_grader_gives_shares() -> None:
    [found] = grade_answers([problem("7", "graders_of_mine:shares")], ["8"])
    assert (found.score, found.is_right, found.reason) == (0.5, False, "7")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("graders_of_mine:short", "returned 0 verdicts for 1 answers"),
        ("graders_of_mine:raises", "raised KeyError"),
        ("graders_of_mine:floats", "returned a float"),
        ("graders_of_mine:none", "grader 'graders_of_mine:none': no function 'none'"),
        ("not_there:f", "module 'not_there' can't be imported"),
        ("chioce", "did you mean 'choice'"),
    ],
)
def test_broken_grader_is_named(name: str, message: str) -> None:
    with pytest.raises(RewardError, match=message):
        grade_answers([problem("7", name)], ["8"])


def test_score_is_from_0_to_1() -> None:
    with pytest.raises(RewardError, match="give 0 to 1"):
        Verdict(2.0, "too good")


def test_rounded_full_score_is_right() -> None:
    assert Verdict(0.1 * 3 + 0.7 - 2e-16, "parts").is_right is True
    assert Verdict(0.999, "parts").is_right is False


@pytest.mark.parametrize(
    "answer", ["__import__('os').getpid()", "open('x', 'w')", "().mro()", "9**9**9**9", "2**99999999"]
)
def test_answer_is_never_executed(answer: str) -> None:
    correct, reason = verdict(family("countdown"), answer)
    assert correct is None
    assert reason.startswith("refused: ")


def test_family_answers_are_not_refused() -> None:
    from reasoning_gym.factory import DATASETS

    problems = [family(name) for name in sorted(DATASETS) if name in ("chain_sum", "sudoku", "n_queens", "codeio")]
    assert all(problems)
    reasons = [verdict.reason for verdict in grade_answers(problems, [problem.answer for problem in problems])]
    assert not [reason for reason in reasons if reason.startswith("refused")]
