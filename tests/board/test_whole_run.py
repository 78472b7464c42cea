"""The whole way in a real browser: a GRPO run started from the form, watched, stopped, resumed, and talked to."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from board.folder import Folder
from board.jobs import Jobs
from tests.board.browser import CHROMIUM, Looked, board, launch, look, until
from tests.tiny import tiny_model
from tests.tiny_run import tiny_base, tiny_run

pytestmark = [
    pytest.mark.recipe,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
SMALL = {
    "model.max_length": "512",
    "trainer.max_steps": "20000",
    "trainer.per_device_train_batch_size": "4",
    "trainer.max_completion_length": "24",
    "data.limit": "40",
}


def fill(seen: Looked, key: str, value: str) -> None:
    seen.page.locator(f"#field-{key.replace('.', '-')} textarea, #field-{key.replace('.', '-')} input").fill(value)


def edited(text: str) -> str:
    """The demo's recipe with little to measure and a checkpoint a step."""
    text = text.replace("limit: 200", "limit: 4").replace("k: 4", "k: 2").replace("max_tokens: 64", "max_tokens: 8")
    return text.replace("gradient_accumulation_steps: 8", "gradient_accumulation_steps: 1").replace(
        "save_steps: 6", "save_steps: 1"
    )


def test_a_run_from_the_form_to_the_chat(tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    jobs = Jobs(Folder(folder))
    model = tiny_model(tmp_path / "model")
    tiny_run(folder / "sft" / "tiny", tiny_base(tmp_path / "base"))
    with board(folder) as url, sync_playwright() as playwright:
        browser = launch(playwright)
        first, second = look(browser, url), look(browser, url)

        # 1. the form: a mistake in its place, then the command
        recipe = edited((Path(__file__).parents[2] / "configs" / "grpo" / "demo.yaml").read_text(encoding="utf-8"))
        for seen in (first, second):
            seen.page.get_by_role("tab", name="Train").click()
            seen.page.get_by_text("The whole recipe, as YAML").click()
            seen.page.locator("#recipe-text .cm-content").fill(recipe)
            for key, value in (SMALL | {"model.name": str(model)}).items():
                fill(seen, key, value)
        fill(first, "trainer.max_steps", "many")
        until(lambda: "expected int, found 'many'" in first.page.inner_text("#command"), "the schema's own words")
        fill(first, "trainer.max_steps", SMALL["trainer.max_steps"])
        until(lambda: "mull grpo --config" in first.page.inner_text("#command"), "the command")

        # 2. two tabs press start
        for seen in (first, second):
            seen.page.click("#start")
        said = [seen.page.locator("#said .mull") for seen in (first, second)]
        for one in said:
            one.wait_for()
        texts = sorted(one.inner_text() for one in said)
        assert texts == [
            "grpo/demo-1 has started; its completions arrive on the Runs page.",
            "grpo/demo-1: is under way already; nothing was started",
        ]

        # 3. its first rollouts arrive
        first.page.get_by_role("tab", name="Runs").click()
        until(lambda: first.page.locator('[data-run="grpo/demo-1"]').count() == 1, "the run in the list")
        first.page.click('[data-run="grpo/demo-1"]')
        until(lambda: first.options() > 0, "rollouts")

        # 4. stop, resume
        first.page.get_by_role("tab", name="Train").click()
        first.page.click("#stop")
        until(lambda: not jobs.is_alive("grpo/demo-1"), "the end of the process")
        run = folder / "grpo" / "demo-1"
        steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert any((run / "checkpoints").iterdir())
        first.page.click("#resume")
        until(lambda: jobs.is_alive("grpo/demo-1"), "the process again")
        until(lambda: (run / "metrics.jsonl").read_text().count("\n") > len(steps), "a step more")
        first.page.click("#stop")
        until(lambda: not jobs.is_alive("grpo/demo-1"), "the end of the process")

        # 5. talk to a trained run under a budget
        first.page.get_by_role("tab", name="Chat").click()
        until(lambda: first.page.locator("#chat-model input").input_value() == "sft/tiny", "the trained run")
        first.page.get_by_label("seed", exact=True).last.fill("1")
        first.page.locator("#budget input[type=number]").fill("8")
        first.page.keyboard.press("Tab")
        first.page.locator("#message textarea").fill("<img src=x onerror=\"document.title='owned'\"> {{x}}")
        first.page.click("#send")
        until(lambda: "8 thinking tokens, ended: limit" in first.page.inner_text("#conversation"), "an answer")
        assert first.page.locator("#conversation summary .forced").first.inner_text().startswith("<|im_start|>answer")
        first.page.click("#longer")
        until(lambda: "16 thinking tokens, ended: limit" in first.page.inner_text("#conversation"), "a longer one")
        assert "8 thinking tokens, ended" not in first.page.inner_text("#conversation")
        assert first.page.locator("#conversation .turn").count() == 2
        assert first.page.locator("#conversation img").count() == 0
        assert first.page.title() == "Mull"
        assert first.hosts <= {"127.0.0.1", "localhost"}
        browser.close()
