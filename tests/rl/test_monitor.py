"""Alarms: what each one sees, when it is raised, and what it writes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.errors import RewardError
from configs.run_directory import RunDir
from data.problem import Problem
from data.think_format import DEEPSEEK, NONE, XML
from rewards.composition import BrokenReward, Scores
from rewards.rollout import Rollout
from rl.monitor import Limits, Monitor, format_without_accuracy, length_collapse, stop_on, write_failure
from rl.symptoms import degenerate, echoes, empty_answers, repeated_texts, several_blocks, without_score, zero_variance

QUESTION = "How many eggs does Janet sell at the farmers' market every single day of the week?"
AT_ONCE = Limits(patience=1, window=2)


def rollout(text: str, problem: str = "p", **facts: Any) -> Rollout:
    return Rollout(Problem(problem, QUESTION, "42", "test"), text, XML, **facts)


def answered(answer: str, thinking: str = "6 · 7", problem: str = "p", **facts: Any) -> Rollout:
    return rollout(XML.render(thinking, answer), problem, **facts)


HEALTHY = [
    answered(answer, f"thought {number}", completion_tokens=20) for number, answer in enumerate(["42", "41", "40"])
]
SCORES: Scores = {"correctness": [2.0, 0.0, 0.0], "soft_format": [0.5, 0.5, 0.5]}
TOTALS: list[float | None] = [2.5, 0.5, 0.5]


def names(
    monitor: Monitor, step: int, rollouts: list[Rollout], scores: Scores = SCORES, totals: Any = TOTALS
) -> list[str]:
    return [alarm.name for alarm in monitor.observe(step, rollouts, scores, totals)]


def test_healthy_run_raises_no_alarm(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path / "alarms.jsonl", AT_ONCE)
    assert [names(monitor, step, HEALTHY) for step in range(1, 12)] == [[]] * 11
    assert list(tmp_path.iterdir()) == []


def test_each_check_picks_matching_rows() -> None:
    loop = "round and round we go " * 20
    rows = [
        answered("42"),
        rollout("no answer here"),
        rollout("cut", truncated=True),
        answered("42"),
        answered("42", loop),
        rollout(XML.render("a", "1") + "<answer>\n2\n</answer>"),
        answered("I was asked how many eggs does Janet sell at the farmers' market"),
    ]
    assert empty_answers(rows) == [1]
    assert repeated_texts(rows) == [0, 3]
    assert degenerate(rows) == [4]
    assert several_blocks(rows) == [5]
    assert echoes(rows) == [6]
    assert without_score({"a": [1.0, None, 0.0], "b": [None, 0.0, 0.0]}) == [0, 1]


def test_second_end_of_thinking_is_a_block() -> None:
    text = "<think>\na\n</think>\n1\n</think>\n2"
    assert several_blocks([replace(rollout(text), think_format=DEEPSEEK)]) == [0]


def test_duplicates_are_within_a_problem() -> None:
    assert repeated_texts([answered("42", problem="p"), answered("42", problem="q")]) == []


def test_right_labels_are_no_duplicates() -> None:
    labels = [replace(answered("42"), problem=replace(answered("42").problem, grader="text"))] * 2
    assert repeated_texts([replace(label, think_format=NONE) for label in labels]) == []
    assert repeated_texts(labels) == [0, 1]  # thinking can be written in many ways


def test_zero_variance_is_share_of_groups() -> None:
    rows = [answered("42", problem=problem) for problem in "ppqqr"]
    assert zero_variance(rows, [1.0, 1.0, 0.0, 1.0, 5.0]) == (0.5, [0, 1])
    assert zero_variance(rows, [None, None, None, 0.0, 5.0]) == (0.5, [0, 1])


@pytest.mark.parametrize(
    ("name", "rollouts", "scores", "totals"),
    [
        ("empty_answers", [rollout("nothing"), rollout("at all"), answered("42")], SCORES, TOTALS),
        ("duplicates", [answered("42")] * 3, SCORES, TOTALS),
        ("degenerate", [answered("42", "so it goes " * 40), *HEALTHY[1:]], SCORES, TOTALS),
        ("several_blocks", [rollout("<answer>1</answer><answer>2</answer>"), *HEALTHY[1:]], SCORES, TOTALS),
        ("echo", [answered(QUESTION), *HEALTHY[1:]], SCORES, TOTALS),
        ("length_limit", [replace(row, truncated=True) for row in HEALTHY], SCORES, TOTALS),
        ("unjudged", HEALTHY, {"correctness": [None, 0.0, 0.0]}, [None, 0.0, 1.0]),
        ("zero_variance", HEALTHY, SCORES, [0.5, 0.5, 0.5]),
    ],
)
def test_each_alarm_writes_samples(
    tmp_path: Path, name: str, rollouts: list[Rollout], scores: Scores, totals: list[float | None]
) -> None:
    path = tmp_path / "alarms.jsonl"
    assert names(Monitor(path, AT_ONCE), 1, rollouts, scores, totals) == [name]
    (record,) = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert (record["step"], record["alarm"]) == (1, name)
    assert record["message"]
    assert record["samples"][0]["text"] in [row.text for row in rollouts]
    assert set(record["samples"][0]["rewards"]) == set(scores)


def test_alarm_waits_for_patience(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path / "alarms.jsonl", Limits(patience=3, repeat=5))
    bad = [replace(row, truncated=True) for row in HEALTHY]
    raised = [step for step in range(1, 12) if names(monitor, step, bad)]
    assert raised == [3, 8]


def test_good_step_resets_patience(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path / "alarms.jsonl", Limits(patience=2))
    bad = [replace(row, truncated=True) for row in HEALTHY]
    assert [names(monitor, step, rows) for step, rows in enumerate([bad, HEALTHY, bad, bad])] == [
        [],
        [],
        [],
        ["length_limit"],
    ]


def test_monitor_resumes_from_checkpoint(tmp_path: Path) -> None:
    limits = Limits(window=2, patience=2, repeat=3)
    long = [replace(row, truncated=True, completion_tokens=100) for row in HEALTHY]
    short = [replace(row, truncated=True, completion_tokens=10) for row in HEALTHY]
    steps = [long, long, long, short, short, short, short, short]
    whole = Monitor(tmp_path / "alarms.jsonl", limits)
    expected = [names(whole, step, rows) for step, rows in enumerate(steps)]
    assert [step for step, raised in enumerate(expected) if "length_limit" in raised] == [1, 4, 7]
    assert [step for step, raised in enumerate(expected) if "length_collapse" in raised] == [5]
    for stop in range(1, len(steps)):
        first, second = (Monitor(tmp_path / "alarms.jsonl", limits) for _ in range(2))
        found = [names(first, step, steps[step]) for step in range(stop)]
        second.restore(json.loads(json.dumps(first.state())))
        found += [names(second, step, steps[step]) for step in range(stop, len(steps))]
        assert found == expected
        assert second.state() == whole.state()


def test_format_rising_alone_is_an_alarm(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path / "alarms.jsonl", AT_ONCE)
    low: Scores = {**SCORES, "soft_format": [0.5, 0.0, 0.0]}
    high: Scores = {**SCORES, "soft_format": [0.5, 0.5, 0.5]}
    raised = [names(monitor, step, HEALTHY, scores) for step, scores in enumerate([low, low, high, high])]
    assert raised == [[], [], [], ["format_without_accuracy"]]


def test_format_rising_with_accuracy_is_fine() -> None:
    limits = Limits(window=2)
    assert format_without_accuracy([0.2, 0.2, 0.9, 0.9], [0.1, 0.1, 0.3, 0.3], limits) == ""
    assert format_without_accuracy([0.2, 0.2, 0.9, 0.9], [0.3, 0.3, 0.1, 0.1], limits) != ""
    assert format_without_accuracy([0.9, 0.9], [0.1, 0.1], limits) == ""


def test_length_collapse_is_an_alarm() -> None:
    limits = Limits(window=2)
    assert length_collapse([100, 100, 20, 20], limits) != ""
    assert length_collapse([100, 100, 60, 60], limits) == ""


def test_falling_limits_are_no_collapse() -> None:
    limits, tokens = Limits(window=2), [100, 100, 20, 20]
    assert length_collapse(tokens, limits, [64, 64, 16, 16]) == ""
    assert length_collapse(tokens, limits, [64, 64, 64, 64]) != ""
    assert length_collapse(tokens, limits, [16, 16, 64, 64]) != ""  # longer ones excuse nothing
    assert length_collapse(tokens, limits, [0, 0, 16, 16]) != ""


def test_unjudged_alarm_shows_reasons(tmp_path: Path) -> None:
    rows = [answered("9^{9^{9^9}}"), answered("8^{9^{9^9}}"), answered("42")]
    scores: Scores = {"correctness": [None, None, 2.0]}
    alarms = Monitor(tmp_path / "alarms.jsonl", AT_ONCE).observe(1, rows, scores, [None, None, 2.0])
    assert [str(alarm) for alarm in alarms] == [
        "unjudged: 67% of the completions have a reward that could not be judged (2 × refused: too big to evaluate)"
    ]


def test_lone_surrogate_can_be_written(tmp_path: Path) -> None:
    bad = [replace(row, text=row.text + "\ud800", truncated=True) for row in HEALTHY]
    assert names(Monitor(tmp_path / "alarms.jsonl", AT_ONCE), 1, bad) == ["length_limit"]


def test_only_on_alarm_stop_ends_the_run(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    bad = [replace(row, truncated=True) for row in HEALTHY]
    alarms = Monitor(run / "alarms.jsonl", AT_ONCE).observe(7, bad, SCORES, TOTALS)
    stop_on(alarms, "warn", run)
    stop_on([], "stop", run)
    assert not (tmp_path / "metrics.jsonl").exists()
    with pytest.raises(RewardError, match=r"step 7 .*length_limit.*alarms.jsonl.*on_alarm: warn"):
        stop_on(alarms, "stop", run)
    (row,) = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert row == {"step": 7, "alarms": ["length_limit: 100% of the completions ran into the length limit"]}
    assert "ran into the length limit (step 7)" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_reward_breaking_sample_is_written(tmp_path: Path) -> None:
    write_failure(tmp_path / "alarms.jsonl", 3, BrokenReward("mine", 1, HEALTHY[1], "it raised KeyError: 'x'"))
    record = json.loads((tmp_path / "alarms.jsonl").read_text(encoding="utf-8"))
    assert (record["alarm"], record["samples"][0]["extracted"]) == ("broken_reward", "41")
