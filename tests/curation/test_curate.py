"""Curation as a whole: every row is accounted for, a seed gives the same set, and an interrupted run goes on."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, DataError
from configs.recipe import load_recipe, validate
from configs.run_directory import RunDir
from configs.schema.curation import CurateConfig, DifficultyConfig
from curation import filters
from curation import run as command
from curation.difficulty import pass_rate, rates, too_easy_or_hard
from curation.table import open_table, write_table
from data.arithmetic import generate_problems
from data.formats import read

QUESTIONS = [problem.question for problem in generate_problems(60, 0)]


def source(tmp_path: Path) -> Path:
    """60 clean rows, and of each kind of bad ones a few."""
    rows: list[Any] = [
        {"question": text, "thinking": "t" * (i + 1), "reply": str(i), "answer": str(i), "domain": "ab"[i % 2]}
        for i, text in enumerate(QUESTIONS)
    ]
    rows += [
        {**rows[3], "question": rows[3]["question"].upper()},
        {**rows[4], "reply": "I'm sorry, but I can't do it."},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "oops\n")
    return path


def config(tmp_path: Path, **changes: Any) -> CurateConfig:
    benchmark = tmp_path / "benchmark.jsonl"
    benchmark.write_text("".join(json.dumps({"question": q, "answer": "1"}) + "\n" for q in QUESTIONS[10:15]))
    values = {
        "sources": [{"path": str(source(tmp_path))}],
        "bad_rows": "skip",
        "decontaminate": {"benchmarks": [{"source": "file", "path": str(benchmark)}]},
        "output_dir": str(tmp_path / "out"),
        **changes,
    }
    checked: CurateConfig = validate("curate", values, "test")
    return checked


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    command.run_curation(config(tmp_path, n=20), RunDir(tmp_path / "out"))
    out = tmp_path / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    assert [(s["name"], s["in"], s["removed"]) for s in manifest["stages"]] == [
        ("quality", 62, 1),
        ("near_duplicates", 61, 1),
        ("decontaminate", 60, 5),
        ("select", 55, 35),
    ]
    assert manifest["inputs"][0] | {"rows": 62, "rejected": 1} == manifest["inputs"][0]
    assert [row["line"] for row in lines(out / "rejected.jsonl")] == [63]
    removed = lines(out / "removed.jsonl")
    kept = list(read(out / "train.jsonl"))
    assert len(kept) == 20 == manifest["outputs"]["train.jsonl"]["rows"]
    assert len(removed) + len(kept) == 62
    assert {row["id"] for row in removed} & {trace.id for trace in kept} == set()
    match = next(row["match"] for row in removed if row["stage"] == "decontaminate")
    assert match["question"] in QUESTIONS[10:15]
    assert match["score"] > 0.9
    assert Counter(trace.metadata["domain"] for trace in kept)["a"] in range(4, 17)
    report = (out / "report.html").read_text()
    assert all(
        text in report
        for text in ("near-duplicate", f"contaminated by {tmp_path}/benchmark.jsonl", "rejected", "failed API text")
    )
    assert not (out / "stages").exists()


def test_seed_gives_the_same_set(tmp_path: Path) -> None:
    files = []
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        made = config(tmp_path, n=20, seed=seed, output_dir=str(tmp_path / name), splits={"train": 3, "test": 1})
        command.run_curation(made, RunDir(tmp_path / name))
        files.append([(tmp_path / name / f"{split}.jsonl").read_bytes() for split in ("train", "test")])
    assert files[0] == files[1] != files[2]
    assert len(files[0][1].splitlines()) == 5


def residue_source(tmp_path: Path) -> list[dict[str, str]]:
    replies = ["<p>多喝水</p>", "多喝水&nbsp;早睡", "暂无", "早睡"]
    rows = [{"question": f"{QUESTIONS[i]}", "answer": reply} for i, reply in enumerate(replies)]
    (tmp_path / "dirty.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [{"path": str(tmp_path / "dirty.jsonl")}]


def test_residue_is_counted_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.run_curation(
        config(tmp_path, sources=residue_source(tmp_path), decontaminate=None), RunDir(tmp_path / "out")
    )
    assert {row["reply"] for row in lines(tmp_path / "out" / "train.jsonl")} >= {"<p>多喝水</p>", "暂无"}
    said = "rows with HTML tags, left as they are: 1, such as dirty-1: <p>多喝水</p>"
    assert said in capsys.readouterr().out
    assert "rows with HTML tags" in (tmp_path / "out" / "report.html").read_text()


def test_residue_is_cleaned_or_removed_if_asked(tmp_path: Path) -> None:
    changes = {"clean": ["html"], "quality": {"no_residue": ["entities", "empty_answer"]}, "decontaminate": None}
    command.run_curation(config(tmp_path, sources=residue_source(tmp_path), **changes), RunDir(tmp_path / "out"))
    assert [row["reply"] for row in lines(tmp_path / "out" / "train.jsonl")] == ["多喝水", "早睡"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["inputs"][0]["cleaned"] == {"html": 1}
    assert manifest["stages"][0]["reasons"] == {"HTML entities": 1, "an answer that says nothing": 1}
    assert manifest["warnings"] == []


def test_splits_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = config(tmp_path, splits={"train": 0.5, "test": 0.5}, decontaminate=None, near_duplicates=None)
    command.run_curation(recipe, RunDir(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["warnings"] == []
    halves = {"train": list(range(30)), "test": list(range(30, 61))}  # the first half are short, the rest are long
    rows = [{"question": "q" * (10 + 90 * (i > 29)) + str(i), "answer": "1"} for i in range(61)]
    (tmp_path / "sorted.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr("curation.mixture.split_rows", lambda *_: halves)
    changed = recipe.model_copy(
        update={"sources": [recipe.sources[0].model_copy(update={"path": str(tmp_path / "sorted.jsonl")})]}
    )
    command.run_curation(changed, RunDir(tmp_path / "sorted"))
    assert "train differs from test by more than chance" in (tmp_path / "sorted" / "report.html").read_text()


def test_bad_row_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:63: not JSON"):
        command.run_curation(config(tmp_path, bad_rows="stop"), RunDir(tmp_path / "out"))


def killed(*_: Any) -> Any:
    raise KeyboardInterrupt


def curate_until(stage: str, made: CurateConfig, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A curation that is killed when `stage` begins."""
    with monkeypatch.context() as patch:
        patch.setattr(filters, stage, killed)
        with pytest.raises(KeyboardInterrupt):
            command.run_curation(made, RunDir(out))


