"""The store and its grading thread: everything graded and on disk, or a clear error; never a silent loss."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import RunError
from configs.sample import Sample, read_samples
from data.problem import Problem
from evaluation.sample_store import GradingThread, SampleStore, grade_samples


def one(at: int) -> Sample:
    return Sample(id=str(at), point="p")


def right(samples: Sequence[Sample]) -> list[Sample]:
    return [replace(sample, score=float(int(sample.id) % 2 == 0), reason="exact") for sample in samples]


def test_sample_round_trips_through_its_row() -> None:
    sample = Sample(
        "a",
        "p",
        3,
        forced=((1, 2),),
        token_ids=(7,),
        references=("7", "8"),
        parts={"f1": 0.5},
        rewards={"r": None},
        score=1.0,
    )
    assert Sample.from_row(sample.to_row()) == sample
    assert Sample.from_row({"id": "a", "score": 0.5}).is_right is False
    with pytest.raises(ValueError, match="not a sample: unknown verdict"):
        Sample.from_row({"id": "a", "verdict": True})


def test_samples_are_graded_and_written_in_order(tmp_path: Path) -> None:
    moves: list[tuple[int, int, int]] = []
    store = SampleStore(tmp_path / "samples.jsonl")
    with GradingThread(store, right, total=100, progress=lambda *move: moves.append(move)) as grading:
        for i in range(100):
            grading.put(one(i))
    samples = read_samples(store.path)
    assert [sample.id for sample in samples] == [str(i) for i in range(100)]
    assert [sample.is_right for sample in samples] == [i % 2 == 0 for i in range(100)]
    assert grading.samples == samples
    assert moves[-1] == (100, 100, 50)


def test_samples_are_written_during_the_run(tmp_path: Path) -> None:
    written = threading.Event()
    with GradingThread(SampleStore(tmp_path / "s.jsonl"), right, progress=lambda *_: written.set()) as grading:
        grading.put(one(1))
        assert written.wait(10)
        assert (tmp_path / "s.jsonl").read_text("utf-8").endswith("\n")


def test_earlier_samples_are_not_written_again(tmp_path: Path) -> None:
    with GradingThread(SampleStore(tmp_path / "s.jsonl"), right, right([one(0)])) as grading:
        grading.put(one(1))
    assert [sample.id for sample in grading.samples] == ["0", "1"]
    assert len(read_samples(tmp_path / "s.jsonl")) == 1


def test_verdicts_have_score_and_reason() -> None:
    problems = {"a": Problem("a", "?", "0.5", "test"), "b": Problem("b", "?", "7", "test")}
    graded = grade_samples([Sample("a", extracted="\\frac12"), Sample("b"), Sample("b", extracted="8")], problems)
    assert [sample.score for sample in graded] == [1.0, 0.0, 0.0]
    assert graded[1].reason == "no answer"
    assert graded[0].parts == {}


def test_changed_gold_gives_a_new_verdict(tmp_path: Path) -> None:
    store = SampleStore(tmp_path / "s.jsonl")
    kept = [Sample("a", "p", n, question="?", gold="6", extracted="7", score=0.0) for n in (0, 1)]
    store.append(*kept)
    found = store.regrade(store.load(), {"a": Problem("a", "?", "7", "test")})
    assert [(sample.gold, sample.score) for sample in found.values()] == [("7", 1.0)] * 2
    assert store.load() == found


def test_changed_references_give_a_new_verdict(tmp_path: Path) -> None:
    store = SampleStore(tmp_path / "s.jsonl")
    store.append(Sample("a", "p", 0, question="?", gold="6", extracted="7", score=0.0))
    both = {"a": Problem("a", "?", "6", "test", references=("6", "7"))}
    [mended] = store.regrade(store.load(), both).values()
    assert (mended.golds, mended.score) == (("6", "7"), 1.0)
    assert store.regrade(store.load(), both) == store.load()  # graded once
    [back] = store.regrade(store.load(), {"a": Problem("a", "?", "6", "test")}).values()
    assert (back.golds, back.score) == (("6",), 0.0)


def test_damaged_line_is_named(tmp_path: Path) -> None:
    store = SampleStore(tmp_path / "s.jsonl")
    store.path.write_text('{"id": "a"}\n{broken}\n')
    with pytest.raises(RunError, match=r"s\.jsonl: damaged: .*; remove the broken line"):
        store.load()
    store.path.write_text('{"id": "a"}\n{"id": "b", "po')
    store.keep_whole_lines()
    assert store.path.read_text().count("\n") == 1


def record(path: Path, count: int, error: type[BaseException] | None = None) -> None:
    with GradingThread(SampleStore(path), right) as grading:
        for i in range(count):
            grading.put(one(i))
        if error is not None:
            raise error


def test_full_disk_stops_the_run(tmp_path: Path) -> None:
    full = tmp_path / "samples.jsonl"
    full.symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"samples.jsonl: can't be written: No space left.*--resume"):
        record(full, 1)


def test_failed_write_stops_generation_early(tmp_path: Path) -> None:
    full = tmp_path / "samples.jsonl"
    full.symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left"):
        record(full, 100_000_000)


def test_grading_error_is_raised(tmp_path: Path) -> None:
    def broken(samples: Sequence[Sample]) -> list[Sample]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), GradingThread(SampleStore(tmp_path / "s.jsonl"), broken) as grading:
        grading.put(one(1))


def test_interrupted_run_keeps_its_samples(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path / "s.jsonl", 3, KeyboardInterrupt)
    assert len((tmp_path / "s.jsonl").read_text("utf-8").splitlines()) == 3
