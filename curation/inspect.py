"""What is in files of traces: layout, bad rows, three rows as a model would see them, lengths, and what is not text.

    python -m curation.inspect FILE [--model NAME] [--think-format s1] [--max-length N] [--task NAME] [key=column …]

`--problems` looks at questions with gold answers as GRPO and an evaluation read them: the prompts, how long they are,
and which gold answers the grader can't read.
"""

import argparse
import json
import logging
import sys
from functools import partial

from configs.command import prepare_libraries, run_command
from configs.errors import ConfigError
from data.formats import MAPPED


def main(argv: list[str]) -> int:
    """Print what was found; exit code 1 if a row was rejected, 2 where nothing could be read."""
    args = _parser().parse_intermixed_args(argv)
    mapping = dict(_pair(text) for text in args.mapping)
    prepare_libraries()

    from configs.schema.sections import DataConfig
    from curation.inspection import inspect_data, inspect_problems, inspection_or_fault

    place = {"source": args.file} if args.hub else {"path": args.file}
    config = DataConfig(**place, split=args.split, task=args.task, fields=mapping)
    inspect = inspect_problems if args.problems else inspect_data
    look = partial(inspect, config, args.model, args.think_format, args.rows)
    if args.json:
        found = inspection_or_fault(look, config)
        print(json.dumps(found.as_json()))
    else:
        logging.basicConfig(format="%(message)s", stream=sys.stdout)
        found = look()
        print("\n".join(found.lines(args.max_length)))
    return 2 if found.fault else 1 if found.bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m curation.inspect", description="Say what files of traces hold.")
    parser.add_argument(
        "file",
        help="JSON, JSONL, CSV, text, Parquet, spreadsheet; a folder or 'PATTERN'; or FOLDER/dataset_info.json#NAME",
    )
    parser.add_argument("--hub", action="store_true", help="FILE is a data set's id on the hub, or a benchmark's name")
    parser.add_argument("--problems", action="store_true", help="FILE holds questions with gold answers, not traces")
    parser.add_argument("--model", default="smollm2-135m", help="whose tokenizer and chat template (default: embedded)")
    parser.add_argument("--think-format", default="s1", choices=("s1", "deepseek", "xml", "none"))
    parser.add_argument("--split", help="which one, where a JSON file, a workbook or the hub holds several")
    parser.add_argument(
        "--task", help="a task's name in configs/tasks, or its file: how columns become prompt and reply"
    )
    parser.add_argument("--max-length", type=_positive, metavar="N", help="count the rows over so many tokens")
    parser.add_argument("--rows", type=_positive, metavar="N", help="look at the first so many rows alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object, also of what can't be read")
    parser.add_argument("mapping", nargs="*", metavar="key=column", help=f"columns of {', '.join(MAPPED)}")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number above 0")
    return int(text)


def _pair(text: str) -> tuple[str, str]:
    key, equals, column = text.partition("=")
    if not equals or not column:
        raise ConfigError(f"{text}: not a mapping; write key=column, as in question=prompt")
    return key, column


if __name__ == "__main__":
    run_command(main)
