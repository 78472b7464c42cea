"""A tiny chat model whose template has tools, taught a little to ask a calculator and to answer with what it says."""

from pathlib import Path
from typing import Any

from data.arithmetic import generate_problems
from data.prompts import render_problem, token_ids
from data.think_format import NONE
from models.tool_template import ToolTemplate
from rl.calculator import Calculator
from tests.tiny import tiny_tokenizer

CHATML = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}"
    "<tool_call>\n{{ call['function'] | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
RESPONSE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "open": "<tool_call>",
            "close_pattern": "</tool_call>\\s*",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": "<\\|im_end\\|>\\s*", "content": "text"},
    },
}
SUMS = [(1, 2), (2, 4), (3, 5)]
CALLS = [
    f'<tool_call>\n{{"name": "calculate", "arguments": {{"expression": "{a}+{b}"}}}}\n</tool_call>' for a, b in SUMS
]
"""What it asks the calculator: a token each, so that a tiny model learns it in seconds."""


def tool_tokenizer() -> Any:
    """`tiny_tokenizer` with a template of tools and a response template."""
    from tokenizers import AddedToken

    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in CALLS])
    tokenizer.chat_template, tokenizer.response_template = CHATML, RESPONSE
    return tokenizer


def tool_model(folder: Path) -> Path:
    """Write a model that makes one of `CALLS`, or several, in about half of its completions; returns `folder`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tool_tokenizer()
    config = LlamaConfig(
        vocab_size=264,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        _teach(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _teach(model: Any, tokenizer: Any) -> None:
    """Teach it a few conversations: not enough to tell when it is time to call, which gives groups that differ."""
    import torch

    rows = _conversations(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(80):
        ids, labels = rows[step % len(rows)]
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def _conversations(tokenizer: Any) -> list[tuple[Any, Any]]:
    """(ids, labels), a row each: a question, a call, its result, the answer; the model's turns are taught."""
    import torch

    from models.environment import Environments

    environments = Environments(Calculator, "calculator")
    template = ToolTemplate(tokenizer, environments.schemas, NONE)
    rows = []
    for at, problem in enumerate(generate_problems(40, seed=1)):
        a, b = SUMS[at % len(SUMS)]
        texts = [
            render_problem(template.tokenizer, problem, NONE),
            f"{CALLS[at % len(SUMS)]}<|im_end|>",
            f"{a + b}<|im_end|>",
        ]
        prompt, call, answer = token_ids(tokenizer, texts)
        result = template.answer([{"role": "tool", "name": "calculate", "content": str(a + b)}])
        labels = [-100] * len(prompt) + call + [-100] * len(result) + answer
        rows.append((torch.tensor([prompt + call + result + answer]), torch.tensor([labels])))
    return rows
