"""What scoring long completions takes: log-probabilities and their gradients, ours against plain TRL's.

    python benchmarks/long.py [--json FILE] [--rows 8] [--length 1024] [--layers 2] [--rounds 3]

A random model in the shapes of Qwen2.5-0.5B (a vocabulary of 151,936, tied) with fewer layers and a LoRA, in bf16:
`rows` completions of `length` tokens after a short prompt, forward and backward, with entropies. Each side runs in
processes of its own, in turn.

    score_memory_ratio   ours ÷ TRL's: the most memory of the process beyond what it held before, median
    score_time_ratio     ours ÷ TRL's: seconds, median
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

import psutil
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen2Config
from trl import GRPOTrainer

from models.token_logprobs import Head
from rl.completion_logprobs import PaddedRows, Scoring, completion_logprobs

PROMPT = 16
SIDES = ("ours", "trl")


def small_qwen(layers: int) -> Any:
    """Qwen2.5-0.5B's shapes with so many layers, random, bf16, with a LoRA on its attention."""
    config = Qwen2Config(
        vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=layers,
        num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=32_768,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return get_peft_model(model, LoraConfig(r=16, target_modules=["q_proj", "v_proj"])).train()


def score(side: str, model: Any, rows: PaddedRows) -> torch.Tensor:
    """(B, C) log-probabilities of the completions."""
    if side == "trl":
        trainer = SimpleNamespace(model_kwarg_keys={"logits_to_keep"}, _entropy_bonus_enabled=False, temperature=1.0)
        padded = (model, rows.ids, rows.mask, rows.completion)
        values: torch.Tensor = GRPOTrainer._full_logits_logps(trainer, *padded, compute_entropy=True)[0]
        return values
    head = Head.of(model)
    assert head is not None
    scoring = Scoring(head, 1.0, None, takes_places=True, can_pack=False)
    return completion_logprobs(model, rows, scoring, "value")[0]


def measure(side: str, rows: int, length: int, layers: int) -> dict[str, float]:
    """{"seconds", "bytes"} of one forward and backward pass in this process."""
    model = small_qwen(layers)
    ids = torch.randint(10, 150_000, (rows, PROMPT + length), generator=torch.Generator().manual_seed(1))
    batch = PaddedRows(ids, torch.ones_like(ids), length)
    score(side, model, PaddedRows(ids[:1, :32], torch.ones_like(ids[:1, :32]), 16)).sum().backward()  # warm
    with Peak() as peak:
        started = time.perf_counter()
        score(side, model, batch).mean().backward()
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "bytes": peak.most - peak.held}


class Peak:
    """The most memory of this process while inside, looked at every 2 ms; `held`: what it had when it began."""

    def __enter__(self) -> "Peak":
        self.held = self.most = self._now()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.is_over.wait(0.002):
            self.most = max(self.most, self._now())

    @staticmethod
    def _now() -> int:
        return int(psutil.Process().memory_info().rss)


def main() -> None:
    """Take turns in processes of their own, print medians and ratios, write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help="one measurement, in this process")
    args = parser.parse_args()
    if args.side:
        print(json.dumps(measure(args.side, args.rows, args.length, args.layers)))
        return
    sizes = [f"--{name}={getattr(args, name)}" for name in ("rows", "length", "layers")]
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(args.rounds):
        for side in SIDES:
            command = [sys.executable, __file__, f"--side={side}", *sizes]
            found[side].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    figures: dict[str, Any] = {}
    for name, unit, scale in (("time", "seconds", 1.0), ("memory", "bytes", 2.0**-30)):
        values = {side: [one[unit] * scale for one in found[side]] for side in SIDES}
        ours, trl = (statistics.median(values[side]) for side in SIDES)
        figures[f"score_{name}_ratio"] = round(ours / trl, 3)
        shown = {side: [round(value, 2) for value in sorted(values[side])] for side in SIDES}
        print(f"score_{name}_ratio: {ours / trl:.3f}, {'s' if unit == 'seconds' else 'GiB'}: {shown}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
