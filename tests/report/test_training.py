"""The report of a training run, from the files a run writes, whole or broken off."""

import json
from pathlib import Path
from typing import Any

from report.training import write_training_report

Row = dict[str, Any]


def write_lines(path: Path, rows: list[Row], tail: str = "") -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail, encoding="utf-8")


def metrics(steps: int = 4, **more: Any) -> list[Row]:
    return [
        {"step": s + 1, "reward": s / 10, "rewards/correctness": s / 20, "step_seconds": 2.0, **more}
        for s in range(steps)
    ]


def rollout(reward: float | None, other: float = 0.5, **more: Any) -> Row:
    return {
        "step": 1, "id": "p1", "question": "2 + 3?", "prompt": "user: 2 + 3?", "text": "<|im_start|>think\n5",
        "gold": "5", "extracted": "5", "score": None if reward is None else float(reward > 0), "reward": reward or 0.0,
        "rewards": {"correctness": reward, "xmlcount": other}, "advantage": 0.1, "completion_tokens": 4,
        "thinking_tokens": 2, "finish": "stop",
    } | more  # fmt: skip


def sample_rows(page: str) -> list[Row]:
    data = page.split('id="samples-data">')[1].split("</script>")[0]
    return list(json.loads(data)["samples"])


def test_grpo_report_shows_every_section(tmp_path: Path) -> None:
    write_lines(tmp_path / "metrics.jsonl", metrics(kl=0.1, entropy=0.5, loss=0.0, completion_tokens=50))
    write_lines(tmp_path / "rollouts.jsonl", [rollout(2.0), rollout(0.0, other=0.1), rollout(None)])
    before, after = (
        {"value": 0.0, "low": 0.0, "high": 0.02, "n": 200},
        {"value": 0.365, "low": 0.3, "high": 0.43, "n": 200},
    )
    summary = {"greedy_before": before, "greedy_after": after, "adapter": "adapter"}
    (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (tmp_path / "config.yaml").write_text("model:\n  name: tiny\n", encoding="utf-8")
    page = write_training_report(tmp_path, "GRPO").read_text(encoding="utf-8")
    assert "0.0% → 36.5%" in page
    assert "[0.0, 2.0] → [30.0, 43.0], n = 200" in page
    for caption in ("Reward", "Rewards by function", "KL to the reference", "Completion length", "Step time"):
        assert f"<figcaption>{caption}</figcaption>" in page
    assert "33.3%" in page  # correctness could not be judged for one of three
    assert "name: tiny" in page
    assert [row["verdict"] for row in sample_rows(page)] == ["right", "wrong", "ungraded"]
    assert sample_rows(page)[0]["tags"] == ["disagreeing"]


def test_sft_report_shows_loss_and_truncation(tmp_path: Path) -> None:
    write_lines(tmp_path / "metrics.jsonl", [{"step": s, "loss": 2.0 - s / 10} for s in range(12)])
    (tmp_path / "truncation.json").write_text(json.dumps({"rows": 100, "cut": {"head": 3}}), encoding="utf-8")
    before = {"value": 0.0, "low": 0.0, "high": 0.02, "n": 200}
    (tmp_path / "summary.json").write_text(json.dumps({"greedy_before": before}), encoding="utf-8")
    page = write_training_report(tmp_path).read_text(encoding="utf-8")
    assert "Mean loss" in page
    assert "Greedy accuracy, before training" in page
    assert "<th>cut.head</th><td>3</td>" in page
    assert "samples-data" not in page


def test_cut_off_line_is_reported(tmp_path: Path) -> None:
    write_lines(tmp_path / "metrics.jsonl", metrics(), tail='{"step": 4, "rew')
    assert "cut short, left out: 1" in write_training_report(tmp_path).read_text(encoding="utf-8")


def test_repeated_steps_count_once(tmp_path: Path) -> None:
    write_lines(tmp_path / "metrics.jsonl", metrics(4) + metrics(2))
    assert "4 steps" in write_training_report(tmp_path).read_text(encoding="utf-8")


def test_alarms_name_their_steps(tmp_path: Path) -> None:
    rows = metrics(6)
    for step in (1, 2, 4):
        rows[step - 1]["alarms"] = ["no spread"]
    write_lines(tmp_path / "metrics.jsonl", rows)
    assert "no spread (steps 1–2, 4)" in write_training_report(tmp_path).read_text(encoding="utf-8")


def test_run_without_steps_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("", encoding="utf-8")
    assert "0 steps" in write_training_report(tmp_path).read_text(encoding="utf-8")


def test_verdict_comes_from_the_grader(tmp_path: Path) -> None:
    write_lines(tmp_path / "metrics.jsonl", metrics())
    write_lines(tmp_path / "rollouts.jsonl", [rollout(2.0, score=0.0)])
    assert sample_rows(write_training_report(tmp_path).read_text(encoding="utf-8"))[0]["verdict"] == "wrong"


def test_forced_ranges_are_marked(tmp_path: Path) -> None:
    write_lines(tmp_path / "metrics.jsonl", metrics())
    write_lines(tmp_path / "rollouts.jsonl", [rollout(2.0, text="a Wait b", forced=[[2, 6]])])
    [row] = sample_rows(write_training_report(tmp_path).read_text(encoding="utf-8"))
    assert [kind for kind, _ in row["spans"]] == ["text", "forced", "text"]


def test_unlogged_steps_count_in_the_time(tmp_path: Path) -> None:
    write_lines(tmp_path / "metrics.jsonl", [{"step": s, "loss": 1.0, "step_seconds": 6.0} for s in (1, 500, 1000)])
    write_lines(tmp_path / "alarms.jsonl", [])
    page = write_training_report(tmp_path).read_text(encoding="utf-8")
    assert "1 h 40 min" in page
    assert "1,000 steps, median 6.0 s" in page
