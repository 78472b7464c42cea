"""The page of a self-improvement: rounds, fates, examples, and hostile problems as text."""

from pathlib import Path

import pytest

from configs.round_record import POSED_FILE, ROUNDS_FILE, PosedProblem, RoundRecord
from configs.run_directory import write_json, write_jsonl
from report.self_improvement import MOST_EXAMPLES, write_self_improvement_report

HOSTILE = "<script>document.title='owned'</script>"


def interval(value: float, n: int = 100) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": n}


@pytest.fixture
def page(tmp_path: Path) -> str:
    """Two rounds, the second of which was not built upon."""
    posed = [PosedProblem(f"p{at}", f"Question {at}?", "hopeless", "0 of 4 answers right", 0.0) for at in range(9)]
    posed.append(PosedProblem("k", f"Kept {HOSTILE}", "kept", "2 of 4 answers right", 0.5, f"so {HOSTILE}"))
    rounds = [
        RoundRecord(0, 0, "", interval(0.2), verdict="the model as it came"),
        RoundRecord(1, 0, "a", interval(0.3), interval(0.1), True, "built upon", {"hopeless": 9, "kept": 1}, 2),
        RoundRecord(2, 1, "b", interval(0.28), interval(-0.02), False, "not built upon", {"hopeless": 9, "kept": 1}, 2),
    ]
    write_jsonl(tmp_path / ROUNDS_FILE, (one.as_row() for one in rounds))
    for number in (1, 2):
        (tmp_path / f"round_{number}").mkdir()
        write_jsonl(tmp_path / f"round_{number}" / POSED_FILE, (one.as_row() for one in posed))
    write_json(tmp_path / "summary.json", {"stopped": "1 round did not help", "gain": interval(0.1)})
    (tmp_path / "config.yaml").write_text("rounds: 2\n")
    return write_self_improvement_report(tmp_path).read_text()


def test_best_round_leads(page: str) -> None:
    assert "20.0% → 30.0%" in page
    assert "+10.0" in page
    assert "2 of 20" in page
    assert "1 round did not help" in page


def test_fates_have_a_few_examples_each(page: str) -> None:
    first = page.split("Posed in round 1")[1].split("Posed in round 2")[0]
    assert first.count("0 of 4 answers right") == MOST_EXAMPLES
    assert "all of them are in round_1/posed.jsonl" in first


def test_hostile_problem_stays_text(page: str) -> None:
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;document.title=&#x27;owned&#x27;&lt;/script&gt;") == 4


def test_round_without_a_step_forward_is_hollow(page: str) -> None:
    assert page.count("<svg") == 1
    assert "fill: none" in page
