"""Two runs on the same questions: the paired figures, and the verdict in words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import RunError
from configs.sample import Sample
from evaluation.compare import compare_samples, main, pairs, read_run
from evaluation.metrics import mcnemar_exact
from evaluation.sample_store import SampleStore


def rows(scores: str, point: str = "natural", gold: str = "7") -> list[Sample]:
    """ "101?" → four questions: right, wrong, right, ungraded."""
    verdicts = {"1": 1.0, "0": 0.0, "?": None}
    return [Sample(id=f"q{i}", score=verdicts[c], extracted="7", gold=gold, point=point) for i, c in enumerate(scores)]


def write(folder: Path, its: list[Sample]) -> Path:
    folder.mkdir()
    SampleStore(folder / "samples.jsonl").write(its)
    return folder


def test_single_samples_use_exact_mcnemar() -> None:
    found = compare_samples(
        "x", rows("1" * 10 + "0" * 12 + "1" * 8), rows("0" * 3 + "1" * 7 + "1" * 6 + "0" * 6 + "1" * 8)
    )
    assert (found.better, found.worse) == (6, 3)
    assert found.p == mcnemar_exact(6, 3)
    assert found.test == "exact McNemar"
    assert found.difference.value == pytest.approx(3 / 30)
    assert found.verdict().startswith(
        "B is 3 of 30 better; a difference of this size appears by chance 51% of the time. To see"
    )


def test_clear_difference_needs_no_more_questions() -> None:
    found = compare_samples("x", rows("0" * 30), rows("1" * 30))
    assert found.verdict() == (
        "B is 30 of 30 better; a difference of this size appears by chance less than 0.1% of the time."
    )


def test_run_against_itself_is_the_same() -> None:
    found = compare_samples("x", rows("10110"), rows("10110"))
    assert found.p == 1.0
    assert found.needed is None
    assert found.verdict() == "A and B score the same on each of 5 questions."


def test_wins_and_losses_cancel() -> None:
    assert "A ahead on 1, B on 1" in compare_samples("x", rows("10"), rows("01")).verdict()


def sampled(*counts: int, k: int = 4) -> list[Sample]:
    """The number of right samples a question."""
    return [
        Sample(id=f"q{i}", sample=j, score=float(j < c), extracted="7", gold="7")
        for i, c in enumerate(counts)
        for j in range(k)
    ]


def test_rounding_does_not_make_a_difference() -> None:
    found = compare_samples("x", sampled(9, 0, 0, k=10), sampled(2, 6, 1, k=10))
    assert found.difference.value != 0
    assert found.needed is None
    assert found.verdict().startswith("A and B are equal over 3 questions: A ahead on 1, B on 2.")


def test_several_samples_use_sign_flips() -> None:
    found = compare_samples("x", sampled(0, 1, 2, 3, 4, 2), sampled(1, 2, 3, 4, 4, 3))
    assert found.test == "sign flips"
    assert found.p == pytest.approx(2 / 2**5, abs=0.005)
    assert found.difference.value == pytest.approx(1.25 / 6)
    assert "B is 1.2 of 6 better" in found.verdict() or "B is 1.3 of 6 better" in found.verdict()


def test_unpaired_questions_are_counted() -> None:
    found = compare_samples("x", rows("11?0"), rows("1?00"))
    assert (found.questions, found.unpaired) == (2, 2)


def test_different_benchmarks_are_refused() -> None:
    with pytest.raises(RunError, match="another gold answer"):
        compare_samples("x", rows("11"), rows("11", gold="8"))
    with pytest.raises(RunError, match="or other references"):
        compare_samples("x", rows("11"), [replace(row, references=("7", "8")) for row in rows("11")])
    with pytest.raises(RunError, match="no graded question"):
        compare_samples("x", rows("1"), rows("?"))


def test_points_are_paired_by_label(tmp_path: Path) -> None:
    a = write(tmp_path / "a", rows("10", "max_thinking=8") + rows("11", "max_thinking=16"))
    b = write(tmp_path / "b", rows("01", "max_thinking=8") + rows("00", "natural"))
    assert list(pairs(read_run(str(a)), read_run(str(b)))) == ["max_thinking=8"]
    one, other = read_run(f"{a}@max_thinking=8"), read_run(f"{a}@max_thinking=16")
    assert list(pairs(one, other)) == ["max_thinking=8 → max_thinking=16"]
    with pytest.raises(RunError, match="no point 'max_thinking=9'; it has 'max_thinking=8'"):
        read_run(f"{a}@max_thinking=9")
    with pytest.raises(RunError, match="no point in common"):
        pairs({"x": [], "y": []}, {"z": []})
    for nothing in (tmp_path, f"{tmp_path}@max_thinking=8"):
        with pytest.raises(RunError, match=r"no samples.jsonl there"):
            read_run(str(nothing))


def test_at_sign_is_allowed_in_folder_and_label(tmp_path: Path) -> None:
    folder = write(tmp_path / "me@home", rows("10", 'wait_text="@"') + rows("11"))
    assert list(read_run(str(folder))) == ['wait_text="@"', "natural"]
    assert list(read_run(f"{folder}@natural")) == ["natural"]
    assert list(read_run(f'{folder}@wait_text="@"')) == ['wait_text="@"']
    with pytest.raises(RunError, match="no point 'none'"):
        read_run(f"{folder}@none")


def test_heldout_measurements_are_compared(tmp_path: Path) -> None:
    for when, scores in (("before", "0100"), ("after", "0111")):
        SampleStore(tmp_path / f"heldout_{when}.jsonl").write(rows(scores, "greedy") + rows("0101", "sampled"))
    a, b = (read_run(f"{tmp_path}/heldout_{when}.jsonl") for when in ("before", "after"))
    found = {label: compare_samples(label, *its) for label, its in pairs(a, b).items()}
    assert {label: (one.better, one.worse) for label, one in found.items()} == {"greedy": (2, 0), "sampled": (0, 0)}
    assert list(read_run(f"{tmp_path}/heldout_after.jsonl@greedy")) == ["greedy"]


def test_labels_are_printed_verbatim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label = 'wait_text="[/INST]"'
    a = write(tmp_path / "a", rows("1100", label) + rows("1100"))
    main([str(a), str(a)])
    assert capsys.readouterr().out.count(label) == 2


def test_command_prints_a_verdict_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a", rows("1100?")), write(tmp_path / "b", rows("11110"))
    main([str(a), str(b), "--json", str(tmp_path / "new" / "c.json")])
    printed = capsys.readouterr().out
    assert "B is 2 of 4 better" in printed
    assert "left out, answered or graded in one run only: 1 questions" in printed
    [found] = json.loads((tmp_path / "new" / "c.json").read_text("utf-8"))
    assert found["better"] == 2
    assert found["difference"]["n"] == 4


def test_file_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    run = str(write(tmp_path / "a", rows("01")))
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"--json .*c\.json: can't be written"):
        main([run, run, "--json", str(tmp_path / "file" / "c.json")])
