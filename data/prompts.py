"""Prompts and training turns, through the tokenizer's own chat template.

Templates write the BOS themselves where a model wants one: tokenize what comes from here with `token_ids`, or otherwise
with `add_special_tokens=False`.
"""

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from configs.errors import DataError, ModelError
from data.problem import Problem, Trace
from data.think_format import ThinkFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger("mull.data")

SYSTEM_GLUE = "\n\n"
"""Between a system prompt and the first question, where the template has no system role."""
_MARK = "\u2063mull\u2063"
"""A text that no template changes, to find where the template puts it and what after it."""


def render_prompt(
    tokenizer: "PreTrainedTokenizerBase",
    question: str,
    think_format: ThinkFormat,
    system: str | None = None,
    history: Sequence[tuple[str, str]] = (),
) -> str:
    """The prompt up to where the model goes on: template, generation prompt, and the format's prefill.

    `system` None: the format's own; if that is None too, no system message is passed (a template may still insert its
    default one). Under a template without the role it stands before the first question, as Gemma's documentation has
    it. A template that already opens the thinking is not prefilled twice. Raises `ModelError` for a tokenizer without a
    chat template, for one without a generation prompt, and for messages that a template refuses.
    """
    return prefilled(_generation_prompt(tokenizer, question, think_format, system, history), think_format)


def render_problem(tokenizer: "PreTrainedTokenizerBase", problem: Problem, think_format: ThinkFormat) -> str:
    """`render_prompt` of a problem: with its own system message and earlier turns, as a trace of it is trained."""
    return render_prompt(tokenizer, problem.question, think_format, problem.system, problem.history)


def token_ids(tokenizer: "PreTrainedTokenizerBase", rendered: Sequence[str]) -> list[list[int]]:
    """Rendered prompts in ids, without the tokenizer's own additions."""
    return list(tokenizer(list(rendered), add_special_tokens=False)["input_ids"])


def check_lengths(
    problems: Sequence[Problem],
    ids: Sequence[Sequence[int]],
    completion: int,
    context: int,
    setting: str,
    limit: str = "model.max_length",
) -> int:
    """The longest prompt in tokens; raises `DataError` if one leaves no room for a completion.

    `setting`, `limit`: the keys of the recipe that say how long a completion may be, and how long both together.
    """
    if over := [at for at, prompt in enumerate(ids) if len(prompt) + completion > context]:
        worst = max(over, key=lambda at: len(ids[at]))
        raise DataError(
            f"{len(over)} of {len(ids)} prompts don't fit: problem {problems[worst].id} has {len(ids[worst])} tokens, "
            f"with {setting}={completion} that is over {limit}={context}; raise the one or lower the other"
        )
    return max(map(len, ids), default=0)


def render_turn(tokenizer: "PreTrainedTokenizerBase", trace: Trace, think_format: ThinkFormat) -> tuple[str, str]:
    """(prompt, completion) of one training row; the completion ends with the end of the turn, once.

    The assistant's text is appended to the prompt instead of going through the template, because templates drop think
    blocks. A trace without thinking becomes a plain reply: no prefill, no think block. Raises `ModelError` as
    `render_prompt` does, `DataError` where the trace itself contains what ends its thinking or its turn.

    A document has no template and no prompt: it is its text with the tokenizer's own begin and end of one.
    """
    if trace.is_document:
        return "", _document(tokenizer, trace)
    prompt = _generation_prompt(tokenizer, trace.question, think_format, trace.system, trace.history)
    end_of_turn = turn_end(tokenizer)
    _check_ends(trace, think_format, end_of_turn)
    if not trace.thinking.strip():
        return prompt, trace.reply.strip() + end_of_turn
    full = think_format.render(trace.thinking, trace.reply)
    begun = prefilled(prompt, think_format)
    opened = begun[len(prompt) :] if begun != prompt else _opened(prompt, think_format)
    return begun, full.removeprefix(opened) + end_of_turn


