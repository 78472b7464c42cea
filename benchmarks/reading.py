"""How fast rows become token ids: ours against plain TRL's preparation of the same rows, and how much memory it takes.

    MULL_DATA=… python benchmarks/reading.py [--json FILE] [--rows 20000] [--rounds 5]

The rows are a Chinese medical table (a GBK file) and Alpaca's, repeated until there are enough. Ours reads the file,
detects its layout, renders, tokenises and makes Arrow columns; TRL's (`SFTTrainer._prepare_dataset`, with one process
and with one a core) is given the rows in memory as messages, and its cache is off. They take turns in one run.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from configs.command import prepare_libraries

prepare_libraries()

from datasets import Dataset, disable_caching
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer

from configs.schema.sections import DataConfig, ModelConfig
from data.corpus import load_traces
from data.problem import Trace
from data.think_format import NONE
from models.tokenizer import load_tokenizer
from sft.dataset import Example, arrow_columns
from sft.encoding import encode_traces
from tests.tiny import tiny_model

FILES = {"medical_zh": "medical_zh/internal_medicine_gbk.csv", "alpaca": "alpaca/alpaca_en_demo.json"}
MIB = 2**20


def main(argv: Sequence[str]) -> None:
    """Take turns on each file, print medians and ratios, write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MULL_DATA", ".")))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    disable_caching()
    tokenizer = load_tokenizer(ModelConfig(name="smollm2-135m"))
    figures = {"memory": memory(args.data / FILES["medical_zh"], tokenizer)}  # first: a process's peak only rises
    figures |= {name: of_file(args.data / file, tokenizer, args.rows, args.rounds) for name, file in FILES.items()}
    for name, found in figures.items():
        for figure, value in found.items():
            print(f"{name:12} {figure:28} {value}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def of_file(path: Path, tokenizer: Any, rows: int, rounds: int) -> dict[str, Any]:
    """Rows a minute of each side, medians of the rounds with their spread; ratios are taken within a round."""
    once = load_traces(DataConfig(path=str(path)), lambda reject: None)
    times = -(-rows // len(once))
    figures: dict[str, Any] = {"rows": times * len(once)}
    messages = Dataset.from_list([messages_of(trace) for trace in once * times])
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: ours(path, times, tokenizer),
        "trl": lambda: trl(messages, tokenizer, None),
        "trl_every_core": lambda: trl(messages, tokenizer, os.cpu_count()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - started)
    for name, taken in seconds.items():
        speeds = [round(60 * figures["rows"] / second) for second in taken]
        figures[f"{name}_rows_a_minute"] = f"{round(statistics.median(speeds)):,} ({min(speeds):,}–{max(speeds):,})"
    for name in ("trl", "trl_every_core"):
        ratios = [their / our for our, their in zip(seconds["ours"], seconds[name], strict=True)]
        figures[f"times_{name}"] = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    return figures


def ours(path: Path, times: int, tokenizer: Any) -> Dataset:
    """A file, read `times` times, as the rows that the trainer takes."""
    traces = [trace for _ in range(times) for trace in load_traces(DataConfig(path=str(path)), lambda reject: None)]
    rows = encode_traces(traces, tokenizer, NONE)
    return Dataset.from_dict(arrow_columns([row for row in rows if isinstance(row, Example)]))


def messages_of(trace: Trace) -> dict[str, Any]:
    """The trace as TRL's conversational prompt and completion."""
    prompt, completion = ({"role": r, "content": c} for r, c in (("user", trace.question), ("assistant", trace.reply)))
    return {"prompt": [prompt], "completion": [completion]}


def trl(rows: Dataset, tokenizer: Any, processes: int | None) -> Dataset:
    """TRL's own preparation of the rows; the trainer around it has a tiny model and is made in a moment."""
    with tempfile.TemporaryDirectory() as folder:
        model = AutoModelForCausalLM.from_pretrained(tiny_model(Path(folder), vocabulary=len(tokenizer)))
        arguments = SFTConfig(folder, use_cpu=True, bf16=False, report_to="none", dataset_num_proc=processes)
        return SFTTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer).train_dataset


def memory(path: Path, tokenizer: Any) -> dict[str, Any]:
    """How far the process's peak rises over the encoding of ten times the rows, beside the size of the examples."""
    traces = load_traces(DataConfig(path=str(path)), lambda reject: None)
    list(encode_traces(traces, tokenizer, NONE))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    examples = [row for row in encode_traces(traces * 10, tokenizer, NONE) if isinstance(row, Example)]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    held = sum(sys.getsizeof(row) + sys.getsizeof(row.input_ids) for row in examples)
    return {"rows": len(examples), "peak_rises_mib": round((after - before) / MIB), "examples_mib": round(held / MIB)}


if __name__ == "__main__":
    main(sys.argv[1:])
