"""How a chat template writes tools: offered in the prompt, called by the model, answered.

What TRL does for its own `environment_factory` (1.14.2), by TRL's functions: which templates have tools, how a call is
read back (`response_template`), and a template that never rewrites earlier turns in the place of one that does.
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trl.chat_template_utils import (
    add_response_schema,
    get_training_chat_template,
    is_chat_template_prefix_preserving,
    parse_response,
    supports_tool_calling,
)

from configs.errors import ModelError
from data.prompts import prefilled, token_ids
from data.think_format import ThinkFormat
from models.engines.conversation import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ToolTemplate:
    """A tokenizer's chat template with tools.

    `tokenizer` is a copy whose template offers the tools of `schemas` in every prompt that is rendered with it.
    """

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", schemas: Sequence[dict[str, Any]], think_format: ThinkFormat
    ) -> None:
        """Raises `ModelError` for a template without tools, or whose tool calls can't be read."""
        self.think_format = think_format
        self._plain = copy.deepcopy(tokenizer)
        if schemas:
            _prepare(self._plain)
        self.tokenizer = copy.deepcopy(self._plain)
        self.tokenizer.chat_template = offering(str(self._plain.chat_template), schemas)

    def read(self, ids: Sequence[int], before: Sequence[int]) -> dict[str, Any]:
        """The message of a model's turn: `content`, and `tool_calls` where it calls any; `before`: all ids ahead."""
        if not getattr(self._plain, "response_template", None) and not getattr(self._plain, "response_schema", None):
            return {"role": "assistant", "content": self._plain.decode(list(ids), skip_special_tokens=True)}
        message: dict[str, Any] = parse_response(self._plain, list(ids), prefix=list(before))
        return message

    def answer(self, results: Sequence[Message]) -> list[int]:
        """The ids that follow a turn of tool calls: the results, up to where the model goes on, prefill included.

        They are what a rendering of the results after a turn has more than one without, so that nothing that the model
        wrote is rendered or tokenized again. Raises `ModelError` for a template that rewrites earlier turns.
        """
        call = {"type": "function", "function": {"name": results[0]["name"], "arguments": {}}}
        turns: list[Message] = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
        ]
        texts = self._rendered(turns, generate=False), self._rendered([*turns, *results], generate=True)
        before, after = token_ids(self._plain, [texts[0], prefilled(texts[1], self.think_format)])
        ends = [at for at, token in enumerate(before) if token == self._plain.eos_token_id]
        before = before[: ends[-1] + 1] if ends else before  # a line break after the end of the turn is not the model's
        if after[: len(before)] != before:
            raise ModelError("model.name: the chat template rewrites a turn when tools answer it; take another model")
        return after[len(before) :]

    def _rendered(self, messages: Sequence[Message], generate: bool) -> str:
        return str(self._plain.apply_chat_template(messages, tokenize=False, add_generation_prompt=generate))


def offering(template: str, schemas: Sequence[dict[str, Any]]) -> str:
    """`template`, which from now on always has `tools`."""
    # Python's literals of JSON values are Jinja's too
    return f"{{% set tools = {list(schemas)!r} %}}{template}" if schemas else template


def _prepare(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Give `tokenizer` what TRL gives it: a response template, and a chat template that keeps earlier turns."""
    if not supports_tool_calling(tokenizer):
        raise ModelError(
            "model.name: the chat template writes no tool calls, or not their results, and the environment has tools; "
            "take a model whose template has them (Qwen2.5, Qwen3, Llama 3.1 and others)"
        )
    has_response = getattr(tokenizer, "response_template", None) or getattr(tokenizer, "response_schema", None)
    try:
        if not has_response:
            add_response_schema(tokenizer)
        if not is_chat_template_prefix_preserving(tokenizer):
            tokenizer.chat_template = get_training_chat_template(tokenizer)
    except ValueError:
        lacking = "keeps earlier turns as they are" if has_response else "says how tool calls are read"
        raise ModelError(
            f"model.name: TRL knows no template in this one's place that {lacking}; set `response_template` and a "
            "chat template that never rewrites a turn in the tokenizer's files, or take a model that TRL knows"
        ) from None
