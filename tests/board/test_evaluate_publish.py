"""In a real browser: an evaluation from the form to its curve, and a publication up to its confirmation."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from board.folder import Folder
from board.jobs import Jobs
from tests.board.browser import CHROMIUM, PATIENCE, Looked, look, until
from tests.tiny_run import HELD_OUT, tiny_base, tiny_run

pytestmark = [
    pytest.mark.recipe,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
RUN = "sft/tiny"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> ${document.title='owned'} {{x}} `y`"


def fill(seen: Looked, place: str, value: str) -> None:
    seen.page.locator(f"#{place} textarea, #{place} input").first.fill(value)
    seen.page.keyboard.press("Tab")


def text_of(seen: Looked, place: str) -> str:
    return seen.page.locator(f"#{place}").inner_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("board") / "outputs"
    few = {"data": HELD_OUT | {"limit": 8}, "max_tokens": 12}
    tiny_run(root / RUN, tiny_base(root.with_name("base")), eval=few)
    yield root
    jobs = Jobs(Folder(root))
    for name in filter(jobs.is_alive, jobs.runs()):  # of a test that failed
        jobs.stop(name)


def test_an_evaluation_from_the_form_to_the_curve(browser: Browser, url: str, folder: Path) -> None:
    jobs = Jobs(Folder(folder))
    first, second = look(browser, url), look(browser, url)

    # 1. the form: a mistake in its place, then the command, the plan
    for seen in (first, second):
        seen.page.get_by_role("tab", name="Evaluate").click()
        expect(seen.page.locator("#eval-model input")).to_have_value(RUN, timeout=1000 * PATIENCE)
        fill(seen, "eval-data-limit", "4000")
        fill(seen, "eval-model-max_length", "512")
    fill(first, "eval-budgets", "8, much")
    until(lambda: "'much' is no number of thinking tokens" in text_of(first, "eval-command"), "the mistake")
    for seen in (first, second):
        fill(seen, "eval-budgets", "8, 24")
        command = seen.page.locator("#eval-command")
        expect(command).to_contain_text('"max_thinking": 24', timeout=1000 * PATIENCE)
    assert f"model.adapter={folder / RUN / 'adapter'}" in text_of(first, "eval-command")
    first.page.click("#eval-plan")
    until(lambda: "2 budgets" in text_of(first, "eval-looked"), "the plan")

    # 2. two tabs press start; the points grow
    for seen in (first, second):
        seen.page.click("#eval-start")
    said = [seen.page.locator("#eval-said .mull") for seen in (first, second)]
    for one in said:
        one.wait_for()
    assert sorted("has started" in one.inner_text() for one in said) == [False, True]
    until(lambda: first.page.locator("#eval-points tbody tr").count() == 2, "two points")
    first.page.wait_for_selector("#eval-curve svg")
    assert "So far" in text_of(first, "eval-points")

    # 3. stop, resume
    first.page.click("#eval-stop")
    until(lambda: not jobs.is_alive("eval/demo-1"), "the end of the process")
    samples = folder / "eval" / "demo-1" / "samples.jsonl"
    count = samples.read_text().count("\n")
    assert not (folder / "eval" / "demo-1" / "results.json").exists()
    first.page.click("#eval-resume")
    until(lambda: samples.read_text().count("\n") > count, "a sample more")
    first.page.click("#eval-stop")
    until(lambda: not jobs.is_alive("eval/demo-1"), "the end of the process")
    assert first.hosts <= {"127.0.0.1", "localhost"}
    assert first.errors == []


def test_a_publication_up_to_its_confirmation(browser: Browser, url: str, folder: Path) -> None:
    jobs = Jobs(Folder(folder))
    seen = look(browser, url)

    # 1. the form, and the command it makes
    seen.page.get_by_role("tab", name="Publish").click()
    until(lambda: seen.page.locator("#publish-run input").input_value() == RUN, "the finished run")
    for key, value in (("base-model", "org/tiny-base"), ("limits", HOSTILE), ("repo", "me/tiny")):
        fill(seen, f"publish-{key}", value)
    until(lambda: "--repo=me/tiny --dry-run" in text_of(seen, "publish-command"), "the command")
    fill(seen, "publish-typed", "me/tiny")
    seen.page.click("#publish-send")
    until(lambda: "a dry run with just these settings first" in text_of(seen, "publish-sent"), "what comes first")

    # 2. the dry run: the gate's table fills, then the card is there
    seen.page.click("#publish-dry")
    until(lambda: "adapter" in text_of(seen, "publish-gate"), "the gate's table")
    until(lambda: "Every check passed." in text_of(seen, "publish-gate"), "every check")
    until(lambda: "onerror" in text_of(seen, "publish-card"), "the card")
    assert "held_out_score" in text_of(seen, "publish-gate")
    assert "adapter_model.safetensors" in str(seen.page.locator("#publish-card").text_content())
    assert HOSTILE in text_of(seen, "publish-card")
    assert seen.page.locator("#publish-card img").count() == 0
    assert seen.page.title() == "Mull"
    until(lambda: not jobs.is_alive("publish/sft-tiny"), "the end of the process")

    # 3. nothing is sent under another name
    fill(seen, "publish-typed", "me/other")
    seen.page.click("#publish-send")
    until(lambda: "is not me/tiny; nothing was sent" in text_of(seen, "publish-sent"), "the refusal")
    job = jobs.job("publish/sft-tiny")
    assert job is not None
    assert job.words[-1] == "--dry-run"
    gate = json.loads((folder / "publish" / "sft-tiny" / "repository" / "gate.json").read_text())
    assert gate["passed"]
    assert seen.hosts <= {"127.0.0.1", "localhost"}
    assert seen.errors == []
