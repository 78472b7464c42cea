"""The grader against labels, against math-verify, and against hostile completions.

    python benchmarks/rewards.py [--data DIR] [--json FILE]

`DIR` (or MULL_DATA) holds gsm8k/example_model_solutions.jsonl, math500/test.jsonl and math_train/train.json. Both
graders are warm, take turns on the same cores, and see the same texts; math-verify's loop is
`verify(parse(gold), parse(text))`, with its defaults, in the main thread.
"""

import argparse
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from benchmarks.hard_answers import hard_cases
from benchmarks.hostile_answers import MARKER, hostile
from rewards.grading import worker_pool
from rewards.grading.extract import extract
from rewards.grading.math.equivalence import Equivalence
from rewards.grading.math_equivalence import grade_many, judge_texts

Figures = dict[str, Any]
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def main(argv: Sequence[str]) -> None:
    """Print every figure, and write them to `--json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MULL_DATA", ".")))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(argv)
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    _warm_up()
    solutions = _solutions(arguments.data / "gsm8k" / "example_model_solutions.jsonl")
    math500 = (arguments.data / "math500" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    training = json.loads((arguments.data / "math_train" / "train.json").read_text(encoding="utf-8"))
    figures = _against_labels(solutions) | _hard(json.loads(row)["answer"] for row in math500)
    figures |= _held_out(str(row["answer"]) for row in training) | _hostile(solutions) | _linear()
    for name, value in figures.items():
        print(f"{name:28} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _warm_up() -> None:
    """Every grader process up, math-verify imported and its parser built."""
    worker_pool.shared().judge([(f"x + {n}", f"{n} + x") for n in range(16)], timeout=60)
    _math_verify(["\\frac{1}{2}"], ["so $\\boxed{0.5}$"])


def _math_verify(golds: Sequence[str], texts: Sequence[str]) -> list[bool]:
    from math_verify import parse, verify

    return [verify(parse(gold), parse(text)) for gold, text in zip(golds, texts, strict=True)]


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _solutions(path: Path) -> list[tuple[str, str, bool]]:
    """(gold, text, label) of every model output."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        (extract(row["ground_truth"]).answer or "", row[model]["solution"], row[model]["is_correct"])
        for row in rows
        for model in MODELS
    ]


