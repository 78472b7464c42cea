"""Loss on every reply of a conversation: exactly the replies with their ends of turn, on the tokens of the prompt."""

import copy
import os
from dataclasses import replace
from typing import Any

import pytest
from datasets import Dataset
from transformers import ByT5Tokenizer

from configs.errors import DataError, ModelError
from configs.schema.sections import DataConfig
from data.corpus import load_traces
from data.problem import Trace
from data.think_format import DEEPSEEK, NONE, S1, ThinkFormat
from sft.dataset import IGNORED, arrow_columns, fit, ledger, show_loss
from sft.encoding import encode_trace
from tests.tiny import CHATML

pytestmark = pytest.mark.engine

REAL = os.environ.get("MULL_DATA")
HISTORY = (("你好？", "您好！\n\n  有什么可以帮您？"), ("So?", "So  what … 🤒"), ("?", "1"))
GENERATION = (  # SmolLM2's turns, with the tags by which Transformers tells replies
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ m.content + '<|im_end|>' }}{% endif %}"
    "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = (  # no special token stands between a reply and what is around it
    "{% for m in messages %}{% if m.role == 'assistant' %}ASSISTANT:{{ ' ' }}"
    "{% generation %}{{ m.content + ' </s>' }}{% endgeneration %}"
    "{% else %}USER: {{ m.content }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{{ ' ' }}{% endif %}"
)


def with_template(tokenizer: Any, template: str) -> Any:
    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return other


def conversation(thinking: str = "", history: tuple[tuple[str, str], ...] = HISTORY) -> Trace:
    return Trace(id="c", question="And now?", thinking=thinking, reply="Done.", source="test", history=history)


def trained_texts(tokenizer: Any, trace: Trace, think_format: ThinkFormat) -> list[str]:
    example = encode_trace(trace, tokenizer, think_format, "all_turns")
    return [tokenizer.decode(example.input_ids[start:end]) for start, end in example.loss_spans]


@pytest.mark.parametrize("think_format", [S1, DEEPSEEK, NONE], ids=lambda think: think.name)
def test_loss_is_on_each_reply_and_its_end(tokenizer: Any, think_format: ThinkFormat) -> None:
    trace = conversation("so" if think_format.has_thinking else "")
    *earlier, last = trained_texts(tokenizer, trace, think_format)
    assert earlier == [f"{reply}<|im_end|>" for _, reply in HISTORY]
    assert last.endswith("Done.<|im_end|>")
    assert last.startswith("so" if think_format.has_thinking else "Done.")


def test_tokens_are_those_of_the_last_turn(tokenizer: Any) -> None:
    every, last = (encode_trace(conversation("so"), tokenizer, S1, which) for which in ("all_turns", "last_turn"))
    assert (every.input_ids, every.answer_start) == (last.input_ids, last.answer_start)
    assert every.loss_spans[-1:] == last.loss_spans


@pytest.mark.parametrize("template", [GENERATION, WORDS])
def test_loss_equals_the_template_s_own_mask(tokenizer: Any, template: str) -> None:
    tokenizer = with_template(tokenizer, template)
    trace = conversation()
    turns = [*trace.history, (trace.question, trace.reply)]
    messages = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    theirs = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    ours = encode_trace(trace, tokenizer, NONE, "all_turns")
    # in words the last prompt ends with a space that theirs has merged into the reply
    shown = len(ours.input_ids) if template == GENERATION else ours.loss_spans[-1][0] - 1
    assert ours.input_ids[:shown].tolist() == theirs["input_ids"][:shown]
    assert [int(label != IGNORED) for label in ours.labels[:shown]] == theirs["assistant_masks"][:shown]
    assert sum(theirs["assistant_masks"][:shown]) > 20


def test_conversation_of_one_turn_has_one_span(tokenizer: Any) -> None:
    assert trained_texts(tokenizer, conversation(history=()), NONE) == ["Done.<|im_end|>"]


def test_columns_ledger_and_cut_follow(tokenizer: Any) -> None:
    example = encode_trace(conversation(), tokenizer, NONE, "all_turns")
    (_, first_end), (second_start, _), *_ = example.loss_spans
    columns = Dataset.from_dict(arrow_columns([example, example]))
    assert list(columns["labels"]) == [example.labels] * 2
    [cut] = fit([example], second_start + 1, "cut")
    assert cut.loss_spans == (example.loss_spans[0], (second_start, second_start + 1))
    assert cut.labels == example.labels[: second_start + 1]
    assert fit([example], example.loss_spans[0][0], "cut") == []
    assert ledger([example], example.loss_spans[0][0], "cut").left_out == 1
    assert ledger([example], first_end, "cut").left_out == 0


def test_shown_row_marks_every_reply(tokenizer: Any) -> None:
    shown = show_loss(encode_trace(conversation(), tokenizer, NONE, "all_turns"), tokenizer)
    assert shown.count("⟦") == 4
    assert "<|im_start|>assistant\n⟦1<|im_end|>⟧\n<|im_start|>user\nAnd now?" in shown


def test_earlier_reply_with_an_end_is_refused(tokenizer: Any) -> None:
    trace = conversation(history=(("?", "4<|im_end|>5"),))
    encode_trace(trace, tokenizer, NONE)
    with pytest.raises(DataError, match="would end the turn early"):
        encode_trace(trace, tokenizer, NONE, "all_turns")


def test_python_tokenizer_is_refused() -> None:
    with pytest.raises(ModelError, match="loss_on: all_turns needs a fast tokenizer"):
        encode_trace(conversation(), ByT5Tokenizer(chat_template=CHATML), NONE, "all_turns")


@pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")
def test_real_replies_are_trained_whole(tokenizer: Any) -> None:
    traces = load_traces(DataConfig(path=f"{REAL}/alpaca/alpaca_zh_demo.json"), lambda reject: None)
    for first, second, last in zip(traces[::3], traces[1::3], traces[2::3], strict=False):
        trace = replace(last, history=((first.question, first.reply), (second.question, second.reply)))
        replies = [f"{reply}<|im_end|>" for reply in (first.reply, second.reply, last.reply)]
        assert trained_texts(tokenizer, trace, NONE) == replies