def _document(tokenizer: "PreTrainedTokenizerBase", trace: Trace) -> str:
    end = loaded_eos(tokenizer) or turn_end(tokenizer)
    _check_end(trace, trace.reply, end)
    return f"{_begin_of_text(tokenizer)}{trace.reply}{end}"


@lru_cache(maxsize=8)
def _begin_of_text(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The BOS token, where the tokenizer itself puts one before a text."""
    return str(tokenizer.bos_token) if tokenizer.bos_token_id in tokenizer("")["input_ids"] else ""


def loaded_eos(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """The EOS token that the tokenizer's files name, which ends a text; a chat's turns may end with another."""
    named = tokenizer.init_kwargs.get("eos_token")
    return None if named is None else str(named)


def earlier_replies(
    tokenizer: "PreTrainedTokenizerBase", trace: Trace, think_format: ThinkFormat, prompt: str
) -> list[tuple[int, int]]:
    """Where the replies of `trace.history` stand in its `prompt`, each with the end of its turn: (start, end).

    Found by a rendering with a mark in the place of each reply. Raises `DataError` for a reply that contains an end of
    turn or that the template changes, `ModelError` for a template that writes no end after earlier turns.
    """
    # 1. what the template writes around the replies; together with them it must be the prompt
    marked = [(question, _MARK) for question, _ in trace.history]
    rendered = _generation_prompt(tokenizer, trace.question, think_format, trace.system, marked)
    before, *after = rendered.split(_MARK)
    replies = [reply for _, reply in trace.history]
    if len(after) != len(replies) or not prompt.startswith(before + "".join(map(str.__add__, replies, after))):
        raise DataError(
            f"{trace.id}: the chat template does not write its earlier replies as they are; set loss_on=last_turn, or "
            "remove the row"
        )

    # 2. each reply ends where its turn does
    end_of_turn = turn_end(tokenizer)
    spans, at = [], len(before)
    for reply, following in zip(replies, after, strict=True):
        _check_end(trace, reply, end_of_turn)
        found = following.find(end_of_turn)
        if found < 0 or following[:found].strip():
            raise ModelError(
                f"{_name(tokenizer)}: its chat template ends earlier turns otherwise than the last one, with "
                f"{end_of_turn!r}; set loss_on=last_turn"
            )
        if reply:  # an empty one teaches nothing
            spans.append((at, at + len(reply) + found + len(end_of_turn)))
        at += len(reply) + len(following)
    return spans


def turn_end(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What the template writes right after an assistant's reply; the EOS token where it writes nothing.

    Raises `ModelError` for a template that does not keep the reply, or a tokenizer that has neither.
    """
    tail = _tail(tokenizer, tokenizer.chat_template)
    if tail is None:
        raise ModelError(f"{_name(tokenizer)}: its chat template drops the assistant's reply; set another template")
    end = tail.strip() or tokenizer.eos_token
    if not end:
        raise ModelError(f"{_name(tokenizer)}: neither its chat template nor an EOS token ends a turn; set eos_token")
    return str(end)


@lru_cache(maxsize=8)
def _tail(tokenizer: "PreTrainedTokenizerBase", template: str) -> str | None:
    """What `template`, the tokenizer's own, writes after an assistant's reply; None where it drops the reply."""
    turn = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
    _, found, tail = _apply(tokenizer, turn, generate=False).rpartition(_MARK)
    return tail if found else None


def turn_header(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What the chat template puts before an assistant's text; "" where it has no generation prompt.

    Raises `ModelError` for a tokenizer without a chat template.
    """
    return _header(tokenizer, str(tokenizer.chat_template))


def begun_turn(tokenizer: "PreTrainedTokenizerBase", prompt: str, think_format: ThinkFormat) -> str:
    """What `prompt` holds of the turn that the model goes on with: the opening that was prefilled, or more.

    Only what follows the last header of an assistant's turn counts: a system prompt may spell out delimiters.
    """
    if not getattr(tokenizer, "chat_template", None):
        return think_format.prefill
    header = turn_header(tokenizer)
    if think_format.open:
        header = header.partition(think_format.open)[0]
    return prompt.rpartition(header)[2] if header and header in prompt else think_format.prefill


@lru_cache(maxsize=8)
def _header(tokenizer: "PreTrainedTokenizerBase", template: str) -> str:
    """`turn_header` for `template`, the tokenizer's own."""
    turn = [{"role": "user", "content": "?"}]
    return _apply(tokenizer, turn, generate=True).removeprefix(_apply(tokenizer, turn, generate=False))


def takes_system(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the chat template shows a system message; Gemma 1's and 2's refuse it.

    Raises `ModelError` for a tokenizer without a chat template.
    """
    return _takes_system(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=8)
def _takes_system(tokenizer: "PreTrainedTokenizerBase", template: str) -> bool:
    """`takes_system` for `template`, the tokenizer's own."""
    turn = [{"role": "system", "content": _MARK}, {"role": "user", "content": "?"}]
    user_alone = _apply(tokenizer, turn[1:], generate=False)  # whatever else is wrong with the template is raised here
    try:
        shown = _MARK in _apply(tokenizer, turn, generate=False)
    except ModelError:
        shown = False
    if not shown and user_alone:
        log.warning("%s: its chat template has no system role: the first question begins with it", _name(tokenizer))
    return shown


def _generation_prompt(
    tokenizer: "PreTrainedTokenizerBase",
    question: str,
    think_format: ThinkFormat,
    system: str | None,
    history: Sequence[tuple[str, str]],
) -> str:
    """The rendered messages and the assistant's header, before any prefill of ours."""
    messages: list[dict[str, str]] = []
    for user, assistant in history:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    messages.append({"role": "user", "content": question})
    system = system if system is not None else think_format.system
    if system is not None and takes_system(tokenizer):
        messages.insert(0, {"role": "system", "content": system})
    elif system:
        messages[0]["content"] = f"{system}{SYSTEM_GLUE}{messages[0]['content']}"
    if not turn_header(tokenizer):
        raise ModelError(f"{_name(tokenizer)}: its chat template has no generation prompt; set another template")
    return _apply(tokenizer, messages, generate=True)


def _apply(tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, str]], generate: bool) -> str:
    if not tokenizer.chat_template:
        raise ModelError(
            f"{_name(tokenizer)}: no chat template; take the instruct model, or set tokenizer.chat_template"
        )
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generate))
    except TemplateError as error:
        raise ModelError(f"{_name(tokenizer)}: its chat template refuses these messages ({error})") from None


def prefilled(prompt: str, think_format: ThinkFormat) -> str:
    """A prompt that ends with an assistant's header, and the format's prefill unless it is there already."""
    return prompt if _opened(prompt, think_format) else prompt + think_format.prefill


def _opened(prompt: str, think_format: ThinkFormat) -> str:
    """The prefill, as far as the template itself has already written it at the prompt's end."""
    for text in (think_format.prefill, think_format.prefill.strip()):
        if text and prompt.endswith(text):
            return text
    return ""


def _check_ends(trace: Trace, think_format: ThinkFormat, end_of_turn: str) -> None:
    if trace.thinking.strip() and not think_format.has_thinking:
        raise DataError(f"{trace.id}: it has thinking, and think format {think_format.name} has no place for any")
    for end in (*think_format.end_tokens, end_of_turn):
        _check_end(trace, trace.thinking, end)
    _check_end(trace, trace.reply, end_of_turn)


def _check_end(trace: Trace, text: str, end: str) -> None:
    if end in text:
        raise DataError(f"{trace.id}: its text contains {end!r}, which would end the turn early; remove the row")


def _name(tokenizer: "PreTrainedTokenizerBase") -> str:
    return str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)
