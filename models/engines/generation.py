"""What an engine returns, and how a decoded sequence becomes it."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from budget_forcing.budget_state import Outcome
from data.think_format import ThinkFormat, without_unknown_end
from models.engines.conversation import Conversation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Generation:
    """One completion.

    request, sample   which request of the call, and which of its `n` samples
    prompt_ids        the prompt, prefilled part included
    token_ids         the completion; an end of turn that the model chose is its last id, one forced at a limit is not
    text              all of `token_ids`, special tokens kept, without the prompt
    thinking, answer  the parts of `text` as `ThinkFormat.split` reads them; "" where one is not there
    thinking_tokens, answer_tokens  how many tokens a budget counts as each, or without one the reader; the end of
                      thinking and the end of the turn count to neither
    forced            per token: the policy did not choose it (a trainer masks it)
    logprobs          per token: the policy's log-probability under what was sampled from, truncation included and
                      nothing masked (at temperature 0: at temperature 1); 0.0 where forced; () if not asked for. A
                      truncation never drops the token drawn: of one that stands in for a refused end, and that it
                      would drop, whatever is as likely is kept too. What trains on it: `rl.truncation`
    finish            "stop" (end of turn, stop string) or "length"
    stop              what ended the thinking: "natural", "waited:k", "limit", "context"; a rule that stopped it early:
                      "agreed:k", "confident:p"; None: it never ended, or there was no thinking to end
    control           "engine", "rounds", or "none" (no budget)
    seconds           from the call of `generate` to this completion's last token
    probe_tokens      tokens of answers that were forced to decide when to stop, and thrown away
    shared            how many of its first tokens were decoded once for several requests, and not for this one
    conversation      what an environment made of it; None without one. Then thinking, answer, finish and stop are of
                      the model's last turn, thinking_tokens of all, and what the environment wrote is forced
    """

    request: int
    sample: int
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str
    thinking: str
    answer: str
    thinking_tokens: int
    answer_tokens: int
    forced: tuple[bool, ...]
    logprobs: tuple[float, ...]
    finish: str
    stop: str | None
    control: str = "none"
    seconds: float = 0.0
    probe_tokens: int = 0
    shared: int = 0
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a completion comes from, and how it was controlled; the fields as in `Generation`."""

    request: int
    sample: int
    prompt_ids: tuple[int, ...]
    stop_strings: tuple[str, ...]
    control: str
    seconds: float


def generation_of(
    outcome: Outcome,
    origin: Origin,
    eos: Sequence[int],
    tokenizer: "PreTrainedTokenizerBase",
    think_format: ThinkFormat,
) -> Generation:
    """A decoded sequence with its text and parts: by the budget's counts, or by the delimiters in the text."""
    tokens = outcome.tokens
    budgeted = origin.control != "none"
    answering = not budgeted or (outcome.answer_at is not None and len(tokens) > outcome.answer_at)
    ended = bool(tokens) and tokens[-1] in eos and answering
    if ended and outcome.forced[-1]:  # the answer's limit forced this end of the turn
        tokens, ended = tokens[:-1], False
    length = len(tokens) - ended
    if budgeted:
        thought = min(outcome.thought, length)
        answer_at = length if outcome.answer_at is None else min(outcome.answer_at, length)
        reason = outcome.reason
    else:
        thought, answer_at = positions(tokens[:length], tokenizer, think_format)
        reason = "natural" if think_format.has_thinking and thought < length else None
    text = decode(tokenizer, tokens)
    parts = think_format.split(turn_of(text, tokens, eos, tokenizer, think_format))
    stopped = ended or any(stop in text for stop in origin.stop_strings)
    return Generation(
        request=origin.request,
        sample=origin.sample,
        prompt_ids=origin.prompt_ids,
        token_ids=tuple(tokens),
        text=text,
        thinking=parts.thinking,
        answer=parts.answer,
        thinking_tokens=thought,
        answer_tokens=length - answer_at,
        forced=tuple(outcome.forced[: len(tokens)]),
        logprobs=tuple(
            0.0 if forced else logprob
            for forced, logprob in zip(outcome.forced, outcome.logprobs[: len(tokens)], strict=False)
        ),
        finish="stop" if stopped else "length",
        stop=reason,
        control=origin.control,
        seconds=origin.seconds,
        probe_tokens=outcome.probed,
        shared=min(outcome.shared, len(tokens)),
    )


