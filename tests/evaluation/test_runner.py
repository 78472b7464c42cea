"""A whole evaluation of a tiny model: files, resume, reuse, and equal results for equal runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from budget_forcing.budget import Budget
from configs.errors import ConfigError, DataError, EngineError, RunError
from evaluation import evaluate
from evaluation.plan import label_of
from models.engines.generation import spans
from report.evaluation import curves_of, names_of
from tests.tiny import tiny_model

pytestmark = pytest.mark.recipe

Evaluate = Callable[..., Path]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), seed=3, scale=2.0)


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Evaluate:
    """Evaluate 6 problems × 2 budgets × 2 samples into a folder; keyword arguments change the recipe."""

    def evaluated(name: str = "run", *flags: str, **changes: Any) -> Path:
        problems = [{"id": f"p{i}", "question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(6)]
        data = tmp_path / "problems.jsonl"
        if not data.exists():
            data.write_text("".join(json.dumps(row) + "\n" for row in problems), "utf-8")
        recipe = {
            "model": {"name": str(model), "backend": "transformers", "precision": "fp32", "max_length": 256},
            "engine": {"name": "transformers", "batch_size": 4},
            "data": {"source": "file", "path": str(data)},
            "budgets": [{"max_thinking": 6, "max_answer": 6}, {"max_thinking": 12, "num_waits": 1, "max_answer": 6}],
            "sampling": {"temperature": 1.0},
            "samples": 2,
            "output_dir": str(tmp_path / name),
        } | changes
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe), "utf-8")
        evaluate.main(["--config", str(path), *flags])
        return tmp_path / name

    return evaluated


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def texts(folder: Path) -> dict[tuple[str, str, int], str]:
    return {(row["point"], row["id"], row["sample"]): row["text"] for row in lines(folder / "samples.jsonl")}


def test_run_writes_every_file(run: Evaluate) -> None:
    folder = run()
    names = {file.name for file in folder.iterdir()}
    assert {"config.yaml", "samples.jsonl", "results.json", "summary.json", "metrics.jsonl", "report.html"} <= names
    assert {"scaling.png", "scaling.svg"} <= names
    results = json.loads((folder / "results.json").read_text("utf-8"))
    rows = lines(folder / "samples.jsonl")
    assert len(rows) == 6 * 2 * 2
    assert [point["label"] for point in results["points"]] == [
        "max_thinking=6 max_answer=6",
        "max_thinking=12 num_waits=1 max_answer=6",
    ]
    for point in results["points"]:
        assert {"budget", "accuracy", "pass_at_k", "maj_at_k", "thinking_tokens", "shares"} <= point.keys()
        assert set(point["accuracy"]) == {"value", "low", "high", "n"}
        assert point["thinking_tokens"]["max"] <= point["budget"]["max_thinking"]
        assert set(point["pass_at_k"]) == {"1", "2"}
        mine = [row for row in rows if row["point"] == point["label"]]
        assert point["shares"]["limited"] == sum(row["stop"] == "limit" for row in mine) / len(mine)
    assert {"control", "scaling", "performance"} <= results.keys()
    assert results["control"] == 1.0


def test_several_samples_and_budgets_say_width_or_depth(run: Evaluate, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run()
    answered = [row for row in lines(folder / "samples.jsonl") if row["extracted"] is not None]
    assert answered
    assert all(row["answer_logprob"] < 0 for row in answered)
    found = json.loads((folder / "results.json").read_text("utf-8"))["width_depth"]
    assert {(cell["k"], cell["vote"]) for cell in found["cells"]} == {(1, "majority"), (2, "majority"), (2, "weighted")}
    assert len(found["splits"]) == 2
    assert "width or depth: within" in capsys.readouterr().out
    assert "<h2>Width or depth</h2>" in (folder / "report.html").read_text("utf-8")


def test_forced_ranges_point_at_forced_text(run: Evaluate) -> None:
    limited = [row for row in lines(run() / "samples.jsonl") if row["stop"] == "limit"]
    assert limited
    for row in limited:
        start, end = row["forced"][-1]
        assert row["text"][start:end] == "<|im_start|>answer\n"
        first, last = row["forced_tokens"][-1]
        assert 0 < first < last <= len(row["token_ids"])


def test_equal_recipes_give_equal_bytes(run: Evaluate) -> None:
    one, other = run("one"), run("other")
    assert (one / "results.json").read_bytes() == (other / "results.json").read_bytes()


def test_sample_does_not_depend_on_the_batch(run: Evaluate) -> None:
    together = texts(run("together", engine={"name": "transformers", "batch_size": 32}))
    alone = texts(run("alone", engine={"name": "transformers", "batch_size": 1}))
    few = texts(run("few", samples=1))
    same = sum(together[place] == alone[place] for place in together) / len(together)
    assert same >= 0.99
    assert len(few) == 12
    assert sum(together[place] == text for place, text in few.items()) >= 11


SWEEP = [
    {"max_thinking": 4, "max_answer": 6},
    {"max_thinking": 4, "final_answer_text": "So ", "max_answer": 3},
    {"max_thinking": 30, "num_waits": 2, "max_answer": 6},
    {"max_thinking": 12, "num_waits": 1, "max_answer": 6},
    {"max_thinking": 12, "min_thinking": 9, "max_answer": 6},
    {"max_thinking": 12, "max_answer": 6, "prompt": "short"},
]


def test_sweep_decodes_its_thinking_once(run: Evaluate) -> None:
    together = run("together", budgets=SWEEP)
    alone = [run(f"alone{at}", budgets=[budget]) for at, budget in enumerate(SWEEP)]
    assert texts(together) == {place: text for folder in alone for place, text in texts(folder).items()}
    points = json.loads((together / "results.json").read_text("utf-8"))["points"]
    own = [json.loads((folder / "results.json").read_text("utf-8"))["points"][0] for folder in alone]
    assert [point["accuracy"] for point in points] == [point["accuracy"] for point in own]
    shared, prompted = lines(together / "metrics.jsonl")
    assert (len(shared["points"]), prompted["points"]) == (5, [points[5]["label"]])
    assert shared["decoded_tokens"] < 0.7 * shared["tokens"]
    assert prompted["decoded_tokens"] == prompted["tokens"]
    summary = json.loads((together / "summary.json").read_text("utf-8"))
    assert summary["decoded_tokens"] < 0.8 * summary["tokens"]


PROBES = {"every": 4, "final_answer_text": "So ", "max_answer": 3}
LONGEST = {"max_thinking": 30, "num_waits": 1, "max_answer": 6}


def test_probe_is_what_a_run_with_that_limit_answers(run: Evaluate) -> None:
    folder = run("probed", budgets=[LONGEST, {"max_thinking": 8, "max_answer": 6}], probes=PROBES)
    probes = lines(folder / "probes.jsonl")
    samples = [row for row in lines(folder / "samples.jsonl") if row["point"].startswith("max_thinking=30")]
    thought = {(row["id"], row["sample"]): row["thinking_tokens"] for row in samples}
    wanted = {(f"after {at}", *its) for its, tokens in thought.items() for at in range(4, 30, 4) if at < tokens}
    assert {(row["point"], row["id"], row["sample"]) for row in probes} == wanted
    for at in (4, 12):
        limited = LONGEST | {"max_thinking": at, "final_answer_text": "So ", "max_answer": 3}
        own = lines(run(f"limited{at}", budgets=[limited]) / "samples.jsonl")
        answers = {(row["id"], row["sample"]): row for row in own}
        probed = [row for row in probes if row["point"] == f"after {at}"]
        assert probed
        for row in probed:
            alone = answers[row["id"], row["sample"]]
            assert (row["extracted"], row["score"]) == (alone["extracted"], alone["score"])
            assert row["token_ids"] == alone["token_ids"][-len(row["token_ids"]) :]
            assert row["text"].startswith("So ")
            assert not row["answer"].startswith("So")  # what every probe appends agrees with nothing
            assert row["answer_logprob"] < 0
    found = json.loads((folder / "results.json").read_text("utf-8"))["probes"]
    assert [point["limit"] for point in found["curve"]] == list(range(4, max(thought.values()) + 4, 4))
    assert found["probes"] == len(probes)
    [session] = lines(folder / "metrics.jsonl")
    assert session["decoded_tokens"] < 0.6 * session["tokens"]
    assert "stopping rules" in (folder / "report.html").read_text("utf-8")


def test_probes_can_be_added_and_resumed(run: Evaluate) -> None:
    whole = run("whole", budgets=[LONGEST], probes=PROBES)
    later = run("later", budgets=[LONGEST])
    run("later", "--resume", budgets=[LONGEST], probes=PROBES)
    assert (later / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    rows = (later / "probes.jsonl").read_text("utf-8").splitlines(keepends=True)
    (later / "probes.jsonl").write_text("".join(rows[:5]) + rows[5][:30], "utf-8")
    run("later", "--resume", budgets=[LONGEST], probes=PROBES)
    assert (later / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    assert lines(later / "metrics.jsonl")[-1]["probes"] == len(rows) - 5
    with pytest.raises(RunError, match="made with another"):
        run("later", "--resume", budgets=[LONGEST], probes=PROBES | {"final_answer_text": "Thus "})


def test_probes_stay_within_the_context(run: Evaluate, model: Path) -> None:
    tight = {"name": str(model), "backend": "transformers", "precision": "fp32", "max_length": 96}
    folder = run(budgets=[{"max_answer": 1}], probes=PROBES, samples=1, model=tight)
    probes = lines(folder / "probes.jsonl")
    assert probes
    assert all(row["answer_tokens"] for row in probes)


def test_longer_budget_of_a_finished_run_keeps_its_probes(run: Evaluate) -> None:
    short = LONGEST | {"max_thinking": 12}
    run("grown", budgets=[short], probes=PROBES)
    grown = run("grown", "--resume", budgets=[short, LONGEST], probes=PROBES)
    whole = run("whole", budgets=[short, LONGEST], probes=PROBES)
    assert (grown / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    shrunk = run("grown", "--resume", budgets=[short], probes=PROBES)
    alone = run("alone", budgets=[short], probes=PROBES)
    assert (shrunk / "results.json").read_bytes() == (alone / "results.json").read_bytes()


def test_probes_are_graded_again_when_their_gold_has_changed(run: Evaluate, tmp_path: Path) -> None:
    folder = run(budgets=[LONGEST], probes=PROBES)
    golds = {row["id"]: row["extracted"] or row["gold"] for row in lines(folder / "probes.jsonl")}
    data = tmp_path / "problems.jsonl"
    data.write_text("".join(json.dumps(row | {"answer": golds[row["id"]]}) + "\n" for row in lines(data)), "utf-8")
    run("run", "--resume", budgets=[LONGEST], probes=PROBES)
    assert {row["id"]: row["gold"] for row in lines(folder / "probes.jsonl")} == golds
    assert any(row["score"] for row in lines(folder / "probes.jsonl"))


def test_rule_stops_for_real_where_it_stopped_on_probes(run: Evaluate) -> None:
    """On probes of a finished thinking and in the engine a rule decides alike, at the same cost."""
    short = LONGEST | {"max_answer": 3, "final_answer_text": "So "}
    probed = run("probed", budgets=[short], probes=PROBES, sampling={"temperature": 0.3})
    rules = {its["rule"]: its for its in json.loads((probed / "results.json").read_text("utf-8"))["probes"]["rules"]}
    least = min(its["setting"] for its in rules.values() if its["kind"] == "confidence")
    for name, rule in (("agree 2", {"agree": 2}), (f"confidence {least:g}", {"confidence": least})):
        rule = {"probe_every": 4, "max_answer": 3, "final_answer_text": "So ", **rule}
        real = run(f"real {name}", budgets=[short | {"stop_when": rule}], sampling={"temperature": 0.3})
        [point] = json.loads((real / "results.json").read_text("utf-8"))["points"]
        [session] = lines(real / "metrics.jsonl")
        spent = sum(row["completion_tokens"] + row["probe_tokens"] for row in lines(real / "samples.jsonl"))
        assert session["tokens"] == session["decoded_tokens"] == spent
        tried = rules.get(name)
        if tried is None:  # it holds nowhere
            assert point["shares"]["stopped"] == 0
            continue
        assert point["shares"]["stopped"] == tried["early"]
        assert point["thinking_tokens"]["mean"] == pytest.approx(tried["thinking_tokens"])
        assert point["probe_tokens"] == pytest.approx(tried["probe_tokens"])
        assert point["accuracy"]["value"] == pytest.approx(tried["accuracy"]["value"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budgets": [LONGEST | {"stop_when": {"probe_every": 9, "max_answer": 3}}]}, "give `agree` or `confidence`"),
        (
            {"budgets": [LONGEST | {"stop_when": {"probe_every": 9, "agree": 2}}]},
            "probe_every 9 is below max_answer 32",
        ),
        ({"probes": {"every": 2, "max_answer": 3}}, "every 2 is below max_answer 3"),
        (
            {"probes": PROBES, "budgets": [LONGEST | {"prompt": "short"}]},
            "a budget without `prompt`, `told`, `tries` and `stop_when`",
        ),
        ({"probes": PROBES, "budgets": [LONGEST | {"told": True}]}, "a budget without `prompt`, `told`"),
        ({"probes": PROBES, "think_format": "none", "budgets": [{"max_answer": 6}]}, "no thinking to probe"),
    ],
)
def test_probes_of_nothing_are_refused(run: Evaluate, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(**changes)


def test_killed_run_resumes_to_the_same_results(run: Evaluate) -> None:
    whole = run("whole")
    broken = run("broken")
    rows = (broken / "samples.jsonl").read_text("utf-8").splitlines(keepends=True)
    (broken / "samples.jsonl").write_text("".join(rows[:7]) + rows[7][:40], "utf-8")
    for name in ("results.json", "summary.json", "report.html"):
        (broken / name).unlink()
    run("broken", "--resume")
    assert (broken / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    assert len(lines(broken / "samples.jsonl")) == 24
    assert lines(broken / "metrics.jsonl")[-1]["samples"] < 24


def test_finished_run_generates_nothing(run: Evaluate) -> None:
    folder = run()
    before = (folder / "samples.jsonl").read_bytes()
    sessions = len(lines(folder / "metrics.jsonl"))
    run("run", "--resume")
    assert (folder / "samples.jsonl").read_bytes() == before
    assert len(lines(folder / "metrics.jsonl")) == sessions


def test_budget_and_samples_can_be_added(run: Evaluate) -> None:
    folder = run(samples=1)
    before = texts(folder)
    budgets = [{"max_thinking": n, "max_answer": 6} for n in (6, 9)]
    run("run", "--resume", samples=2, budgets=budgets)
    [added] = lines(folder / "metrics.jsonl")[1:]
    assert added["points"] == ["max_thinking=6 max_answer=6", "max_thinking=9 max_answer=6"]
    assert added["samples"] == 6 + 12
    assert before.items() <= texts(folder).items()
    results = json.loads((folder / "results.json").read_text("utf-8"))
    assert [point["samples"] for point in results["points"]] == [12, 12]


def test_too_long_prompt_is_named_before_the_run(run: Evaluate, tmp_path: Path) -> None:
    data = tmp_path / "long.jsonl"
    data.write_text(json.dumps({"id": "long", "question": "x" * 300, "answer": "1"}) + "\n", "utf-8")
    with pytest.raises(EngineError, match=r"problem long: \d+ prompt tokens"):
        run(data={"source": "file", "path": str(data)})
    assert not (tmp_path / "run").exists()


def test_samples_of_another_recipe_are_refused(run: Evaluate) -> None:
    folder = run()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(RunError, match="made with another"):
        run("run", "--resume", instruction="Think hard.")
    with pytest.raises(RunError, match="made with another"):
        run("run", "--resume", sampling={"temperature": 0.9})
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_existing_run_is_not_overwritten(run: Evaluate) -> None:
    run()
    with pytest.raises(RunError, match="in use"):
        run()


def test_damaged_line_is_named(run: Evaluate) -> None:
    folder = run()
    rows = (folder / "samples.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "samples.jsonl").write_text(rows[0] + "{broken}\n" + "".join(rows[2:]), "utf-8")
    with pytest.raises(RunError, match="damaged"):
        run("run", "--resume")


def test_several_greedy_samples_are_refused(run: Evaluate) -> None:
    with pytest.raises(ConfigError, match="all the same"):
        run(sampling={"temperature": 0.0})


def test_repeated_budget_is_refused(run: Evaluate) -> None:
    with pytest.raises(ConfigError, match="the same budget twice"):
        run(budgets=[{"max_thinking": 6}, {"max_thinking": 6}])
    limit = int(0.2 * (256 - 6))
    with pytest.raises(ConfigError, match="the same in a context of 256"):
        run("again", budgets=[{"max_thinking": limit, "max_answer": 6}, {"effort": "low", "max_answer": 6}])


def test_prompts_can_ask_for_a_length(run: Evaluate) -> None:
    asked = [
        {"prompt": "tokens", "target": 5, "max_answer": 6},
        {"prompt": "long", "max_thinking": 20, "max_answer": 6},
    ]
    folder = run(budgets=asked, samples=1)
    prompts = [row["prompt"] for row in lines(folder / "prompts.jsonl")]
    assert sum("Think for up to 5 tokens." in prompt for prompt in prompts) == 6
    assert sum("Answer after a long amount of thinking." in prompt for prompt in prompts) == 6
    tokens, long = json.loads((folder / "results.json").read_text("utf-8"))["points"]
    within = [row["thinking_tokens"] <= 5 for row in lines(folder / "samples.jsonl") if row["point"] == tokens["label"]]
    assert tokens["label"] == "max_answer=6 prompt=tokens target=5"
    assert tokens["control"] == sum(within) / 6
    assert long["control"] == 1.0
    with pytest.raises(ConfigError, match="`target` goes with"):
        run("wrong", budgets=[{"prompt": "tokens"}])


def test_points_can_tell_their_budgets(run: Evaluate) -> None:
    words = "At most {max_thinking} tokens."
    asked = [
        {"max_thinking": 5, "max_answer": 6, "told": True},
        {"max_thinking": 9, "max_answer": 6, "told": True},
        {"max_thinking": 9, "max_answer": 6, "told": words},
        {"max_thinking": 9, "max_answer": 6},
    ]
    folder = run(budgets=asked, samples=1)
    prompts = {row["hash"]: row["prompt"] for row in lines(folder / "prompts.jsonl")}
    rows = lines(folder / "samples.jsonl")
    results = json.loads((folder / "results.json").read_text("utf-8"))["points"]
    five, nine, own, untold = (point["label"] for point in results)
    assert (five, own) == ("max_thinking=5 max_answer=6 told=true", f'max_thinking=9 max_answer=6 told="{words}"')
    told = {five: "Think for up to 5 tokens.", nine: "Think for up to 9 tokens.", own: "At most 9 tokens."}
    assert all(told.get(row["point"], "") in prompts[row["prompt_hash"]] for row in rows)
    assert not any("tokens" in prompts[row["prompt_hash"]] for row in rows if row["point"] == untold)
    assert {row["max_thinking"] for row in rows if row["point"] == five} == {5}
    assert all(point["control"] == 1.0 for point in results)
    assert texts(folder) == texts(run("again", budgets=asked, samples=1))


def test_told_points_are_one_curve(run: Evaluate) -> None:
    asked = [{"max_thinking": limit, "max_answer": 6, "told": True} for limit in (5, 9)]
    points = json.loads((run(budgets=asked) / "results.json").read_text("utf-8"))["points"]
    [curve] = curves_of(points).values()
    assert [spot.label for spot in curve] == ["≤ 5", "≤ 9"]
    assert list(names_of(points).values()) == ["max_thinking=5", "max_thinking=9"]


def test_dry_run_writes_nothing(run: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("dry", "--dry-run")
    assert "6 problems × 2 budgets × 2 samples = 24 completions" in capsys.readouterr().out
    assert not (tmp_path / "dry").exists()


def test_unparsable_gold_is_reported(run: Evaluate, tmp_path: Path) -> None:
    data = tmp_path / "broken.jsonl"
    golds = ["4", "\\frac{1}{", "6"]
    data.write_text("".join(json.dumps({"id": g, "question": "?", "answer": g}) + "\n" for g in golds), "utf-8")
    folder = run(data={"source": "file", "path": str(data)}, samples=1)
    [point, _] = json.loads((folder / "results.json").read_text("utf-8"))["points"]
    assert point["shares"]["ungraded"] == pytest.approx(1 / 3)
    assert point["accuracy"]["n"] == 2
    warnings = json.loads((folder / "summary.json").read_text("utf-8"))["warnings"]
    assert "1 gold answers can't be parsed" in warnings[0]
    assert "accuracy leaves them out: 0.0% if all of them are wrong, 33.3% if all are right" in warnings[1]
    assert "gold answer can&#x27;t be parsed" in (folder / "report.html").read_text("utf-8")


def test_duplicate_ids_are_refused(run: Evaluate, tmp_path: Path) -> None:
    data = tmp_path / "twice.jsonl"
    data.write_text('{"id": "a", "question": "?", "answer": "1"}\n' * 2, "utf-8")
    with pytest.raises(DataError, match="id 'a' is already"):
        run(data={"source": "file", "path": str(data)})
    assert not (tmp_path / "run").exists()


def test_foreign_answers_are_graded_and_exported(run: Evaluate, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    rows = [{"id": f"p{i}", "response": f"The answer is {2 * i if i < 3 else 1}."} for i in range(5)]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    folder = run("run", "--lm-eval", answers=str(answers))
    [point] = json.loads((folder / "results.json").read_text("utf-8"))["points"]
    assert point["accuracy"]["value"] == 3 / 5
    warnings = json.loads((folder / "summary.json").read_text("utf-8"))["warnings"]
    assert "1 of 6 problems have no answer" in warnings[0]
    [exported] = (folder / "lm_eval").iterdir()
    assert [row["exact_match"] for row in lines(exported)] == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_cut_thinking_is_no_answer(run: Evaluate, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    rows = [{"id": "p1", "response": "1 + 1</think>\n\n2"}, {"id": "p2", "response": "2 + 2 is 4, but is it"}]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    folder = run(answers=str(answers), think_format="deepseek")
    assert [row["extracted"] for row in lines(folder / "samples.jsonl")] == ["2", None]


def test_answers_refer_to_the_whole_benchmark(
    run: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = [{"id": f"p{i}", "question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(6)]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems), "utf-8")
    answers = tmp_path / "answers.jsonl"
    rows = [{"doc_id": i, "doc": {"question": f"What is {i} + {i}?"}, "resps": [[f"{2 * i}"]]} for i in range(6)]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    data = {"source": "file", "path": str(tmp_path / "problems.jsonl"), "limit": 2, "seed": 1}
    folder = run("run", "--lm-eval", answers=str(answers), data=data, instruction="Be brief.")
    [point] = json.loads((folder / "results.json").read_text("utf-8"))["points"]
    assert (point["accuracy"]["value"], point["accuracy"]["n"]) == (1.0, 2)
    assert "4 of 6 answers are to problems that data.limit leaves out" in capsys.readouterr().out
    [exported] = (folder / "lm_eval").iterdir()
    again = run("again", answers=str(exported), data=data, instruction="Be thorough.")
    assert json.loads((again / "results.json").read_text("utf-8"))["points"] == [point]
    answers.write_text(json.dumps(rows[0]) + "\n", "utf-8")
    with pytest.raises(DataError, match=r"none of its 1 answers is to a problem that data\.limit"):
        run("none", answers=str(answers), data=data)
    assert not (tmp_path / "none").exists()


def test_answers_may_refer_to_generated_problems(run: Evaluate, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"doc_id": 1100, "text": "7"}\n', "utf-8")
    folder = run(answers=str(answers), data={"source": "arithmetic", "limit": 1200})
    assert lines(folder / "samples.jsonl")[0]["id"] == "arithmetic-0-1100"


def test_answers_do_not_replace_generated_samples(run: Evaluate, tmp_path: Path) -> None:
    folder = run()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"id": "p1", "text": "2"}\n', "utf-8")
    with pytest.raises(RunError, match="holds generated samples; name another for answers: output_dir="):
        run("run", "--resume", answers=str(answers))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    run("answers", answers=str(answers))
    answers.write_text('{"id": "p1", "text": "2"}\n{"id": "p2", "text": "4"}\n', "utf-8")
    assert len(lines(run("answers", "--resume", answers=str(answers)) / "samples.jsonl")) == 2


def test_changed_gold_regrades_kept_samples(run: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run()
    rows = lines(folder / "samples.jsonl")
    said = next(row for row in rows if row["extracted"] and row["score"] == 0)
    data = tmp_path / "problems.jsonl"
    mended = [row | ({"answer": said["extracted"]} if row["id"] == said["id"] else {}) for row in lines(data)]
    data.write_text("".join(json.dumps(row) + "\n" for row in mended), "utf-8")
    run("run", "--resume")
    assert "grading 4 samples again: their gold answer has changed" in capsys.readouterr().out
    after = lines(folder / "samples.jsonl")
    its = ("point", "id", "sample")
    found = next(row for row in after if all(row[name] == said[name] for name in its))
    assert (found["gold"], found["score"]) == (said["extracted"], 1.0)
    assert [row for row in after if row["id"] != said["id"]] == [row for row in rows if row["id"] != said["id"]]
    assert [row["text"] for row in after] == [row["text"] for row in rows]


def test_samples_of_a_changed_question_keep_verdicts(run: Evaluate, tmp_path: Path) -> None:
    rows = lines(run() / "samples.jsonl")
    data = tmp_path / "problems.jsonl"
    others = [row | {"question": f"Once more: {row['question']}", "answer": "1234"} for row in lines(data)]
    data.write_text("".join(json.dumps(row) + "\n" for row in others), "utf-8")
    folder = run("run", "--resume", budgets=[{"max_thinking": 3, "max_answer": 6}])
    assert lines(folder / "samples.jsonl")[: len(rows)] == rows


def test_each_point_has_its_own_lm_eval_file(run: Evaluate) -> None:
    texts = ("Hmm,", "Hmm?", "[/INST]")
    budgets = [{"max_thinking": 12, "num_waits": 1, "wait_text": text, "max_answer": 6} for text in texts]
    folder = run("run", "--lm-eval", budgets=budgets, samples=1)
    files = sorted((folder / "lm_eval").iterdir())
    assert len(files) == 3
    assert all(len(lines(file)) == 6 for file in files)


def test_labels_tell_budgets_apart() -> None:
    assert label_of(Budget()) == "natural"
    assert label_of(Budget(), {"prompt": "tokens", "target": 64}) == "prompt=tokens target=64"
    assert label_of(Budget(max_thinking=8, wait_text="Hmm wait")) == 'max_thinking=8 wait_text="Hmm wait"'


def test_spans_are_the_runs_of_a_mask() -> None:
    assert spans([False, True, True, False, True]) == [(1, 3), (4, 5)]
    assert spans([]) == []


def test_adapter_hash_follows_the_weights(tmp_path: Path) -> None:
    from evaluation.plan import adapter_hash

    assert adapter_hash(None) is None
    assert adapter_hash("someone/adapter") == "someone/adapter"
    (tmp_path / "adapter_model.safetensors").write_bytes(b"one")
    first = adapter_hash(str(tmp_path))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"two")
    assert first != adapter_hash(str(tmp_path))


def test_rejection_sampling_retries_cut_thinking(run: Evaluate) -> None:
    limit = {"max_thinking": 60, "max_answer": 6}
    rows = lines(run(budgets=[limit, {**limit, "tries": 4}]) / "samples.jsonl")
    forced, rejected = ([row for row in rows if ("tries" in row["point"]) is again] for again in (False, True))
    assert {row["tries"] for row in forced} == {1}
    tries = {row["tries"] for row in rejected}
    assert {1, 4} <= tries <= {1, 2, 3, 4}
    assert all(row["stop"] != "limit" or row["tries"] == 4 for row in rejected)
    ended = [sum(row["stop"] == "natural" for row in group) for group in (forced, rejected)]
    assert ended[0] < ended[1]
    texts = {(row["id"], row["sample"]): row["text"] for row in forced}
    assert all(row["text"] == texts[row["id"], row["sample"]] for row in rejected if row["tries"] == 1)


def test_rejection_sampling_needs_limit_and_temperature(run: Evaluate) -> None:
    with pytest.raises(ConfigError, match="give `max_thinking`"):
        run(budgets=[{"tries": 2}])
    with pytest.raises(ConfigError, match="every draw is the same"):
        run(budgets=[{"tries": 2, "max_thinking": 8}], sampling={"temperature": 0.0}, samples=1)
