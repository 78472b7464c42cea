"""The paper's other controls."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import yaml

from budget_forcing.budget import Budget
from configs.schema.evaluation import PointConfig
from evaluation.length_prompts import class_conditional, rejection_sample, step_conditional, token_conditional


def test_prompts_name_the_length() -> None:
    assert token_conditional("Why?", 512) == "Why?\n\nThink for up to 512 tokens."
    assert step_conditional("Why?", 8) == "Why?\n\nThink for up to 8 steps."
    assert class_conditional("Why?", "long") == "Why?\n\nAnswer after a long amount of thinking."


def test_documented_points_are_valid() -> None:
    text = (Path(__file__).parents[2] / "docs/budget_forcing.md").read_text(encoding="utf-8")
    block = text[text.index("    budgets:\n") :].split("\n\n")[0]
    points = [PointConfig(**point) for point in yaml.safe_load(dedent(block))["budgets"]]
    assert {point.wait_text for point in points} == {"Wait", "Hmm", "Alternatively", ""}
    assert len({Budget.from_config(point, 2048) for point in points[:4]}) == 4


def test_rejection_sampling_retries_only_misfits() -> None:
    lengths = {0: [3], 1: [9, 8, 2], 2: [9, 9, 9]}
    asked: list[tuple[list[int], int]] = []

    def draw(problems: Sequence[int], attempt: int) -> list[int]:
        asked.append((list(problems), attempt))
        return [lengths[problem][attempt] for problem in problems]

    assert rejection_sample(draw, 3, lambda length: length <= 5, 3) == [(3, 1), (2, 3), (None, 3)]
    assert asked == [([0, 1, 2], 0), ([1, 2], 1), ([1, 2], 2)]


def test_rejection_sampling_stops_when_all_fit() -> None:
    calls: list[int] = []

    def draw(problems: Sequence[int], attempt: int) -> list[int]:
        calls.append(attempt)
        return [1] * len(problems)

    assert rejection_sample(draw, 2, lambda length: True, 50) == [(1, 1), (1, 1)]
    assert calls == [0]
