"""A generation as a sample."""

from collections.abc import Sequence

from budget_forcing.budget import Budget
from budget_forcing.budget_state import Outcome
from configs.schema.sections import SamplingConfig
from data.problem import Problem
from data.think_format import DEEPSEEK
from evaluation.made_samples import sample_of
from evaluation.plan import Task
from models.engines.base import Engine
from models.engines.generation import Origin, generation_of
from models.engines.job import Decoded, Job
from tests.tiny import tiny_tokenizer


class Asked(Engine):
    """Has been asked already."""

    def decode(self, jobs: Sequence[Job], decoded: Decoded) -> None: ...


def test_end_of_turn_is_not_in_the_answer() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<fin>"]})
    ids = tokenizer.encode("so.</think>\n\n42<fin>")
    engine = Asked(tokenizer, DEEPSEEK, 100, (ids[-1],))
    outcome = Outcome(ids, [0.0] * len(ids), [False] * len(ids))
    made = generation_of(outcome, Origin(0, 0, (), (), "none", 0.0), engine.eos, tokenizer, DEEPSEEK)
    task = Task("free", Budget(), SamplingConfig(), {}, Problem("p", "6 · 7?", "42", "test"), 0, "?", (), 0, "key")
    sample = sample_of(task, made, engine)
    assert (sample.extracted, sample.text) == ("42", "<think>\nso.</think>\n\n42<fin>")
