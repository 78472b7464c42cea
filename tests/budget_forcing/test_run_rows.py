"""A generation as a row of `samples.jsonl`."""

from types import SimpleNamespace
from typing import Any

from budget_forcing.budget import Budget, Outcome
from budget_forcing.plan import Task
from budget_forcing.run import row_of
from data.problem import Problem
from data.think import DEEPSEEK
from models.generation import Origin, generation_of
from tests.tiny import tiny_tokenizer


def test_an_end_of_turn_that_no_list_knows_is_no_part_of_the_answer() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<fin>"]})
    ids = tokenizer.encode("so.</think>\n\n42<fin>")
    engine: Any = SimpleNamespace(tokenizer=tokenizer, think_format=DEEPSEEK, eos=(ids[-1],))
    outcome = Outcome(ids, [0.0] * len(ids), [False] * len(ids))
    made = generation_of(outcome, Origin(0, 0, (), (), "none", 0.0), engine.eos, tokenizer, DEEPSEEK)
    task = Task("free", Budget(), {}, Problem("p", "6 · 7?", "42", "test"), 0, "?", (), 0, "key")
    row = row_of(task, made, engine)
    assert (row["extracted"], row["text"]) == ("42", "<think>\nso.</think>\n\n42<fin>")
