"""Curation measured on rows with planted contamination: what is found, what is lost, how fast, how much memory.

    MULL_DATA=… python benchmarks/curation.py [--rows 59000] [--json FILE]

Against it stands the n-gram dictionary of s1 (`data/decontaminate_util.py`), written anew here: every 8-gram of every
row as a string in a dictionary, looked up for every 8-gram of every benchmark question.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder: its rewards.py would hide ours

from benchmarks.planted import KINDS, Row, benchmark_questions, planted_rows, rewritten
from curation.decontaminate import Match, contaminated, matches
from data.similarity.near_duplicates import near_duplicates

SIZES = (10_000, 50_000, 200_000)
ROUNDS = 5
RECIPE = """\
sources: [{{path: "{rows}"}}]
quality: {{no_figures: false}}
decontaminate:
  benchmarks: [{{source: math500}}, {{source: aime24}}, {{source: gsm8k, split: test}}]
"""


def main(argv: list[str]) -> None:
    """Print the figures, and write them to `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=59_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    folder = os.environ["MULL_DATA"]
    rows = planted_rows(args.rows, 0, folder)
    questions = {name: [question for question, _ in pairs] for name, pairs in benchmark_questions().items()}
    figures = found(rows, questions) | speed([row.question for row in rows], questions)
    figures |= {"near_duplicates_found": duplicates_found(rows)}
    figures |= pipeline(args.rows, folder)
    for name, value in figures.items():
        print(f"{name:32} {value:.4g}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


def found(rows: Sequence[Row], questions: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The share of each kind that is found, with its own question as the match; of unplanted rows, that is removed."""
    hits = {match.row: match for match in matches([row.question for row in rows], questions)}
    planted = {kind: [i for i, row in enumerate(rows) if row.kind == kind] for kind in KINDS}
    innocent = [i for i, row in enumerate(rows) if row.kind not in KINDS]

    def share(kinds: Sequence[str], good: Callable[[int], bool]) -> float:
        indices = [i for kind in kinds for i in planted[kind]]
        return sum(good(i) for i in indices) / len(indices)

    def matched(match: Match) -> str:
        return questions[match.benchmark][match.item]

    every = [question for sequence in questions.values() for question in sequence]
    return {
        "found": share(KINDS[:2], hits.__contains__),
        "found_verbatim": share(KINDS[:1], hits.__contains__),
        "found_reformatted": share(KINDS[1:2], hits.__contains__),
        "found_paraphrased": share(KINDS[2:], hits.__contains__),
        "matched_its_own_question": share(KINDS, lambda i: i in hits and matched(hits[i]) == rows[i].origin),
        "false_removed": sum(i in hits for i in innocent) / len(innocent),
    } | {
        f"found_{int(100 * kept)}_percent_kept": len(contaminated(rewritten(every, 1 - kept, 0), questions))
        / len(every)
        for kept in (0.9, 0.8, 0.7, 0.6)
    }


def dictionary(texts: Sequence[str], questions: Mapping[str, Sequence[str]], n: int = 8) -> set[int]:
    """s1's algorithm: rows that share any n-gram with a benchmark question."""
    lookup = _lookup(texts, n)
    bad: set[int] = set()
    for sequence in questions.values():
        for ngram in _lookup(sequence, n):
            if ngram in lookup:
                bad |= lookup[ngram]
    return bad


def _lookup(texts: Sequence[str], n: int) -> dict[str, set[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for i, text in enumerate(texts):
        words = text.lower().strip().split()
        for start in range(len(words) - n + 1):
            found[" ".join(words[start : start + n])].add(i)
    return found


def speed(texts: Sequence[str], questions: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Seconds of both, in turn, and the ratio of their fastest rounds: other processes can only slow one down."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        contaminated(texts, questions)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        removed = len(dictionary(texts, questions))
        theirs.append(time.perf_counter() - started)
    return {
        "seconds": min(ours),
        "seconds_dictionary": min(theirs),
        "speedup_vs_dictionary": min(theirs) / min(ours),
        "removed_by_dictionary": removed / len(texts),
    }


def duplicates_found(rows: Sequence[Row]) -> float:
    """The share of planted near-duplicates that end up in one group with what they were made from."""
    leader = near_duplicates([row.question for row in rows])
    first = {row.question: i for i, row in reversed(list(enumerate(rows)))}
    near = [(i, first[row.origin]) for i, row in enumerate(rows) if row.kind == "near-duplicate"]
    return sum(leader.get(i, i) == leader.get(origin, origin) for i, origin in near) / len(near)


def pipeline(size: int, folder: str) -> dict[str, float]:
    """`python -m curation.curate` as a whole: peak memory at `size` rows, and how its CPU time grows with the rows."""
    peak, _ = _curate(size, folder)
    seconds = [_curate(n, folder)[1] for n in SIZES]
    slope = statistics.linear_regression([_log(n) for n in SIZES], [_log(s) for s in seconds]).slope
    return {
        "peak_gb": peak,
        "linear_exponent": slope,
        **{f"cpu_seconds_{n}_rows": s for n, s in zip(SIZES, seconds, strict=True)},
    }


def _log(value: float) -> float:
    import math

    return math.log(value)


def _curate(size: int, folder: str) -> tuple[float, float]:
    """(peak resident GB of its largest process, CPU seconds of all its processes)."""
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch, "rows.jsonl")
        with rows.open("w", encoding="utf-8") as file:
            for row in planted_rows(size, 0, folder):
                pair = {"question": row.question, "answer": row.answer or "0"}
                file.write(json.dumps(pair, ensure_ascii=False) + "\n")
        recipe = Path(scratch, "recipe.yaml")
        recipe.write_text(RECIPE.format(rows=rows))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-c", _MEASURED, "--config", str(recipe), f"output_dir={scratch}/out"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(done.stdout.splitlines()[-1]) / 1e6, seconds


_MEASURED = """
import resource, sys
from curation.curate import main
main(sys.argv[1:])
print(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""


if __name__ == "__main__":
    main(sys.argv[1:])