def test_interrupted_run_resumes_after_last_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(tmp_path, n=20)
    whole = config(tmp_path, n=20, output_dir=str(tmp_path / "whole"))
    command.run_curation(whole, RunDir(tmp_path / "whole"))

    curate_until("contamination", made, tmp_path / "out", monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(filters, "duplicates", killed)  # done before, so it must not run again
        command.run_curation(made, RunDir(tmp_path / "out"), resume=True)
    for name in ("train.jsonl", "removed.jsonl", "rejected.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_sources_are_mixed_in_proportion(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(
        "".join(json.dumps({"question": p.question, "answer": "1"}) + "\n" for p in generate_problems(40, 1))
    )
    sources = [{"path": str(source(tmp_path)), "share": 1}, {"path": str(other), "share": 1}]
    command.run_curation(config(tmp_path, sources=sources), RunDir(tmp_path / "out"))
    assert Counter(t.source for t in read(tmp_path / "out" / "train.jsonl")) == {"rows.jsonl": 40, "other.jsonl": 40}


def test_sources_of_one_name_are_mixed(tmp_path: Path) -> None:
    paths = []
    for place, folder in enumerate(("general", "domain")):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "train.jsonl")
        rows = [{"question": p.question, "answer": "1"} for p in generate_problems(40 - 20 * place, 1 + place)]
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources: list[dict[str, Any]] = [{"path": str(path), "share": 1} for path in paths]
    sources += [{"problems": {"source": "arithmetic", "limit": 20, "seed": seed}, "cap": seed} for seed in (5, 6)]
    command.run_curation(config(tmp_path, sources=sources), RunDir(tmp_path / "out"))
    kept = Counter(t.source for t in read(tmp_path / "out" / "train.jsonl"))
    assert kept == {str(paths[0]): 20, str(paths[1]): 20, "arithmetic": 5, "arithmetic~2": 6}


