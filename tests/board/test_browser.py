"""The board in a real browser: what it shows of runs, as they grow and as they are hostile, and whom it asks."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from board.app import LOCAL_NAMES
from configs.run_directory import append_jsonl, write_json
from configs.sample import Sample
from tests.board.browser import CHROMIUM, board, look, until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>"
    "${document.title='owned'} {{#if x}} {{constructor.constructor}} `${alert(1)}`"
)
RECORD = {"stage": "grpo", "command": "python -m rl.grpo", "versions": {}}


def rollout(step: int, score: float | None, number: int = 0, text: str = "so", question: str = "2 + 2?") -> Any:
    turn = f"<|im_start|>think\n{text} Wait<|im_start|>answer\n4"
    at = turn.index("Wait")
    reward = None if score is None else 2 * score
    made = Sample(f"p{step}", sample=number, question=question, gold="4", text=turn, forced=((at, at + 4),), step=step)
    verdict = {
        "score": score,
        "extracted": "4",
        "reason": "equal",
        "reward": reward,
        "rewards": {"correctness": reward},
    }
    return made.to_row() | verdict


def make_run(folder: Path, name: str, steps: int = 3, config: dict[str, Any] | None = None, **fields: Any) -> Path:
    run = folder / name
    run.mkdir(parents=True)
    write_json(run / "run.json", RECORD)
    recipe = {"model": {"name": "tiny"}, "data": {"source": "arithmetic"}, "trainer": {"max_steps": 10}}
    write_json(run / "config.yaml", recipe | (config or {}))
    for step in range(1, steps + 1):
        metrics = {"step": step, "reward": 0.1 * step, "completion_tokens": 20.0, "step_seconds": 2.0}
        append_jsonl(run / "metrics.jsonl", metrics)
        append_jsonl(run / "rollouts.jsonl", rollout(step, 1.0, 0, **fields), rollout(step, 0.0, 1, **fields))
    return run


def make_evaluation(folder: Path, name: str, right: set[int]) -> None:
    run = folder / name
    run.mkdir(parents=True)
    write_json(run / "run.json", RECORD | {"stage": "eval"})
    samples = [Sample(f"q{at}", "greedy", question=f"{at} + 1?", gold=str(at + 1), text="so", score=float(at in right))
               for at in range(8)]  # fmt: skip
    append_jsonl(run / "samples.jsonl", *(sample.to_row() for sample in samples))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    make_run(root, "grpo/first")
    return root


def test_a_run_is_followed_as_it_grows(browser: Browser, url: str, folder: Path) -> None:
    run = make_run(folder, "grpo/grows", steps=2)
    seen = look(browser, url)
    seen.page.click('[data-run="grpo/grows"]')
    until(lambda: seen.options() == 4, "the rollouts of two steps")
    append_jsonl(run / "rollouts.jsonl", rollout(3, 1.0), rollout(3, None, 1))
    append_jsonl(run / "metrics.jsonl", {"step": 3, "reward": 0.3, "step_seconds": 2.0})
    with (run / "rollouts.jsonl").open("a") as file:
        file.write('{"id": "half')
    until(lambda: seen.options() == 6, "those of a third")
    until(lambda: "step 3 / 10" in seen.page.inner_text("#status"), "its step")
    assert seen.frame().locator("li .group").first.inner_text() == "step 3"
    assert seen.errors == []
    assert seen.hosts <= {"127.0.0.1", "localhost"}


def test_thinking_is_folded_and_forced_tokens_marked(browser: Browser, url: str) -> None:
    seen = look(browser, url)
    seen.page.click('[data-run="grpo/first"]')
    frame = seen.frame()
    details = frame.locator(".completion details").first
    details.wait_for()
    assert details.get_attribute("open") is None
    assert details.locator("summary .span-forced").inner_text() == "Wait"
    assert frame.locator(".completion > .span-answer").inner_text() == "4"
    frame.locator("select[aria-label='side by side with']").select_option(index=1)
    until(lambda: frame.locator(".beside > div").count() == 2, "two completions side by side")


def test_filters_leave_what_fits(browser: Browser, url: str) -> None:
    seen = look(browser, url)
    seen.page.click('[data-run="grpo/first"]')
    until(lambda: seen.options() == 6, "all rollouts")
    seen.page.get_by_label("wrong", exact=True).check()
    until(lambda: seen.options() == 3, "the wrong ones")
    assert seen.frame().locator(".dot.right").count() == 0
    seen.page.get_by_label("step", exact=True).fill("2")
    until(lambda: seen.options() == 1, "that of step 2")
    seen.page.get_by_label("step", exact=True).fill("two")
    until(lambda: "'two' is no number" in seen.page.inner_text("#status"), "the mistake said in place")


def test_hostile_text_runs_nothing(browser: Browser, url: str, folder: Path) -> None:
    name = "grpo/<img src=x onerror=\"document.title='owned'\"> ${document.title='owned'} {{x}}"
    recipe = {"model": {"name": HOSTILE}, "data": {"source": HOSTILE}}
    run = make_run(folder, name, config=recipe, text=HOSTILE, question=HOSTILE)
    append_jsonl(
        run / "metrics.jsonl", {"step": 4, f"rewards/{HOSTILE}": 1.0, "alarms": [HOSTILE], "step_seconds": 1.0}
    )
    seen = look(browser, url)
    seen.page.locator(f"#runs button:has-text({json.dumps(name)})").click()
    until(lambda: seen.options() == 6, "its rollouts")
    seen.frame().locator(".completion details summary").first.click()
    until(lambda: HOSTILE[:30] in seen.page.inner_text("#head"), "its alarm")
    seen.page.get_by_role("tab", name="Curves").click()
    seen.page.wait_for_selector("#curves svg")
    assert seen.page.locator("#runs td span[title]").first.get_attribute("title") == HOSTILE
    assert HOSTILE[-12:] in seen.page.inner_text("#runs")
    assert HOSTILE[:70] in seen.frame().locator(".completion").first.inner_text()  # from $ on it is read as LaTeX
    assert seen.page.locator("#runs img, #head img, #curves img, #curves script").count() == 0
    assert seen.frame().locator("img").count() == 0
    assert seen.page.title() == "Mull"
    shutil.rmtree(run)


def test_a_run_deleted_while_shown_is_said(browser: Browser, url: str, folder: Path) -> None:
    run = make_run(folder, "grpo/vanishes")
    seen = look(browser, url)
    seen.page.click('[data-run="grpo/vanishes"]')
    until(lambda: seen.options() == 6, "its rollouts")
    shutil.rmtree(run)
    until(lambda: "no longer there" in seen.page.inner_text("#status"), "that it is gone")
    until(lambda: seen.page.locator('[data-run="grpo/vanishes"]').count() == 0, "the list without it")


def test_two_runs_are_compared(browser: Browser, url: str, folder: Path) -> None:
    make_evaluation(folder, "eval/a", {0, 1, 2})
    make_evaluation(folder, "eval/b", {1, 2, 3, 4, 5})
    seen = look(browser, url)
    seen.page.get_by_role("tab", name="Compare").click()
    for name in ("eval/a", "eval/b"):
        seen.page.locator("#compared input").fill(name)
        seen.page.locator(f'#compared [role=option]:has-text("{name}")').first.click()
    until(lambda: "eval/b is 2 of 8 better" in seen.page.inner_text("#differences"), "the verdict")
    seen.page.get_by_role("tab", name="Questions where they differ").click()
    until(lambda: seen.options("differing") == 4, "the questions of 0, 3, 4 and 5")


def test_chinese_board_speaks_chinese(browser: Browser, folder: Path) -> None:
    with board(folder, "--lang", "zh") as address:
        seen = look(browser, address)
        seen.page.click('[data-run="grpo/first"]')
        until(lambda: seen.options() == 6, "its rollouts")
        assert seen.page.get_by_role("tab").first.inner_text() == "运行"
        assert seen.frame().locator("h4").first.inner_text() == "奖励"
        assert "正确 3" in seen.frame().locator(".bar").nth(1).inner_text()


def test_files_are_not_served(browser: Browser, url: str, folder: Path) -> None:
    request = browser.new_context().request
    for path in ("/etc/passwd", folder / "grpo" / "first" / "run.json", "http://127.0.0.1/"):
        for place in ("gradio_api/file=", "file=", "gradio_api/file/", "gradio_api/proxy=", "/gradio_api//file="):
            answer = request.get(f"{url}{place}{path}")
            assert answer.status in (403, 404), place
            assert answer.text() in ("The board serves no file.", '{"detail":"Not Found"}')
    assert request.get(url, headers={"Host": "elsewhere.example"}).status == 400
    assert "127.0.0.1" in LOCAL_NAMES


def test_password_is_asked_for(browser: Browser, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    with board(folder, "--password-file", str(secret)) as address:
        page = browser.new_context().new_page()
        page.goto(address)
        page.locator("input[type=password]").wait_for()
        assert page.locator("#runs").count() == 0
        assert page.request.get(f"{address}config").status == 401
        page.locator("input").first.fill("mull")
        page.locator("input[type=password]").fill("correct horse")
        page.locator("button").first.click()
        page.wait_for_selector("#runs .mull", timeout=120_000)
