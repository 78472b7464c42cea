"""Benchmarks by name: where each lives, and how its columns read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from data import answers
from data.benchmark_rows import gpqa_row, mmlu_pro_row, olympiad_row


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where a known data set lives and how its columns read.

    hub        hub id and configuration
    split      its default split
    local      where local copies have it, `{split}` filled in; from aime26 on the place that it has after
               `hf download REPO --repo-type dataset --local-dir $MULL_DATA/NAME`, NAME being the repository's own
    fields     column names, as in `data.fields`
    released   year and month in which its questions were published
    answer     makes the answer column clean
    row        a row's columns with those that `fields` names, where the data set has them in another form
    unanswered True where published copies are known to lack some answers: those rows are left out, and counted
    """

    hub: tuple[str, str | None]
    split: str
    local: str
    fields: dict[str, str]
    released: str
    answer: Callable[[object], str] = answers.clean
    row: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    unanswered: bool = False


def _aime_answer(value: object) -> str:
    return answers.unpadded(answers.clean(value))


_MATH_FIELDS = {"question": "problem", "answer": "answer", "solution": "solution"}
_MATHARENA_FIELDS = {"question": "problem", "answer": "answer", "id": "problem_idx"}
_OWN_FIELDS = {key: key for key in ("id", "question", "answer", "solution")}

BENCHMARKS = {
    "gsm8k": Benchmark(
        hub=("openai/gsm8k", "main"),
        split="train",
        local="gsm8k/{split}.jsonl",
        fields={"question": "question", "answer": "answer", "solution": "answer"},
        released="2021-10",
    ),
    "math": Benchmark(
        hub=("DigitalLearningGmbH/MATH-lighteval", None),
        split="train",
        local="math_train/{split}.json",
        fields=_MATH_FIELDS,
        released="2021-03",
        unanswered=True,
    ),
    "math500": Benchmark(
        hub=("HuggingFaceH4/MATH-500", None),
        split="test",
        local="math500/{split}.jsonl",
        fields={**_MATH_FIELDS, "id": "unique_id"},
        released="2021-03",
    ),
    "aime24": Benchmark(
        hub=("HuggingFaceH4/aime_2024", None),
        split="train",
        local="aime2024/test.jsonl",
        fields={**_MATH_FIELDS, "id": "id"},
        released="2024-02",
        answer=_aime_answer,
    ),
    "aime25": Benchmark(
        hub=("math-ai/aime25", None),
        split="test",
        local="aime2025/test.jsonl",
        fields={**_MATH_FIELDS, "id": "id"},
        released="2025-02",
        answer=_aime_answer,
    ),
    "aime26": Benchmark(
        hub=("MathArena/aime_2026", None),
        split="train",
        local="aime_2026/data/{split}-00000-of-00001.parquet",
        fields=_MATHARENA_FIELDS,
        released="2026-02",
        answer=_aime_answer,
    ),
    "hmmt_feb25": Benchmark(
        hub=("MathArena/hmmt_feb_2025", None),
        split="train",
        local="hmmt_feb_2025/data/{split}-00000-of-00001.parquet",
        fields=_MATHARENA_FIELDS,
        released="2025-02",
    ),
    "hmmt_nov25": Benchmark(
        hub=("MathArena/hmmt_nov_2025", None),
        split="train",
        local="hmmt_nov_2025/data/{split}-00000-of-00001.parquet",
        fields=_MATHARENA_FIELDS,
        released="2025-11",
    ),
    "amc23": Benchmark(
        hub=("math-ai/amc23", None),
        split="test",
        local="amc23/{split}-00000-of-00001.parquet",
        fields={"question": "question", "answer": "answer", "id": "id"},
        released="2023-11",
    ),
    "minerva": Benchmark(
        hub=("math-ai/minervamath", None),
        split="test",
        local="minervamath/{split}.jsonl",
        fields={"question": "question", "answer": "answer"},
        released="2022-06",
    ),
    "olympiadbench": Benchmark(
        hub=("Hothan/OlympiadBench", "OE_TO_maths_en_COMP"),
        split="train",
        local="OlympiadBench/OlympiadBench/OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet",
        fields=_OWN_FIELDS,
        released="2024-02",
        row=olympiad_row,
    ),
    "gpqa_diamond": Benchmark(
        hub=("Idavidrein/gpqa", "gpqa_diamond"),
        split="train",
        local="gpqa/gpqa_diamond.csv",
        fields=_OWN_FIELDS,
        released="2023-11",
        row=gpqa_row,
    ),
    "mmlu_pro": Benchmark(
        hub=("TIGER-Lab/MMLU-Pro", None),
        split="test",
        local="MMLU-Pro/data/{split}-00000-of-00001.parquet",
        fields={"question": "question", "answer": "answer", "id": "question_id"},
        released="2024-06",
        row=mmlu_pro_row,
    ),
}
