"""New problems: prompts that ask a model for one, what its reply holds, and what generated families give."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from configs.errors import DataError
from configs.round_record import PosedProblem
from configs.schema.self_improve import EXAMPLES, PoseConfig
from data.problem import Problem
from data.sources import load_problems
from data.think_format import NONE

OPEN, CLOSE = "<problem>", "</problem>"
SHORTEST = 20
"""Characters: below that nothing is asked that could be told from what was asked before."""
POSED = "posed"
"""The fate of a problem that is whole; what is new and right of them is found out later."""
_ONE_PROBLEM = re.compile(rf"\s*{OPEN}(.*?){CLOSE}\s*", re.DOTALL)


def check_seeds(pose: PoseConfig, seeds: Sequence[str]) -> None:
    """Raise `DataError` where there are too few seed problems for a prompt and one to be posed."""
    if len(seeds) <= pose.shots:
        found = f"{len(seeds)} different seed problem{'s' * (len(seeds) != 1)}"
        raise DataError(f"pose.seeds: {found} for pose.shots={pose.shots}; give at least {pose.shots + 1}")


def prompts(pose: PoseConfig, seeds: Sequence[str], round_number: int, seed: int) -> list[dict[str, str]]:
    """The round's questions to a poser, `{id, question}` each: `shots` random seed problems in the recipe's words."""
    rng = random.Random(f"pose-{seed}-{round_number}")
    return [
        {"id": f"round_{round_number}-{number}", "question": _prompt(pose, rng.sample(seeds, pose.shots))}
        for number in range(pose.problems)
    ]


def poser_rows(pose: PoseConfig, seeds: Sequence[str], seed: int) -> list[dict[str, str]]:
    """Rows that teach to pose, `{question, reply}` each: every seed problem `repeats` times, after others."""
    assert pose.train is not None
    rng = random.Random(f"poser-{seed}")
    rows = []
    for target in list(seeds) * pose.train.repeats:
        shown = rng.sample([one for one in seeds if one != target], pose.shots)
        rows.append({"question": _prompt(pose, shown), "reply": f"{OPEN}{target}{CLOSE}"})
    rng.shuffle(rows)
    return rows


def _prompt(pose: PoseConfig, shown: Sequence[str]) -> str:
    return pose.prompt.replace(EXAMPLES, "\n\n".join(f"{OPEN}{question}{CLOSE}" for question in shown))


def read_posed_problem(row: dict[str, Any]) -> PosedProblem:
    """What a poser's answer, a row of a distillation's `samples.jsonl`, holds: one whole problem, or why it does not.

    Strict: the reply is one problem between its tags and nothing else.
    """
    reply = NONE.split(str(row["text"])).answer
    if row["error"] or row["finish"] == "length":
        return PosedProblem(row["id"], reply, "cut off", str(row["error"] or ""))
    found = _ONE_PROBLEM.fullmatch(reply)
    if found is None or OPEN in found[1]:
        return PosedProblem(row["id"], reply, "malformed", f"not one problem between {OPEN} and {CLOSE}")
    question = found[1].strip()
    if len(question) < SHORTEST:
        return PosedProblem(row["id"], question, "malformed", f"{len(question)} characters")
    return PosedProblem(row["id"], question, POSED)


def read_posed_problems(rows: Iterable[dict[str, Any]]) -> list[PosedProblem]:
    """Of every answer of a poser."""
    return [read_posed_problem(row) for row in rows]


def family_problems(pose: PoseConfig, round_number: int) -> list[Problem]:
    """The round's part of each family, with gold answers; what the generator knows of the way there stays with it."""
    each, more = divmod(pose.problems, len(pose.families))
    drawn: list[Problem] = []
    for place, family in enumerate(pose.families):
        if wanted := each + (place < more):
            drawn += load_problems(family.model_copy(update={"limit": wanted, "seed": family.seed + round_number}))
    return [replace(one, id=f"round_{round_number}-{number}", solution=None) for number, one in enumerate(drawn)]
