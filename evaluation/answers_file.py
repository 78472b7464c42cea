"""Answers that another tool made, graded as an evaluation's own samples are."""

from collections.abc import Sequence
from pathlib import Path

from configs.errors import DataError, RunError
from configs.run_directory import RunDir
from configs.sample import Sample
from configs.schema.evaluation import EvalConfig
from data.problem import Problem
from data.sources import load_problems
from data.think_format import delimiters, resolve_think_format
from evaluation.lm_eval_format import Answer, read_answers
from evaluation.results import Point
from evaluation.runner import SAMPLES_FILE
from evaluation.sample_store import SampleStore, grade_samples
from rewards.grading.grade import extracted_answer


def load_answers(config: EvalConfig, problems: Sequence[Problem]) -> list[Answer]:
    """The answers in the recipe's file to these problems. Raises `DataError`.

    A file may answer the whole benchmark, and count it whole, though `data.limit` has drawn only some of it.
    """
    path = Path(str(config.answers))
    found = read_answers(path, _counted(config, problems))
    asked = {problem.id for problem in problems}
    answers = [answer for answer in found if answer.id in asked]
    if not answers:
        raise DataError(f"{path}: none of its {len(found)} answers is to a problem that data.limit has drawn; raise it")
    if len(answers) < len(found):
        print(f"{path}: {len(found) - len(answers)} of {len(found)} answers are to problems that data.limit leaves out")
    return answers


def _counted(config: EvalConfig, problems: Sequence[Problem]) -> Sequence[Problem]:
    """What an answer's position counts: the benchmark that `problems` were drawn from, or they where none is larger.

    The limit of a generated source is its size: without one it makes others.
    """
    whole = load_problems(config.data.model_copy(update={"limit": None}))
    asked = {problem.id: problem.question for problem in whole}
    drawn = all(p.id in asked and p.question.startswith(asked[p.id]) for p in problems)
    return whole if drawn else problems


def grade_file(config: EvalConfig, problems: Sequence[Problem], answers: Sequence[Answer], run: RunDir) -> Point:
    """Samples of completions made elsewhere, read by the think format if any of them is written in it.

    Then a completion without an end of thinking was cut, and has no answer; else all are read as bare text.

    Starts the run directory, or goes on in it. Raises `RunError` where it holds samples that were generated: they
    would be lost.
    """
    store = SampleStore(run / SAMPLES_FILE)
    if any(point != "answers" for point, _, _ in store.load()):
        raise RunError(f"output_dir: {run.path} holds generated samples; name another for answers: output_dir=…")
    run.start(config, resume=(run / "config.yaml").is_file())
    think_format = resolve_think_format(config.think_format)
    by_id = {problem.id: problem for problem in problems}
    marks = delimiters(think_format)
    is_formatted = not think_format.has_thinking or any(mark in answer.text for answer in answers for mark in marks)
    samples = []
    for answer in answers:
        problem = by_id[answer.id]
        extracted = extracted_answer(problem, answer.text, think_format if is_formatted else None)
        samples.append(
            Sample(
                id=answer.id,
                point="answers",
                sample=answer.sample,
                question=problem.question,
                gold=problem.answer,
                references=problem.references,
                grader=problem.grader,
                text=answer.text,
                extracted=extracted,
            )
        )
    graded = grade_samples(samples, by_id)
    store.write(graded)
    return Point("answers", {}, graded)
