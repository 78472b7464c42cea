"""Samples in and out of other tools: answers that they made, and lm-evaluation-harness's samples format.

The format is what `lm_eval --log_samples` writes (v0.4.9, `lm_eval/evaluator.py` and `evaluation_tracker.py`): one
object a document with `doc_id`, `doc`, `target`, `arguments`, `resps`, `filtered_resps`, `filter`, `metrics`, hashes,
and each metric under its own name.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from configs.errors import DataError
from configs.run_directory import RunDir, read_jsonl, write_jsonl
from configs.sample import Sample
from configs.schema.evaluation import EvalConfig
from data.problem import Problem
from evaluation.results import Point, questions

TEXTS = ("text", "response", "output", "completion", "generation", "prediction", "answer", "model_output")
"""Names under which tools keep a completion, the first that is there counts."""
IDS = ("id", "problem_id", "unique_id", "question_id")
POSITIONS = ("doc_id", "index", "idx")


@dataclass(frozen=True, slots=True)
class Answer:
    """Another tool's completion to a problem; `sample` numbers the completions of one problem."""

    id: str
    sample: int
    text: str


def read_answers(path: Path, problems: Sequence[Problem]) -> list[Answer]:
    """The answers in a JSONL file: rows with an id and a text (or a list of them), or lm-evaluation-harness's samples.

    `problems`: the whole benchmark in its own order, without an instruction. A row belongs to the problem of its `id`,
    else of its `doc`'s where that one asks the same question, else of its position `doc_id` (or `index`). Raises
    `DataError` naming the row for anything else, for a problem that does not exist, and where a row without an `id` has
    a `doc` with another question than its problem's.
    """
    known = {problem.id: problem for problem in problems}
    counts: dict[str, int] = {}
    answers = []
    for line, row in _rows(path):
        given = next((str(row[name]) for name in IDS if row.get(name) is not None), None)
        id = given if given is not None else _problem_id(row, problems, known, f"{path}:{line}")
        if id not in known:
            raise DataError(f"{path}:{line}: no problem {id!r} in the benchmark; is it the same one, whole?")
        if given is None and not all(_agrees(row, known[id])):
            raise DataError(
                f"{path}:{line}: its doc is another question than problem {id!r}; give each row the `id` of its problem"
            )
        for text in _texts(row, f"{path}:{line}"):
            answers.append(Answer(id, counts.get(id, 0), text))
            counts[id] = counts.get(id, 0) + 1
    if not answers:
        raise DataError(f"{path}: no answers in it; each line is an object with an id and a text")
    return answers


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: can't be read: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: not JSON: {error}; mend or remove the row") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: not an object; each line is an object with an id and a text")
        yield number, row


def _problem_id(row: Mapping[str, Any], problems: Sequence[Problem], known: Mapping[str, Problem], where: str) -> str:
    """The problem of a row without an id of its own."""
    id = str(_doc(row).get("id"))  # which others may count in their own way
    has_position = any(isinstance(row.get(name), int) for name in POSITIONS)
    if id in known and (any(_agrees(row, known[id])) or not has_position):
        return id
    for name in POSITIONS:
        at = row.get(name)
        if isinstance(at, int) and not 0 <= at < len(problems):
            raise DataError(f"{where}: {name} {at} is outside the benchmark's {len(problems)} problems")
        if isinstance(at, int):
            return problems[at].id
    raise DataError(f"{where}: no id; give each row an `id`, or a `doc_id` that counts the benchmark's problems from 0")


def _doc(row: Mapping[str, Any]) -> Mapping[str, Any]:
    doc = row.get("doc")
    return doc if isinstance(doc, Mapping) else {}


def _agrees(row: Mapping[str, Any], problem: Problem) -> list[bool]:
    """For each question that the row's document has, whether it is the problem's.

    But for spaces and what sets formulas, and for what follows on either side: options, an instruction. Targets are not
    compared: theirs may be a whole solution, or an option's number.
    """
    ours = _bare(problem.question)
    texts = [text for name, text in _doc(row).items() if name.casefold() in ("question", "problem")]
    asked = [_bare(text) for text in texts if isinstance(text, str)]
    return [theirs.startswith(ours) or ours.startswith(theirs) for theirs in asked]


def _bare(text: str) -> str:
    return "".join(text.replace("$", "").replace("\\", "").casefold().split())


def _texts(row: Mapping[str, Any], where: str) -> list[str]:
    if isinstance(row.get("resps"), list):  # lm-evaluation-harness: a list a request, its repeats inside
        return [str(text) for request in row["resps"] for text in (request if isinstance(request, list) else [request])]
    for name in TEXTS:
        if isinstance(row.get(name), str):
            return [row[name]]
        if isinstance(row.get(name), list) and all(isinstance(text, str) for text in row[name]):
            return list(row[name])
    raise DataError(f"{where}: no text; it is looked for under {', '.join(TEXTS)} and resps")


def lm_eval_rows(
    problems: Sequence[Problem],
    samples: Mapping[str, Sequence[Sample]],
    prompts: Mapping[str, str],
    generation: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """One row a problem, in lm-evaluation-harness's samples format.

    `samples`: those of one point, by problem id; `prompts`: prompt text by its hash; `generation`:
    the generation arguments. `exact_match` is the share of the problem's graded samples that are right; null, never
    0, where none is graded.
    """
    for at, problem in enumerate(problems):
        its = samples.get(problem.id, ())
        if not its:
            continue
        target = list(problem.references) or problem.answer  # a list where a task of lm-eval has several targets
        doc = {"id": problem.id, "question": problem.question, "answer": target}
        prompt = prompts.get(its[0].prompt_hash, "")
        graded = [float(sample.is_right) for sample in its if sample.is_right is not None]
        yield {
            "doc_id": at,
            "doc": doc,
            "target": target,
            "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": dict(generation)}},
            "resps": [[sample.text for sample in its]],
            "filtered_resps": [sample.extracted or "[invalid]" for sample in its],
            "filter": "mull",
            "metrics": ["exact_match"],
            "doc_hash": sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()).hexdigest(),
            "prompt_hash": sha256(prompt.encode()).hexdigest(),
            "target_hash": sha256(str(target).encode()).hexdigest(),
            "exact_match": sum(graded) / len(graded) if graded else None,
        }


def export_lm_eval(config: EvalConfig, problems: Sequence[Problem], run: RunDir, points: Sequence[Point]) -> list[Path]:
    """`lm_eval/samples_<benchmark>_<point>.jsonl`, a file a point; the files."""
    prompts = {row["hash"]: row["prompt"] for row in read_jsonl(run / "prompts.jsonl")}
    (run / "lm_eval").mkdir(exist_ok=True)
    names = [file_name(f"{config.data.source}_{point.label}") for point in points]
    files = []
    for point, name in zip(points, names, strict=True):
        if names.count(name) > 1:  # labels that differ in nothing that a file's name may hold
            name += "_" + sha256(point.label.encode()).hexdigest()[:8]
        arguments = config.sampling.model_dump() | {"budget": dict(point.budget)}
        files.append(run / "lm_eval" / f"samples_{name}.jsonl")
        write_jsonl(files[-1], list(lm_eval_rows(problems, questions(point.samples), prompts, arguments)))
    return files


def file_name(text: str) -> str:
    """`text` without what a file's name may not hold."""
    return "".join(c if c.isalnum() or c in "=_-." else "_" for c in text)
