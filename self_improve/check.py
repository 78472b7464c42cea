"""Which of a round's answers are right, as the recipe checks it: a verifier, agreement, or a judge."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.errors import EngineError
from configs.run_directory import read_jsonl
from configs.schema.judge import JudgeConfig
from configs.schema.self_improve import SelfImproveConfig
from data.think_format import resolve_think_format
from evaluation.judge import score_of, score_prompt
from evaluation.judging import JUDGEMENTS_FILE, Case, ask_judge, failures
from self_improve.selection import Answered, Trace, by_problem, text_of


def answers(config: SelfImproveConfig, round_folder: Path, ids: Sequence[str]) -> dict[str, Answered]:
    """The answers of `<round_folder>/solved` by problem, those that are right told apart.

    A distillation has graded them or found the majority; a judge is asked here. Raises `EngineError` for a judge that
    says nothing of any answer.
    """
    solved = round_folder / "solved"
    traces = list(read_jsonl(solved / "traces.jsonl"))
    unjudged = _not_graded(solved)
    if config.check.judge is not None and config.check.by == "judge":
        scores = _scores(config.check.judge, traces, round_folder / JUDGEMENTS_FILE)
        unjudged = {str(row["id"]).rpartition("#")[0] for row in traces}
        unjudged -= {key.rpartition("#")[0] for key, score in scores.items() if score is not None}
        traces = [row for row in traces if (scores.get(str(row["id"])) or 0.0) >= config.check.score]
    right = by_problem(traces)
    thinks = resolve_think_format(config.think_format).has_thinking
    return {id: Answered(config.solve.samples, None if id in unjudged else right.get(id, []), thinks) for id in ids}


def _not_graded(solved: Path) -> set[str]:
    """Problems with an answer, of which none could be judged: its grader failed, or it was never asked."""
    rows = list(read_jsonl(solved / "samples.jsonl"))
    could: Counter[str] = Counter({row["id"]: 0 for row in rows})
    could.update(row["id"] for row in rows if row["correct"] is not None or row["reason"] == "no gold answer")
    return {id for id, count in could.items() if count == 0}


def _scores(judge: JudgeConfig, traces: Sequence[Trace], file: Path) -> dict[str, float | None]:
    """The judge's score of each solution, by the trace's id; None where it said nothing that can be read."""
    cases = {str(row["id"]): _case(judge, row) for row in traces}
    texts = ask_judge(judge, list(cases.values()), file)
    scores = {id: score_of(texts.get(case.key(judge), "")) for id, case in cases.items()}
    if cases and not any(score is not None for score in scores.values()):
        said = "; ".join(failures(file)) or "what it wrote holds no score"
        raise EngineError(
            f"check.judge: {judge.server.model} judged none of {len(cases):,} solutions ({said}); see {file}, and go "
            "on with --resume"
        )
    return scores


def _case(judge: JudgeConfig, row: Trace) -> Case:
    prompt = score_prompt(judge.rubric, str(row["question"]), (), text_of(row))
    facts: dict[str, Any] = {"id": row["id"], "point": "solved", "sample": row.get("sample", 0)}
    return Case(prompt, facts)
