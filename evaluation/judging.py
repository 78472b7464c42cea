"""Samples and pairs of samples put to a judge; every judgement is kept, and asked for once.

`judgements.jsonl` holds `{key, judge, id, point, sample, text, error}` a line. Where the judge fails or says nothing
that can be read, there is no score, which is never a bad one.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.progress import Progress
from configs.run_directory import append_jsonl, keep_jsonl, read_jsonl
from configs.sample import Sample
from configs.schema.judge import JudgeConfig
from evaluation.judge import HIGHEST, LOWEST, score_of, score_prompt
from evaluation.sample_metrics import SampleMetric, share_metric, written
from report.correlation import correlation

JUDGEMENTS_FILE = "judgements.jsonl"
THINK = ("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to judge: the prompt, and what tells its row in the file."""

    prompt: str
    row: Mapping[str, Any]

    def key(self, judge: JudgeConfig) -> str:
        """Stands for the prompt and for who is asked, and how."""
        asked = [
            judge.server.addresses[0],  # more servers of the model say nothing else
            judge.server.model,
            judge.sampling.model_dump(),
            judge.max_tokens,
            judge.seed,
            self.prompt,
        ]
        return hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()[:16]


def ask_judge(judge: JudgeConfig, cases: Sequence[Case], file: Path) -> dict[str, str]:
    """Key → the judge's text, of every case that it answered; those in `file` are not asked again.

    Raises `EngineError` where the server can't be reached at all.
    """
    from models.server import Question, Reply, ask_server

    keep_jsonl(file, lambda row: not row["error"])
    texts = judgements_in(file)
    missing = {key: case for case in cases if (key := case.key(judge)) not in texts}
    questions = [Question(key, [{"role": "user", "content": case.prompt}], judge.seed) for key, case in missing.items()]
    if questions:
        file.parent.mkdir(parents=True, exist_ok=True)
        with Progress(f"judged by {judge.server.model}", total=len(questions)) as progress:
            done = 0

            def reply(got: Reply) -> None:
                nonlocal done
                done += 1
                row = {"key": got.key, "judge": judge.server.model, **missing[got.key].row}
                append_jsonl(file, row | {"text": got.text, "finish": got.finish, "error": got.error})
                if not got.error:
                    texts[got.key] = got.text
                progress.update(done)

            ask_server(questions, judge.server, judge.sampling, judge.max_tokens, THINK, reply)
    return texts


def judgements_in(*files: Path) -> dict[str, str]:
    """Key → the judge's text, of every case answered in these files."""
    return {row["key"]: str(row["text"]) for file in files for row in read_jsonl(file) if not row["error"]}


def failures(file: Path) -> list[str]:
    """What to say of the requests to the judge that failed when it was last asked; empty where none did."""
    errors = [row["error"] for row in read_jsonl(file) if row["error"]]
    return [f"{len(errors)} requests to the judge failed, the first: {errors[0]}"] if errors else []


def case_of(judge: JudgeConfig, sample: Sample) -> Case:
    """A sample's reply with its question and gold answers."""
    prompt = score_prompt(judge.rubric, sample.question, sample.golds, written(sample))
    return Case(prompt, {"id": sample.id, "point": sample.point, "sample": sample.sample})


def judge_metric(judge: JudgeConfig, texts: Mapping[str, str]) -> SampleMetric:
    """`judge`: the mean score from 0 to 1 of the samples that got one; `texts` as `ask_judge` has them."""
    about = f"mean score by {judge.server.model}, {LOWEST} to {HIGHEST} as 0 to 1"
    return share_metric("judge", about, scorer(judge, texts))


def scorer(judge: JudgeConfig, texts: Mapping[str, str]) -> Callable[[Sample], float | None]:
    """The score that the judge gave a sample; None without one."""
    return lambda sample: score_of(texts.get(case_of(judge, sample).key(judge), ""))


def judged_figures(judge: JudgeConfig, texts: Mapping[str, str], samples: Sequence[Sample]) -> dict[str, Any]:
    """What to know of the judge beside its mean: `{model, unjudged, length_correlation}`."""
    score = scorer(judge, texts)
    scored = [(len(written(sample)), value) for sample in samples if (value := score(sample)) is not None]
    return {
        "model": judge.server.model,
        "unjudged": len(samples) - len(scored),
        "length_correlation": correlation([(float(length), value) for length, value in scored]),
    }
