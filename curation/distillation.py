"""One distillation, top to bottom: what is missing → a teacher's answers → grades → the traces that are kept."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from configs.run_directory import RunDir, append_jsonl, keep_jsonl, read_jsonl, write_text
from configs.schema.curation import DistillConfig
from curation import ask_model
from curation.table import as_json
from curation.ungraded import has_no_gold, in_majority
from data.problem import Problem, Trace
from data.think_format import ThinkFormat, resolve_think_format


@dataclass(frozen=True, slots=True)
class TeacherRequest:
    """Sample `sample` of a problem."""

    problem: Problem
    sample: int

    @property
    def key(self) -> str:
        return f"{self.problem.id}#{self.sample}"

    @property
    def known_by(self) -> tuple[str, ...]:
        """A file's ids are its line numbers: with other lines in it the same id is another question."""
        return (self.key, self.problem.question, *self.problem.golds)


NOT_ASKED = "not asked"
RIGHT, UNGRADED, MAJORITY = "right", "ungraded", "ungraded, of the majority"
KEPT = (RIGHT, UNGRADED, MAJORITY)
"""What became of the samples that traces are made of."""
VERDICT = "verdict"
"""The column of a trace that was not graded: one of the last two."""

Answered = Callable[[TeacherRequest, str, str, str], None]
"""(ask, text, finish, error)."""


def run_distillation(config: DistillConfig, run: RunDir, problems: Sequence[Problem]) -> None:
    """TeacherRequest, grade and keep; what `samples.jsonl` already has without an error is not asked again."""
    think_format = resolve_think_format(config.think_format)
    keep_jsonl(run / "samples.jsonl", lambda row: not row["error"])
    done = {_known_by(row) for row in read_jsonl(run / "samples.jsonl")}
    requests = [TeacherRequest(problem, i) for problem in problems for i in range(config.samples)]
    missing = [request for request in requests if request.known_by not in done]
    print(f"{len(requests):,} answers wanted, {len(requests) - len(missing):,} there already", flush=True)

    def answered(request: TeacherRequest, text: str, finish: str, error: str) -> None:
        append_jsonl(run / "samples.jsonl", _row(request, text, finish, error, think_format))

    if missing:
        (_from_server if config.server else _from_engine)(config, missing, think_format, answered)
    _keep(config, run, problems, think_format)


def _row(request: TeacherRequest, text: str, finish: str, error: str, think_format: ThinkFormat) -> dict[str, Any]:
    from rewards.grading.grade import grade

    row: dict[str, Any] = {"key": request.key, "id": request.problem.id, "sample": request.sample}
    row |= {"question": request.problem.question, "gold": request.problem.answer}
    row |= {"references": request.problem.references} if request.problem.references else {}
    row |= {"text": text, "finish": finish, "error": error}
    if error:
        return row | {"correct": None, "reason": "no answer"}
    if has_no_gold(request.problem):
        return row | {"correct": None, "reason": "no gold answer"}
    verdict = grade([request.problem], [text], think_format)[0]
    return row | {"correct": verdict.is_right, "reason": verdict.reason}


def _known_by(row: dict[str, Any]) -> tuple[str, ...]:
    """The `TeacherRequest.known_by` that a row of `samples.jsonl` answers."""
    return (row["key"], row.get("question", ""), *(row.get("references") or [row.get("gold", "")]))


def _from_server(
    config: DistillConfig, requests: Sequence[TeacherRequest], think_format: ThinkFormat, answered: Answered
) -> None:
    from models.server import Question, Reply, ask_server

    assert config.server is not None
    by_key = {a.key: a for a in requests}
    system = [{"role": "system", "content": think_format.system}] if think_format.system else []
    questions = [
        Question(
            a.key,
            [*system, {"role": "user", "content": ask_model.posed(a.problem.question, config.instruction)}],
            ask_model.seed_of(config.seed, a.key),
        )
        for a in requests
    ]

    def reply(got: Reply) -> None:
        answered(by_key[got.key], got.text, got.finish, got.error)

    think = (think_format.open, think_format.end)
    ask_server(questions, config.server, config.sampling, config.max_tokens, think, reply)


def _from_engine(
    config: DistillConfig, requests: Sequence[TeacherRequest], think_format: ThinkFormat, answered: Answered
) -> None:
    assert config.model is not None
    ask_model.ask_model(
        [a.problem.question for a in requests],
        [ask_model.seed_of(config.seed, a.key) for a in requests],
        config.model,
        config,
        think_format,
        1,
        lambda place, text, finish: answered(requests[place], text, finish, ""),
        lambda place, why: answered(requests[place], "", NOT_ASKED, why),
    )


