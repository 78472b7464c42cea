"""Prompts and training turns through real chat templates, with every think format."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, processors
from transformers import PreTrainedTokenizerFast

from configs.errors import DataError, ModelError
from data.chat_template import PROBES, carrying, render_template
from data.problem import Trace, problem_of
from data.prompts import earlier_replies, render_problem, render_prompt, render_turn, turn_end
from data.think_format import DEEPSEEK, NONE, S1, THINK_FORMATS, XML, ThinkFormat
from tests.tiny import tiny_tokenizer

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN3 = (  # the last turn gets an empty think block, earlier ones lose theirs
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% set content = m.content.split('</think>')[-1].lstrip('\n') %}{{ '<|im_start|>assistant\n' }}"
    "{% if loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{{ content + '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
DEEPSEEK_R1 = (  # opens the thinking itself, and drops it from past turns
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}"
    "{% elif m.role == 'system' %}{{ m.content }}"
    "{% else %}{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{% endif %}"
)
GEMMA = (  # refuses the system role
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + m['content'] | trim }}"
    "{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
DROPS_SYSTEM = (
    "{% for m in messages %}{% if m.role != 'system' %}{{ '[' + m.role + ']' + m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)


THINKING = [think for think in THINK_FORMATS.values() if think.has_thinking]
END_OF_TURN = {SMOLLM2: "<|im_end|>", QWEN3: "<|im_end|>", DEEPSEEK_R1: "<｜end▁of▁sentence｜>"}


def tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    return PreTrainedTokenizerFast(
        tokenizer_object=core, chat_template=template, bos_token="<｜begin｜>", eos_token="<|eos|>"
    )


def trace(thinking: str = "12 + 7 = 19.", reply: str = "19", history: tuple[tuple[str, str], ...] = ()) -> Trace:
    return Trace(id="t1", question="12 + 7?", thinking=thinking, reply=reply, source="test", history=history)


def test_prompt_ends_with_the_prefill() -> None:
    prompt = render_prompt(tokenizer(SMOLLM2), "12 + 7?", S1)
    assert prompt.endswith("<|im_start|>user\n12 + 7?<|im_end|>\n<|im_start|>assistant\n<|im_start|>think\n")


def test_given_system_prompt_wins_over_the_format() -> None:
    tok = tokenizer(QWEN3)
    assert render_prompt(tok, "?", S1).startswith("<|im_start|>user")
    assert render_prompt(tok, "?", XML).startswith(f"<|im_start|>system\n{XML.system}<|im_end|>\n<|im_start|>user")
    assert render_prompt(tok, "?", XML, system="Be brief.").startswith("<|im_start|>system\nBe brief.<|im_end|>")


def test_history_comes_before_the_question() -> None:
    prompt = render_prompt(tokenizer(QWEN3), "and 3?", S1, history=[("1?", "one"), ("2?", "two")])
    positions = [prompt.index(text) for text in ("1?", "one", "2?", "two", "and 3?")]
    assert positions == sorted(positions)


def test_template_opens_thinking_once() -> None:
    assert render_prompt(tokenizer(DEEPSEEK_R1), "?", DEEPSEEK).count("<think>") == 1
    prompt, completion = render_turn(tokenizer(DEEPSEEK_R1), trace(), DEEPSEEK)
    assert (prompt + completion).count("<think>") == 1
    assert prompt.endswith("<｜Assistant｜><think>\n")


@pytest.mark.parametrize("template", END_OF_TURN)
@pytest.mark.parametrize("think_format", THINKING, ids=lambda think: think.name)
@given(thinking=st.text("ab +=.\n你", min_size=1).filter(str.strip), reply=st.text("ab19", min_size=1))
def test_turn_keeps_thinking_and_ends_once(template: str, think_format: ThinkFormat, thinking: str, reply: str) -> None:
    tok = tokenizer(template)
    prompt, completion = render_turn(tok, trace(thinking, reply), think_format)
    assert prompt == render_prompt(tok, "12 + 7?", think_format)
    assert completion.endswith(END_OF_TURN[template])
    assert completion.count(END_OF_TURN[template]) == 1
    turn = think_format.render(thinking, reply) + END_OF_TURN[template]
    assert (prompt + completion).endswith(turn)
    assert thinking.strip() in completion


def test_turn_matches_the_chat_template() -> None:
    tok = tokenizer(SMOLLM2)
    prompt, completion = render_turn(tok, trace(), S1)
    whole = tok.apply_chat_template(
        [{"role": "user", "content": "12 + 7?"}, {"role": "assistant", "content": S1.render("12 + 7 = 19.", "19")}],
        tokenize=False,
    )
    assert prompt + completion == str(whole).rstrip("\n")


def test_trace_without_thinking_is_a_plain_reply() -> None:
    prompt, completion = render_turn(tokenizer(SMOLLM2), trace(thinking=""), S1)
    assert prompt.endswith("<|im_start|>assistant\n")
    assert completion == "19<|im_end|>"


@pytest.mark.parametrize(
    "bad", [trace(thinking="1<|im_end|>2"), trace(reply="1<|im_end|>"), trace(thinking="a<|im_start|>answer")]
)
def test_trace_with_an_end_of_turn_is_refused(bad: Trace) -> None:
    with pytest.raises(DataError, match=r"t1: its text contains '<\|im_"):
        render_turn(tokenizer(SMOLLM2), bad, S1)


def test_turn_end_falls_back_on_eos() -> None:
    tok = tokenizer(
        "{% for m in messages %}{{ m.role + ':' + m.content }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}"
    )
    assert turn_end(tok) == "<|eos|>"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "no chat template"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "no generation prompt"),
    ],
)
def test_unusable_template_is_refused(template: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        render_prompt(tokenizer(template), "?", S1)


def test_template_that_drops_replies_is_refused() -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}a:{% endif %}"
    )
    with pytest.raises(ModelError, match="drops the assistant's reply"):
        render_turn(tokenizer(template), trace(), S1)


def test_first_question_carries_the_system_prompt(caplog: pytest.LogCaptureFixture) -> None:
    tok = tokenizer(GEMMA)
    prompt = render_prompt(tok, "and 3?", S1, "Be brief.", [("1?", "one")])
    assert prompt == (
        "<｜begin｜><start_of_turn>user\nBe brief.\n\n1?<end_of_turn>\n<start_of_turn>model\none<end_of_turn>\n"
        "<start_of_turn>user\nand 3?<end_of_turn>\n<start_of_turn>model\n<|im_start|>think\n"
    )
    assert "its chat template has no system role" in caplog.text
    assert render_prompt(tok, "1?", XML).startswith(f"<｜begin｜><start_of_turn>user\n{XML.system}\n\n1?<end_of_turn>")
    assert render_prompt(tok, "1?", S1).startswith("<｜begin｜><start_of_turn>user\n1?<end_of_turn>")


def test_dropped_system_message_joins_the_question() -> None:
    assert render_prompt(tokenizer(DROPS_SYSTEM), "1?", DEEPSEEK, "Be brief.") == (
        "[user]Be brief.\n\n1?[assistant]<think>\n"
    )


def test_refusal_of_a_template_is_one_line() -> None:
    refusing = "{{ raise_exception('no conversations today') }}"
    with pytest.raises(ModelError, match=r"its chat template refuses these messages \(no conversations today\)"):
        render_prompt(tokenizer(refusing), "?", S1)


@pytest.mark.parametrize("template", [SMOLLM2, QWEN3, GEMMA, DROPS_SYSTEM])
@pytest.mark.parametrize("think_format", THINK_FORMATS.values(), ids=THINK_FORMATS)
def test_carried_template_renders_the_training_prompt(template: str, think_format: ThinkFormat) -> None:
    tok = tokenizer(template)
    prompts = [render_prompt(tok, question, think_format, history=history) for question, history in PROBES]
    tok.chat_template = carrying(tok, think_format)
    assert [render_template(tok, tok.chat_template, *probe) for probe in PROBES] == prompts
    assert [render_prompt(tok, question, think_format, history=history) for question, history in PROBES] == prompts
    assert carrying(tok, think_format) == tok.chat_template


@pytest.mark.parametrize(("think_format", "thinking"), [(NONE, ""), (S1, "two and two"), (XML, "two and two")])
def test_problem_is_asked_as_its_trace_is_trained(think_format: ThinkFormat, thinking: str) -> None:
    tok, history = tokenizer(SMOLLM2), (("1 + 1?", "2"),)
    trace = Trace(
        id="a", question="2 + 2?", thinking=thinking, reply="4", source="test", system="Be brief.", history=history
    )
    trained, _ = render_turn(tok, trace, think_format)
    assert "Be brief." in trained
    assert "1 + 1?" in trained
    assert render_problem(tok, problem_of(trace, "4"), think_format) == trained


def test_format_without_thinking_trains_replies() -> None:
    tokenizer = tiny_tokenizer()
    reply = Trace(id="a", question="2 + 2?", thinking="", reply="4", source="test")
    prompt, completion = render_turn(tokenizer, reply, NONE)
    assert (prompt, completion) == (render_prompt(tokenizer, "2 + 2?", NONE), "4<|im_end|>")
    with pytest.raises(DataError, match="a: it has thinking, and think format none has no place for any"):
        render_turn(tokenizer, replace(reply, thinking="two and two"), NONE)


ENDS = END_OF_TURN | {GEMMA: "<end_of_turn>"}
HISTORY = (("1?", "one\n\n two"), ("-", ""), ("2?", "zwei 二"))


@pytest.mark.parametrize("system", [None, "Be brief."])
@pytest.mark.parametrize("template", [SMOLLM2, QWEN3, DEEPSEEK_R1, GEMMA])
@pytest.mark.parametrize("think_format", THINK_FORMATS.values(), ids=THINK_FORMATS)
def test_earlier_replies_are_found(template: str, think_format: ThinkFormat, system: str | None) -> None:
    tok = tokenizer(template)
    thinking = "so" if think_format.has_thinking else ""
    row = replace(trace(thinking, history=HISTORY), system=system)
    prompt, _ = render_turn(tok, row, think_format)
    found = [prompt[start:end] for start, end in earlier_replies(tok, row, think_format, prompt)]
    assert found == [reply + ENDS[template] for _, reply in HISTORY if reply]


@pytest.mark.parametrize(
    ("written", "error", "message"),
    [
        (
            "m.content | replace('one', 'uno') + '<e>'",
            DataError,
            "t1: the chat template does not write its earlier replies as they",
        ),
        ("(m.content if loop.last else '') + '<e>'", DataError, "does not write its earlier replies as they are"),
        ("m.content + ('<e>' if loop.last else '<m>')", ModelError, "ends earlier turns otherwise than the last one"),
    ],
)
def test_untrainable_earlier_reply_is_refused(written: str, error: type[Exception], message: str) -> None:
    tok = tokenizer(
        "{% for m in messages %}{{ m.role + ':' }}{% if m.role == 'user' %}{{ m.content }}{% else %}"
        "{{ " + written + " }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    row = trace("", history=(("1?", "one"),))
    prompt, _ = render_turn(tok, row, NONE)
    with pytest.raises(error, match=message):
        earlier_replies(tok, row, NONE, prompt)


def test_document_has_no_template() -> None:
    text = Trace(id="d", question="", thinking="", reply="One.\n\nTwo.", source="test")
    tok = tokenizer(SMOLLM2)
    tok.eos_token = "<|im_end|>"  # as `load_tokenizer` sets it; a document still ends as the tokenizer's files say
    assert render_turn(tok, text, NONE) == ("", "One.\n\nTwo.<|eos|>")
    with pytest.raises(DataError, match=r"d: its text contains '<\|eos\|>'"):
        render_turn(tok, replace(text, reply="One.<|eos|>Two."), NONE)


def test_document_begins_as_the_tokenizer_has_it() -> None:
    tok = tokenizer(SMOLLM2)
    bos = tok.convert_tokens_to_ids("<｜begin｜>")
    tok.backend_tokenizer.post_processor = processors.TemplateProcessing("<｜begin｜> $A", None, [("<｜begin｜>", bos)])
    text = Trace(id="d", question="", thinking="", reply="One.", source="test")
    assert render_turn(tok, text, NONE) == ("", "<｜begin｜>One.<|eos|>")
