"""Completions as rewards see them."""

import pytest

import rewards
from data.problem import Problem
from data.think_format import DEEPSEEK
from rl.scoring import RolloutScorer
from tests.tiny import tiny_tokenizer


@pytest.mark.parametrize(("end", "shown"), [("<fin>", ""), ("<|im_end|>", "<|im_end|>")])
def test_an_end_of_turn_that_no_list_knows_is_no_part_of_the_answer(end: str, shown: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<fin>"]})
    scorer = RolloutScorer(
        rewards.build([{"name": "correctness"}]),
        [Problem("p", "6 · 7?", "42", "test")],
        tokenizer,
        DEEPSEEK,
        (tokenizer.convert_tokens_to_ids(end),),
    )
    text = "6 · 7 = 42\n</think>\n\n42"
    [seen] = scorer.seen(["?"], [0], [tokenizer.encode(text + end)])
    assert (seen.text, seen.truncated) == (DEEPSEEK.prefill + text + shown, False)
    assert seen.completion_tokens == len(tokenizer.encode(text)) + 1
    assert scorer.rewards.score([seen]) == {"correctness": [2.0]}