def _raced(
    golds: Sequence[str], texts: Sequence[str], their_golds: Sequence[str]
) -> tuple[list[Equivalence], list[bool], float, float]:
    """(our verdicts, theirs, our seconds, their seconds), by turns in ten parts, so that a busy machine hits both."""
    ours: list[Equivalence] = []
    theirs: list[bool] = []
    seconds = [0.0, 0.0]
    size = -(-len(texts) // 10)
    for start in range(0, len(texts), size):
        part = slice(start, start + size)
        took, verdicts = _timed(partial(judge_texts, golds[part], texts[part]))
        their_took, grades = _timed(partial(_math_verify, their_golds[part], texts[part]))
        ours, theirs = ours + verdicts, theirs + grades
        seconds = [seconds[0] + took, seconds[1] + their_took]
    return ours, theirs, seconds[0], seconds[1]


def _against_labels(solutions: Sequence[tuple[str, str, bool]]) -> Figures:
    golds, texts = [row[0] for row in solutions], [row[1] for row in solutions]
    labels = [row[2] for row in solutions]
    verdicts, theirs, seconds, their_seconds = _raced(golds, texts, golds)
    return {
        "completions": len(texts),
        "agreement": _share([verdict.correct for verdict in verdicts], labels),
        "agreement_math_verify": _share(theirs, labels),
        "completions_per_second": len(texts) / seconds,
        "speedup_vs_math_verify": their_seconds / seconds,
    }


def _share(grades: Sequence[Any], labels: Sequence[Any]) -> float:
    return sum(grade is label for grade, label in zip(grades, labels, strict=True)) / len(labels)


def _hard(golds: Iterable[str]) -> Figures:
    """Error rates on rewritings and near misses; a None counts as an error both ways."""
    cases = hard_cases(golds)
    texts = [f"So the answer is \\boxed{{{case.answer}}}" for case in cases]
    boxed = [f"\\boxed{{{case.gold}}}" for case in cases]
    verdicts, theirs, seconds, their_seconds = _raced([case.gold for case in cases], texts, boxed)
    ours = [verdict.correct for verdict in verdicts]
    wrong = Counter(case.rule for case, grade in zip(cases, ours, strict=True) if grade is not case.equivalent)
    return {
        "hard_equivalent": sum(case.equivalent for case in cases),
        "hard_near_miss": sum(not case.equivalent for case in cases),
        "hard_false_positive": _errors(cases, ours, equivalent=False),
        "hard_false_negative": _errors(cases, ours, equivalent=True),
        "hard_errors_by_rule": dict(wrong),
        "hard_without_sympy": sum(verdict.reason != "math-verify" for verdict in verdicts) / len(verdicts),
        "hard_false_positive_math_verify": _errors(cases, theirs, equivalent=False),
        "hard_false_negative_math_verify": _errors(cases, theirs, equivalent=True),
        "hard_speedup": their_seconds / seconds,
    }


def _held_out(golds: Iterable[str]) -> Figures:
    """The same rules on the answers of MATH's training set, which they were not written from."""
    cases = hard_cases(golds)
    ours = grade_many([case.gold for case in cases], [case.answer for case in cases])
    return {
        "held_out_cases": len(cases),
        "held_out_false_positive": _errors(cases, ours, equivalent=False),
        "held_out_false_negative": _errors(cases, ours, equivalent=True),
    }


def _errors(cases: Sequence[Any], grades: Sequence[bool | None], equivalent: bool) -> float:
    asked = [grade for case, grade in zip(cases, grades, strict=True) if case.equivalent is equivalent]
    return sum(grade is not equivalent for grade in asked) / len(asked)


def _hostile(solutions: Sequence[tuple[str, str, bool]]) -> Figures:
    """1,000 hostile completions among 1,000 ordinary ones, in a folder of their own."""
    ordinary = solutions[::5][:1000]
    attacks = hostile(1000)
    golds = [gold for pair in zip((row[0] for row in ordinary), ["-123456"] * 1000, strict=True) for gold in pair]
    texts = [
        text
        for pair in zip((row[1] + " " for row in ordinary), (text for _, text in attacks), strict=True)
        for text in pair
    ]
    before, workers = _open_things(), set(worker_pool.shared().pids())
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            worker_pool.stop_workers()  # so that the grader processes live in this folder too
            _warm_up()
            seconds, verdicts = _timed(lambda: judge_texts(golds, texts))
            left_behind = [str(path) for path in Path(folder).rglob("*")]
        finally:
            os.chdir(home)
    after, new_workers = _open_things(), set(worker_pool.shared().pids())
    wrong = sum(verdict.correct is not row[2] for verdict, row in zip(verdicts[::2], ordinary, strict=True))
    fooled = [name for (name, _), verdict in zip(attacks, verdicts[1::2], strict=True) if verdict.correct]
    return {
        "hostile_seconds": seconds,
        "hostile_wrong": wrong,
        "hostile_fooled": len(fooled),
        "hostile_unjudged": dict(Counter(v.reason for v in verdicts[1::2] if v.correct is None)),
        "hostile_files": len(left_behind) + Path(MARKER).exists(),
        "hostile_processes": len(after[0] - before[0] - new_workers - workers),
        "hostile_sockets": len(after[1] - before[1]),
    }


def _open_things() -> tuple[set[int], set[str]]:
    """(process ids, sockets) of this process and all below it."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listing.splitlines())}
    family = {os.getpid()}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    sockets: set[str] = set()
    for pid in family:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = os.readlink(handle)
            except OSError:
                continue
            if target.startswith("socket:"):
                sockets.add(target)
    alive = {pid for pid in family if Path(f"/proc/{pid}").exists()}
    return alive, sockets


def _linear() -> Figures:
    """The exponent of batch time in batch size, 100 to 10,000; all distinct, one in twenty needs a grader process."""
    sizes = (100, 300, 1000, 3000, 10_000)
    offset, points = 0, []
    unjudged: Counter[str] = Counter()
    for size in sizes:
        numbers = range(offset, offset + size)
        golds = [f"{n} + \\sum_{{k=1}}^{{3}} k" if n % 20 == 0 else f"\\frac{{{n}}}{{7}}" for n in numbers]
        texts = [f"\\boxed{{\\sum_{{j=1}}^{{3}} j + {n}}}" if n % 20 == 0 else f"\\boxed{{{n}/7}}" for n in numbers]
        seconds, verdicts = _timed(partial(judge_texts, golds, texts))
        unjudged.update(verdict.reason for verdict in verdicts if verdict.correct is None)
        points.append((math.log(size), math.log(seconds)))
        offset += size
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return {
        "linear_exponent": slope,
        "linear_seconds": [math.exp(y) for _, y in points],
        "linear_unjudged": dict(unjudged),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
