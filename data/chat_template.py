"""A chat template that carries a think format, so that any program which renders it prompts as the training did."""

from typing import TYPE_CHECKING

from data.prompts import SYSTEM_GLUE, render_prompt, takes_system
from data.think_format import ThinkFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROBES: tuple[tuple[str, list[tuple[str, str]]], ...] = (("What is 2+3?", []), ("And 4?", [("2+3?", "5")]))
"""(question, history): conversations that a carried template must render as the training did."""


_FOLDED = (
    "{% set first = {'role': 'user', 'content': messages[0]['content'] + "
    + repr(SYSTEM_GLUE)
    + " + messages[1]['content']} %}{% set messages = [first] + messages[2:] %}"
)
"""Puts a system message before the first question, for a template that has no system role."""


def carrying(tokenizer: "PreTrainedTokenizerBase", think_format: ThinkFormat) -> str:
    """`tokenizer`'s template with the format's system prompt where none is given, and its prefill after the header.

    A template that does both already comes back as it is.
    """
    template = str(tokenizer.chat_template)
    if _renders(tokenizer, template, think_format):
        return template
    head = tail = ""
    if think_format.system is not None:
        system = "{'role': 'system', 'content': " + _literal(think_format.system) + "}"
        head = "{% if messages[0]['role'] != 'system' %}{% set messages = [" + system + "] + messages %}{% endif %}"
        head += "" if takes_system(tokenizer) else _FOLDED
    if think_format.prefill:
        tail = "{% if add_generation_prompt %}{{ " + _literal(think_format.prefill) + " }}{% endif %}"
    return head + template.removesuffix("\n") + tail


def _renders(tokenizer: "PreTrainedTokenizerBase", template: str, think_format: ThinkFormat) -> bool:
    return all(
        render_template(tokenizer, template, *probe)
        == render_prompt(tokenizer, probe[0], think_format, history=probe[1])
        for probe in PROBES
    )


def render_template(
    tokenizer: "PreTrainedTokenizerBase", template: str, question: str, history: list[tuple[str, str]]
) -> str:
    """What any program makes of the template: a prompt, nothing of ours added."""
    messages = [
        {"role": role, "content": text}
        for turn in history
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    messages.append({"role": "user", "content": question})
    text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
    return str(text)


def _literal(text: str) -> str:
    """`text` as a Jinja string."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
