"""Traces → token ids with what carries loss: many rows at a time, on every core."""

import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter

from transformers import PreTrainedTokenizerBase

from configs.errors import DataError, ModelError
from configs.schema.sft import TrainedTokens
from data.problem import Trace
from data.prompts import earlier_replies, render_turn
from data.think_format import ThinkFormat
from sft.dataset import Example, Span

CHUNK = 64
"""Most rows that one thread renders and tokenises at a time."""
CHUNK_LETTERS = 250_000
"""A chunk ends with the row that brings it to so many letters: tokens in the making take a hundred bytes each."""
THREADS = 8
"""Most threads: what is left to Python of the work keeps no more of them busy."""
WINDOW = 32
"""Chunks whose rows may be done before their turn."""


def encode_trace(
    trace: Trace, tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat, trained: TrainedTokens = "last_turn"
) -> Example:
    """One trace as token ids; loss on thinking, answer and the end of the turn, and on what else `trained` says.

    Raises `DataError` for a trace that contains what ends its own thinking or turn.
    """
    [example] = encode_traces([trace], tokenizer, think_format, trained)
    if isinstance(example, DataError):
        raise example
    return example


def encode_traces(
    traces: Sequence[Trace],
    tokenizer: PreTrainedTokenizerBase,
    think_format: ThinkFormat,
    trained: TrainedTokens = "last_turn",
) -> Iterator[Example | DataError]:
    """`encode_trace` of each, in order; in place of a bad row comes its error.

    Prompt and completion are tokenised apart, exactly as they meet at inference. So the ids are the same whatever is
    `trained`: an earlier reply is the part of the prompt's tokens that a chat at inference has for it.
    """
    chunks = _chunks(traces)

    def encode(chunk: Sequence[Trace]) -> list[Example | DataError]:
        return _encode_chunk(chunk, tokenizer, think_format, trained)

    tokenizer("", add_special_tokens=False)  # ends any truncation and padding that its files or another call have set
    # the first chunk alone: what is learnt of the template, and said of it once, is kept for the threads
    yield from chain.from_iterable(map(encode, islice(chunks, 1)))
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        while window := list(islice(chunks, WINDOW)):
            yield from chain.from_iterable(pool.map(encode, window))


def _chunks(traces: Sequence[Trace]) -> Iterator[Sequence[Trace]]:
    start = letters = 0
    for at, trace in enumerate(traces, start=1):
        letters += len(trace.thinking) + len(trace.reply)
        if at - start == CHUNK or letters >= CHUNK_LETTERS or at == len(traces):
            yield traces[start:at]
            start, letters = at, 0


def _encode_chunk(
    traces: Sequence[Trace], tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat, trained: TrainedTokens
) -> list[Example | DataError]:
    # 1. as text; what is wrong with a row takes its place
    rendered: list[_Texts | DataError] = []
    for trace in traces:
        try:
            rendered.append(_texts(trace, tokenizer, think_format, trained))
        except DataError as error:
            rendered.append(error)

    # 2. all of it tokenised in one call
    good = [texts for texts in rendered if not isinstance(texts, DataError)]
    parts = [part for texts in good for part in (texts.prompt, texts.completion, texts.thought)]
    tokens = iter(_tokenise(parts, tokenizer, with_offsets=any(texts.replies for texts in good)))

    # 3. a row each
    rows: list[Example | DataError] = []
    for trace, texts in zip(traces, rendered, strict=True):
        if isinstance(texts, DataError):
            rows.append(texts)
            continue
        (prompt, offsets), (completion, _), (thought, _) = next(tokens), next(tokens), next(tokens)
        if not completion:
            rows.append(DataError(f"row {trace.id}: nothing to train on, its completion is empty"))
            continue
        loss_start = 0 if trained == "every_token" else len(prompt)
        spans = (*(token_span(offsets, *reply) for reply in texts.replies), (loss_start, len(prompt) + len(completion)))
        ids, answer_start = array("i", prompt + completion), len(prompt) + len(thought)
        rows.append(Example(trace.id, ids, spans, answer_start, trace.is_document))
    return rows


@dataclass(frozen=True, slots=True)
class _Texts:
    """A row as text. `thought`: the completion up to the end of its thinking; `replies`: see `earlier_replies`."""

    prompt: str
    completion: str
    thought: str
    replies: list[Span]


def _texts(
    trace: Trace, tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat, trained: TrainedTokens
) -> _Texts:
    prompt, completion = render_turn(tokenizer, trace, think_format)
    thought = (
        completion[: completion.rindex(think_format.end) + len(think_format.end)] if trace.thinking.strip() else ""
    )
    has_earlier = trained == "all_turns" and trace.history
    replies = earlier_replies(tokenizer, trace, think_format, prompt) if has_earlier else []
    return _Texts(prompt, completion, thought, replies)


def token_span(offsets: Sequence[Span], start: int, end: int) -> Span:
    """The tokens of the characters from `start` to `end`, by their `offsets`.

    A token across an edge belongs to them, as in the assistant masks of Transformers; where special tokens stand
    around a reply there is none.
    """
    return bisect_right(offsets, start, key=itemgetter(1)), bisect_left(offsets, end, key=itemgetter(0))


def _tokenise(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, with_offsets: bool
) -> list[tuple[list[int], list[Span]]]:
    """(`input_ids`, `offset_mapping` or nothing) of each text, as `tokenizer(texts, add_special_tokens=False)` has it.

    Without the masks that are made there, and without offsets it is several times as fast. Raises `ModelError` for
    offsets of a tokenizer that has none.
    """
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is None and with_offsets:
        raise ModelError("loss_on: all_turns needs a fast tokenizer, which knows where its tokens stand; set last_turn")
    if core is None:
        return [(tokenizer(text, add_special_tokens=False)["input_ids"], []) for text in texts]
    if not with_offsets:
        return [(found.ids, []) for found in core.encode_batch_fast(list(texts), add_special_tokens=False)]
    return [(found.ids, found.offsets) for found in core.encode_batch(list(texts), add_special_tokens=False)]