def test_benchmarks_of_one_name_all_count(tmp_path: Path) -> None:
    files: list[Path] = []
    for part in (QUESTIONS[10:15], QUESTIONS[20:27]):
        files.append(tmp_path / f"benchmark{len(files)}.jsonl")
        files[-1].write_text("".join(json.dumps({"question": q, "answer": "1"}) + "\n" for q in part))
    generated = [{"source": "arithmetic", "limit": 10, "seed": seed} for seed in (0, 1)]
    benchmarks = [{"source": "file", "path": str(file)} for file in files] + generated
    made = config(tmp_path, decontaminate={"benchmarks": benchmarks})
    command.run_curation(made, RunDir(tmp_path / "out"))
    reasons = Counter(row["reason"] for row in lines(tmp_path / "out" / "removed.jsonl"))
    assert reasons[f"contaminated by {files[0]}"] == 5
    assert reasons[f"contaminated by {files[1]}"] == 7
    assert reasons["contaminated by arithmetic"] == 10  # seed 0 made the rows


def test_trace_source_may_be_the_domain(tmp_path: Path) -> None:
    rows = [
        {"question": text, "thinking": f"so {i}", "reply": str(i), "source": "xy"[i % 2]}
        for i, text in enumerate(QUESTIONS)
    ]
    (tmp_path / "mix.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = config(tmp_path, sources=[{"path": str(tmp_path / "mix.jsonl"), "domain": "source"}])
    command.run_curation(recipe, RunDir(tmp_path / "out"))
    assert set(json.loads((tmp_path / "out" / "manifest.json").read_text())["domains"]) == {"x", "y"}


def test_misspelt_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl: no column 'domian'.*did you mean 'domain'"):
        command.run_curation(
            config(tmp_path, sources=[{"path": str(source(tmp_path)), "domain": "domian"}]), RunDir(tmp_path / "out")
        )


def test_rows_lost_to_a_broken_row_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(
        'question,answer\nWhat is it?,1\n"never closed,2\n' + "".join(f"Is it {i}?,{i}\n" for i in range(20))
    )
    command.run_curation(config(tmp_path, sources=[{"path": str(file)}]), RunDir(tmp_path / "out"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["inputs"][0]["rows"], manifest["inputs"][0]["rejected"]) == (1, 21)
    assert "21 rows rejected" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_left_out_problems_are_counted(tmp_path: Path, policy: str) -> None:
    path = tmp_path / "train.jsonl"
    rows = [{"problem": "What is 1 + 1?", "answer": "2"}, {"problem": "What is it?", "solution": "Unknown."}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + ("oops\n" if policy == "skip" else ""))
    sources = [{"problems": {"source": "math", "path": str(path)}}]
    command.run_curation(config(tmp_path, sources=sources, bad_rows=policy), RunDir(tmp_path / "out"))
    rejected = lines(tmp_path / "out" / "rejected.jsonl")
    assert [row["line"] for row in rejected] == ([2, 3] if policy == "skip" else [2])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["inputs"][0]["rejected"] == len(rejected)


def test_resumed_run_reloads_a_changed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = {"ours": {"file_name": "data#1.json", "columns": {"prompt": "question", "response": "reply"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(registry))
    file = tmp_path / "data#1.json"
    rows = [{"question": text, "reply": "1"} for text in QUESTIONS[:20]]
    file.write_text(json.dumps(rows))
    made = config(tmp_path, sources=[{"path": f"{tmp_path}/dataset_info.json#ours"}])

    curate_until("selection", made, tmp_path / "out", monkeypatch)
    file.write_text(json.dumps(rows[5:]))
    command.run_curation(made, RunDir(tmp_path / "out"), resume=True)
    kept = {trace.question for trace in read(tmp_path / "out" / "train.jsonl")}
    assert kept == set(QUESTIONS[5:10]) | set(QUESTIONS[15:20])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["inputs"][0]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_source_name_may_hold_a_hash(tmp_path: Path) -> None:
    file = source(tmp_path).rename(tmp_path / "rows#1.jsonl")
    command.run_curation(config(tmp_path, sources=[{"path": str(file)}]), RunDir(tmp_path / "out"))
    assert {trace.source for trace in read(tmp_path / "out" / "train.jsonl")} == {"rows#1.jsonl"}


def test_demo_is_decontaminated_of_its_evaluation() -> None:
    curation, evaluation = load_recipe("curate", "demo.yaml"), load_recipe("eval", "demo.yaml")
    assert curation.decontaminate.benchmarks == [evaluation.data]


def test_source_cap_is_kept(tmp_path: Path) -> None:
    sources = [
        {"path": str(source(tmp_path)), "cap": 7},
        {"problems": {"source": "arithmetic", "limit": 20, "seed": 5}},
    ]
    command.run_curation(config(tmp_path, sources=sources), RunDir(tmp_path / "out"))
    assert Counter(t.source for t in read(tmp_path / "out" / "train.jsonl")) == {"rows.jsonl": 7, "arithmetic": 20}


class Models:
    """Answers as models would: right but for the golds 1 and 2, half of the time; nobody can judge 5, 6 is too long."""

    def __init__(self, die_after: int = 1 << 30) -> None:
        self.asked: dict[str, int] = {}
        self.die_after = die_after

    def __call__(self, _: Any, __: Any, problems: Any, seeds: Any, answered: Any) -> None:
        for place, (problem, seed) in enumerate(zip(problems, seeds, strict=True)):
            question, gold = problem.question, problem.answer
            if len(self.asked) == self.die_after:
                raise KeyboardInterrupt
            assert question not in self.asked
            self.asked[question] = seed
            right = {"5": [None, None], "6": []}.get(gold, [True, gold not in ("1", "2")])
            answered(place, right, "too long" if gold == "6" else "")


@pytest.fixture
def table(tmp_path: Path) -> Any:
    write_table(tmp_path / "rows.arrow", read(source(tmp_path), rejected=lambda _: None))
    return open_table(tmp_path / "rows.arrow")


def test_easy_rows_go_and_unasked_rows_stay(tmp_path: Path, table: Any) -> None:
    made = hard(tmp_path)
    rated = rates(table, range(10), made, 0, Models(), tmp_path / "rates.jsonl")
    removals = too_easy_or_hard(rated, made)
    assert {row: removal.match["pass_rate"] for row, removal in removals.items()} == dict.fromkeys(
        {0, 3, 4, 7, 8, 9}, 1.0
    )
    assert [(it.row, it.id, it.model, it.not_asked) for it in rated if it.not_asked] == [(6, "rows-7", "m", "too long")]
    assert pass_rate([None, True, False]) == 0.5


def test_no_question_is_asked_twice(tmp_path: Path, table: Any) -> None:
    path, whole = tmp_path / "rates.jsonl", Models()
    expected = rates(table, range(20), hard(tmp_path), 3, whole, tmp_path / "whole.jsonl")
    first, second, third = Models(die_after=8), Models(), Models()
    with pytest.raises(KeyboardInterrupt):
        rates(table, range(20), hard(tmp_path), 3, first, path)
    path.write_text(path.read_text()[:-20])  # killed while writing
    assert rates(table, range(20), hard(tmp_path), 3, second, path) == expected
    assert first.asked | second.asked == whole.asked  # seeds too
    assert len(second.asked) == 20 - 7
    assert rates(table, range(5, 20), hard(tmp_path, max_pass_rate=0.9), 3, third, path) == expected[5:]
    assert not third.asked
    rates(table, range(20), hard(tmp_path, samples=4), 3, third, path)
    assert len(third.asked) == 20
    other = Models()
    rates(table, range(20), hard(tmp_path), 4, other, path)
    assert other.asked.keys() == whole.asked.keys()
    assert not set(other.asked.values()) & set(whole.asked.values())


def hard(tmp_path: Path, **changes: Any) -> DifficultyConfig:
    values = {"models": [{"name": "m"}], "max_tokens": 512, "samples": 2, "max_pass_rate": 0.5, **changes}
    made = config(tmp_path, difficulty=values).difficulty
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": []}, "sources"),
        ({"sources": [{"path": "a", "problems": {"source": "gsm8k"}}]}, "a file or problems"),
        ({"sources": [{"path": "a"}], "diversity": {"shape": {"source": "math500"}}}, "needs diversity.clusters"),
        ({"sources": [{"path": "a"}], "near_duplicate": 0.5}, "did you mean 'near_duplicates'"),
        (
            {"sources": [{"path": "a"}], "difficulty": {"models": [{"name": "m", "max_length": 9999}, {"name": "n"}]}},
            r"max_tokens: 4096 leaves no room for a question in models\.1\.max_length=2048",
        ),
    ],
)
def test_impossible_recipe_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate("curate", changes, "test.yaml")


@pytest.mark.engine
def test_engine_removes_easy_rows_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"question": "What is 2 + 2?", "reply": "4", "answer": "4"},
        {"question": "What is 3 + 3?", "reply": "-77", "answer": "-77"},
        {"question": "How many? " * 200, "reply": "4", "answer": "4", "id": "long"},
    ]
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = {"name": "smollm2-135m", "precision": "fp32", "max_length": 256}
    difficulty = {"models": [model], "sampling": {"temperature": 0.0}, "max_tokens": 32}
    made = config(tmp_path, sources=[{"path": str(path)}], difficulty=difficulty)
    command.run_curation(made, RunDir(tmp_path / "out"))
    assert [trace.question for trace in read(tmp_path / "out" / "train.jsonl")][:1] == ["What is 3 + 3?"]
    assert [(row["id"], row["model"]) for row in lines(tmp_path / "out" / "not_asked.jsonl")] == [
        ("long", "smollm2-135m")
    ]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert next(stage["not_asked"] for stage in manifest["stages"] if stage["name"] == "difficulty") == 1
    assert "1 questions not asked of smollm2-135m" in (tmp_path / "out" / "report.html").read_text()
    removed = lines(tmp_path / "out" / "removed.jsonl")
    assert [(row["reason"], row["match"]) for row in removed] == [("too easy", {"pass_rate": 1.0})]
    assert made.difficulty is not None

    def loaded(*_: Any) -> Any:
        raise AssertionError("a model is loaded though all has been asked")

    with monkeypatch.context() as patch:
        patch.setattr("models.engines.select.load_engine", loaded)
        solved = made.model_copy(update={"difficulty": made.difficulty.model_copy(update={"max_pass_rate": 1.0})})
        command.run_curation(solved, RunDir(tmp_path / "out"), resume=True)
    assert len(list(read(tmp_path / "out" / "train.jsonl"))) == 3


@pytest.mark.recipe
def test_demo_recipe_runs(tmp_path: Path) -> None:
    arguments = ["--config", "demo.yaml", f"output_dir={tmp_path / 'out'}", "n=50", "sources.0.problems.limit=200"]
    done = subprocess.run(
        [sys.executable, "-m", "curation.curate", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out" / "train.jsonl").read_text().splitlines()) == 45
    again = subprocess.run(
        [sys.executable, "-m", "curation.curate", *arguments], capture_output=True, text=True, check=False
    )
    assert again.returncode == 2
    assert "is in use" in again.stderr


def test_texts_without_questions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "One."}\n')
    with pytest.raises(DataError, match=r"corpus\.jsonl: texts without questions; curation selects questions"):
        command.run_curation(config(tmp_path, sources=[{"path": str(path)}]), RunDir(tmp_path / "out"))
