"""The publish gate: every export, loaded again in a fresh process, must answer as the trained model does.

Teacher-forced on the trained model's own answers: `top1` is the share of places in which the export's likeliest token
is the trained model's too (or as likely there to within `gate_worker.TIE`: rounding alone decides such a tie),
`logprob_gap` the mean absolute difference of a token's log-probability in nats. `apart_from_base` is how much of what
training changed has arrived: the regression of (export - base) on (trained - base) over those log-probabilities, 1 for
all of it and 0 for an adapter that was lost; quantisation noise, which points anywhere, does not move it.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from configs.command import prepare_libraries
from configs.errors import RunError
from configs.gate_report import GATE_FILE, Check, GateReport, read_gate_report
from configs.run_directory import write_json, write_text
from configs.run_record import HELD_OUT_FILE
from data.chat_template import PROBES
from data.problem import Problem
from data.problem_file import read_problems
from evaluation.metrics import wilson
from release.gate_job import GateAnswer, GateJob
from release.targets import file_of, hashes
from rewards.grading.grade import grade
from training.finished_run import TrainedRun, open_run

PROMPTS = 16
"""How many of the trained model's answers are scored teacher-forced at least."""
TOKENS = 2048
"""How many tokens they hold at least, so that 99% is measured to within 0.5 points: short answers take more of them."""
PROBLEMS = 50
"""How many held-out problems are answered."""
ROPE = 1e-5
"""Relative difference of rotary frequencies that are the same: fp32 computes them."""
LEAST_EFFECT = 0.005
"""Nats a token by which training must have changed the base: below it, the adapter does nothing to speak of."""
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an export must reach: least `top1`, most `gap` (nats), least `effect` (share of what training changed)."""

    top1: float
    gap: float
    effect: float


FULL = Bounds(top1=0.99, gap=0.02, effect=0.9)
"""16-bit weights, and q8_0, which rounds as little."""
QUANTISED = Bounds(top1=0.85, gap=0.25, effect=0.5)
"""4 to 6 bits; and 16-bit weights of an adapter that was trained on a 4- or 8-bit base: the base itself differs."""


def gate(folder: str | Path, run: str | Path) -> GateReport:
    """Check every export in `folder` (made by `release.formats.write_exports` from `run`) and write `folder/gate.json`.

    The file is there from the start and grows with every export, so that others can follow. Raises `RunError` if
    `folder` holds no exports, or the run holds no problems out.
    """
    folder = Path(folder)
    trained = open_run(run)
    exports = listed(folder)
    problems = held_out(trained)[:PROBLEMS]
    started = time.perf_counter()
    limit = trained.config.eval.max_tokens if trained.config.eval else 256
    job = GateJob(
        kind="trained",
        folder=str(trained.path),
        think_format=asdict(trained.think_format),
        questions=[problem.question for problem in problems],
        histories=[(question, list(history)) for question, history in PROBES],
        max_tokens=limit,
        context=trained.config.model.max_length,
        least_answers=PROMPTS,
        least_tokens=TOKENS,
    )
    print(f"gate: {len(exports)} exports against the trained model on {len(problems)} problems …", flush=True)
    report = GateReport(
        passed=False, checks=[], pending=list(exports), prompts=0, problems=len(problems), seconds=0, files={}
    )
    _write(folder, report)
    reference = _ask(job)
    checks: list[Check] = []
    for target, path in exports.items():
        export_job = replace(_job_of(target, path, job, trained), forced=reference.forced)
        export_checks = _checked(target, export_job, reference, problems, trained)
        checks += export_checks
        verdict = "passed" if all(check.passed for check in export_checks) else "FAILED"
        print(f"gate: {target}: {verdict}; " + ", ".join(f"{c.name} {c.figure}" for c in export_checks), flush=True)
        report = GateReport(
            passed=False,
            checks=checks,
            pending=report.pending[1:],
            prompts=len(reference.forced),
            problems=len(problems),
            seconds=round(time.perf_counter() - started, 1),
            files={},
        )
        _write(folder, report)
    passed = all(check.passed for check in checks)
    report = report.model_copy(update={"passed": passed, "files": _checked_files(folder)})
    _write(folder, report)
    return report


def _write(folder: Path, report: GateReport) -> None:
    write_text(folder / GATE_FILE, report.model_dump_json(indent=2) + "\n")


def listed(folder: Path) -> dict[str, Path]:
    """Target → folder of each export in `folder`. Raises `RunError` where there are none."""
    file = folder / "export.json"
    if not file.is_file():
        raise RunError(f"{folder}: holds no exports (no export.json); make them with python -m release.export")
    exports = json.loads(file.read_text(encoding="utf-8"))["exports"]
    return {target: folder / name for target, name in exports.items()}


def passed_before(folder: Path) -> GateReport | None:
    """The report in `folder`, if its gate passed and no file has changed since; else None."""
    file = folder / GATE_FILE
    if not file.is_file():
        return None
    report = read_gate_report(file)
    return report if report.passed and report.files == _checked_files(folder) else None


def _checked_files(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in hashes(folder).items() if name != GATE_FILE}


def held_out(run: TrainedRun) -> list[Problem]:
    """The problems that the run was measured on and never trained on, as it wrote them down."""
    file = run.path / HELD_OUT_FILE
    problems = read_problems(file)
    if not problems:
        raise RunError(
            f"{run.path}: holds no problems out (no {HELD_OUT_FILE}), so exports can't be measured; train with an "
            '`eval:` section, or write the file: a line {"question": …, "answer": …} each'
        )
    return problems


def _job_of(target: str, path: Path, job: GateJob, run: TrainedRun) -> GateJob:
    if target == "adapter":
        return replace(job, kind="adapter", folder=str(path), base=run.base)
    if target.startswith("gguf:"):
        return replace(job, kind="gguf", folder=str(path), file=file_of(target))
    return replace(job, kind="transformers", folder=str(path))


def _ask(job: GateJob) -> GateAnswer:
    """`release.gate_worker` in a fresh process. Raises `RunError` with its last words if it fails."""
    prepare_libraries()  # the worker imports them at its top, and inherits the environment
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "job.json", Path(folder) / "answer.json"
        write_json(question, asdict(job))
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [sys.executable, "-m", "release.gate_worker", str(question), str(answer)],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no message"]
            raise RunError(f"{job.folder}: does not load in a fresh process: {said[-1]}")
        return GateAnswer(**json.loads(answer.read_text(encoding="utf-8")))


def _checked(
    target: str, job: GateJob, reference: GateAnswer, problems: Sequence[Problem], run: TrainedRun
) -> list[Check]:
    try:
        answer = _ask(job)
    except RunError as error:
        return [Check(export=target, name="loads", figure=str(error), bound="loads and answers", passed=False)]
    bounds = bounds_of(target, run.precision)
    return [
        *compare_with_reference(target, answer, reference, bounds),
        _score(target, answer, reference, problems, run),
        *format_checks(target, answer, reference, run),
    ]


def bounds_of(target: str, trained_precision: str) -> Bounds:
    """The bounds of an export, by how its weights are held and how the base was while training."""
    few_bits = target == "nf4" or (target.startswith("gguf:q") and target != "gguf:q8_0")
    other_base = trained_precision in ("nf4", "int8")
    return QUANTISED if few_bits or other_base else FULL


def compare_with_reference(target: str, answer: GateAnswer, reference: GateAnswer, bounds: Bounds) -> list[Check]:
    """The teacher-forced checks: `top1`, `logprob_gap`, `apart_from_base`; see the module."""
    pairs = list(zip(answer.logprobs, reference.logprobs, strict=True))
    top1 = sum(a[0] in b for a, b in zip(answer.likeliest, reference.likeliest, strict=True)) / len(pairs)
    gap = sum(abs(a - b) for a, b in pairs) / len(pairs)
    changed = [b - base for (_, b), base in zip(pairs, reference.base_logprobs, strict=True)]
    arrived = [a - base for (a, _), base in zip(pairs, reference.base_logprobs, strict=True)]
    size = sum(abs(change) for change in changed) / len(changed)
    power = sum(change * change for change in changed)
    effect = sum(a * b for a, b in zip(arrived, changed, strict=True)) / power if power else 0.0
    return [
        Check(export=target, name="top1", figure=round(top1, 4), bound=f">= {bounds.top1}", passed=top1 >= bounds.top1),
        Check(export=target, name="logprob_gap", figure=round(gap, 4), bound=f"<= {bounds.gap} nats",
              passed=gap <= bounds.gap),
        Check(export=target, name="changed_by_training", figure=round(size, 4), bound=f">= {LEAST_EFFECT} nats",
              passed=size >= LEAST_EFFECT),
        Check(export=target, name="apart_from_base", figure=round(effect, 4), bound=f">= {bounds.effect}",
              passed=effect >= bounds.effect),
    ]  # fmt: skip


def _score(
    target: str, answer: GateAnswer, reference: GateAnswer, problems: Sequence[Problem], run: TrainedRun
) -> Check:
    """Greedy accuracy on the held-out problems, against the trained model's 95% interval on the same ones."""
    right = [_right(side.texts, problems, run) for side in (answer, reference)]
    interval = wilson(right[1], len(problems))
    figure = right[0] / len(problems)
    return Check(
        export=target,
        name="held_out_score",
        figure=round(figure, 4),
        bound=f"within [{interval.low:.4f}, {interval.high:.4f}], trained {interval.value:.4f}",
        passed=interval.low <= figure <= interval.high,
    )


