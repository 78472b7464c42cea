"""Completions as rewards see them, and their scores as TRL reads them."""

import pytest

from data.problem import Problem
from data.think_format import DEEPSEEK
from models.engines.generation import Generation
from rewards.registry import build_rewards
from rl.scoring import RolloutScorer, reward_functions, score_columns
from tests.tiny import tiny_tokenizer


@pytest.mark.parametrize(("end", "shown"), [("<fin>", ""), ("<|im_end|>", "<|im_end|>")])
def test_unknown_end_of_turn_is_removed(end: str, shown: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<fin>"]})
    scorer = RolloutScorer(
        build_rewards([{"name": "correctness"}]),
        [Problem("p", "6 · 7?", "42", "test")],
        tokenizer,
        DEEPSEEK,
        (tokenizer.convert_tokens_to_ids(end),),
        max_tokens=64,
    )
    text = "6 · 7 = 42\n</think>\n\n42"
    ids = tokenizer.encode(text + end)
    generation = Generation(
        0, 0, (), tuple(ids), text + end, "6 · 7 = 42", "42", 6, 1, (False,) * len(ids), (), "stop", "natural"
    )
    [rollout] = scorer.rollouts(["?"], [0], [generation], [None])
    assert rollout.text == DEEPSEEK.prefill + text + shown
    assert not rollout.truncated
    assert rollout.completion_tokens == len(tokenizer.encode(text)) + 1
    assert rollout.max_tokens == 64
    assert scorer.score([rollout], None) == {"correctness": [2.0]}


def test_reward_function_reads_one_column() -> None:
    columns = score_columns({"correctness": [2.0, None], "integer": [0.5, 0.0]})
    first, second = reward_functions(["correctness", "integer"])
    assert (first.__name__, second.__name__) == ("correctness", "integer")
    for _ in range(2):  # in whatever order, and as often as it is called
        assert second(prompts=["?"] * 2, completions=["", ""], **columns) == [0.5, 0.0]
        assert first(prompts=["?"] * 2, completions=["", ""], **columns) == [2.0, None]
