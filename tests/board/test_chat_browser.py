"""The Chat page in a real browser with a model that does not think: no thinking is shown, and none is limited."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.board.browser import CHROMIUM, Looked, look, until
from tests.tiny_run import tiny_base, tiny_run

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
THINKS, PLAIN = "sft/thinks", "sft/plain"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board") / "outputs"
    base = tiny_base(root.with_name("base"))
    tiny_run(root / PLAIN, base, think_format="none")
    tiny_run(root / THINKS, base)
    return root


def open_chat(seen: Looked) -> None:
    """The page, once it has its list: what is chosen before, the list would replace."""
    seen.page.get_by_role("tab", name="Chat").click()
    until(lambda: seen.page.locator("#chat-model input").input_value() in (THINKS, PLAIN), "a trained run")


def choose(seen: Looked, place: str, model: str) -> None:
    seen.page.locator(f"#{place} input").fill(model)
    seen.page.locator(f"#{place} input").press("Enter")


def ask(seen: Looked, text: str) -> str:
    """What the conversation says once the message is answered."""
    conversation, ended = seen.page.locator("#conversation"), seen.page.locator("#conversation .turn .note")
    before = ended.count()
    seen.page.locator("#message textarea").fill(text)
    seen.page.click("#send")
    models = 2 if seen.page.locator("#chat-beside input").input_value() in (THINKS, PLAIN) else 1
    until(lambda: ended.count() == before + models or conversation.locator(".fault").count() > 0, "an answer")
    return conversation.inner_text()


def test_model_without_thinking_has_none_to_limit(browser: Browser, url: str) -> None:
    seen = look(browser, url)
    page = seen.page
    open_chat(seen)

    # 1. a limit is set for a model that thinks; the one that does not hides it, and is not told
    choose(seen, "chat-model", THINKS)
    page.wait_for_selector("#budget")
    page.locator("#budget input[type=number]").fill("8")
    page.keyboard.press("Tab")
    choose(seen, "chat-model", PLAIN)
    until(lambda: not page.locator("#budget").is_visible(), "no limit")
    assert not page.locator("#waits").is_visible()
    assert not page.locator("#longer").is_visible()

    # 2. it answers, turn after turn, without a box of thinking
    assert "tokens, ended: " in ask(seen, "hi")
    assert "thinking tokens" not in ask(seen, "and again?")
    assert page.locator("#conversation .turn").count() == 4
    assert page.locator("#conversation .fault, #conversation details").count() == 0

    # 3. beside one that thinks there is a limit, which that one keeps
    choose(seen, "chat-beside", THINKS)
    page.wait_for_selector("#budget")
    page.click("#reset")
    until(lambda: page.locator("#conversation .turn").count() == 0, "an empty conversation")
    assert "8 thinking tokens, ended: limit" in ask(seen, "both?")
    assert page.locator("#conversation .fault").count() == 0
    assert page.locator("#conversation details").count() == 1
    assert seen.errors == []


def test_base_model_is_known_by_its_answer(browser: Browser, url: str, folder: Path) -> None:
    seen = look(browser, url)
    page = seen.page
    open_chat(seen)
    choose(seen, "chat-model", str(folder.with_name("base")))
    page.wait_for_selector("#budget")
    assert "tokens, ended: " in ask(seen, "hi")
    until(lambda: not page.locator("#budget").is_visible(), "no limit")
