"""`vllm serve` with the budget processor, driven over loopback by the `openai` client."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from budget_forcing.budget import Budget, resolve
from budget_forcing.tokens import encode, think_tokens
from budget_forcing.vllm_request import extra_args
from configs.schema.sections import ModelConfig, SamplingConfig
from data.think_format import S1
from models.engines.base import Request, prompt_ids
from models.engines.transformers import TransformersEngine
from models.load import load_model
from tests.tiny import tiny_model
from tests.vllm_env import vllm_serve

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("vllm")
    options = ["--logits-processors", "budget_forcing.vllm_processor:BudgetProcessor"]
    with vllm_serve(folder, tmp_path_factory.mktemp("server"), *options) as client:
        yield client


@pytest.fixture(scope="module")
def engine(folder: Path) -> TransformersEngine:
    loaded = load_model(ModelConfig(name=str(folder), precision="fp32", max_length=300))
    return TransformersEngine(loaded.model, loaded.tokenizer, S1, 300)


MESSAGES = [{"role": "user", "content": "What is 2+2?"}]
BUDGET = Budget(max_thinking=20, num_waits=1, max_answer=9, final_answer_text="So ")


def xargs(engine: TransformersEngine, budget: Budget = BUDGET) -> dict[str, Any]:
    tokens = think_tokens(S1, engine.tokenizer, engine.eos)
    prompt = prompt_ids(MESSAGES, engine.tokenizer, S1)
    return extra_args(resolve(budget, tokens, engine.tokenizer, len(prompt), 300))


def complete(client: Any, engine: TransformersEngine, args: dict[str, Any] | None, **fields: Any) -> Any:
    prompt = list(prompt_ids(MESSAGES, engine.tokenizer, S1))
    body = {"skip_special_tokens": False} | ({} if args is None else {"vllm_xargs": args})
    return client.completions.create(model="tiny", prompt=prompt, **{"max_tokens": 60, "extra_body": body, **fields})


def test_server_matches_engine_greedily(client: Any, engine: TransformersEngine) -> None:
    answered = complete(client, engine, xargs(engine), temperature=0)
    ours = engine.generate([Request(MESSAGES, SamplingConfig(temperature=0.0), budget=BUDGET)])[0]
    assert answered.choices[0].text == ours.text
    assert answered.choices[0].finish_reason == "stop"


def test_chat_streams_an_answer(client: Any, engine: TransformersEngine) -> None:
    stream = client.chat.completions.create(
        model="tiny",
        messages=MESSAGES,
        temperature=0,
        max_tokens=60,
        stream=True,
        extra_body={"vllm_xargs": xargs(engine), "skip_special_tokens": False},
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert "<|im_start|>answer\nSo " in text


def test_each_sample_keeps_the_budget(client: Any, engine: TransformersEngine) -> None:
    answered = complete(client, engine, xargs(engine), n=4, temperature=1, top_p=0.95, seed=3)
    texts = [choice.text for choice in answered.choices]
    assert len(set(texts)) == 4
    for text in texts:
        thinking, _, answer = text.partition(S1.end)
        assert answer
        assert len(encode(engine.tokenizer, thinking)) <= 3 * 20  # stray bytes decode to three-byte characters


def test_request_without_budget_is_plain(client: Any, engine: TransformersEngine) -> None:
    answered = complete(client, engine, None, temperature=0, max_tokens=20)
    ours = engine.generate([Request(MESSAGES, SamplingConfig(temperature=0.0), max_tokens=20)])[0]
    assert answered.choices[0].text == ours.text


@pytest.mark.parametrize(
    ("change", "fields", "words"),
    [
        ({"budget_limit": -4}, {}, ["budget_limit", "-4"]),
        ({"budget_min_thinking": 21}, {}, ["budget_min_thinking", "21", "20"]),
        ({"budget_waits": 1}, {}, ["budget_waits", "budget_num_waits"]),
        ({"budget_nonce": ["a"]}, {}, ["budget_nonce"]),
        ({"budget_logprobs": [1]}, {}, ["budget_logprobs"]),
        ({"budget_limit": 300}, {"max_tokens": 1000}, ["tokens"]),
        ({}, {"max_tokens": 30}, ["max_tokens 30"]),
        ({}, {"presence_penalty": 0.4}, ["penalties"]),
    ],
)
def test_bad_budget_is_refused_with_400(
    client: Any, engine: TransformersEngine, change: dict[str, Any], fields: dict[str, Any], words: list[str]
) -> None:
    import openai

    with pytest.raises(openai.BadRequestError) as error:
        complete(client, engine, xargs(engine) | change, **fields)
    assert error.value.status_code == 400
    assert all(word in str(error.value) for word in words)
    assert complete(client, engine, xargs(engine)).choices[0].text  # the server goes on


def test_every_vllm_truncation_is_accepted(client: Any, engine: TransformersEngine) -> None:
    body = {"skip_special_tokens": False, "vllm_xargs": xargs(engine), "min_p": 1.0, "top_k": 1}
    assert complete(client, engine, None, temperature=1, top_p=1e-6, extra_body=body).choices[0].text
    greedy = complete(client, engine, xargs(engine), temperature=0).choices[0].text
    assert complete(client, engine, None, temperature=1, extra_body=body).choices[0].text == greedy


def test_server_survives_unknown_token_ids(client: Any, engine: TransformersEngine) -> None:
    assert complete(client, engine, xargs(engine) | {"budget_wait": [10**6]}).choices[0].text in ("", "<|im_end|>")
    assert complete(client, engine, xargs(engine)).choices[0].text
