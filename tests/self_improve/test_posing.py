"""What is asked of a poser, and how strictly its replies are read."""

from typing import Any

import pytest
from pydantic import ValidationError

from configs.errors import DataError
from configs.schema.self_improve import PoseConfig
from self_improve.posing import POSED, check_seeds, family_problems, poser_rows, prompts, read_posed_problem

SEEDS = [f"Ann has {n} apples and buys {n + 1} more. How many are there?" for n in range(2, 8)]
ARITHMETIC = {"source": "arithmetic", "seed": 5, "params": {"largest": 30}}


def pose(**changes: Any) -> PoseConfig:
    return PoseConfig.model_validate({"by": "model", "seeds": {"path": "seeds.jsonl"}, "shots": 2} | changes)


def read(text: str, finish: str = "stop", error: str = "") -> tuple[str, str]:
    """(question, fate)."""
    found = read_posed_problem({"id": "1", "text": text, "finish": finish, "error": error})
    return found.question, found.fate


def test_one_problem_between_tags_is_read() -> None:
    assert read("<problem>Bo has 4 pens. How many?</problem>\n<|im_end|>") == ("Bo has 4 pens. How many?", POSED)


@pytest.mark.parametrize(
    "text",
    [
        "Bo has 4 pens. How many pens?",
        "Sure! <problem>Bo has 4 pens. How many?</problem>",
        "<problem>Bo has 4 pens. How many?</problem> The answer is 4.",
        "<problem>Bo has 4 pens. How many?</problem><problem>Bo has 5 pens. How many?</problem>",
        "<problem>Bo has <problem>4 pens. How many?</problem>",
        "<problem>How many?</problem>",
        "<problem></problem>",
        "",
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    assert read(text)[1] == "malformed"


def test_cut_reply_is_no_problem() -> None:
    text = "<problem>Bo has 4 pens. How many?</problem>"
    assert read(text, finish="length")[1] == "cut off"
    assert read(text, error="HTTP 500")[1] == "cut off"


def test_prompts_show_seeds_and_differ_by_round() -> None:
    first, again, second = (prompts(pose(problems=5), SEEDS, number, 0) for number in (1, 1, 2))
    assert first == again
    assert [row["question"] for row in first] != [row["question"] for row in second]
    assert all(sum(seed in row["question"] for seed in SEEDS) == 2 for row in first)
    assert len({row["id"] for row in [*first, *second]}) == 10


def test_poser_never_sees_what_it_is_to_pose() -> None:
    rows = poser_rows(pose(train={"repeats": 2}), SEEDS, 0)
    assert len(rows) == 12
    for row in rows:
        target = row["reply"].removeprefix("<problem>").removesuffix("</problem>")
        assert target in SEEDS
        assert target not in row["question"]


def test_seed_file_with_one_problem_is_one_line() -> None:
    with pytest.raises(DataError, match=r"1 different seed problem for pose\.shots=2; give at least 3"):
        check_seeds(pose(), SEEDS[:1])
    check_seeds(pose(), SEEDS[:3])


def test_families_share_a_round_and_tell_no_solution() -> None:
    config = PoseConfig.model_validate({"by": "family", "problems": 5, "families": [ARITHMETIC, ARITHMETIC]})
    first, second = family_problems(config, 1), family_problems(config, 2)
    assert len(first) == 5
    assert all(problem.answer and problem.solution is None for problem in first)
    assert not {p.question for p in first} & {p.question for p in second}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": None}, "by=model poses from them"),
        ({"by": "family", "seeds": None}, "name a generated source"),
        ({"by": "family", "seeds": None, "families": [{"source": "gsm8k"}]}, "gsm8k generates no problems"),
        ({"prompt": "Write a problem."}, "write {examples} where the examples stand"),
        ({"server": {"url": "http://x/v1", "model": "m"}, "train": {}}, "it poses as it is"),
    ],
)
def test_impossible_poser_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        pose(**changes)


def test_families_of_two_graders_are_refused() -> None:
    families = [ARITHMETIC, {"source": "reasoning_gym:basic_arithmetic"}]
    with pytest.raises(ValidationError, match="one kind"):
        PoseConfig.model_validate({"by": "family", "families": families})
