"""`mull calibrate`: what is chosen, what is written, and the sentence where nothing can be proven."""

import math
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.calibrate import LOST, SWEEP, WON, draw_synthetic, resplit
from configs.budget_file import read_budget_file
from configs.errors import ConfigError, RunError
from configs.sample import Sample
from evaluation.calibrate import NOTHING_PROVEN, calibrate, main
from evaluation.calibration_run import read_calibration_run
from evaluation.candidates import chains_of, longest_of, losses
from evaluation.sample_store import SampleStore
from tests.evaluation.swept_run import swept_run

ROOT = Path(__file__).parents[2]
FLAT = "1" * 300 + "0" * 200
FLAT_SWEEP = {None: FLAT, 512: FLAT, 128: FLAT[1:] + "1", 32: "0" * 500}


def test_cheapest_proven_budget_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = swept_run(tmp_path / "run", FLAT_SWEEP)
    assert main([str(run)]) == 0
    printed = capsys.readouterr().out
    assert "max_thinking=128 loses at most 1 point of accuracy against no limit" in printed
    assert "saves 87.2% of the thinking, 128 tokens in place of 1,000" in printed
    file = read_budget_file(run / "budget.yaml")
    assert (file.budget.max_thinking, file.budget.max_answer) == (128, 16)
    assert file.promise is not None
    assert (file.promise.loss, file.promise.confidence, file.promise.questions) == (1.0, 0.95, 500)
    assert "exchangeable with these 500" in file.promise.assumption
    assert str(file.promise).startswith("loses at most 1 point of accuracy against the longest budget (no limit)")
    assert file.promise.saved == pytest.approx(0.872)


def test_longer_budget_that_fails_ends_the_chain(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "run", {None: FLAT, 512: "0" * 500, 128: FLAT})
    found = calibrate(run)
    assert [one["proven"] for one in found["candidates"]] == [False, False]
    assert found["candidates"][1]["p"] < 0.05
    assert found["chosen"] is None


