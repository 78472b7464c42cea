"""Problems by name: clean answers, and one clear line for everything that can be wrong."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from configs.errors import DataError
from configs.schema.sections import DataConfig
from data.answers import clean
from data.formats import Reject
from data.problem import Problem
from data.sources import load_problems

REAL = os.environ.get("MULL_DATA")
real_data = pytest.mark.skipif(not REAL, reason="MULL_DATA names no folder of data sets")


@pytest.fixture(autouse=True)
def _no_local_copies(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real" not in request.node.name:
        monkeypatch.delenv("MULL_DATA", raising=False)


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_questions_may_lack_answers_where_none_is_needed(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"instruction": "Add.", "input": "1 + 1", "answer": "2"},
        {"instruction": "Say hello.", "input": ""},
        {"instruction": ""},
    )
    rejects: list[Reject] = []
    problems = load_problems(DataConfig(path=path), rejects.append, needs_answer=False)
    assert [(p.question, p.answer) for p in problems] == [("Add.\n1 + 1", "2"), ("Say hello.", "")]
    assert [reject.line for reject in rejects] == [3]
    with pytest.raises(DataError, match=r"a\.jsonl:2: no answer in column 'answer'"):
        load_problems(DataConfig(path=path))


def test_gsm8k_answers_are_plain_numbers(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"question": "a?", "answer": "5 * 360 = <<5*360=1800>>1,800\n#### 1,800"},
        {"question": "b?", "answer": "x\n#### -109,200,000"},
        {"question": "c?", "answer": "x\n#### $18"},
    )
    problems = load_problems(DataConfig(source="gsm8k", path=path))
    assert [p.answer for p in problems] == ["1800", "-109200000", "18"]
    assert problems[0].solution == "5 * 360 = <<5*360=1800>>1,800\n#### 1,800"


def test_math_answer_is_the_last_box(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"problem": "a?", "solution": r"First \boxed{1}, then $\boxed{\frac{1}{2}}$."},
        {"problem": "b?", "solution": r"$\boxed{\left\{ 1, 2 \right\}}$ done"},
        {"problem": "c?", "solution": r"It is $\boxed 7$."},
        {"problem": "d?", "answer": r"\frac{3}{4}", "solution": r"\boxed{wrong}"},
    )
    answers = [p.answer for p in load_problems(DataConfig(source="math", path=path))]
    assert answers == [r"\frac{1}{2}", r"\left\{ 1, 2 \right\}", "7", r"\frac{3}{4}"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5e-05, "0.000015"), (-2.5e-07, "-0.00000025"), (0.1, "0.1"), (18.0, "18"), (1e22, "1" + "0" * 22)],
)
def test_numbers_become_answers_without_exponent(value: float, text: str) -> None:
    assert clean(value) == text


def test_aime_answers_lose_leading_zeros(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"problem": "a?", "answer": "025", "id": 60},
        {"problem": "b?", "answer": "000", "id": 61},
        {"problem": "c?", "answer": 7, "id": 62},
    )
    problems = load_problems(DataConfig(source="aime24", path=path))
    assert [(p.id, p.answer) for p in problems] == [("60", "25"), ("61", "0"), ("62", "7")]


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_local_file_is_read_through_a_mapping(tmp_path: Path, suffix: str) -> None:
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    rows = [
        {"key": "k1", "prompt": "1 + 1?", "gold": 2, "level": 3},
        {"key": "k2", "prompt": "x?", "gold": 4, "level": 1},
    ]
    path = tmp_path / f"a.{suffix}"
    match suffix:
        case "json":
            path.write_text(json.dumps(rows))
        case "jsonl":
            write(path, *rows)
        case "csv":
            pc.write_csv(pa.Table.from_pylist(rows), path)
        case _:
            pq.write_table(pa.Table.from_pylist(rows), path)
    fields = {"question": "prompt", "answer": "gold", "id": "key"}
    problems = load_problems(DataConfig(source="file", path=str(path), fields=fields))
    assert [(p.id, p.question, p.answer) for p in problems] == [("k1", "1 + 1?", "2"), ("k2", "x?", "4")]
    assert int(problems[0].metadata["level"]) == 3


def test_limit_draws_by_seed_and_grows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *({"question": f"{i}?", "answer": i} for i in range(100)))

    def ids(limit: int | None, seed: int) -> list[int]:
        config = DataConfig(source="file", path=path, limit=limit, seed=seed)
        return [int(p.answer) for p in load_problems(config)]

    assert ids(None, 3) == list(range(100))
    assert ids(10, 3) == sorted(ids(10, 3)) != ids(10, 4)
    assert set(ids(10, 3)) < set(ids(20, 3))


def test_generated_problems_follow_the_config() -> None:
    config = DataConfig(source="arithmetic", limit=30, seed=4, params={"steps_min": 3, "steps_max": 3})
    problems = load_problems(config)
    assert len(problems) == 30
    assert {p.metadata["steps"] for p in problems} == {3}
    assert problems == load_problems(config)


def test_reasoning_gym_problem_can_be_scored() -> None:
    from reasoning_gym.factory import get_score_answer_fn

    problems = load_problems(DataConfig(source="reasoning_gym:leg_counting", limit=3, seed=1))
    assert len({p.id for p in problems}) == 3
    for problem in problems:
        score: Any = get_score_answer_fn(problem.metadata["family"])
        assert score(answer=problem.answer, entry=problem.metadata["entry"]) == 1.0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"source": "gms8k"}, "did you mean 'gsm8k'"),
        ({"source": "reasoning_gym:leg_countin"}, "did you mean 'reasoning_gym:leg_counting'"),
        ({"source": "reasoning_gym:leg_counting", "params": {"legs": 3}}, "data.params"),
        ({"source": "arithmetic", "params": {"step_min": 3}}, "step_min"),
        ({"source": "file"}, "needs data.path"),
        ({"source": "gsm8k", "path": "missing.jsonl"}, "missing.jsonl: no such file"),
    ],
)
def test_unreadable_source_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_problems(DataConfig(**config))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", r"a\.jsonl: no problems in it; name another"),
        ('{"question": "a?", "answer": "1"}\n{"question": "b?"}\n', r"a\.jsonl:2: no answer in column 'answer'"),
        ('{"question": "a?", "answer": "  "}\n', r"a\.jsonl:1: no answer"),
        ('{"question": "a?", "answer": "no idea ####"}\n', r"a\.jsonl:1: no answer"),
        ('{"question": "a?", "answer": null}\n', r"a\.jsonl:1: no answer"),
        ('{"answer": "1"}\n', r"a\.jsonl:1: no question in column 'question'"),
        ('{"question": "a?", "answer": "1"}\noops\n', r"a\.jsonl:2: not JSON"),
        ('["a"]\n', r"a\.jsonl:1: not an object but list"),
        ('{"id": 1, "question": "a?", "answer": 1}\n' * 2, r"a\.jsonl:2: id '1' is already row 1's"),
    ],
)
def test_bad_row_is_named_by_file_and_line(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(rows)
    with pytest.raises(DataError, match=message):
        load_problems(DataConfig(source="file", path=str(tmp_path / "a.jsonl")))


def test_bad_rows_are_handed_over_with_reasons(tmp_path: Path) -> None:
    good = [{"question": f"{i}?", "answer": i, "id": i} for i in range(3)]
    path = write(tmp_path / "a.jsonl", *good, {"question": "b?"}, {"answer": 1}, good[0])
    with open(path, "a") as file:
        file.write("oops\n")
    rejects: list[Reject] = []
    assert len(load_problems(DataConfig(source="file", path=path), rejects.append)) == 3
    assert [(reject.line, reject.expected) for reject in rejects] == [(4, False), (5, False), (6, False), (7, False)]
    for reject, reason in zip(rejects, ("no answer", "no question", "already row 1's", "not JSON"), strict=True):
        assert reason in reject.reason
    write(tmp_path / "b.jsonl", {"question": "b?"}, {"answer": 1})
    with pytest.raises(DataError, match=r"b\.jsonl: no problems in it, every row is bad: no answer"):
        load_problems(DataConfig(source="file", path=str(tmp_path / "b.jsonl")), rejects.append)


def test_expected_missing_answer_stops_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"problem": "a?", "answer": "1"}, {"problem": "b?", "solution": "It is so."})
    rejects: list[Reject] = []
    assert len(load_problems(DataConfig(source="math", path=path), rejects.append)) == 1
    assert [(reject.line, reject.expected) for reject in rejects] == [(2, True)]
    assert len(load_problems(DataConfig(source="math", path=path))) == 1


def test_unknown_mapped_column_lists_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"q": "a?", "answer": 1})
    with pytest.raises(DataError, match=r"a\.jsonl:1: no column 'prompt' for data\.fields\.question; it has q, answer"):
        load_problems(DataConfig(source="file", path=path, fields={"question": "prompt"}))


def loaded(path: str, **fields: str) -> Problem:
    (problem,) = load_problems(DataConfig(source="file", path=path, fields=fields))
    return problem


def test_mapping_of_what_no_problem_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "1 + 1?", "a": "2"}\n')
    with pytest.raises(
        DataError, match=r"data\.fields\.reply: a problem has no such column; known: answer, id, question"
    ):
        load_problems(DataConfig(path=str(path), fields={"question": "q", "reply": "a"}))


def test_prompt_of_messages_is_a_question(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    user, system = {"role": "user", "content": "6 * 7?"}, {"role": "system", "content": "Be brief."}
    verl = {"prompt": [user], "reward_model": {"style": "rule", "ground_truth": "42"}, "data_source": "x"}
    problem = loaded(write(tmp_path / "a.jsonl", verl))
    assert (problem.question, problem.answer) == ("6 * 7?", "42")
    assert caplog.text == ""
    problem = loaded(write(tmp_path / "b.jsonl", {"prompt": [system, user], "answer": "42"}))
    assert (problem.question, problem.metadata) == ("6 * 7?", {"system_message": "Be brief."})
    assert "1 prompts have a system message, which the think format's own replaces" in caplog.text
    with pytest.raises(DataError, match="column 'prompt' holds 2 turns"):
        loaded(write(tmp_path / "c.jsonl", {"prompt": [user, user], "answer": "42"}))


def test_verl_parquet_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {"prompt": [{"role": "user", "content": "6 * 7?"}], "reward_model": {"ground_truth": "42", "style": "rule"}}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    problem = loaded(str(tmp_path / "a.parquet"))
    assert (problem.question, problem.answer) == ("6 * 7?", "42")


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (["42"], "42"),
        (["1,234"], "1,234"),
        (["\\frac12", "3"], "\\frac12, 3"),
        (["1,000", 2.0], "1000, 2"),
        ([[4]], None),
    ],
)
def test_list_of_golds_is_read_as_answers(tmp_path: Path, gold: object, answer: str | None) -> None:
    path = write(tmp_path / "a.jsonl", {"question": "a?", "answer": gold})
    if answer is not None:
        assert loaded(path).answer == answer
    else:
        with pytest.raises(DataError, match=r"a\.jsonl:1: column 'answer': an answer is text, a number or a list"):
            loaded(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "a?", "answer": {"value": 4}}, "column 'answer': an answer is text.*not an object"),
        ({"question": ["a?"], "answer": 4}, "column 'question' holds a list where text is expected"),
        ({"question": "a?", "answer": "It is so. ####"}, "no answer can be read from column 'answer', which ends with"),
        ({"question": "a?", "response": "4"}, "no answer in column 'answer' .*; it has question, response"),
    ],
)
def test_cell_without_text_names_its_column(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        loaded(write(tmp_path / "a.jsonl", row))


@pytest.mark.parametrize("options", [["A. red", "B. blue"], ["(A) red", "(B) blue"], ["A) red", "B) blue"]])
@pytest.mark.parametrize("spelled", [0, 1])
def test_option_letters_are_read(tmp_path: Path, options: list[str], spelled: int) -> None:
    gold = options[1] if spelled else "B"
    problem = loaded(write(tmp_path / "a.jsonl", {"question": "a?", "options": options, "answer": gold}))
    assert (problem.metadata["options"], problem.answer) == ({"A": "red", "B": "blue"}, "B")


@pytest.mark.parametrize("options", [["A. Milne", "C. Dickens"], ["red", "B. blue"], ["B. blue", "A. red"]])
def test_options_that_look_lettered_are_unchanged(tmp_path: Path, options: list[str]) -> None:
    problem = loaded(write(tmp_path / "a.jsonl", {"question": "a?", "options": options, "answer": options[1]}))
    assert (problem.metadata["options"], problem.answer) == (options, "B")


def test_conflicting_answers_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"id": f"a{i}", "question": "6 * 7? ", "answer": gold} for i, gold in enumerate(["42", "42", "41"])]
    path = write(tmp_path / "a.jsonl", *rows, {"id": "b", "question": "5?", "answer": 5})
    assert len(load_problems(DataConfig(source="file", path=path))) == 4
    assert "the same question with different answers: a0 (42), a2 (41); keep the right one" in caplog.text


def test_recipe_names_the_split_of_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({name: [{"question": name, "answer": 1}] for name in ("train", "test")}))
    problems = load_problems(DataConfig(source="file", path=str(path), split="test"))
    assert [problem.question for problem in problems] == ["test"]
    with pytest.raises(DataError, match=r"several splits \(train, test\)"):
        load_problems(DataConfig(source="file", path=str(path)))


def test_offline_error_names_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(DataError, match=r"^math-ai/aime25 \(test\): .*data\.path=FILE$"):
        load_problems(DataConfig(source="aime25"))


@real_data
@pytest.mark.parametrize(
    ("source", "split", "count"),
    [
        ("gsm8k", None, 7473),
        ("gsm8k", "test", 1319),
        ("math", None, 7470),
        ("math500", None, 500),
        ("aime24", None, 30),
    ],
)
def test_real_benchmarks_load_with_clean_answers(source: str, split: str | None, count: int) -> None:
    problems = load_problems(DataConfig(source=source, split=split))
    assert len(problems) == count
    assert all(p.answer and "####" not in p.answer and r"\boxed" not in p.answer for p in problems)
    if source in ("gsm8k", "aime24"):
        assert all(p.answer.removeprefix("-").replace(".", "").isdigit() for p in problems)


@pytest.mark.parametrize(
    ("grader", "answer", "gold"),
    [
        ("terms", "高血压##2型糖尿病", "高血压##2型糖尿病"),
        ("terms", ["高血压", "2型糖尿病"], "高血压\n2型糖尿病"),
        ("text", "见 #### 18", "见 #### 18"),
        ("text", 18.0, "18"),
        ("json", {"诊断": "肺炎"}, '{"诊断": "肺炎"}'),
        ("entities", [{"text": "北京"}, {"text": "鲁迅"}], '{"text": "北京"}\n{"text": "鲁迅"}'),
    ],
)
def test_literal_gold_is_taken_as_it_is(tmp_path: Path, grader: str, answer: Any, gold: str) -> None:
    path = write(tmp_path / "a.jsonl", {"question": "?", "answer": answer})
    [problem] = load_problems(DataConfig(source="file", path=path, grader=grader))
    assert (problem.answer, problem.grader) == (gold, grader)
