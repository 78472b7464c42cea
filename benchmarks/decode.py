"""What drawing on a CPU takes: tokens a second of the Transformers engine, against others and the matrices alone.

    python benchmarks/decode.py [--json FILE] [--rows 64] [--tokens 128] [--precision auto] [--rounds 3] [--plain]

The embedded model, with a LoRA unless `--plain`, at temperature 1; every row takes all its tokens. Each side runs in
processes of its own, in turn.

    ours       the engine
    repeated   the engine with Transformers' attention, which repeats keys and values for every query head, and with
               glibc's own way with freed memory: as it was until November 2026
    generate   `model.generate` of Transformers
    matrices   the products with the model's weights that `tokens` steps of `rows` rows need, and nothing else

    decode_speedup, decode_vs_generate, decode_vs_matrices   tokens a second of ours ÷ that of the other three, medians
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs import command

SIDES = ("ours", "repeated", "generate", "matrices")
NAMES = {"repeated": "decode_speedup", "generate": "decode_vs_generate", "matrices": "decode_vs_matrices"}


def measure(side: str, rows: int, tokens: int, precision: str, plain: bool) -> float:
    """Tokens a second, in this process; prompts are read in that time too, but by `matrices`."""
    if side != "ours":
        command._keep_freed_memory = lambda: None
    command.prepare_libraries()  # the waiting threads of every side sleep
    import torch

    from configs.schema.adapters import LoraConfig
    from configs.schema.sections import ModelConfig
    from models.load import load_model

    config = ModelConfig.model_validate({"name": "smollm2-135m", "precision": precision})
    loaded = load_model(config, None if plain else LoraConfig())
    loaded.model.eval()
    with torch.inference_mode():
        run = {"generate": generated, "matrices": multiplied}.get(side, decoded)
        if side == "repeated":
            from models.engines import transformers

            # the side to compare with is the engine itself, with Transformers' attention left in
            transformers.decoding_attention = contextlib.nullcontext  # type: ignore[attr-defined,assignment]
        run(loaded, 2, 2)  # warm
        started = time.perf_counter()
        run(loaded, rows, tokens)
        return rows * tokens / (time.perf_counter() - started)


def prompts(loaded: Any, rows: int) -> list[list[int]]:
    """Questions of arithmetic, as token ids."""
    from data.arithmetic import generate_problems
    from data.think_format import S1
    from rl.rollout import prompts as rendered

    ids: list[list[int]] = loaded.tokenizer(rendered(generate_problems(rows, seed=5), loaded.tokenizer, S1)).input_ids
    return ids


def decoded(loaded: Any, rows: int, tokens: int) -> None:
    """Our engine; no token ends a turn."""
    from configs.schema.sections import SamplingConfig
    from data.think_format import S1
    from models.engines.base import Request
    from models.engines.transformers import TransformersEngine

    engine = TransformersEngine(loaded.model, loaded.tokenizer, S1, 2048, batch_size=rows)
    engine.eos = ()
    asked = [Request(tuple(ids), SamplingConfig(), tokens, seed=at) for at, ids in enumerate(prompts(loaded, rows))]
    made = engine.generate(asked)
    assert sum(len(one.token_ids) for one in made) == rows * tokens


def generated(loaded: Any, rows: int, tokens: int) -> None:
    """Transformers' own, left padded, the whole distribution sampled from."""
    loaded.tokenizer.padding_side = "left"
    inputs = loaded.tokenizer.pad({"input_ids": prompts(loaded, rows)}, return_tensors="pt")
    length = {"max_new_tokens": tokens, "min_new_tokens": tokens}
    made = loaded.model.generate(**inputs, **length, do_sample=True, temperature=1.0, top_k=0, top_p=1.0)
    assert made.shape == (rows, inputs["input_ids"].shape[1] + tokens)


def multiplied(loaded: Any, rows: int, tokens: int) -> None:
    """Every weight matrix times `rows` columns, `tokens` times."""
    import torch

    weights = [module.weight for module in loaded.model.modules() if isinstance(module, torch.nn.Linear)]
    columns = {
        (weight.shape[1], weight.dtype): torch.randn(rows, weight.shape[1], dtype=weight.dtype) for weight in weights
    }
    for _ in range(tokens):
        for weight in weights:
            torch.nn.functional.linear(columns[weight.shape[1], weight.dtype], weight)


def main() -> None:
    """Take turns in processes of their own, print medians and ratios, write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="without a LoRA")
    parser.add_argument("--side", choices=SIDES, help="one measurement, in this process")
    args = parser.parse_args()
    if args.side:
        print(measure(args.side, args.rows, args.tokens, args.precision, args.plain))
        return
    sizes = [f"--{name}={getattr(args, name)}" for name in ("rows", "tokens", "precision")]
    sizes += ["--plain"] if args.plain else []
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(args.rounds):
        for side in SIDES:
            side_alone = [sys.executable, __file__, f"--side={side}", *sizes]
            printed = subprocess.run(side_alone, check=True, capture_output=True, text=True).stdout
            found[side].append(float(printed.splitlines()[-1]))
    middle = {side: statistics.median(values) for side, values in found.items()}
    for side in SIDES:
        print(f"{side}: {middle[side]:.0f} tokens/s, {min(found[side]):.0f} to {max(found[side]):.0f}")
    figures = {name: round(middle["ours"] / middle[side], 3) for side, name in NAMES.items()}
    for name, value in figures.items():
        print(f"{name}: {value:.3f}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
