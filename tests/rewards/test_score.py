"""`python -m rewards.score`: a person sees each score and why."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import DataError, RewardError
from configs.sample import Sample
from configs.schema.sections import DataConfig
from data.problem import Problem
from data.sources import load_problems
from data.think_format import DEEPSEEK, XML
from rewards import score
from rewards.explain import why
from rewards.registry import SHIPPED
from rewards.rollout import Rollout
from rewards.rollout_file import read_rollouts

RIGHT = XML.render("6 · 7 = 42", "42")


def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[object], *overrides: str) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    score.main(["--config", "gsm8k.yaml", "--text", str(path), *overrides])
    return capsys.readouterr().out


def line(out: str, name: str) -> str:
    return next(row for row in out.splitlines() if row.split()[:1] == [name])


def test_every_score_has_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(tmp_path, capsys, [{"text": RIGHT + "!!", "answer": "so\n#### 43", "id": "mine"}])
    assert "mine: total 1.498" in out
    assert "wrong (number): '42', gold '43'" in line(out, "correctness")
    assert "text outside the delimiters" in line(out, "strict_format")
    assert "well-formed" in line(out, "soft_format")
    assert line(out, "xmlcount").split()[1:3] == ["0.498", "0.498"]


def test_budget_of_a_row_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"text": RIGHT, "answer": "42", "thinking_tokens": 5, "max_thinking": 8}
    spec = "rewards=[{name: exact_length, params: {alpha: 0.1}}]"
    shown = line(run(tmp_path, capsys, [row], spec), "exact_length")
    assert shown.split()[1] == "0.700"
    assert "right (exact)" in shown
    assert "5 of 8 thinking tokens" in shown
    with pytest.raises(RewardError, match=r"without a max_thinking; .* or give the rows of a file that column"):
        run(tmp_path, capsys, [{"text": RIGHT, "answer": "42"}], spec)
    with pytest.raises(DataError, match="line 1: max_thinking is 'few'; give a whole number, or leave it out"):
        run(tmp_path, capsys, [row | {"max_thinking": "few"}], spec)


def test_gates_clips_and_nones_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewards = [
        "{name: correctness, required: true}",
        "{name: integer, when: correctness > 0}",
        "{name: xmlcount, clip: [0, 0.4]}",
    ]
    rows = [{"text": RIGHT, "gold": gold} for gold in ("41", "42")]
    out = run(
        tmp_path,
        capsys,
        [*rows, {"text": XML.render("a", "9^{9^{9^9}}"), "gold": "42"}],
        f"rewards=[{', '.join(rewards)}]",
    )
    assert "gate not met: correctness > 0" in line(out, "integer")
    assert "clipped from 0.500" in line(out, "xmlcount")
    assert out.count("required correctness could not be judged") == 3


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_reward_explains(name: str) -> None:
    assert why(name, Rollout(Problem("p", "q", "42", "test"), RIGHT, XML)) != ""


def test_summary_shows_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(tmp_path, capsys, [{"text": RIGHT, "answer": "42"}, {"text": "no", "answer": "42"}])
    assert out.splitlines()[-5].split() == ["correctness", "1.000", "1.000", "0.0%", "1.000"]


def test_completions_come_from_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"completion": RIGHT, "ground_truth": "42"})))
    score.main(["--config", "gsm8k.yaml", "--text", "-"])
    assert "stdin, line 1: total 4.000" in capsys.readouterr().out


def test_bom_and_line_separators_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = XML.render("a\u2028b\u2029c\u0085d", "42")
    row = json.dumps({"text": text, "answer": "42"}, ensure_ascii=False)
    assert "line 1: total 4.000" in run(tmp_path, capsys, ["\ufeff" + row])


def test_last_message_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    messages = [{"role": "user", "content": "6 · 7?"}, {"role": "assistant", "content": RIGHT}]
    assert "line 1: total 4.000" in run(tmp_path, capsys, [{"completion": messages, "answer": "42"}])


@pytest.mark.parametrize(
    ("counts", "thought"), [({}, 4), ({"completion_tokens": 9, "thinking_tokens": 0}, 0), ({"thinking_tokens": 7}, 7)]
)
def test_missing_counts_become_word_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], counts: dict[str, int], thought: int
) -> None:
    row = {"text": XML.render("6 · 7 =", "42"), "answer": "42"} | counts
    out = run(tmp_path, capsys, [row], "rewards=[{name: budget, params: {target: 4}}]")
    assert f"{thought} thinking tokens" in line(out, "budget")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": 42, "answer": "42"}', "line 1: text is no text"),
        ('{"completion": [], "answer": "42"}', "line 1: completion is no text"),
        ('{"completion": [{"role": "assistant"}], "answer": "42"}', "line 1: completion is no text; give a string, or"),
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: not an object but list"),
        ('{"answer": "42"}', "line 1: has none of text, completion, response, output; it has answer"),
        ('{"text": "42"}', "line 1: has none of gold, answer, ground_truth"),
        ('{"text": "42", "answer": "42", "completion_tokens": "many"}', "line 1: completion_tokens is 'many'"),
        ("", "is empty"),
        ('{"text": "42", "answer": {"value": 42}}', "line 1: column 'answer': an answer is text"),
        ('{"text": "42", "answer": "42", "completion_ids": "1 2"}', "line 1: completion_ids is no list of token ids"),
    ],
)
def test_bad_row_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(tmp_path, capsys, [row])


def test_gold_in_a_list_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "right (exact): '42', gold '42'" in run(tmp_path, capsys, [{"text": RIGHT, "answer": ["42"]}])


def test_every_reference_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"text": RIGHT, "answer": "41", "references": ["41", "42"]}
    assert "right (exact): '42', gold '41' or '42'" in run(tmp_path, capsys, [row])
    with pytest.raises(DataError, match=r"rows\.jsonl, line 1: reply 2 of 2 is 42, which is no text; give a list"):
        run(tmp_path, capsys, [row | {"references": ["41", 42]}])


def test_other_think_format_is_hinted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[object] = [
        {"text": text, "answer": "42"} for text in (DEEPSEEK.render("6 · 7", "42"), "so </think> 42", "42")
    ]
    hint = (
        "2 of 3 completions look like deepseek, 0 like the recipe's xml; to score them as such: think_format=deepseek"
    )
    assert run(tmp_path, capsys, rows).splitlines()[-1] == hint
    assert "look like" not in run(tmp_path, capsys, rows, "think_format=deepseek")
    assert "look like" not in run(tmp_path, capsys, [{"text": RIGHT, "answer": "42"}])


def test_token_ids_are_read_from_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row, spec = {"text": RIGHT, "answer": "42"}, "rewards=[{name: 'tests.rewards.plugins:number_of_ids'}]"
    assert (
        line(run(tmp_path, capsys, [row | {"completion_ids": [5, 6, 7]}], spec), "number_of_ids").split()[1] == "3.000"
    )
    with pytest.raises(
        RewardError, match="reward 'number_of_ids' takes completion_ids; give each completion its token"
    ):
        run(tmp_path, capsys, [row], spec)


def test_completions_come_from_gzipped_csv(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(f'text;answer\n"{RIGHT}";42\n'.encode()))
    score.main(["--config", "gsm8k.yaml", "--text", str(tmp_path / "rows.csv.gz")])
    assert "line 2: total 4.000" in capsys.readouterr().out


def test_missing_file_is_named() -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl: no such file"):
        score.main(["--config", "gsm8k.yaml", "--text", "nowhere.jsonl"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{name: corectness}", r"did you mean 'correctness'\?"),
        (
            "{name: 'tests.rewards.plugins:broken_trl'}",
            r"reward 'broken_trl', row 0 \(problem '.*line 1'\): .*no model",
        ),
    ],
)
def test_bad_reward_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: str, message: str) -> None:
    with pytest.raises(RewardError, match=message):
        run(tmp_path, capsys, [{"text": RIGHT, "answer": "42"}], f"rewards=[{spec}]")


@pytest.mark.recipe
def test_command_reads_file_and_stdin(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": RIGHT, "answer": "42"}), encoding="utf-8")
    command = [sys.executable, "-m", "rewards.score", "--config", "gsm8k.yaml", "--text"]
    for source, text in ((str(path), ""), ("-", path.read_text(encoding="utf-8"))):
        done = subprocess.run([*command, source], input=text, capture_output=True, text=True, check=True)
        assert "right (exact): '42', gold '42'" in done.stdout
    done = subprocess.run([*command, "-"], input="{", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: stdin, line 1: not JSON")
    assert done.stderr.count("\n") == 1


def test_row_with_options_is_multiple_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"text": XML.render("It is.", "(b)"), "gold": "Paris", "options": ["Rome", "Paris"]}
    assert "right (option B)" in line(run(tmp_path, capsys, [row]), "correctness")


def test_generated_problem_uses_family_scorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [problem] = load_problems(DataConfig(source="reasoning_gym:countdown", limit=1))
    target = str(problem.metadata["entry"]["metadata"]["target"])
    row = {"id": problem.id, "question": problem.question, "gold": "", "text": XML.render("It is.", target)}
    out = run(tmp_path, capsys, [row], "data.source=reasoning_gym:countdown", "data.limit=1")
    assert "wrong (score 0.05)" in line(out, "correctness")


def test_rollout_row_keeps_counts(tmp_path: Path) -> None:
    sample = Sample(
        "a",
        text=RIGHT,
        gold="42",
        references=("42", "6·7"),
        completion_tokens=9,
        thinking_tokens=5,
        max_thinking=8,
        finish="length",
    )
    (tmp_path / "rollouts.jsonl").write_text(json.dumps(sample.to_row()) + "\n", encoding="utf-8")
    [rollout] = read_rollouts(str(tmp_path / "rollouts.jsonl"), XML, 16, {})
    assert (rollout.completion_tokens, rollout.thinking_tokens, rollout.truncated) == (9, 5, True)
    assert rollout.max_thinking == 8
    assert rollout.problem.golds == ("42", "6·7")
