"""Held-out accuracy: paired seeds, samples kept, changes with their interval."""

import json
from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import DataError
from configs.recipe import load_recipe
from configs.run_directory import RunDir, write_jsonl
from configs.sample import Sample, read_samples
from configs.schema.sections import DataConfig, ModelConfig, SamplingConfig
from configs.schema.training import HeldOutConfig
from data.problem import Problem, Trace
from data.splits import split_problems, split_traces
from data.think_format import S1
from models.engines.base import Engine, Request
from models.engines.transformers import TransformersEngine
from models.load import load_model
from report.training import write_training_report
from tests.tiny import tiny_model
from training.heldout import (
    Measure,
    figures_of,
    fitting,
    general_problems,
    measure,
    paired_changes,
    problem_prompt_ids,
    samples_on,
)
from training.watch import Found, check_watched

PROBLEMS = [Problem(f"p{i}", f"{i} + 1?", str(i + 1), "test") for i in range(5)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    loaded = load_model(ModelConfig(name=str(tiny_model(tmp_path_factory.mktemp("tiny"))), precision="fp32"))
    return TransformersEngine(loaded.model, loaded.tokenizer, S1, 256, 8)


def test_same_seed_gives_same_samples(engine: Engine) -> None:
    config = HeldOutConfig(k=3, max_tokens=8)
    figures, rows = measure(engine, PROBLEMS, config, SamplingConfig(), seed=5)
    again, same_rows = measure(engine, PROBLEMS, config, SamplingConfig(), seed=5)
    assert again == figures
    assert [row.text for row in same_rows] == [row.text for row in rows]
    _, other_rows = measure(engine, PROBLEMS, config, SamplingConfig(), seed=6)
    assert [row.text for row in other_rows] != [row.text for row in rows]
    assert len(rows) == 5 * (1 + 3)
    assert [row.id for row in rows if row.point == "greedy"] == [p.id for p in PROBLEMS]
    assert figures["greedy"]["n"] == figures["avg_at_k"]["n"] == 5
    assert figures["avg_at_k"]["k"] == 3
    assert all(row.text.startswith(S1.prefill) for row in rows)


def test_long_problem_is_refused(engine: Engine) -> None:
    config = load_recipe("grpo", "demo", ["eval.max_tokens=250"])
    with pytest.raises(
        DataError, match=r"5 of 5 prompts don't fit: problem p\d has \d+ tokens, with eval.max_tokens=250"
    ):
        fitting(config, PROBLEMS, engine.tokenizer, S1)
    fitting(load_recipe("grpo", "demo", ["eval.max_tokens=250", "eval.when=[]"]), PROBLEMS, engine.tokenizer, S1)
    fitting(load_recipe("grpo", "demo"), PROBLEMS, engine.tokenizer, S1)


@pytest.mark.parametrize(
    ("stage", "setting", "drops"),
    [
        ("grpo", "long_prompts=drop", True),
        ("grpo", "long_prompts=error", False),
        ("sft", "truncation=drop", True),
        ("sft", "truncation=cut", True),
        ("sft", "truncation=error", False),
    ],
)
def test_long_problem_is_left_out_where_long_rows_are(
    engine: Engine, capsys: pytest.CaptureFixture[str], stage: str, setting: str, drops: bool
) -> None:
    config = load_recipe(stage, "demo", [setting])
    long = replace(PROBLEMS[0], id="long", question="1 + " * 300 + "1?")
    if not drops:
        with pytest.raises(DataError, match="1 of 6 prompts don't fit: problem long has"):
            fitting(config, [*PROBLEMS, long], engine.tokenizer, S1)
        return
    assert fitting(config, [*PROBLEMS, long], engine.tokenizer, S1) == PROBLEMS
    assert "left out 1 of 6 held-out problems" in capsys.readouterr().out
    with pytest.raises(DataError, match="1 of 1 prompts don't fit"):
        fitting(config, [long], engine.tokenizer, S1)


def measured(numbers: Iterable[int], right: Container[int], other: str = "?") -> list[Sample]:
    """A greedy sample and two drawn ones a problem; from p5 on `other` ends the question, from p8 on none is judged."""
    return [
        Sample(
            id=f"p{i}",
            point=point,
            sample=sample,
            question=f"{i}{'?' if i < 5 else other}",
            score=None if point == "sampled" and i > 7 else float(i in right),
        )
        for i in numbers
        for point, sample in (("greedy", 0), ("sampled", 0), ("sampled", 1))
    ]


def test_changes_are_paired_by_problem() -> None:
    before, after = measured(range(10), {0, 1}), measured(reversed(range(10)), {0, 1, 2, 3})  # in any order
    found = paired_changes(before, after)
    assert found["greedy_change"].value == pytest.approx(0.2)
    assert found["avg_at_k_change"].value == pytest.approx(0.2)
    assert found["greedy_change"].n == 10
    assert found["greedy_change"].low >= 0  # nobody got worse


def test_replies_right_to_a_degree_count_by_it() -> None:
    before, after = (
        [replace(sample, grader="chrf", score=score) for sample in measured(range(4), ())] for score in (0.25, 0.5)
    )
    assert paired_changes(before, after)["greedy_change"].value == pytest.approx(0.25)


def test_unpaired_problems_are_left_out() -> None:
    found = paired_changes(measured(range(6), ()), measured(range(3, 9), range(9), "!"))
    assert (found["greedy_change"].value, found["greedy_change"].n) == (1.0, 2)  # p5 asks something else
    assert found["avg_at_k_change"].n == 2


def test_samples_share_one_request(engine: Engine) -> None:
    """The k samples of a problem come from one request with its seed, whatever plans them."""
    _, samples = measure(engine, PROBLEMS, HeldOutConfig(k=3, max_tokens=8), SamplingConfig(), seed=5)
    ids = problem_prompt_ids(PROBLEMS, engine.tokenizer, S1)
    greedy = [Request(prompt, SamplingConfig(temperature=0.0), 8, seed=5 + i) for i, prompt in enumerate(ids)]
    drawn = [Request(prompt, SamplingConfig(), 8, seed=5 + i, n=3) for i, prompt in enumerate(ids)]
    assert [s.token_ids for s in samples] == [g.token_ids for g in engine.generate(greedy + drawn)]


def test_first_problems_are_drawn_as_with_the_others(engine: Engine) -> None:
    """What is watched is paired with what is measured before and after: the same noise for the same problem."""
    config = HeldOutConfig(k=3, max_tokens=8)
    _, samples = measure(engine, PROBLEMS, config, SamplingConfig(), seed=5)
    figures, watched = measure(engine, PROBLEMS[:2], config, SamplingConfig(), seed=5)
    same = samples_on(samples, 3, slice(2))
    assert [sample.text for sample in same] == [sample.text for sample in watched]
    assert figures_of(same, 3) == figures
    assert len(samples_on(samples, 3, slice(2, None))) == 3 * (1 + 3)


def test_earlier_of_equal_measurements_is_the_best() -> None:
    found = Found()
    for step, value in ((0, 0.25), (10, 0.5), (20, 0.5), (30, 0.25)):
        found = found.and_then(step, {"value": value}, 2.0)
    assert (found.last, found.best_step, found.best["value"], found.waited) == (30, 10, 0.5, 2)
    assert found.and_then(40, {"value": 0.75}, 0.0) == Found(40, 2.0, 40, {"value": 0.75}, 0)


def test_watching_needs_problems_and_steps(capsys: pytest.CaptureFixture[str]) -> None:
    config = load_recipe("grpo", "demo", ["eval.every=20", "trainer.max_steps=12"])
    with pytest.raises(DataError, match=r"eval\.every: no problem is held out, so nothing can be measured"):
        check_watched(config, [])
    check_watched(config, PROBLEMS)
    assert "eval.every: 20 is more than the 12 steps, so only the first and the last" in capsys.readouterr().out
    check_watched(load_recipe("grpo", "demo", ["eval.every=4"]), PROBLEMS)
    assert capsys.readouterr().out == ""
    check_watched(load_recipe("grpo", "demo"), [])


def test_run_files_hold_samples(engine: Engine, tmp_path: Path) -> None:
    config = load_recipe("grpo", "demo", ["eval.max_tokens=8", "eval.k=2"])
    Measure(RunDir(tmp_path), engine, config, PROBLEMS)("before")
    samples = read_samples(tmp_path / "heldout_before.jsonl")
    assert [s.place for s in samples[:2]] == [("greedy", "p0", 0), ("greedy", "p1", 0)]
    assert [s.place for s in samples[5:8]] == [("sampled", "p0", 0), ("sampled", "p0", 1), ("sampled", "p1", 0)]
    assert {s.finish for s in samples} <= {"stop", "length"}


def test_other_problems_are_not_paired(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_recipe("grpo", "demo", ["eval.max_tokens=8", "eval.k=1"])
    run = RunDir(tmp_path)
    Measure(run, engine, config, PROBLEMS[:2])("before")
    Measure(run, engine, config, PROBLEMS[2:])("after")
    assert "paired change: none, no problem was measured both before and after" in capsys.readouterr().out
    assert {"greedy_before", "greedy_after"} <= run.summary().keys()
    assert "greedy_change" not in run.summary()


def test_metrics_of_a_task_are_compared(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["data={path: x, task: term_normalisation_zh}", "eval={k: 1, max_tokens: 8}", "think_format=none"]
    config = load_recipe("sft", "demo", overrides)
    run = RunDir(tmp_path)
    terms = [replace(problem, grader="terms", key=problem.question) for problem in PROBLEMS]
    Measure(run, engine, config, terms)("before")
    right = [replace(s, extracted=s.gold, score=1.0, parts={"matched": 1, "given": 1, "wanted": 1}) for s in
             Measure(run, engine, config, terms).store("before").load().values()]  # fmt: skip
    Measure(run, engine, config, terms).store("after").write(right[1:])  # one problem fewer
    Measure(run, engine, config, terms).compare()
    [point] = json.loads((tmp_path / "comparison.json").read_text("utf-8"))["points"]
    f1 = next(row for row in point["rows"] if row["name"] == "f1")
    assert (f1["before"], f1["after"], f1["change"]["n"], f1["better"]) == (0.0, 1.0, 4, 4)
    assert "constant answer" in capsys.readouterr().out
    write_jsonl(tmp_path / "metrics.jsonl", [{"step": 1, "loss": 1.0}])
    page = write_training_report(tmp_path).read_text("utf-8")
    assert "before against after" in page
    assert page.count('"gained"') == 4


def test_what_is_forgotten_is_measured(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = [{"question": f"What is {i}?", "answer": str(i)} for i in range(4)]
    write_jsonl(tmp_path / "general.jsonl", questions)
    overrides = [f"eval.general={{path: {tmp_path / 'general.jsonl'}}}", "eval.k=2", "eval.max_tokens=8"]
    config = load_recipe("sft", "demo", overrides)
    general = general_problems(config, engine.tokenizer, S1)
    run = RunDir(tmp_path / "run")
    measure_it = Measure(run, engine, config, PROBLEMS, general)
    (tmp_path / "run").mkdir()
    measure_it("before")
    before = list(measure_it.store("before").load().values())
    assert [sample.point for sample in before].count("general") == 4
    assert run.summary()["general_before"]["n"] == 4
    forgotten = [replace(s, score=1.0) if s.point == "general" else s for s in before]
    measure_it.store("before").write(forgotten)
    measure_it.store("after").write(before)
    measure_it.compare()
    assert run.summary()["general_change"]["value"] == -1.0
    [point] = json.loads((run / "comparison.json").read_text("utf-8"))["points"]
    assert point["label"] == "general"
    assert "general -100.0%" in capsys.readouterr().out


def test_general_problems_alone(engine: Engine, tmp_path: Path) -> None:
    """Documents have no answers to hold out."""
    config = load_recipe("sft", "demo", ["eval={general: {source: arithmetic, limit: 3}, max_tokens: 8}"])
    Measure(RunDir(tmp_path), engine, config, [], general_problems(config, engine.tokenizer, S1))("before")
    assert {sample.point for sample in read_samples(tmp_path / "heldout_before.jsonl")} == {"general"}
    assert RunDir(tmp_path).summary().keys() == {"general_before", "unjudged_before", "truncated_before"}
    text = Trace("t", "", "", "a text", "test")
    held_out = HeldOutConfig(general=DataConfig(source="arithmetic", limit=3))
    assert split_traces([text], held_out, 0) == ([text], [])


def test_general_questions_are_not_trained_on(tmp_path: Path) -> None:
    rows = [{"question": f"What is {i}?", "answer": str(i)} for i in range(6)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    write_jsonl(tmp_path / "general.jsonl", rows[:2])
    held_out = HeldOutConfig(problems=1, general=DataConfig(path=str(tmp_path / "general.jsonl")))
    kept, _ = split_problems(DataConfig(path=str(tmp_path / "rows.jsonl")), held_out)
    assert not {"What is 0?", "What is 1?"} & {problem.question for problem in kept}