def _keep(config: DistillConfig, run: RunDir, problems: Sequence[Problem], think_format: ThinkFormat) -> None:
    """`traces.jsonl` out of `samples.jsonl`, and what became of every answer."""
    # 1. the samples of each problem, in order
    known = {problem.id: problem for problem in problems}
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    latest = {_known_by(row): row for row in read_jsonl(run / "samples.jsonl")}
    fates: Counter[str] = Counter()
    for row in sorted(latest.values(), key=lambda row: int(row["sample"])):
        problem = known.get(row["id"])
        if problem is None or TeacherRequest(problem, row["sample"]).known_by != _known_by(row):
            fates["of another data set"] += 1
        else:
            samples[row["id"]].append(row)
    # 2. what becomes of them; of the right ones and of those that agree, the shortest are kept
    kept: list[Trace] = []
    solved = 0
    for problem in problems:
        rows = samples[problem.id]
        is_ungraded = has_no_gold(problem)
        found = _ungraded_fates(config, problem, rows, think_format) if is_ungraded else list(map(_fate, rows))
        fates.update(found)
        good = [
            _trace(problem, row, think_format, fate if is_ungraded else None)
            for row, fate in zip(rows, found, strict=True)
            if fate in KEPT
        ]
        if not is_ungraded or config.without_gold == "majority":
            good.sort(key=lambda trace: (len(trace.thinking), trace.id))
        kept += good[: config.keep]
        solved += bool(good)
    # 3. the files, and what is said
    write_text(run / "traces.jsonl", "".join(as_json(trace) + "\n" for trace in kept))
    ungraded = sum(VERDICT in trace.metadata for trace in kept)
    not_asked = list(dict.fromkeys(row["id"] for row in latest.values() if row["finish"] == NOT_ASKED))
    counts = {"problems": len(problems), "solved": solved, "traces": len(kept), "ungraded": ungraded}
    run.add_summary(**counts, answers=dict(fates), not_asked=not_asked)
    print(f"{len(kept):,} traces for {solved:,} of {len(problems):,} problems: {run / 'traces.jsonl'}")
    if ungraded:
        print(f"{ungraded:,} of the traces are ungraded, as `{VERDICT}` says: their questions have no gold answer")
    print("answers:", ", ".join(f"{count:,} {fate}" for fate, count in fates.most_common()))
    if not_asked:
        print(f"too long to be asked: {', '.join(not_asked[:5])}{' …' * (len(not_asked) > 5)}; see samples.jsonl")


def _trace(problem: Problem, row: dict[str, Any], think_format: ThinkFormat, verdict: str | None) -> Trace:
    """The sample as a trace; `verdict`: why it is kept, where it was not graded."""
    parts = think_format.split(row["text"])
    metadata = {"sample": row["sample"], "solution": problem.solution}
    if problem.grader != "math":  # its grader reads them: options, what a family made
        metadata = {**problem.metadata, **metadata}
    return Trace(
        id=row["key"],
        question=problem.question,
        thinking=parts.thinking,
        reply=parts.answer,
        source=problem.source,
        answer=problem.answer or None,
        metadata=metadata | ({VERDICT: verdict} if verdict else {}),
        grader=problem.grader,
        references=problem.references,
    )


def _fate(row: dict[str, Any]) -> str:
    if row["error"]:
        return NOT_ASKED if row["finish"] == NOT_ASKED else "failed"
    if row["finish"] == "length":
        return "cut off"
    return {True: RIGHT, False: "wrong", None: "not judged"}[row["correct"]]


def _ungraded_fates(
    config: DistillConfig, problem: Problem, rows: Sequence[dict[str, Any]], think_format: ThinkFormat
) -> list[str]:
    """What becomes of the samples of a question without a gold answer."""
    fates = [_fate(row) for row in rows]
    whole = [place for place, fate in enumerate(fates) if fate == "not judged"]
    for place in whole:
        fates[place] = UNGRADED if think_format.split(rows[place]["text"]).answer.strip() else "empty"
    if config.without_gold == "majority":
        texts = [rows[place]["text"] for place in whole]
        for place, agrees in zip(whole, in_majority(problem, texts, think_format, config.samples), strict=True):
            fates[place] = MAJORITY if agrees else "of no majority"
    return fates
