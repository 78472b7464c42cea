"""Answers that the grader's parser can't decide: how fast they are beside math-verify, and which golds nobody reads.

    python benchmarks/undecided.py [--data DIR] [--json FILE]

`DIR` (or MULL_DATA) holds suites of gold answers as `NAME/test.jsonl`, with a field `answer` or `final_answer`
(MATH-500, AIME, the suites in `evaluation/data` of QwenLM/Qwen2.5-Math), and math_train/train.json. Each gold answer is
paired with its rewritings, its near misses and other golds of its suite; the pairs that `compare_answers` leaves open
are measured, gold by gold. Ours is `judge_many`; math-verify's is `verify(parse(gold), parse(answer))` with its
defaults, each in `\\boxed{}`, in the main thread of this process. They take turns on disjoint samples of the pairs.
"""

import argparse
import json
import logging
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from benchmarks.hard_answers import hard_cases
from rewards.grading import worker_pool
from rewards.grading.extract import gold_answer
from rewards.grading.math.compare import compare_answers
from rewards.grading.math.normalize import normalize
from rewards.grading.math.scanner import Unread
from rewards.grading.math.structure import read_answer
from rewards.grading.math.value import TooBig
from rewards.grading.math_equivalence import judge_many
from rewards.grading.option_letter import clean_pair

Pair = tuple[str, str]
Figures = dict[str, Any]
_ROUNDS = 3
_PAIRS = 60  # a round
_OTHER_GOLDS = 4  # of the same suite, as answers


def main(argv: Sequence[str]) -> None:
    """Print every figure, and write them to `--json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MULL_DATA", ".")))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(argv)
    logging.disable(logging.WARNING)  # math-verify logs each timeout of its own
    suites = dict(_suites(arguments.data))
    figures = {name: _reading(golds) for name, golds in suites.items()} | _race(_undecided(suites))
    for name, value in figures.items():
        print(f"{name:28} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _suites(data: Path) -> Iterator[tuple[str, list[str]]]:
    """(name, distinct gold answers) of every suite in the folder."""
    for path in [*sorted(data.glob("*/test.jsonl")), data / "math_train" / "train.json"]:
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text) if path.suffix == ".json" else map(json.loads, text.splitlines())
        golds = dict.fromkeys(_gold(row) for row in rows)
        if any(golds):
            yield path.parent.name, [gold for gold in golds if gold.strip()]


def _gold(row: dict[str, Any]) -> str:
    answer = row.get("answer", row.get("final_answer", ""))
    return gold_answer(", ".join(answer) if isinstance(answer, list) else str(answer))


def _reading(golds: Sequence[str]) -> Figures:
    """The shares of gold answers that math-verify alone reads, and that nobody does."""
    unread = [gold for gold in golds if not _is_read(clean_pair(gold, "1")[0])]
    verdicts = worker_pool.shared().judge([(gold, "1") for gold in unread], timeout=3)
    nobody = sum(verdict.reason == "no gold answer" for verdict in verdicts)
    return {
        "golds": len(golds),
        "read_by_math_verify_alone": round((len(unread) - nobody) / len(golds), 4),
        "read_by_nobody": round(nobody / len(golds), 4),
    }


def _is_read(gold: str) -> bool:
    try:
        read_answer(normalize(gold))
    except Unread:
        return False
    except TooBig:  # read, and refused
        return True
    return True


def _undecided(suites: dict[str, list[str]]) -> list[Pair]:
    """Every pair of gold answer and answer whose verdict needs a grader process: gold by gold, those by chance."""
    chance, pairs = random.Random(0), dict[Pair, None]()
    for golds in suites.values():
        pairs |= dict.fromkeys((case.gold, case.answer) for case in hard_cases(golds))
        pairs |= dict.fromkeys((gold, other) for gold in golds for other in chance.sample(golds, _OTHER_GOLDS))
    open_pairs = [pair for pair in pairs if compare_answers(*clean_pair(*pair)) is None]
    order = list(dict.fromkeys(gold for gold, _ in open_pairs))
    chance.shuffle(order)
    places = {gold: place for place, gold in enumerate(order)}
    return sorted(open_pairs, key=lambda pair: places[pair[0]])


def _race(pairs: Sequence[Pair]) -> Figures:
    """Seconds for `_PAIRS` pairs, medians of the rounds: ours with warm and with cold processes, and math-verify's."""
    warm, cold, theirs = [list[float]() for _ in range(3)]
    reasons: Counter[str] = Counter()
    _math_verify([("x + 1", "1 + x")])
    for number in range(_ROUNDS):
        sample = pairs[number * _PAIRS : (number + 1) * _PAIRS]
        worker_pool.stop_workers()
        start = time.perf_counter()
        worker_pool.shared().judge([(f"x + {n}", f"{n} + x") for n in range(16)], timeout=60)
        booted = time.perf_counter()
        verdicts = judge_many([gold for gold, _ in sample], [answer for _, answer in sample])
        done = time.perf_counter()
        _math_verify(sample)
        theirs.append(time.perf_counter() - done)
        warm.append(done - booted)
        cold.append(done - start)
        reasons.update(verdict.reason for verdict in verdicts)
    return {
        "undecided_pairs": len(pairs),
        "undecided_seconds": statistics.median(warm),
        "undecided_seconds_cold": statistics.median(cold),
        "undecided_seconds_math_verify": statistics.median(theirs),
        "undecided_ratio": statistics.median(ours / their for ours, their in zip(warm, theirs, strict=True)),
        "undecided_ratio_cold": statistics.median(ours / their for ours, their in zip(cold, theirs, strict=True)),
        "undecided_ratios": [ours / their for ours, their in zip(warm, theirs, strict=True)],
        "undecided_reasons": dict(reasons),
    }


def _math_verify(pairs: Sequence[Pair]) -> list[bool]:
    from math_verify import parse, verify

    return [verify(parse(f"\\boxed{{{gold}}}"), parse(f"\\boxed{{{answer}}}")) for gold, answer in pairs]


if __name__ == "__main__":
    main(sys.argv[1:])