def forced_characters(
    generation: Generation, tokenizer: "PreTrainedTokenizerBase", prefill: str
) -> list[tuple[int, int]]:
    """[start, end) character ranges of `prefill` + `text` that the policy did not choose."""

    def character(token: int) -> int:
        return len(prefill) + len(decode(tokenizer, generation.token_ids[:token]))

    return [(character(start), character(end)) for start, end in spans(generation.forced)]


def result_characters(
    generation: Generation, tokenizer: "PreTrainedTokenizerBase", prefill: str
) -> list[tuple[int, int]]:
    """[start, end) character ranges of `prefill` + `text` that an environment wrote, without the next turn's prefill.

    After the last of them the model's last turn begins.
    """
    if generation.conversation is None:
        return []
    ranges = []
    for start, end in generation.conversation.results:
        before, after = (prefill + decode(tokenizer, generation.token_ids[:at]) for at in (start, end))
        ranges.append((len(before), len(after.removesuffix(prefill))))
    return ranges


def spans(mask: Sequence[bool]) -> list[tuple[int, int]]:
    """[start, end) ranges where a mask is true."""
    edges = [at for at, (before, here) in enumerate(pairwise((False, *mask, False))) if before != here]
    return list(zip(edges[::2], edges[1::2], strict=True))


def decode(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    """Text with special tokens kept; ids that a padded vocabulary has and the tokenizer lacks decode to nothing."""
    size = len(tokenizer)
    return str(tokenizer.decode([i for i in ids if 0 <= i < size], skip_special_tokens=False))


def positions(
    tokens: Sequence[int], tokenizer: "PreTrainedTokenizerBase", think: ThinkFormat, begun: str | None = None
) -> tuple[int, int]:
    """(end of the thinking, start of the answer) of a completion as token positions, as `ThinkFormat.split` has them.

    `begun`: what the prompt holds of the turn; None: the format's prefill. Without an end of thinking both are the
    length; without an answer the second one is.
    """
    begun = think.prefill if begun is None else begun
    parts = think.split(begun + decode(tokenizer, tokens))
    head = len(begun)
    return (
        token_at(tokens, tokenizer, parts.thinking_end - head),
        token_at(tokens, tokenizer, parts.answer_start - head),
    )


def token_at(tokens: Sequence[int], tokenizer: "PreTrainedTokenizerBase", characters: int) -> int:
    """The smallest number of tokens that hold the first `characters` characters of their text whole; all for its end.

    A token may be one byte of a character, and the bytes before its last decode to as many characters as all of them.
    """
    text = decode(tokenizer, tokens)
    if characters >= len(text):
        return len(tokens)
    wanted = text[: max(characters, 0)]
    return bisect_left(range(len(tokens)), True, key=lambda n: decode(tokenizer, tokens[:n]).startswith(wanted))


def turn_of(
    text: str, ids: Sequence[int], eos: Sequence[int], tokenizer: "PreTrainedTokenizerBase", think: ThinkFormat
) -> str:
    """An assistant's whole turn as rewards read it: prefilled part included, without an end that they don't know.

    `text`: that of the completion's `ids`.
    """
    end = decode(tokenizer, ids[-1:]) if ids and ids[-1] in eos else ""
    return without_unknown_end(think.prefill + text, end, think)


def assistant_turn(
    generation: Generation, eos: Sequence[int], tokenizer: "PreTrainedTokenizerBase", think: ThinkFormat
) -> str:
    """`turn_of` a generation; in an environment of the model's last turn."""
    if generation.conversation is None:
        return turn_of(generation.text, generation.token_ids, eos, tokenizer, think)
    ids = generation.token_ids[generation.conversation.last_turn :]
    return turn_of(decode(tokenizer, ids), ids, eos, tokenizer, think)


def end_of_turn(
    tokenizer: "PreTrainedTokenizerBase", model_config: Any, generation: int | Sequence[int] | None = None
) -> tuple[int, ...]:
    """Ids that end a turn: the tokenizer's first, then those that the model's config adds.

    `generation`: the `eos_token_id` of its generation config, which may name more and which vLLM always stops at.
    """
    ids = [tokenizer.eos_token_id]
    for named in (getattr(model_config, "eos_token_id", None), generation):
        ids += named if isinstance(named, Sequence) else [named]
    return tuple(dict.fromkeys(i for i in ids if i is not None))
