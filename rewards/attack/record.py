"""What is kept of attacks: `attack.jsonl`, which `rewards.score` replays, and `attack.json`, which later runs look for.

`outputs/attack/<recipe>/` holds a pair of files an attack, the later ones with a number. An attack is about what
scores: the rewards with their code, the grader, the task, the think format and the length limit, as one hash. A run
finds its attack by that hash, whatever the recipe is called.
"""

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from configs.errors import RunError
from configs.run_directory import write_json, write_jsonl
from configs.run_record import command_line
from configs.schema.grpo import GrpoConfig
from data.task import load_task
from rewards.attack.findings import Remark, state_of
from rewards.attack.measure import Measured

FOLDER = Path("outputs/attack")


@dataclass(frozen=True, slots=True)
class AttackRecord:
    """What `attack.json` holds.

    scored_by     the hash of what scored; see `hash_of`
    file          the name of the finds' file beside it
    open, noted   how many finds and remarks there are of each kind
    worst         the highest share of the gap that a wrong completion earned; 0 without a find
    tried         how many hacks were measured, on `problems` problems, in `seconds`, by `seed`
    wrong, right  what honest answers earn
    """

    scored_by: str
    command: str
    file: str
    open: int
    noted: int
    worst: float
    tried: int
    problems: int
    seconds: float
    seed: int
    wrong: float
    right: float
    remarks: list[str] = field(default_factory=list)


def hash_of(config: GrpoConfig) -> str:
    """A digest of what decides a completion's score in this recipe, the code of the user's own functions included."""
    grader = config.data.grader
    named = [spec.name for spec in config.rewards] + [spec.params.get("grader") for spec in config.rewards] + [grader]
    parts = {
        "rewards": [spec.model_dump() for spec in config.rewards],
        "think_format": config.model_dump()["think_format"],
        "data": [config.data.source, config.data.fields, config.data.params, grader],
        "task": load_task(config.data.task).config.model_dump() if config.data.task else None,
        "completion_length": config.completion_length,
        "code": sorted({_code_of(name) for name in named if isinstance(name, str)} - {""}),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _code_of(name: str) -> str:
    """The SHA-256 of the module's file at `my_module:my_reward`; "" for a shipped name."""
    module = name.partition(":")[0] if ":" in name else name.rpartition(".")[0]
    try:
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError):
        return ""
    file = Path(spec.origin) if spec and spec.origin else None
    return hashlib.sha256(file.read_bytes()).hexdigest() if file and file.is_file() else ""


def row_of(found: Measured) -> dict[str, Any]:
    """A find as a line of `attack.jsonl`: its example as `rewards.score` reads it, and what it earns on average."""
    scene, completion = found.example
    problem = scene.problem
    return {
        "hack": found.genome.name,
        "state": state_of(found),
        "share": found.share,
        "score": found.score,
        "honest_wrong": found.wrong,
        "honest_right": found.right,
        "through": found.through,
        "by_reward": found.by_reward,
        "problems": found.problems,
        "id": problem.id,
        "question": problem.question,
        "gold": problem.answer,
        "references": list(problem.references),
        "grader": problem.grader,
        "text": completion.text,
        "completion_tokens": completion.tokens,
        "truncated": completion.is_cut,
        "genome": asdict(found.genome),
    } | ({"options": dict(scene.options)} if scene.options else {})


def keep(
    folder: Path, config: GrpoConfig, found: Sequence[Measured], remarks: Sequence[Remark], figures: dict[str, Any]
) -> Path:
    """Write the pair of files, beside those of earlier attacks; the path of the finds. Raises `RunError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: can't be made ({error.strerror}); name another folder with --output") from None
    number = 1
    while (folder / f"{_stem(number)}.jsonl").exists() or (folder / f"{_stem(number)}.json").exists():
        number += 1
    path = folder / f"{_stem(number)}.jsonl"
    states = [state_of(one) for one in found] + [remark.state for remark in remarks]
    record = AttackRecord(
        scored_by=hash_of(config),
        command=command_line(),
        file=path.name,
        open=states.count("open"),
        noted=states.count("noted"),
        worst=max((one.share for one in found), default=0.0),
        remarks=list(map(str, remarks)),
        **figures,
    )
    write_jsonl(path, map(row_of, found))
    write_json(path.with_suffix(".json"), asdict(record))
    return path


def _stem(number: int) -> str:
    return "attack" if number == 1 else f"attack-{number}"


def advice(config: GrpoConfig, folder: Path = FOLDER) -> tuple[str, str] | None:
    """(what is wrong, the way out) where the recipe's rewards were never attacked, or finds are open; else None."""
    wanted = hash_of(config)
    records = [(path, record) for path, record in _records(folder) if record.scored_by == wanted]
    if not records:
        return "these rewards were never attacked", "mull attack --config RECIPE, a minute without a model"
    path, record = max(records, key=lambda one: one[0].stat().st_mtime)
    if not record.open:
        return None
    file = path.with_name(record.file)
    return (
        f"{record.open} open finds in {file}: wrong completions earn up to {record.worst:.0%} of the gap",
        "mend the rewards",
    )


def _records(folder: Path) -> Iterator[tuple[Path, AttackRecord]]:
    """The records that can be read; one that can't is as good as none."""
    for path in sorted(folder.glob("*/attack*.json")):
        try:
            yield path, AttackRecord(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