def test_too_few_questions_say_how_many_could(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = swept_run(tmp_path / "run", {None: "1" * 60, 64: "1" * 60})
    assert main([str(run)]) == NOTHING_PROVEN
    assert (
        "60 questions can't show with 0.95 confidence that max_thinking=64 loses at most 1 point"
        in capsys.readouterr().out
    )
    assert not (run / "budget.yaml").exists()
    assert calibrate(run)["verdict"].endswith("With losses like these about 299 questions could.")


def test_loss_too_large_is_never_proven(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "run", {None: "1" * 60, 64: "1" * 30 + "0" * 30})
    assert calibrate(run)["verdict"].endswith("no number of questions could; allow a larger --loss.")


def test_model_that_has_nothing_to_lose_is_promised_nothing(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "run", {None: "0" * 594 + "1" * 6, 64: "0" * 594 + "1" * 6})
    found = calibrate(run)
    assert found["candidates"][0]["proven"]
    assert found["chosen"] is None
    assert found["verdict"].startswith("Nothing to promise: no limit is right on 1.0% of 600 questions")


def test_one_question_is_a_sentence(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "run", {None: "1", 64: "1"})
    assert "No cheaper budget is proven: 1 question can't show" in calibrate(run)["verdict"]


def test_ungraded_samples_count_against_the_cheaper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = read_calibration_run(swept_run(tmp_path / "run", {None: "1?10??", 64: "?11000"}))
    [[cheaper]] = chains_of(run.candidates)
    assert losses(longest_of(run.candidates), cheaper).tolist() == [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    calibrate(tmp_path / "run")
    assert "4 samples could not be graded; each counts against the cheaper budget" in capsys.readouterr().out


STOPPED: dict[str, Any] = {"max_answer": 16, "stop_when": {"probe_every": 64, "agree": 2}}


def test_fixed_budgets_are_compared_with_the_longest_fixed_one(tmp_path: Path) -> None:
    budgets = [STOPPED, {"max_thinking": 512, "max_answer": 16}, {"max_thinking": 128, "max_answer": 16}]
    run = swept_run(tmp_path / "run", {None: "1" * 500, 512: "1" * 500, 128: "1" * 500}, budgets=budgets)
    found = calibrate(run, fixed=True)
    promise = read_budget_file(run / "budget.yaml").promise
    assert promise is not None
    assert (found["longest"]["name"], promise.longest.max_thinking) == ("max_thinking=512", 512)
    assert promise.thinking_tokens_longest == 512


def test_fixed_leaves_nothing_to_choose_from(tmp_path: Path) -> None:
    budgets = [{"max_thinking": 512, "max_answer": 16}, STOPPED]
    run = swept_run(tmp_path / "run", {512: "1" * 9, None: "1" * 9}, budgets=budgets)
    with pytest.raises(RunError, match="--fixed leaves 1 of 2 to choose from"):
        calibrate(run, fixed=True)


def test_long_name_cuts_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.calibration.screen", lambda: Console(width=100))
    budgets = [{"max_answer": 16}, STOPPED | {"stop_when": {**STOPPED["stop_when"], "final_answer_text": "So " * 9}}]
    calibrate(swept_run(tmp_path / "run", {None: "1" * 9, 64: "1" * 9}, budgets=budgets))
    printed = capsys.readouterr().out
    assert "thinking tokens" in printed
    assert "the longest" in printed
    assert "…" not in printed


def test_probes_that_are_not_there_prove_nothing(tmp_path: Path) -> None:
    probes = {"every": 64, "max_answer": 16}
    run = swept_run(tmp_path / "run", {None: "1" * 9}, budgets=[{"max_answer": 16}], probes=probes)
    assert len(calibrate(run)["candidates"]) > 1
    SampleStore(run / "probes.jsonl").append(Sample("q0", "after 64", thinking_tokens=64, answer="7"))
    with pytest.raises(RunError, match=r"1 probes, and results\.json counts 0; finish the evaluation"):
        calibrate(run)


def test_question_that_nobody_could_grade_is_left_out(tmp_path: Path) -> None:
    run = read_calibration_run(swept_run(tmp_path / "run", {None: "1?1", 64: "1?0"}))
    assert list(run.ids) == ["q0", "q2"]
    assert run.notes == ["1 of 3 questions are left out: no answer to them was graded"]


def test_samples_of_a_question_are_averaged(tmp_path: Path) -> None:
    run = read_calibration_run(swept_run(tmp_path / "run", {None: "1110", 64: "1000"}, samples=2))
    [[cheaper]] = chains_of(run.candidates)
    assert losses(longest_of(run.candidates), cheaper).tolist() == [0.5, 0.5]


def test_budgets_of_other_kinds_are_chains_of_their_own(tmp_path: Path) -> None:
    budgets = [{"max_thinking": limit, "num_waits": waits} for waits in (0, 1) for limit in (64, 256)]
    prompted = {"prompt": "tokens", "target": 64}
    run = swept_run(tmp_path / "run", dict.fromkeys([0, 1, 2, 3, 4], FLAT), budgets=[*budgets, prompted])
    found = read_calibration_run(run)
    longest = longest_of(found.candidates).budget
    assert (longest.max_thinking, longest.num_waits) == (256, 1)
    chains = chains_of(found.candidates)
    limits = [[(one.budget.num_waits, one.budget.max_thinking) for one in chain] for chain in chains]
    assert limits == [[(0, 256), (0, 64)], [(1, 64)]]
    assert "is left out: chat and serve have no prompt and no target" in found.notes[0]


def test_file_of_another_promise_stays(tmp_path: Path) -> None:
    run = swept_run(tmp_path / "run", FLAT_SWEEP)
    calibrate(run)
    before = (run / "budget.yaml").read_bytes()
    calibrate(run)
    with pytest.raises(RunError, match=r"budget\.yaml: holds another budget already; remove it, or name another"):
        calibrate(run, loss=2)
    assert (run / "budget.yaml").read_bytes() == before
    calibrate(run, loss=2, output=tmp_path / "new" / "two.yaml")
    promise = read_budget_file(tmp_path / "new" / "two.yaml").promise
    assert promise is not None
    assert promise.loss == 2


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("missing", r"no config\.yaml there; name the folder of a finished `mull evaluate`"),
        ("unfinished", r"49 samples, and results\.json counts 50; finish the evaluation \(--resume\) first"),
        ("one", r"1 thinking budget there, and a calibration needs a longest one and cheaper ones"),
        ("damaged", r"damaged: .*; evaluate again with --resume"),
        ("ungraded", r"no sample there was graded"),
    ],
)
def test_run_that_can_not_be_calibrated(tmp_path: Path, broken: str, message: str) -> None:
    verdicts = ("?" if broken == "ungraded" else "1") * 50
    run = swept_run(tmp_path / "run", {None: verdicts} | ({} if broken == "one" else {64: verdicts}))
    file = run / "samples.jsonl"
    if broken == "missing":
        run = tmp_path
    if broken == "unfinished":
        file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))
    if broken == "damaged":
        file.write_text('{"what": 1}\n')
    with pytest.raises(RunError, match=message):
        calibrate(run)


@pytest.mark.parametrize("option", ["--loss=-1", "--loss=100", "--loss=nan", "--confidence=95", "--confidence=0.9999"])
def test_figures_out_of_range_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"{option.partition('=')[0]}: .*; give "):
        main(["nowhere", option])


def test_command_line_errors_import_no_numpy() -> None:
    code = (
        "import sys\nfrom evaluation.calibrate import main\nfrom configs.errors import ConfigError\n"
        "try:\n    main(['run', '--loss=200'])\nexcept ConfigError:\n"
        "    print(sorted({'torch', 'numpy', 'scipy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_promises_hold_in_200_random_halves() -> None:
    kept = resplit(partial(draw_synthetic, questions=1200, limits=SWEEP), splits=200, most=0.01, confidence=0.95)
    assert kept["promise_kept"] >= 0.95
    assert kept["promise_tokens_saved"] >= 0.3
    assert kept["promises_made"] >= 0.8


def test_promise_at_the_edge_is_seldom_made() -> None:
    edge = {64: (0.5, (0.03 + 1e-6) / (LOST - WON))}  # whatever is promised of it is broken
    kept = resplit(partial(draw_synthetic, questions=400, limits=edge), splits=300, most=0.03, confidence=0.9)
    assert 0.02 < kept["promises_made"] < 0.1 + 2.6 * math.sqrt(0.1 * 0.9 / 300)
    assert kept["promise_kept"] == 1 - kept["promises_made"]


def test_nothing_is_promised_of_too_few_questions() -> None:
    kept = resplit(partial(draw_synthetic, questions=120, limits=SWEEP), splits=50, most=0.01, confidence=0.95)
    assert kept == {
        "promise_kept": 1.0, "promise_kept_seen": 1.0, "promise_tokens_saved": 0.0, "promises_made": 0.0
    }  # fmt: skip
