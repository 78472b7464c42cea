"""A recipe's `teacher:` section: what goes together, and what is refused in a line."""

import pytest

from configs.errors import ConfigError
from configs.recipe import load_recipe

SOLUTION = "teacher={self: true, sees: solution}"
SERVER = "teacher={server: {url: 'http://127.0.0.1:8000/v1', model: big}}"


def test_teacher_may_stand_without_rewards() -> None:
    config = load_recipe("grpo", "demo", [SOLUTION, "rewards=[]"])
    assert config.weighs_tokens
    assert config.teacher_model == config.model
    assert load_recipe("grpo", config, ["seed=3"]).teacher == config.teacher
    assert load_recipe("grpo", "demo", [SERVER]).teacher_model is None
    assert not load_recipe("grpo", "demo").weighs_tokens


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["teacher={weight: 1.0}"], "teacher: give `model`, `server` or `self: true`, one of them"),
        (["teacher={self: true, sees: solution, model: {name: x}}"], "teacher: give `model`, `server` or `self"),
        (["teacher={self: true}"], "teacher: self: a model that sees what it saw teaches nothing; set `sees"),
        (["teacher={model: {name: x}, budget: {max_thinking: 9}}"], "teacher: budget: .* needs `self: true`"),
        (["teacher={self: true, budget: {max_answer: 9}}"], "teacher: budget: it says nothing of the thinking"),
        (["teacher={self: true, sees: solution, budget: {max_thinking: 9}}"], "leave `sees` or `budget` out"),
        (["teacher={self: true, budget: {max_thinking: 9}}"], r"teacher\.budget: the student needs a shorter one"),
        (["teacher={modle: {name: x}}"], r"teacher\.modle: unknown key; did you mean 'model'\?"),
        ([SOLUTION, "teacher.weight=0"], r"teacher\.weight: Input should be greater than 0"),
        ([SOLUTION, "model.backend=unsloth"], "teacher: Unsloth's loss takes one advantage a completion"),
        ([SOLUTION, "rollout.resamples=1"], r"rollout\.resamples: with a teacher every completion teaches"),
        ([SOLUTION, "rollout.curriculum=true", "rewards=[]"], r"rollout\.curriculum: it weighs problems by what"),
        ([SERVER, "trainer.temperature=0.7"], r"trainer\.temperature: a server says how likely .* at temperature 1"),
        ([SERVER, "trainer.top_p=0.9"], r"trainer\.top_p: a server .* or load the teacher here with teacher\.model"),
    ],
)  # fmt: skip
def test_wrong_teacher_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("grpo", "demo", overrides)
