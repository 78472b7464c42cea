"""Traces → token ids with what carries loss: many rows at a time, on every core."""

import os
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from transformers import PreTrainedTokenizerBase

from configs.errors import DataError
from data.problem import Trace
from data.prompts import render_turn
from data.think_format import ThinkFormat
from sft.dataset import Example

CHUNK = 64
"""Rows that one thread renders and tokenises at a time."""
WINDOW = 32
"""Chunks in flight: what memory is needed for beside the examples themselves."""


def encode_trace(
    trace: Trace, tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat, prompt_too: bool = False
) -> Example:
    """One trace as token ids; loss on thinking, answer and the end of the turn, on the prompt only if asked for.

    Raises `DataError` for a trace that contains what ends its own thinking or turn.
    """
    [example] = encode_traces([trace], tokenizer, think_format, prompt_too)
    if isinstance(example, DataError):
        raise example
    return example


def encode_traces(
    traces: Sequence[Trace], tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat, prompt_too: bool = False
) -> Iterator[Example | DataError]:
    """`encode_trace` of each, in order; in place of a bad row comes its error.

    Prompt and completion are tokenised apart, exactly as they meet at inference.
    """
    chunks = [traces[at : at + CHUNK] for at in range(0, len(traces), CHUNK)]

    def encode(chunk: Sequence[Trace]) -> list[Example | DataError]:
        return _encode_chunk(chunk, tokenizer, think_format, prompt_too)

    tokenizer("", add_special_tokens=False)  # ends any truncation and padding that its files or another call have set
    # the first chunk alone: what is learnt of the template, and said of it once, is kept for the threads
    yield from chain.from_iterable(map(encode, chunks[:1]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for at in range(1, len(chunks), WINDOW):
            yield from chain.from_iterable(pool.map(encode, chunks[at : at + WINDOW]))


def _encode_chunk(
    traces: Sequence[Trace], tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat, prompt_too: bool
) -> list[Example | DataError]:
    # 1. as text: the prompt, the completion, and the completion up to the end of its thinking
    rendered: list[tuple[str, str, str] | DataError] = []
    for trace in traces:
        try:
            prompt, completion = render_turn(tokenizer, trace, think_format)
        except DataError as error:
            rendered.append(error)
            continue
        thought = (
            completion[: completion.rindex(think_format.end) + len(think_format.end)] if trace.thinking.strip() else ""
        )
        rendered.append((prompt, completion, thought))

    # 2. all of it tokenised in one call
    ids = iter(_ids([text for texts in rendered if not isinstance(texts, DataError) for text in texts], tokenizer))

    # 3. a row each
    rows: list[Example | DataError] = []
    for trace, texts in zip(traces, rendered, strict=True):
        if isinstance(texts, DataError):
            rows.append(texts)
            continue
        prompt_ids, completion_ids, thought_ids = next(ids), next(ids), next(ids)
        if not completion_ids:
            rows.append(DataError(f"row {trace.id}: nothing to train on, its completion is empty"))
            continue
        start = 0 if prompt_too else len(prompt_ids)
        answer_start = len(prompt_ids) + len(thought_ids)
        rows.append(Example(trace.id, array("i", prompt_ids + completion_ids), start, answer_start))
    return rows


def _ids(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """What `tokenizer(texts, add_special_tokens=False)` returns as `input_ids`, without the masks and offsets
    that it makes beside them."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is None:  # one that is written in Python
        return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return [encoding.ids for encoding in core.encode_batch_fast(list(texts), add_special_tokens=False)]