def _right(texts: Sequence[str], problems: Sequence[Problem], run: TrainedRun) -> int:
    written = [run.think_format.prefill + text for text in texts]
    verdicts = grade(problems, written, run.think_format)
    return sum(verdict.is_right is True for verdict in verdicts)


def format_checks(target: str, answer: GateAnswer, reference: GateAnswer, run: TrainedRun) -> list[Check]:
    """Whether prompts, the end of a turn, the think format and the rotary embeddings are those of training."""
    expected = asdict(run.think_format)
    think_format = dict(answer.stored_think_format or {})
    formats = {
        "template": answer.prompts == reference.prompts and answer.prompt_ids == reference.prompt_ids,
        "eos": answer.eos[:1] == reference.eos[:1]  # the end that was trained, first
        and set(answer.eos) == set(answer.stored_eos) == set(reference.eos),
        "think_format": think_format == expected | {"end_tokens": list(run.think_format.end_tokens)},
        "rope": len(answer.rope) == len(reference.rope)
        and all(math.isclose(a, b, rel_tol=ROPE) for a, b in zip(answer.rope, reference.rope, strict=True)),
    }
    wanted = {
        "template": "the prompts of training",
        "eos": f"ids {reference.eos}",
        "think_format": expected["name"],
        "rope": "the rotary frequencies of training"
        + (", as the file scales them (Transformers reads no scaling)" if target.startswith("gguf:") else ""),
    }
    return [
        Check(export=target, name=name, figure="kept" if kept else "lost", bound=wanted[name], passed=kept)
        for name, kept in formats.items()
    ]
