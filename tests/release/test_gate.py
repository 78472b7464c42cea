"""The publish gate: what it measures, and that each way to ruin an export fails the check that names it."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from configs.errors import RunError
from configs.gate_report import GateReport, read_gate_report
from release.formats import write_exports
from release.gate import (
    FULL,
    QUANTISED,
    bounds_of,
    compare_with_reference,
    format_checks,
    gate,
    held_out,
    passed_before,
)
from release.gate_job import GateAnswer, GateJob
from release.gate_worker import TIE, answer_job, enough_answers, likeliest_of, score
from tests.tiny_run import LLAMA3, tell, tiny_base, tiny_run
from training.finished_run import open_run

LOGPROBS = st.lists(st.tuples(*[st.floats(-20, 0)] * 2), min_size=1, max_size=30)


def answered(logprobs: list[float], likeliest: list[list[int]], base: Sequence[float] = ()) -> GateAnswer:
    """The answer of a model of which only the scores matter."""
    empty: dict[str, Any] = {name: [] for name in GateAnswer.__dataclass_fields__}
    return GateAnswer(**empty | {"logprobs": logprobs, "likeliest": likeliest, "base_logprobs": list(base)})


def figures(export: list[float], trained: list[float], base: list[float]) -> dict[str, Any]:
    likeliest = [[at] for at in range(len(trained))]
    checks = compare_with_reference(
        "x",
        answered(export, likeliest),
        answered(trained, likeliest, base),
        FULL,
    )
    return {check.name: check for check in checks}


@given(LOGPROBS)
def test_exact_export_agrees_and_base_does_not(pairs: list[tuple[float, float]]) -> None:
    trained, base = ([pair[at] for pair in pairs] for at in (0, 1))
    exact, lost = figures(trained, trained, base), figures(base, trained, base)
    assert exact["logprob_gap"].figure == 0
    assert exact["top1"].figure == 1
    assert lost["apart_from_base"].figure == 0
    assert not lost["apart_from_base"].passed
    changed = sum(abs(a - b) for a, b in pairs) / len(pairs)
    assert exact["changed_by_training"].passed == (changed >= 0.005)
    assert lost["logprob_gap"].figure == pytest.approx(changed, abs=1e-4)


def test_only_ties_may_fall_either_way() -> None:
    """The second place is a tie in the trained model; the third is none, whatever the export thinks."""
    log = [-1.0, -1.0, -1.0]
    trained = answered(log, [[1], [2, 3], [4]], [-2.0] * 3)
    top1 = compare_with_reference("x", answered(log, [[1], [3], [5, 4]]), trained, FULL)[0]
    assert (top1.name, top1.figure, top1.passed) == ("top1", 0.6667, False)


def test_tie_ends_at_its_width() -> None:
    logprobs = torch.tensor([[-3.0, -1.0, -1.0 - 2 * TIE, -1.0 - TIE / 2], [-1.0, -2.0, -2.0, -2.0]])
    assert likeliest_of(logprobs) == [[1, 3], [0]]


@pytest.mark.parametrize(
    ("lengths", "count"), [([40] * 3, 3), ([10] * 50, 20), ([100] * 50, 16), ([300, 1], 2), ([], 0)]
)
def test_short_answers_take_more(lengths: list[int], count: int) -> None:
    assert enough_answers(lengths, least_answers=16, least_tokens=200) == count


@given(st.floats(0, 1))
def test_partial_adapter_has_partial_effect(share: float) -> None:
    trained, base = [-1.0, -2.0, -0.5], [-3.0, -1.0, -4.0]
    between = [b + share * (t - b) for t, b in zip(trained, base, strict=True)]
    assert figures(between, trained, base)["apart_from_base"].figure == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(
    ("target", "precision", "bounds"),
    [
        ("adapter", "bf16", FULL),
        ("merged16", "fp32", FULL),
        ("gguf:q8_0", "bf16", FULL),
        ("nf4", "bf16", QUANTISED),
        ("gguf:q4_k_m", "bf16", QUANTISED),
        ("merged16", "nf4", QUANTISED),
    ],
)
def test_coarser_weights_have_looser_bounds(target: str, precision: str, bounds: Any) -> None:
    assert bounds_of(target, precision) == bounds


def test_folder_without_exports_is_refused(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run", tiny_base(tmp_path / "base"))
    with pytest.raises(RunError, match=r"holds no exports \(no export\.json\)"):
        gate(tmp_path / "base", run)


def test_run_without_held_out_is_refused(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run", tiny_base(tmp_path / "base"), eval=None)
    out = write_exports(run, ["adapter"], tmp_path / "out")
    with pytest.raises(RunError, match=r"holds no problems out \(no heldout_problems\.jsonl\)"):
        gate(out, run)


def test_moved_run_needs_no_data(tmp_path: Path) -> None:
    """Another folder, and neither the training data nor the held-out data."""
    files = {name: tmp_path / f"{name}.jsonl" for name in ("train", "held_out")}
    for at, file in enumerate(files.values()):
        rows = [{"id": f"{file.stem}-{i}", "question": f"{at} + {i}?", "answer": str(at + i)} for i in range(9)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data, measured = ({"source": "file", "path": str(file)} for file in files.values())
    run = tiny_run(tmp_path / "run", tiny_base(tmp_path / "base"), data=data, eval={"data": measured, "max_tokens": 12})
    moved = Path(shutil.move(run, tmp_path / "elsewhere" / "copy"))
    for file in files.values():
        file.unlink()
    problems = held_out(open_run(moved))
    assert [(problem.id, problem.answer) for problem in problems] == [(f"held_out-{i}", str(1 + i)) for i in range(9)]
    out = write_exports(moved, ["adapter"], tmp_path / "out")
    report = gate(out, moved)
    assert report.passed, report.failed
    assert report.problems == 9


def test_gguf_is_checked_with_stored_rope_and_eos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model like Llama 3: scaled rotary embeddings, which Transformers does not read, and two ends of a turn."""
    base = tiny_base(tmp_path / "base", rope=LLAMA3)
    rewrite(base / "config.json", eos_token_id=[2, 0])
    run = open_run(tiny_run(tmp_path / "run", base))
    folder = write_exports(run.path, ["gguf:f16"], tmp_path / "out") / "gguf-f16"
    own = GateJob("trained", str(run.path), asdict(run.think_format), ["1 + 1?"], [("1 + 1?", [])], 4, 256)
    reference = answer_job(own)
    file = replace(own, kind="gguf", folder=str(folder), file="model-f16.gguf", forced=reference.forced)
    assert set(reference.eos) == {2, 0}
    assert all(check.passed for check in format_checks("gguf:f16", answer_job(file), reference, run))
    monkeypatch.setattr("models.gguf_rope.restore", lambda model, reader: None)
    found = {check.name: check.passed for check in format_checks("gguf:f16", answer_job(file), reference, run)}
    assert found == {"template": True, "eos": True, "think_format": True, "rope": False}


