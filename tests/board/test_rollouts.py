"""Completions of a run: filters, damaged rows, and where the answer begins."""

import json
from pathlib import Path
from typing import Any

import pytest

from board.folder import Folder
from board.rollouts import MOST_SHOWN, Wanted, shown
from configs.sample import Sample


def rollout(step: int, score: float | None, number: int = 0, **fields: Any) -> dict[str, Any]:
    text = "<|im_start|>think\nWait, 2<|im_start|>answer\n4"
    reward = None if score is None else 2 * score
    return Sample(f"p{step}", sample=number, question="2 + 2?", gold="4", text=text, step=step, score=score,
                  reward=reward, rewards={"correctness": reward}, **fields).to_row()  # fmt: skip


def write(root: Path, rows: list[Any], name: str = "rollouts.jsonl") -> tuple[Folder, Path]:
    run = root / "grpo" / "demo"
    run.mkdir(parents=True)
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    (run / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Folder(root), run


@pytest.mark.parametrize(
    ("wanted", "steps"),
    [
        (Wanted(), ["step 4", "step 3", "step 2", "step 1"]),
        (Wanted(step=2), ["step 2"]),
        (Wanted(step=9), []),
        (Wanted(verdicts=frozenset({"right"})), ["step 1"]),
        (Wanted(verdicts=frozenset({"wrong", "unjudged"})), ["step 4", "step 3", "step 2"]),
        (Wanted(is_cut=True), ["step 4"]),
        (Wanted(lowest=0.5), ["step 4", "step 1"]),
        (Wanted(lowest=0.5, highest=1.5), ["step 4"]),
        (Wanted(verdicts=frozenset({"right"}), is_cut=True), []),
    ],
)
def test_filters_leave_what_fits(tmp_path: Path, wanted: Wanted, steps: list[str]) -> None:
    rows = [rollout(1, 1.0), rollout(2, 0.0), rollout(3, None), rollout(4, 0.5, finish="length")]
    folder, run = write(tmp_path, rows)
    found = shown(folder, run, wanted)
    assert [one.group for one in found.samples] == steps
    assert found.steps == (1, 4)


def test_thinking_and_answer_are_told_apart(tmp_path: Path) -> None:
    folder, run = write(tmp_path, [rollout(1, 1.0, forced=((18, 22),))])
    [one] = shown(folder, run, Wanted()).samples
    assert [(span.kind, span.text) for span in one.spans] == [
        ("thinking", "<|im_start|>think\n"),
        ("forced", "Wait"),
        ("thinking", ", 2<|im_start|>answer\n"),
        ("answer", "4"),
    ]


@pytest.mark.parametrize(
    "row",
    [
        "{broken",
        '{"id": "p", "of a later version": 1, "step": 1}',
        '{"step": 1}',
        '{"id": "p", "step": 1, "text": 5}',
        '{"id": "p", "step": 1, "forced": [["a", 2]]}',
        '{"id": "p", "step": 1, "forced": 3}',
        '{"id": "p", "step": 1, "rewards": {"a": "much"}}',
        '{"id": "p", "step": 1, "rewards": null}',
        '{"id": "p", "step": 1, "score": "high"}',
        '{"id": ["p"], "step": 1}',
    ],
)
def test_damaged_rows_are_left_out(tmp_path: Path, row: str) -> None:
    folder, run = write(tmp_path, [row, rollout(1, 1.0), row])
    found = shown(folder, run, Wanted())
    assert len(found.samples) == 1
    assert found.damaged == (0 if row == "{broken" else 2)


def test_a_long_file_is_cut_at_the_newest(tmp_path: Path) -> None:
    folder, run = write(tmp_path, [rollout(step, 1.0) for step in range(1, 500)])
    found = shown(folder, run, Wanted())
    assert len(found.samples) == MOST_SHOWN == found.looked_at
    assert found.samples[0].group == "step 499"


def test_samples_without_steps_go_by_their_point(tmp_path: Path) -> None:
    rows = [rollout(1, 1.0) | {"step": None, "point": point} for point in ("max_thinking=8", "max_thinking=16")]
    folder, run = write(tmp_path, rows, "samples.jsonl")
    found = shown(folder, run, Wanted())
    assert [one.group for one in found.samples] == ["max_thinking=16", "max_thinking=8"]
    assert found.steps is None


def test_a_file_behind_a_link_is_not_read(tmp_path: Path) -> None:
    _, outside = write(tmp_path / "outside", [rollout(1, 1.0)])
    run = tmp_path / "root" / "run"
    run.mkdir(parents=True)
    (run / "rollouts.jsonl").symlink_to(outside / "rollouts.jsonl")
    assert shown(Folder(tmp_path / "root"), run, Wanted()).samples == ()
