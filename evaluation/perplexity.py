"""Perplexity of the gold replies: how little a model is surprised by what it should have said.

The mean is over tokens, the end of the turn among them, as in the loss of SFT. `gold_logprobs.jsonl` holds
`{id, logprob, tokens}` a line.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from configs.errors import EngineError
from configs.run_directory import read_jsonl, write_jsonl
from configs.sample import Sample
from configs.schema.evaluation import PERPLEXITY
from data.problem import Problem
from data.prompts import render_problem, token_ids, turn_end
from evaluation.metrics import Floats
from evaluation.sample_metrics import SampleMetric

if TYPE_CHECKING:
    from models.engines.base import Engine

FILE = "gold_logprobs.jsonl"
BATCH = 8


def measure_gold_replies(engine: "Engine", problems: Sequence[Problem], file: Path) -> None:
    """Write the log-probability of each gold reply, in nats, and its number of tokens.

    Raises `EngineError` for an engine that does not hold the model itself, and a pair that its context has no room for.
    """
    from models.engines.transformers import TransformersEngine
    from models.teacher_forcing import completion_logprobs, vocabulary_logprobs

    if not isinstance(engine, TransformersEngine):
        raise EngineError(
            f"metrics: {PERPLEXITY} needs the model itself, and {engine.name} runs it elsewhere; "
            "set engine.name=transformers"
        )
    end = turn_end(engine.tokenizer)
    prompts = [render_problem(engine.tokenizer, problem, engine.think_format) for problem in problems]
    replies = [problem.answer.strip() + end for problem in problems]
    pairs = list(zip(token_ids(engine.tokenizer, prompts), token_ids(engine.tokenizer, replies), strict=True))
    for problem, (prompt, reply) in zip(problems, pairs, strict=True):
        if len(prompt) + len(reply) > engine.context:
            raise EngineError(
                f"problem {problem.id}: prompt and gold reply are {len(prompt) + len(reply)} tokens, over the context "
                f"of {engine.context}: raise model.max_length or take {PERPLEXITY} out of metrics"
            )
    rows = []
    for problem, (_, reply), vocabulary in zip(
        problems, pairs, vocabulary_logprobs(engine.model, pairs, BATCH), strict=True
    ):
        logprob = completion_logprobs(vocabulary, reply).double().sum().item()
        rows.append({"id": problem.id, "logprob": logprob, "tokens": len(reply)})
    write_jsonl(file, rows)


def perplexity_metric(runs: Sequence[tuple[Path, Sequence[Sample]]]) -> SampleMetric:
    """The metric of samples of some runs, each with the folder that its gold replies were measured into."""
    measured = {}
    for folder, samples in runs:
        of_problem = {row["id"]: (row["logprob"], row["tokens"]) for row in read_jsonl(folder / FILE)}
        measured.update({sample.key: of_problem.get(sample.id, (0.0, 0.0)) for sample in samples})

    def statistics(samples: Sequence[Sample]) -> Floats:
        return np.array([measured[sample.key] for sample in samples], dtype=np.float64)

    about = "of the gold replies, over their tokens"
    return SampleMetric(PERPLEXITY, about, statistics, _perplexity, is_share=False, is_mean=True)


def _perplexity(sums: Floats) -> float:
    return math.exp(-sums[0] / sums[1]) if sums[1] else 0.0
