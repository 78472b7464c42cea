"""Equivalent rewritings and near misses of gold answers, by rules on their text: the hard set of the rewards.

Every rule knows one way in which people write the same answer differently, or get it almost right, and looks at the
gold answer alone. The rules know nothing of any grader. What a rule can't tell for certain, it does not produce.

    python -m benchmarks.hard_answers MATH500.jsonl     prints one JSON object a case
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.near_misses import NEAR_MISS
from benchmarks.rewritings import EQUIVALENT


@dataclass(frozen=True, slots=True)
class Case:
    """One answer to grade: whether it is equivalent to `gold`, and the rule that wrote it."""

    gold: str
    answer: str
    equivalent: bool
    rule: str


def hard_cases(golds: Iterable[str]) -> list[Case]:
    """Every rule on every distinct gold answer, without repeats and without the gold answer itself."""
    cases: dict[tuple[str, str], Case] = {}
    for gold in filter(str.strip, dict.fromkeys(golds)):
        for rules, equivalent in ((EQUIVALENT, True), (NEAR_MISS, False)):
            for name, rule in rules.items():
                for answer in rule(gold):
                    if answer.strip() and answer != gold:
                        cases.setdefault((gold, answer), Case(gold, answer, equivalent, name))
    return list(cases.values())


def main(path: str) -> None:
    """Print the cases of a MATH-style JSONL file with an `answer` in each row."""
    rows = Path(path).read_text(encoding="utf-8").splitlines()
    for case in hard_cases(json.loads(row)["answer"] for row in rows if row.strip()):
        print(json.dumps(asdict(case), ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1])
