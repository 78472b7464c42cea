"""Questions to a model on one of our engines, thousands in a call, so that few wait for the slowest of a batch.

A question that leaves no room for an answer in the model's context is not asked.
"""

import hashlib
from collections.abc import Callable, Sequence

from configs.schema.curation import DifficultyConfig, DistillConfig
from configs.schema.sections import ModelConfig
from data.think_format import ThinkFormat

CALL = 2048
"""Most questions in a call: an engine keeps the tokens of all that it was asked until it has answered the last."""


def ask_model(
    questions: Sequence[str],
    seeds: Sequence[int],
    model: ModelConfig,
    config: DifficultyConfig | DistillConfig,
    think_format: ThinkFormat,
    samples: int,
    answered: Callable[[int, str, str], None],
    not_asked: Callable[[int, str], None],
) -> None:
    """Each question's `samples` answers, drawn by its seed.

    `answered` gets (place of the question, text, finish) of each as it is done; `not_asked` (place, why) of a question
    that is too long.
    """
    from models.backend import import_backend
    from models.engines.base import Request, prompt_ids
    from models.engines.generation import Generation

    import_backend(model)
    from models.engines.select import load_engine

    engine = load_engine(config.engine, model, think_format)
    try:
        places, requests = [], []
        for place, (question, seed) in enumerate(zip(questions, seeds, strict=True)):
            message = {"role": "user", "content": posed(question, config.instruction)}
            prompt = prompt_ids([message], engine.tokenizer, think_format)
            if len(prompt) + config.max_tokens > engine.context:
                room = f"max_tokens={config.max_tokens} in a context of {engine.context}"
                not_asked(place, f"too long: {len(prompt)} tokens leave no room for {room}")
                continue
            places.append(place)
            requests.append(Request(prompt, config.sampling, config.max_tokens, seed, n=samples))

        for begin in range(0, len(requests), CALL):

            def done(generation: Generation, begin: int = begin) -> None:
                answered(places[begin + generation.request], engine.turn(generation), generation.finish)

            engine.generate(requests[begin : begin + CALL], done)
    finally:
        engine.close()


def posed(question: str, instruction: str) -> str:
    """The question as it is asked."""
    return f"{question}\n\n{instruction}" if instruction else question


def seed_of(seed: int, key: str) -> int:
    """The run's seed for one of its questions: the same in whatever order they are asked."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:4], "big") >> 1
