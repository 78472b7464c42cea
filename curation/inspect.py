"""What is in files of traces: layout, bad rows, three rows as a model would see them, lengths, and what is not text.

python -m curation.inspect FILE [--model NAME] [--think-format s1] [--split NAME] [--task NAME] [key=column …]
"""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from configs.command import prepare_libraries, run_command
from configs.data_files import SHEETS
from configs.errors import ConfigError, DataError
from data.dataset_info import find
from data.encoding import detect_encoding
from data.formats import MAPPED, Opened, Reject, open_traces
from data.residue import ResidueCount, add_residue, residue_lines
from data.task import load_task, task_traces
from data.think_format import resolve_think_format

SHOWN = 3
QUANTILES = (0.0, 0.5, 0.9, 0.95, 0.99, 1.0)


def main(argv: list[str]) -> int:
    """Print what was found; exit code 1 if a row was rejected."""
    args = _parser().parse_intermixed_args(argv)
    mapping = dict(_pair(text) for text in args.mapping)

    from configs.schema.sections import ModelConfig
    from data.prompts import render_turn
    from models.tokenizer import load_tokenizer

    prepare_libraries()
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    rejects: list[Reject] = []
    if args.task is None:
        opened = open_traces(args.file, mapping, rejects.append, args.split)
    else:
        opened = _of_task(args, mapping, rejects)
    print(f"layout: {opened.layout}")
    for line in _encodings(args.file):
        print(line)
    tokenizer = load_tokenizer(ModelConfig(name=args.model))
    think_format = resolve_think_format(args.think_format)
    lengths: list[int] = []
    with_thinking, residue = 0, dict[str, ResidueCount]()
    for trace in opened.traces:
        try:
            prompt, completion = render_turn(tokenizer, trace, think_format)
        except DataError as error:
            rejects.append(Reject(args.file, 0, str(error).partition(": ")[2], {"id": trace.id}))
            continue
        lengths.append(len(tokenizer(prompt + completion, add_special_tokens=False)["input_ids"]))
        with_thinking += bool(trace.thinking)
        add_residue(residue, trace)
        if len(lengths) <= SHOWN:
            print(f"\n──── {trace.id} ({lengths[-1]} tokens)\n{prompt}⟦{completion}⟧")
    print(f"\nrows: {len(lengths):,}, {with_thinking:,} with thinking; rejected: {sum(r.lines for r in rejects):,}")
    for reason, count in Counter(reject.reason for reject in rejects).most_common():
        first = next(reject for reject in rejects if reject.reason == reason)
        print(f"  {count:,} × {reason} (first: {first.place}{first.extent})")
    for line in residue_lines(residue):
        print(line)
    if lengths:
        print("tokens:", ", ".join(f"{name} {value:,}" for name, value in quantiles(lengths).items()))
    return 1 if rejects else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m curation.inspect", description="Say what files of traces hold.")
    parser.add_argument(
        "file",
        help="JSON, JSONL, CSV, text, Parquet, spreadsheet; a folder or 'PATTERN'; or FOLDER/dataset_info.json#NAME",
    )
    parser.add_argument("--model", default="smollm2-135m", help="whose tokenizer and chat template (default: embedded)")
    parser.add_argument("--think-format", default="s1", choices=("s1", "deepseek", "xml", "none"))
    parser.add_argument("--split", help="which one, where a JSON file or a workbook holds several")
    parser.add_argument(
        "--task", help="a task's name in configs/tasks, or its file: how columns become prompt and reply"
    )
    parser.add_argument("mapping", nargs="*", metavar="key=column", help=f"columns of {', '.join(MAPPED)}")
    return parser


def _of_task(args: argparse.Namespace, mapping: Mapping[str, str], rejects: list[Reject]) -> Opened:
    """The files as the task reads them."""
    task = load_task(args.task)
    files = find(args.file).files(args.split, mapping.values())
    traces = (trace for file, rows in files for trace in task_traces(task, rows, file, mapping, rejects.append))
    return Opened(f"task {task.name}", traces)


def _encodings(path: str) -> Iterator[str]:
    """A line for each encoding that the text files are in; with several files, how many and the first of them."""
    files = find(path).paths
    texts = [file for file in files if not file.name.lower().endswith((".parquet", *SHEETS))]
    by_encoding: dict[str, list[Path]] = {}
    for file in texts:
        by_encoding.setdefault(detect_encoding(file), []).append(file)
    if len(files) > 1:
        yield f"files: {len(files):,}, from {files[0]} to {files[-1]}"
    for encoding, those in by_encoding.items():
        yield f"encoding: {encoding}" + (f" ({len(those):,} files, the first: {those[0]})" if len(files) > 1 else "")


def quantiles(lengths: list[int]) -> dict[str, int]:
    """The smallest length that so many rows don't exceed: min, 50%, 90%, 95%, 99%, max."""
    ordered = sorted(lengths)
    names = {0.0: "min", 1.0: "max"}
    return {
        names.get(share, f"{share:.0%}"): ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]
        for share in QUANTILES
    }


def _pair(text: str) -> tuple[str, str]:
    key, equals, column = text.partition("=")
    if not equals or not column:
        raise ConfigError(f"{text}: not a mapping; write key=column, as in question=prompt")
    return key, column


if __name__ == "__main__":
    run_command(main)
