"""`--compare`: an evaluation against its base, or against another run; table, file and page."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import ConfigError, RunError
from configs.recipe import load_recipe, validate
from configs.run_directory import read_jsonl, write_jsonl
from configs.sample import Sample
from evaluation import evaluate
from evaluation.against import base_config, check_comparable
from evaluation.before_after import compare_point
from evaluation.runner import problems_of
from evaluation.sample_metrics import share_metric

NOTES = ["发热3天", "头痛一周", "咳嗽2天", "胸闷", "腹痛1天", "乏力"]


def recipe(folder: Path, name: str, answers: list[str]) -> str:
    """A recipe that grades these answers to the notes, whose gold answer is the note itself."""
    write_jsonl(folder / "notes.jsonl", [{"id": f"n{at}", "text": note, "term": note} for at, note in enumerate(NOTES)])
    write_jsonl(folder / f"{name}.jsonl", [{"id": f"n{at}", "answer": text} for at, text in enumerate(answers)])
    task = folder / "task.yaml"
    task.write_text(
        'key: "{{ text }}"\nprompt: "归一：{{ text }}"\nreply: "{{ term }}"\ngrader: terms\nmetrics: [rougeL]\n',
        "utf-8",
    )
    path = folder / f"{name}.yaml"
    path.write_text(
        f"model: {{name: none}}\nthink_format: none\ndata: {{path: {folder / 'notes.jsonl'}, task: {task}}}\n"
        f"answers: {folder / f'{name}.jsonl'}\noutput_dir: {folder / 'runs' / name}\n",
        "utf-8",
    )
    return str(path)


def test_two_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.evaluate(recipe(tmp_path, "earlier", ["发热", "头痛一周", "不知道", "不知道", "不知道", "不知道"]))
    later = recipe(tmp_path, "later", ["发热3天", "不知道", "咳嗽2天", "胸闷", "腹痛1天", "乏力"])
    results = evaluate.evaluate(later, compare=str(tmp_path / "runs" / "earlier"))
    assert results is not None
    [point] = results["comparison"]["points"]
    rows = {row["name"]: row for row in point["rows"]}
    assert (rows["accuracy"]["before"], rows["accuracy"]["after"]) == (pytest.approx(1 / 6), pytest.approx(5 / 6))
    assert (rows["accuracy"]["better"], rows["accuracy"]["worse"]) == (5, 1)
    assert rows["accuracy"]["change"]["value"] == pytest.approx(4 / 6)
    assert rows["accuracy"]["baselines"]["copy of the input"] == 1.0
    assert {"f1", "score", "rougeL"} <= rows.keys()
    assert rows["rougeL"]["before"] > rows["f1"]["before"]  # 发热 is near 发热3天
    assert "But the copy of the input reaches 100.0%, no less than the model." in point["verdict"]
    said = capsys.readouterr().out
    assert "+66.7" in said
    assert "copy of the input reaches 100.0%" in said

    written = json.loads((tmp_path / "runs" / "later" / "comparison.json").read_text("utf-8"))
    assert written["points"] == json.loads(json.dumps([point]))
    assert (tmp_path / "runs" / "later" / written["samples"]).is_file()
    page = (tmp_path / "runs" / "later" / "report.html").read_text("utf-8")
    assert "against this run" in page
    assert page.count('"gained"') == 5
    assert page.count('"lost"') == 1


def test_replies_that_are_right_to_a_degree(tmp_path: Path) -> None:
    earlier = recipe(tmp_path, "earlier", ["发热", "头", "不知道", "不知道", "不知道", "不知道"])
    later = recipe(tmp_path, "later", ["发热3天了", "头痛", "咳嗽2", "胸闷", "腹痛", "乏力"])
    evaluate.evaluate(earlier, ["data.grader=chrf"])
    results = evaluate.evaluate(later, ["data.grader=chrf"], compare=str(tmp_path / "runs" / "earlier"))
    assert results is not None
    [point] = results["comparison"]["points"]
    assert [row["name"] for row in point["rows"]] == ["score", "rougeL"]  # nothing is right as a whole
    assert "The mean score of this run is higher by" in point["verdict"]


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no samples\.jsonl there"):
        evaluate.evaluate(recipe(tmp_path, "run", NOTES), compare=str(tmp_path / "nowhere"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("earlier", "budgets", "message"),
    [
        (Sample(id="x", gold="发热3天", point="max_answer=8"), [{"max_answer": 8}], "share no question"),
        (Sample(id="n0", gold="发热", point="max_answer=8"), [{"max_answer": 8}], "n0 has another gold answer"),
        (
            Sample(id="n0", gold="发热3天", references=("发热3天", "热"), point="max_answer=8"),
            [{"max_answer": 8}],
            "n0 has another gold answer, or other references",
        ),
        (
            Sample(id="n0", gold="发热3天", point="answers"),
            [{"max_answer": 8}, {"max_answer": 9}],
            "no point in common",
        ),
    ],
)
def test_what_can_not_be_compared_is_not_generated(
    tmp_path: Path, earlier: Sample, budgets: list[dict[str, int]], message: str
) -> None:
    config = load_recipe("eval", recipe(tmp_path, "run", NOTES), ["answers=null", f"budgets={budgets}"])
    with pytest.raises(RunError, match=message):
        check_comparable(config, problems_of(config), {earlier.point: [earlier]})


def test_one_point_is_compared_with_any_other(tmp_path: Path) -> None:
    config = load_recipe("eval", recipe(tmp_path, "run", NOTES), ["answers=null", "budgets=[{max_answer: 8}]"])
    check_comparable(config, problems_of(config), {"answers": [Sample(id="n0", gold="发热3天", point="answers")]})


def test_base_is_the_model_without_its_adapter() -> None:
    values = {"model": {"name": "m", "adapter": "a"}, "data": {"source": "gsm8k"}, "output_dir": "outputs/eval/x"}
    base = base_config(validate("eval", values, "x.yaml"))
    assert (base.model.name, base.model.adapter, base.output_dir) == ("m", None, "outputs/eval/x-base")


def test_base_of_a_fully_trained_model(tmp_path: Path) -> None:
    loaded = {"name": "smollm2-135m", "base": "b", "backend": "transformers", "precision": "fp32"}
    record = {"stage": "sft", "command": "c", "versions": {}, "loaded": loaded}
    (tmp_path / "model").mkdir()
    (tmp_path / "run.json").write_text(json.dumps(record), "utf-8")
    values = {"model": {"name": str(tmp_path / "model")}, "data": {"source": "gsm8k"}}
    assert base_config(validate("eval", values, "x.yaml")).model.name == "smollm2-135m"


@pytest.mark.parametrize("extra", [{}, {"answers": "a.jsonl"}])
def test_no_base(extra: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="--compare base"):
        base_config(validate("eval", {"model": {"name": "m"}, "data": {"source": "gsm8k"}, **extra}, "x.yaml"))


def test_a_mean_pairs_what_both_runs_have() -> None:
    """A reply without a score is left out on both sides: it is no bad one."""
    samples = [Sample(id=id, gold="g", grader="text", extracted="a", score=0.0) for id in "abc"]
    earlier, later = ([replace(one, key=run) for one in samples] for run in ("earlier", "later"))
    scored = {("earlier", "a"): 0.9, ("later", "a"): 0.5, ("later", "b"): 0.5, ("later", "c"): 0.5}
    metric = share_metric("judge", "", lambda sample: scored.get((sample.key, sample.id)))
    row = compare_point("p", ("earlier", "later"), [metric], earlier, later, {})["rows"][1]
    assert (row["before"], row["after"], row["change"]["n"]) == (0.9, 0.5, 1)
    assert (row["better"], row["worse"]) == (0, 1)


def test_a_figure_of_one_run_alone_is_not_compared() -> None:
    samples = [Sample(id=id, gold="g", grader="text", extracted="a", score=0.0) for id in "abc"]
    earlier, later = ([replace(one, key=run) for one in samples] for run in ("earlier", "later"))
    metric = share_metric("judge", "", lambda sample: 0.5 if sample.key == "later" else None)
    rows = compare_point("p", ("earlier", "later"), [metric], earlier, later, {})["rows"]
    assert [row["name"] for row in rows] == ["accuracy"]


def test_a_long_name_leaves_the_figures_their_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.evaluate(recipe(tmp_path, "run", NOTES))
    run = tmp_path / "[b]a-very-long-name-of-a-folder-that-holds-runs" / "and-a-run"
    run.parent.mkdir()
    (tmp_path / "runs" / "run").rename(run)
    capsys.readouterr()
    evaluate.evaluate(recipe(tmp_path, "run", NOTES), compare=str(run))
    said = capsys.readouterr().out
    assert "change, 95% interval" in said
    assert "+0.0 [+0.0, +0.0]" in said
    assert f"{run}andthisrunscorethesame" in "".join(said.split())


def test_a_label_of_a_run_stands_side_by_side(tmp_path: Path) -> None:
    evaluate.evaluate(recipe(tmp_path, "later", NOTES))
    samples = [Sample.from_row(row) for row in read_jsonl(tmp_path / "runs" / "later" / "samples.jsonl")]
    (tmp_path / "two").mkdir()
    two = [
        replace(one, point=point, text=point, extracted=point, score=0.0)
        for one in samples
        for point in ("one", "other")
    ]
    write_jsonl(tmp_path / "two" / "samples.jsonl", [one.to_row() for one in two])
    again = recipe(tmp_path, "later", NOTES)
    evaluate.evaluate(again, resume=True, compare=f"{tmp_path / 'two'}@other")
    page = (tmp_path / "runs" / "later" / "report.html").read_text("utf-8")
    assert page.count('"gained"') == len(NOTES)


def test_trivial_answers_are_of_the_questions_compared(tmp_path: Path) -> None:
    evaluate.evaluate(recipe(tmp_path, "earlier", NOTES[:2]))
    results = evaluate.evaluate(recipe(tmp_path, "later", NOTES), compare=str(tmp_path / "runs" / "earlier"))
    assert results is not None
    assert results["comparison"]["points"][0]["rows"][0]["baselines"]["constant answer"] == 0.5


def test_comparison_of_other_samples_leaves_the_report(tmp_path: Path) -> None:
    evaluate.evaluate(recipe(tmp_path, "earlier", NOTES))
    later = recipe(tmp_path, "later", NOTES)
    evaluate.evaluate(later, compare=str(tmp_path / "runs" / "earlier"))
    evaluate.evaluate(later, ["data.limit=2"], resume=True)
    assert not (tmp_path / "runs" / "later" / "comparison.json").exists()
    assert "against this run" not in (tmp_path / "runs" / "later" / "report.html").read_text("utf-8")
