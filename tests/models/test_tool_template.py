"""Tools in a chat template: the same tokens as a rendering of the whole conversation."""

from typing import Any

import pytest
from trl import chat_template_utils as trl_templates

from configs.errors import ModelError
from data.prompts import render_prompt, token_ids
from data.think_format import DEEPSEEK, NONE, ThinkFormat
from models.environment import Environments
from models.tool_template import ToolTemplate, offering
from tests.models.environments import Lookup, call
from tests.tiny import tiny_tokenizer
from tests.tool_model import tool_tokenizer

SCHEMAS = Environments(Lookup, "tests:Lookup").schemas
RESULTS = [
    {"role": "tool", "name": "look", "content": "moss is here"},
    {"role": "tool", "name": "wait", "content": "{}"},
]


def tokenizer_of(template: str) -> Any:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def written(tokenizer: Any, text: str) -> list[int]:
    [ids] = token_ids(tokenizer, [text])
    return ids


@pytest.mark.parametrize(
    ("name", "think", "turns"),
    [
        ("qwen2_5", NONE, [("", "I look."), ("", "Moss.")]),
        ("qwen3", DEEPSEEK, [("Where is it?", ""), ("It is here.", "Moss.")]),
    ],
)
def test_tokens_are_trls_rendering(name: str, think: ThinkFormat, turns: list[tuple[str, str]]) -> None:
    tokenizer = tokenizer_of(getattr(trl_templates, f"{name}_chat_template"))
    template = ToolTemplate(tokenizer, SCHEMAS, think)

    # 1. ours: prompt, what the model writes, what the environment answers, what the model writes
    calls = [call("look", word="moss"), call("wait", word="moss")]
    (first_thought, first), (second_thought, second) = turns
    thought = [f"{text}\n</think>\n\n" if think.has_thinking else "" for text in (first_thought, second_thought)]
    asked = "\n".join(
        f'<tool_call>\n{{"name": "{c["function"]["name"]}", "arguments": {{"word": "moss"}}}}\n</tool_call>'
        for c in calls
    )
    ids = written(tokenizer, render_prompt(template.tokenizer, "Which word?", think))
    turn = written(tokenizer, thought[0] + (f"{first}\n" if first else "") + asked + "<|im_end|>")
    message = template.read(turn, ids)
    ours = ids + turn + template.answer(RESULTS) + written(tokenizer, f"{thought[1]}{second}<|im_end|>")

    # 2. TRL's: the whole conversation through its template for training
    assert message["tool_calls"] == calls
    own = trl_templates.get_training_chat_template(tokenizer) if think is DEEPSEEK else tokenizer.chat_template
    messages = [{"role": "user", "content": "Which word?"}, message, *RESULTS]
    reasoning = {"reasoning_content": second_thought} if second_thought else {}
    messages.append({"role": "assistant", "content": second, **reasoning})
    rendered = tokenizer.apply_chat_template(messages, tools=SCHEMAS, chat_template=own, tokenize=False)
    assert tokenizer.decode(ours) == rendered.removesuffix("\n")
    assert ours == written(tokenizer, rendered.removesuffix("\n"))


def test_offered_tools_are_those_passed() -> None:
    template = trl_templates.qwen2_5_chat_template
    messages = [{"role": "user", "content": "?"}]
    ours = tokenizer_of(offering(template, SCHEMAS)).apply_chat_template(messages, tokenize=False)
    assert ours == tokenizer_of(template).apply_chat_template(messages, tools=SCHEMAS, tokenize=False)
    assert "{even} %} this or über" in ours


def test_template_without_tools_is_refused() -> None:
    with pytest.raises(ModelError, match="writes no tool calls, or not their results"):
        ToolTemplate(tiny_tokenizer(), SCHEMAS, NONE)


def test_template_that_nobody_can_read_is_refused() -> None:
    tokenizer = tool_tokenizer()
    tokenizer.response_template = None
    with pytest.raises(ModelError, match="no template in this one's place that says how tool calls are read"):
        ToolTemplate(tokenizer, SCHEMAS, NONE)


def test_environment_without_tools_needs_no_template() -> None:
    tokenizer = tiny_tokenizer()
    template = ToolTemplate(tokenizer, [], NONE)
    assert template.tokenizer.chat_template == tokenizer.chat_template
    assert template.read(written(tokenizer, "Moss.<|im_end|>"), []) == {"role": "assistant", "content": "Moss."}


def test_unreadable_call_is_content() -> None:
    tokenizer = tool_tokenizer()
    message = ToolTemplate(tokenizer, SCHEMAS, NONE).read(
        written(tokenizer, "<tool_call>{look</tool_call><|im_end|>"), []
    )
    assert "tool_calls" not in message
    assert message["content"] == "<tool_call>{look</tool_call>"