@pytest.mark.engine
def test_trained_model_stands_on_the_copy_that_was_trained_on(tmp_path: Path) -> None:
    """Unsloth trains on a quantised copy of its own: here one whose weights are others, so that it shows."""
    base = tiny_base(tmp_path / "base")
    other = write_exports(tiny_run(tmp_path / "other", base), ["nf4"], tmp_path / "exports") / "nf4"
    copy = Path(shutil.move(other, tmp_path / "base-unsloth-bnb-4bit"))
    run = tiny_run(tmp_path / "run", base)
    think_format = asdict(open_run(run).think_format)
    job = GateJob("trained", str(run), think_format, ["1 + 1?"], [], max_tokens=8, context=256)
    tell(run, base=str(copy), precision="nf4")
    answer = answer_job(job)
    wanted, _ = score(AutoModelForCausalLM.from_pretrained(copy, dtype=torch.bfloat16), answer.forced)
    assert answer.base_logprobs == pytest.approx(wanted, abs=1e-4)


@pytest.mark.engine
class TestGate:
    """In fresh processes."""

    @pytest.fixture(scope="class")
    def run(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("run")
        return tiny_run(folder / "run", tiny_base(folder / "base"))

    @pytest.fixture(scope="class")
    def out(self, tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
        return write_exports(run, ["adapter", "merged16", "gguf:f16"], tmp_path_factory.mktemp("out") / "out")

    def test_good_exports_pass(self, run: Path, out: Path) -> None:
        report = gate(out, run)
        assert report.passed, report.failed
        stored = json.loads((out / "gate.json").read_text())
        assert stored["passed"] is True
        assert {check["export"] for check in stored["checks"]} == {"adapter", "merged16", "gguf:f16"}
        names = {"top1", "logprob_gap", "apart_from_base", "held_out_score", "template", "eos", "think_format", "rope"}
        for check in stored["checks"]:
            assert {"export", "name", "figure", "bound", "passed"} <= check.keys()
            names.discard(check["name"])
        assert not names
        assert (stored["prompts"], stored["problems"]) == (50, 50)  # short answers: all of them
        assert passed_before(out) == report
        (out / "adapter" / "LICENSE").write_text("changed")
        assert passed_before(out) is None

    def test_ruined_export_fails_matching_check(self, run: Path, out: Path, tmp_path: Path) -> None:
        """No update in the adapter, none in the weights; template, EOS or rotary base lost; a file cut short."""
        ruined = {name: tmp_path / name for name in ("adapter", "unmerged", "template", "eos", "rope", "cut")}
        for name, folder in ruined.items():
            shutil.copytree(out / ("adapter" if name == "adapter" else "merged16"), folder)
        (tmp_path / "export.json").write_text(json.dumps({"exports": {name: name for name in ruined}}))
        ruin_update(ruined["adapter"] / "adapter_model.safetensors")
        shutil.copy(run.parent / "base" / "model.safetensors", ruined["unmerged"])
        shutil.copy(run / "adapter" / "chat_template.jinja", ruined["template"])
        rewrite(ruined["eos"] / "generation_config.json", eos_token_id=1)
        rewrite(ruined["rope"] / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 9_000.0})
        weights = ruined["cut"] / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:5000])
        report = gate(tmp_path, run)
        with pytest.raises(RunError, match=r"gate: adapter: top1 is .* publishes nothing"):
            report.require()
        failed = {name: {check.name for check in report.failed if check.export == name} for name in ruined}
        lost = {"top1", "logprob_gap", "apart_from_base"}
        assert lost <= failed["adapter"]
        assert lost <= failed["unmerged"]
        assert (failed["template"], failed["eos"], failed["cut"]) == ({"template"}, {"eos"}, {"loads"})
        assert "rope" in failed["rope"]
        assert passed_before(tmp_path) is None


def test_gate_that_is_cut_short_has_passed_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file says from the start what is to be checked, and in place of an earlier verdict."""
    run, out = tiny_run(tmp_path / "run", tiny_base(tmp_path / "base")), tmp_path / "out"
    out.mkdir()
    (out / "export.json").write_text(json.dumps({"exports": {"adapter": "adapter", "merged16": "merged16"}}))
    earlier = GateReport(passed=True, checks=[], prompts=1, problems=1, seconds=1, files={})
    (out / "gate.json").write_text(earlier.model_dump_json())

    def killed(job: GateJob) -> GateAnswer:
        raise KeyboardInterrupt

    monkeypatch.setattr("release.gate._ask", killed)
    with pytest.raises(KeyboardInterrupt):
        gate(out, run)
    report = read_gate_report(out / "gate.json")
    assert (report.pending, report.checks, report.passed) == (["adapter", "merged16"], [], False)
    assert passed_before(out) is None


def ruin_update(file: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file({name: tensor * ("lora_A" in name) for name, tensor in load_file(file).items()}, file)


def rewrite(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
