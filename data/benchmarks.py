"""Benchmarks by name: where each lives, and how its columns read."""

from collections.abc import Callable
from dataclasses import dataclass

from data import answers


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where a known data set lives and how its columns read.

    hub        hub id and configuration
    split      its default split
    local      where local copies have it; `{split}` is filled in
    fields     column names, as in `data.fields`
    answer     makes the answer column clean
    unanswered True where published copies are known to lack some answers: those rows are left out, and counted
    """

    hub: tuple[str, str | None]
    split: str
    local: str
    fields: dict[str, str]
    answer: Callable[[object], str] = answers.clean
    unanswered: bool = False


def _aime_answer(value: object) -> str:
    return answers.unpadded(answers.clean(value))


_MATH_FIELDS = {"question": "problem", "answer": "answer", "solution": "solution"}

BENCHMARKS = {
    "gsm8k": Benchmark(
        hub=("openai/gsm8k", "main"),
        split="train",
        local="gsm8k/{split}.jsonl",
        fields={"question": "question", "answer": "answer", "solution": "answer"},
    ),
    "math": Benchmark(
        hub=("DigitalLearningGmbH/MATH-lighteval", None),
        split="train",
        local="math_train/{split}.json",
        fields=_MATH_FIELDS,
        unanswered=True,
    ),
    "math500": Benchmark(
        hub=("HuggingFaceH4/MATH-500", None),
        split="test",
        local="math500/{split}.jsonl",
        fields={**_MATH_FIELDS, "id": "unique_id"},
    ),
    "aime24": Benchmark(
        hub=("HuggingFaceH4/aime_2024", None),
        split="train",
        local="aime2024/test.jsonl",
        fields={**_MATH_FIELDS, "id": "id"},
        answer=_aime_answer,
    ),
    "aime25": Benchmark(
        hub=("math-ai/aime25", None),
        split="test",
        local="aime2025/test.jsonl",
        fields={**_MATH_FIELDS, "id": "id"},
        answer=_aime_answer,
    ),
}
