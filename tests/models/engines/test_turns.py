"""Completions of several turns: what is decoded, what is forced, and when a rollout is over."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from budget_forcing.budget import Budget
from budget_forcing.budget_state import Outcome
from configs.errors import EngineError
from configs.schema.sections import ModelConfig, SamplingConfig
from data.problem import Problem
from data.prompts import render_problem, token_ids
from data.think_format import DEEPSEEK, NONE, ThinkFormat
from models.engines.base import Engine, Request
from models.engines.generation import Generation, decode, forced_characters, result_characters, spans
from models.engines.job import Decoded, Job
from models.engines.transformers import TransformersEngine
from models.engines.turns import TurnEngine
from models.load import load_model
from rewards.environment import ToolUse, tool_use
from rl.calculator import Calculator
from tests.tool_model import CALLS, SUMS, tool_model, tool_tokenizer

PROBLEM = Problem("p", "What is 1 + 2?", "3", "test")
LOOK = '<tool_call>\n{"name": "look", "arguments": {"word": "moss"}}\n</tool_call>'
RESULT = "\n<|im_start|>tool\nmoss is here<|im_end|>\n<|im_start|>assistant\n"


class Scripted(Engine):
    """An engine whose policy is a script: it writes what `says` makes of all that came before."""

    name, about = "scripted", "a script"

    def __init__(self, tokenizer: Any, think: ThinkFormat, says: Callable[[str], str], context: int = 2048) -> None:
        super().__init__(tokenizer, think, context, (tokenizer.eos_token_id,))
        self.says, self.jobs = says, list[Sequence[Job]]()

    def decode(self, jobs: Sequence[Job], decoded: Decoded) -> None:
        self.jobs.append(jobs)
        for at, job in enumerate(jobs):
            tokens = self.tokenizer.encode(self.says(decode(self.tokenizer, job.prompt)))[: job.max_tokens]
            outcome = Outcome(tokens, [-0.5] * len(tokens), [False] * len(tokens))
            if job.budget:
                outcome.thought = tokens.index(job.budget.ends[0])
                outcome.answer_at = outcome.thought + len(job.budget.end)
            decoded(at, outcome)


def looks(times: int, end: str = "<|im_end|>") -> Callable[[str], str]:
    """Looks a word up so many times, then answers with how often."""
    return lambda before: "Moss." + end if before.count("moss is here") >= times else LOOK + end


def engine_of(says: Callable[[str], str], think: ThinkFormat = NONE, **limits: Any) -> tuple[TurnEngine, Scripted]:
    tokenizer = tool_tokenizer()
    tokenizer.add_tokens(list(think.end_tokens))
    inner = Scripted(tokenizer, think, says)
    tools = tool_use("tests.models.environments:Lookup", inner.tokenizer, think)
    assert tools is not None
    return tools.engine(inner, limits.pop("max_turns", None), limits.pop("at_once", 64)), inner


def asked(engine: Engine, problem: Problem = PROBLEM, **fields: Any) -> Request:
    [ids] = token_ids(engine.tokenizer, [render_problem(engine.tokenizer, problem, engine.think_format)])
    return Request(tuple(ids), problem=problem, logprobs=True, **{"max_tokens": 400, **fields})


def test_two_rounds_are_one_completion() -> None:
    engine, inner = engine_of(looks(2))
    [found] = engine.generate([asked(engine)])
    assert found.text == f"{LOOK}<|im_end|>{RESULT}{LOOK}<|im_end|>{RESULT}Moss.<|im_end|>"
    assert found.answer == "Moss."
    assert engine.turn(found) == "Moss.<|im_end|>"
    assert found.finish == "stop"
    assert found.conversation is not None
    assert [message["role"] for message in found.conversation.messages] == ["assistant", "tool"] * 2 + ["assistant"]
    assert found.conversation.environment.asked == ["moss", "moss"]
    assert [job.prompt for [job] in inner.jobs] == [
        found.prompt_ids,
        found.prompt_ids + found.token_ids[: found.conversation.results[0][1]],
        found.prompt_ids + found.token_ids[: found.conversation.results[1][1]],
    ]


def test_results_alone_are_forced() -> None:
    engine, _ = engine_of(looks(1))
    [found] = engine.generate([asked(engine)])
    assert found.conversation is not None
    [(start, end)] = spans(found.forced)
    assert found.conversation.results == ((start, end),)
    assert decode(engine.tokenizer, found.token_ids[start:end]) == RESULT
    assert found.logprobs == tuple(0.0 if forced else -0.5 for forced in found.forced)
    [(first, last)] = result_characters(found, engine.tokenizer, "")
    assert found.text[first:last] == RESULT


def test_observation_ends_the_question() -> None:
    engine, inner = engine_of(looks(0))
    [found] = engine.generate([asked(engine, replace(PROBLEM, metadata={"level": 2}))])
    assert "What is 1 + 2? Hint: 3.<|im_end|>" in decode(engine.tokenizer, inner.jobs[0][0].prompt)
    assert found.conversation is not None
    assert found.conversation.prompt == [{"role": "user", "content": "What is 1 + 2? Hint: 3."}]


def test_prompt_offers_the_tools() -> None:
    engine, inner = engine_of(looks(0))
    engine.generate([asked(engine)])
    assert '"name": "look"' in decode(engine.tokenizer, inner.jobs[0][0].prompt)


def test_rounds_are_limited() -> None:
    engine, _ = engine_of(looks(9), max_turns=2)
    [found] = engine.generate([asked(engine)])
    assert found.conversation is not None
    assert found.conversation.calls == 2
    assert found.text.endswith(LOOK + "<|im_end|>")
    assert found.finish == "stop"


def test_result_without_room_cuts() -> None:
    engine, _ = engine_of(looks(9))
    room = 2 * len(engine.tokenizer.encode(f"{LOOK}<|im_end|>{RESULT}"))
    [found] = engine.generate([asked(engine, max_tokens=room)])
    assert found.conversation is not None
    assert len(found.conversation.results) == 1  # with the second one nothing would be left for the model
    assert found.conversation.calls == 2
    assert found.finish == "length"
    assert not found.forced[-1]


def test_cut_turn_calls_nothing() -> None:
    engine, _ = engine_of(looks(1, end=""))
    [found] = engine.generate([asked(engine)])
    assert found.conversation is not None
    assert found.conversation.calls == 0
    assert found.finish == "length"


def test_context_bounds_all_turns() -> None:
    engine, inner = engine_of(looks(9))
    inner.context = engine.context = len(asked(engine).prompt) + 150
    [found] = engine.generate([asked(engine, max_tokens=None)])
    assert len(found.prompt_ids) + len(found.token_ids) <= engine.context
    assert found.finish == "length"


def test_prompt_without_room_is_refused() -> None:
    engine, _ = engine_of(looks(0))
    with pytest.raises(EngineError, match="no more than the context of 2048"):
        engine.generate([asked(engine, max_tokens=2048)])


def test_rollouts_go_on_together() -> None:
    engine, inner = engine_of(looks(1), at_once=4)
    engine.generate([asked(engine, n=3), asked(engine)])
    assert [len(jobs) for jobs in inner.jobs] == [4, 4]


def test_instances_are_as_many_as_at_once() -> None:
    engine, inner = engine_of(looks(1), at_once=2)
    found = engine.generate([asked(engine, n=3)])
    assert [len(jobs) for jobs in inner.jobs] == [2, 2, 1, 1]
    assert [one.sample for one in found] == [0, 1, 2]


def test_requests_without_problem_act_in_none() -> None:
    engine, inner = engine_of(looks(1))
    plain = Request(tuple(inner.tokenizer.encode("?")), max_tokens=200)
    first, second = engine.generate([asked(engine), plain])
    assert first.conversation is not None
    assert second.conversation is None
    assert second.text == f"{LOOK}<|im_end|>"


def test_every_turn_has_the_budget() -> None:
    engine, inner = engine_of(lambda before: f"I think</think>\n\n{looks(1)(before)}", DEEPSEEK)
    budget = Budget(max_thinking=40, max_answer=60)
    [found] = engine.generate([asked(engine, budget=budget)])
    assert all(job.budget is not None and job.budget.limit == 40 for jobs in inner.jobs for job in jobs)
    assert found.text.count(RESULT + DEEPSEEK.prefill) == 1  # each turn begins with the prefill
    assert found.thinking == "I think"
    assert found.thinking_tokens == 2 * len("I think")
    assert engine.turn(found) == "<think>\nI think</think>\n\nMoss.<|im_end|>"
    [(_, end)] = result_characters(found, engine.tokenizer, DEEPSEEK.prefill)
    assert (DEEPSEEK.prefill + found.text)[end:] == engine.turn(found)
    [(_, forced_end)] = forced_characters(found, engine.tokenizer, DEEPSEEK.prefill)
    assert forced_end == end + len(DEEPSEEK.prefill)


def test_turn_without_room_for_its_budget_is_the_last() -> None:
    engine, _ = engine_of(lambda before: f"I think</think>\n\n{looks(9)(before)}", DEEPSEEK)
    [found] = engine.generate([asked(engine, budget=Budget(max_thinking=40, max_answer=100))])
    assert found.finish == "length"
    assert found.conversation is not None
    assert found.conversation.results


# ---- a model


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> tuple[TurnEngine, ToolUse]:
    folder = tool_model(tmp_path_factory.mktemp("tools"))
    loaded = load_model(ModelConfig(name=str(folder), precision="fp32"))
    inner = TransformersEngine(loaded.model, loaded.tokenizer, NONE, 1024)
    tools = tool_use("rl.calculator:Calculator", loaded.tokenizer, NONE)
    assert tools is not None
    return tools.engine(inner, 2, 64), tools


def drawn(engine: Engine, seeds: Sequence[int] = range(4)) -> list[Generation]:
    asked_ = Request(asked(engine).prompt, SamplingConfig(), 160, n=4, logprobs=True, problem=PROBLEM)
    return engine.generate([replace(asked_, seed=seed) for seed in seeds])


def test_model_acts(acting: tuple[TurnEngine, ToolUse]) -> None:
    found = [generation.conversation for generation in drawn(acting[0])]
    values = [value for one in found if one for value in one.environment.values]
    assert values
    assert set(values) <= {str(a + b) for a, b in SUMS}
    assert all(one and len(one.environment.values) == one.calls - one.failures for one in found)


def test_logprobs_are_those_of_the_whole(acting: tuple[TurnEngine, ToolUse]) -> None:
    import torch

    engine = acting[0]
    model = engine.inner.model  # type: ignore[attr-defined]
    for found in drawn(engine):
        ids = torch.tensor([found.prompt_ids + found.token_ids])
        with torch.no_grad():
            logits = model(ids).logits[0, len(found.prompt_ids) - 1 : -1].log_softmax(-1)
        whole = logits[torch.arange(len(found.token_ids)), torch.tensor(found.token_ids)].tolist()
        chosen = [value for value, forced in zip(whole, found.forced, strict=True) if not forced]
        reported = [value for value, forced in zip(found.logprobs, found.forced, strict=True) if not forced]
        assert reported == pytest.approx(chosen, abs=1e-3)


def test_seed_decides_a_sample(acting: tuple[TurnEngine, ToolUse]) -> None:
    some = [generation.token_ids for generation in drawn(acting[0], seeds=[1, 2])]
    assert [generation.token_ids for generation in drawn(acting[0], seeds=[2])] == some[4:]
    assert len(set(some)) > 1


def test_calls_are_read_from_the_model(acting: tuple[TurnEngine, ToolUse]) -> None:
    texts = [generation.text for generation in drawn(acting[0])]
    assert any(call in text for call in CALLS for text in texts)


def test_calculator_is_reset(acting: tuple[TurnEngine, ToolUse]) -> None:
    instances = acting[1].environments.take(4)
    assert all(isinstance(one, Calculator) for one in instances)
    drawn(acting[0], seeds=[5])
    first = [list(one.values) for one in instances]
    drawn(acting[0], seeds=[5])
    assert [one.values for one in instances] == first
