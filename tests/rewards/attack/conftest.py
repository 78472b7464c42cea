"""Problems of each kind, and a bench of any rewards on them."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from data.multiple_choice import pose
from data.problem import Problem
from data.think_format import S1, ThinkFormat
from rewards.attack.measure import Bench
from rewards.attack.scene import scenes_of
from rewards.registry import build_rewards

CAPITALS = {"Oslo": "Norway", "Rome": "Italy", "Lima": "Peru", "Cairo": "Egypt", "Paris": "France", "Tokyo": "Japan"}
GOLDS = {
    "math": ["18", "42", "7", "96", "130", "55"],
    "text": ["billing", "delivery", "software", "hardware", "account", "billing"],
    "terms": ["flu##fever", "cough", "asthma##cough", "gout", "fever", "flu"],
    "json": [f'{{"name": "{name}", "age": {age}}}' for name, age in zip("ABCDEF", range(31, 37), strict=True)],
}


def problems_of(kind: str) -> list[Problem]:
    if kind == "choice":
        names = list(CAPITALS)
        return [
            pose(
                Problem(
                    id=str(at),
                    question=f"What is the capital of {CAPITALS[name]}?",
                    answer=name,
                    source="test",
                    metadata={"choices": sorted(names[at:] + names[:at], key=lambda one: one[at % 3])[:6]},
                )
            )
            for at, name in enumerate(names)
        ]
    return [
        Problem(id=str(at), question=f"Question {at}: 12 and 30, what comes?", answer=gold, source="test", grader=kind)
        for at, gold in enumerate(GOLDS[kind])
    ]


@pytest.fixture
def bench() -> Callable[..., Bench]:
    def build(rewards: Sequence[Any], kind: str = "math", form: ThinkFormat = S1, room: int = 256) -> Bench:
        scenes = scenes_of(problems_of(kind), form, room, 6, random.Random(0))
        return Bench(build_rewards(rewards), scenes)

    return build
