"""`gate.json` as others read it."""

from pathlib import Path

import pytest

from configs.errors import RunError
from configs.gate_report import Check, GateReport, read_gate_report


def report(*checks: Check) -> GateReport:
    return GateReport(passed=False, checks=list(checks), prompts=1, problems=1, seconds=1, files={})


def test_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "gate.json"
    written = report(Check(export="adapter", name="top1", figure=0.5, bound=">= 0.99", passed=False))
    file.write_text(written.model_dump_json())
    assert read_gate_report(file) == written
    with pytest.raises(RunError, match=r"adapter: top1 is 0.5, wanted >= 0.99; publishes nothing"):
        written.require()


@pytest.mark.parametrize("text", ["", "[1]", '{"passed": true}', "{"])
def test_damaged_report_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "gate.json"
    file.write_text(text)
    with pytest.raises(RunError, match=r"gate\.json: can't be read"):
        read_gate_report(file)
