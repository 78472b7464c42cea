"""The Transformers engine on the device: what it writes, and how fast."""

import copy
import statistics
from contextlib import nullcontext

import torch

from benchmarks.gpu.measure import DEVICE, Figures, peak_gib, synchronized
from configs.schema.sections import ModelConfig, SamplingConfig
from data.arithmetic import generate_problems
from data.think_format import S1
from models.engines.base import Request
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel, load_model
from rl.policy_check import logprobs

GREEDY = SamplingConfig(temperature=0.0)


def engine_of(loaded: LoadedModel, rows: int) -> TransformersEngine:
    """An engine over the loaded model."""
    return TransformersEngine(loaded.model, loaded.tokenizer, S1, 512, batch_size=rows)


def requests(rows: int, tokens: int, sampling: SamplingConfig = GREEDY) -> list[Request]:
    """`rows` questions, answered with at most `tokens` tokens."""
    problems = generate_problems(rows, seed=3)
    turns = [[{"role": "user", "content": problem.question}] for problem in problems]
    return [Request(turn, sampling, tokens, seed=at) for at, turn in enumerate(turns)]


def decoding(tiny: bool) -> Figures:
    """Greedy texts in fp32 on this device and on the CPU; tokens a second in 16 bits."""
    tokens = 8 if tiny else 64
    loaded = load_model(ModelConfig(name="smollm2-135m", backend="transformers", precision="fp32"))
    asked = requests(4, tokens)
    here = engine_of(loaded, 4).generate(asked)
    there = TransformersEngine(copy.deepcopy(loaded.model).to("cpu"), loaded.tokenizer, S1, 512).generate(asked)
    yield "fp32_greedy_texts_equal_to_cpu", sum(a.text == b.text for a, b in zip(here, there, strict=True)) / 4
    if not tiny:
        loaded = load_model(ModelConfig(name="smollm2-135m", backend="transformers", precision="bf16"))
    for rows in (1, 4) if tiny else (1, 16, 64):
        speeds = [_tokens_per_second(loaded, rows, tokens if tiny else 128) for _ in range(1 if tiny else 3)]
        yield f"{loaded.precision}_{rows}_rows_tokens_per_second", statistics.median(speeds)


def _tokens_per_second(loaded: LoadedModel, rows: int, tokens: int) -> float:
    engine = engine_of(loaded, rows)
    started = synchronized()
    made = engine.generate(requests(rows, tokens, SamplingConfig(temperature=1.0)))
    return sum(len(generation.token_ids) for generation in made) / (synchronized() - started)


def autocast(tiny: bool) -> Figures:
    """nf4 as it decodes and as it trains: the gap of log-probabilities, speed and memory, with and without autocast."""
    loaded = load_model(ModelConfig(name="smollm2-135m", backend="transformers", precision="nf4"))
    rows, tokens = (2, 6) if tiny else (16, 64)
    engine = engine_of(loaded, rows)
    asked = requests(rows, tokens, SamplingConfig(temperature=1.0))
    for name, context in (
        ("plain", nullcontext()),
        ("autocast", torch.autocast(DEVICE.type, torch.bfloat16)),
    ):
        with context:
            started = synchronized()
            made = engine.generate(asked)
            seconds = synchronized() - started
            yield f"{name}_peak_gib", peak_gib(lambda: engine.generate(asked))
        pairs = [(list(generation.prompt_ids), list(generation.token_ids)) for generation in made]
        with torch.autocast(DEVICE.type, torch.bfloat16):
            trained = logprobs(loaded.model, pairs)
        drawn = [value for generation in made for value in generation.logprobs]
        yield f"{name}_gap_mean", statistics.fmean(abs(a - b) for a, b in zip(drawn, trained, strict=True))
        yield f"{name}_tokens_per_second", len(drawn) / seconds
