"""What repeats a benchmark is found however it is written; what only resembles it stays."""

import os
import random

import pytest

from benchmarks.planted import benchmark_questions, paraphrased, reformatted
from configs.errors import DataError
from configs.schema.sections import DataConfig
from curation.decontaminate import contaminated, matches
from data.problem import Problem, Trace
from data.sources import load_problems

REAL = os.environ.get("MULL_DATA")
real_data = pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")

QUESTION = (
    "Kylar went to the store to buy glasses for his new apartment. One glass costs $5, but every second glass costs "
    "only 60% of the price. Kylar wants to buy 16 glasses. How much does he need to pay for them?"
)
COPIES = {
    "verbatim": QUESTION,
    "case and spacing": QUESTION.upper().replace(" ", "  "),
    "number style": QUESTION.replace("One", "1").replace("$5", "5 dollars"),
    "inside a longer text": f"Solve this riddle, and think before you answer, will you? {QUESTION} Be brief, please.",
    "paraphrased": (
        "Kylar went shopping for glasses for his new flat. A glass costs $5, but every second glass costs just 60% of "
        "that price. If Kylar wants to purchase 16 glasses, how much must he pay for them?"
    ),
}
OTHERS = {
    "the same story with other numbers": QUESTION.replace("16", "24").replace("60%", "35%").replace("$5", "$11"),
    "the same numbers in another story": "A train with 16 cars covers 5 miles, 60% of its seats empty. How many cars?",
    "nothing": "",
    "another problem": "Wendi feeds each of her chickens three cups of mixed feed a day.",
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_rewritten_copy_is_found(copy: str) -> None:
    assert contaminated(["an innocent row", copy], [QUESTION, "What is 2 + 2?"]) == {1}


@pytest.mark.parametrize("row", OTHERS.values(), ids=OTHERS)
def test_similar_row_stays(row: str) -> None:
    assert contaminated([row], [QUESTION]) == set()


def test_match_names_benchmark_and_row() -> None:
    benchmarks = {"first": ["What is 2 + 2?"], "second": ["Nothing alike here at all.", QUESTION]}
    (match,) = matches([QUESTION.lower()], benchmarks)
    assert (match.row, match.benchmark, match.item) == (0, "second", 1)
    assert match.score == pytest.approx(1.0)


def test_rows_may_be_strings_problems_or_traces() -> None:
    problem = Problem("p", QUESTION, "64", "gsm8k")
    trace = Trace("t", QUESTION, "…", "64", "file")
    assert contaminated([QUESTION, problem, trace, {"question": QUESTION}, {"problem": QUESTION}], [problem]) == set(
        range(5)
    )
    with pytest.raises(DataError, match="without a question"):
        contaminated([{"text": QUESTION}], [QUESTION])


def test_same_answer_confirms_a_distant_copy() -> None:
    words = QUESTION.replace("16", "17").split()
    far = " ".join([*words[:12], *reversed(words[12:])])
    benchmark = [{"question": QUESTION, "answer": "64"}]
    assert [m.rule for m in matches([{"question": far, "answer": "64"}], benchmark)] == ["answer"]
    assert matches([{"question": far, "answer": "68"}], benchmark) == []
    assert contaminated([{"question": "What does a glass cost? Is it $64?", "answer": "64"}], benchmark) == set()


def test_unknown_benchmark_is_refused() -> None:
    with pytest.raises(DataError, match="unknown name 'aime_24'; did you mean 'aime24'"):
        contaminated([QUESTION], ["math500", "aime_24"])


def test_empty_inputs_match_nothing() -> None:
    assert contaminated([QUESTION], []) == set()
    assert contaminated([], [QUESTION]) == set()


@real_data
def test_real_benchmarks_are_found_and_train_sets_stay() -> None:
    pairs = [pair for source in benchmark_questions().values() for pair in source]
    questions = {name: [q for q, _ in source] for name, source in benchmark_questions().items()}
    rng = random.Random(3)
    sample = [question for question, _ in rng.sample(pairs, 600)]
    assert len(contaminated(sample, questions)) == 600
    assert len(contaminated([reformatted(text, rng) for text in sample], questions)) >= 0.99 * 600
    assert len(contaminated([paraphrased(text, rng) for text in sample], questions)) >= 0.9 * 600
    train = [p for name in ("gsm8k", "math") for p in load_problems(DataConfig(source=name, split="train"))]
    assert len(contaminated(train, ["math500", "aime24", "gsm8k"])) <= 0.006 * len(train)
