"""The doctor pressed in a real browser: its lines as they come, and what it does not look at."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from board.strings import Strings
from tests.board.browser import CHROMIUM, look, until
from tests.tiny import tiny_model

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
SMALL = {
    "model.max_length": "512",
    "trainer.max_steps": "2",
    "trainer.per_device_train_batch_size": "4",
    "trainer.num_generations": "4",
    "trainer.max_completion_length": "12",
    "data.limit": "20",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board") / "outputs"
    root.mkdir()
    tiny_model(root.with_name("model"))
    return root


def test_doctor_says_its_lines(browser: Browser, url: str, folder: Path) -> None:
    seen = look(browser, url)
    page = seen.page
    page.get_by_role("tab", name="Train").click()
    for key, value in (SMALL | {"model.name": str(folder.with_name("model")), "model.adapter": "null"}).items():
        field = f"#field-{key.replace('.', '-')}"
        page.locator(f"{field} textarea, {field} input").fill(value)
    until(lambda: "model.adapter=null" in page.inner_text("#command"), "the command")
    page.click("#doctor")
    until(lambda: "lines are fine" in page.inner_text("#looked"), "the doctor's last line")
    lines = page.inner_text("#looked").strip().splitlines()
    findings = [line for line in lines if line.startswith(("passed", "warned", "failed"))]
    assert not [line for line in findings if line.startswith("failed")]
    assert f"of {len(findings)} lines are fine" in lines[-1]
    for name in ("versions", "lengths", "loss mask", "reward correctness", "engine"):
        assert any(name in line for line in findings), (name, findings)
    assert not (folder / "grpo").exists()  # it starts nothing
    assert seen.errors == []


def test_doctor_looks_at_grpo_alone(browser: Browser, url: str) -> None:
    seen = look(browser, url)
    seen.page.get_by_role("tab", name="Train").click()
    seen.page.locator("#stage").get_by_label("sft").check()
    until(lambda: "mull sft" in seen.page.inner_text("#command"), "the command")
    seen.page.click("#doctor")
    until(lambda: Strings("en")("no_doctor") in seen.page.inner_text("#looked"), "that it does not look")
