"""The Data page in a real browser: a file dropped, its columns mapped, its section taken to the Train page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.board.browser import CHROMIUM, Looked, board, look, until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
HOSTILE = "<img src=x onerror=\"document.title='owned'\">${document.title='owned'}{{x}}"
NAME = "病 <img src=x onerror=alert(1)> ${alert(1)}.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with board(folder, "--lang", "zh") as address:
        yield address
    assert not list((folder / ".board").glob("dropped-*"))


def data_page(browser: Browser, url: str) -> Looked:
    seen = look(browser, url)
    seen.page.get_by_role("tab", name="数据", exact=True).click()
    seen.page.wait_for_selector("#data-drop input[type=file]", state="attached")
    return seen


def choose(seen: Looked, field: str, column: str) -> None:
    seen.page.locator(f"#data-field-{field} input").click()
    seen.page.locator(f'#data-field-{field} [role=option]:has-text("{column}")').first.click()


def found(seen: Looked) -> str:
    return seen.page.inner_text("#data-found") + seen.page.inner_text("#data-said")


def test_dropped_file_becomes_a_recipes_data(browser: Browser, url: str, folder: Path, tmp_path: Path) -> None:
    rows = "".join(f"高血压第{i}天能吃什么药？,请按时服用第{i}号药，注意休息。\n" for i in range(9))
    quoted = HOSTILE.replace('"', '""')
    (tmp_path / NAME).write_bytes(f'问题,答案\n{rows}坏,一,二\n"{quoted}","{quoted}"\n'.encode("gbk"))
    seen = data_page(browser, url)
    page = seen.page

    # 1. it is dropped: which encoding and columns it has, under a harmless name
    page.set_input_files("#data-drop input[type=file]", str(tmp_path / NAME))
    until(lambda: "no known layout" in found(seen), "that its columns are to be mapped")
    assert "gb18030" in found(seen)
    [kept] = (folder / "uploads").iterdir()
    assert kept.name == "病_img_src_x_onerror_alert_1_alert_1.csv"
    assert sum(file.stat().st_size for file in (folder / ".board").glob("dropped-*/**/*") if file.is_file()) == 0

    # 2. its columns are mapped: the bad row, the rows as the model sees them, nothing of them runs
    choose(seen, "question", "问题")
    choose(seen, "reply", "答案")
    page.click("#look")
    until(lambda: page.locator("#data-found svg").count() == 1, "the histogram")
    assert "可训练 10 行" in found(seen)
    assert page.locator("#data-found td", has_text="3 columns, the header has 2").count() == 1
    assert page.locator("#data-found td", has_text=":11").count() == 1
    assert page.locator("#data-found .loss").first.inner_text() == "⟦请按时服用第0号药，注意休息。<|im_end|>⟧"
    assert "<img src=x" in found(seen)
    assert page.locator("#data-found img, #data-said img").count() == 0
    assert page.title() == "Mull"

    # 3. it is taken to the Train page, whose command is not refused
    until(lambda: "question: 问题" in page.inner_text("#data-section"), "the section")
    page.click("#open-in-train")
    until(lambda: "mull sft --config" in page.inner_text("#command"), "the command")
    [recipe] = (folder / ".board" / "recipes").iterdir()
    assert f"data:\n  path: {kept}\n  fields:\n    question: 问题\n    reply: 答案\n" in recipe.read_text("utf-8")
    assert seen.errors == []
    assert seen.hosts <= {"127.0.0.1", "localhost"}


def test_dropped_problems_become_a_grpo_recipes_data(browser: Browser, url: str, folder: Path, tmp_path: Path) -> None:
    golds = ["4", "\\\\frac{1}{2", "心内科"]
    lines = [f'{{"题": "第{i}题？", "标准": "{gold}"}}\n' for i, gold in enumerate(golds)]
    (tmp_path / "problems.jsonl").write_text("".join(lines) + "{\n", "utf-8")
    seen = data_page(browser, url)
    page = seen.page

    # 1. for GRPO the columns are those of problems
    page.locator("#data-purpose").get_by_label("GRPO").check()
    page.wait_for_selector("#data-room")
    page.set_input_files("#data-drop input[type=file]", str(tmp_path / "problems.jsonl"))
    until(lambda: "no question in column" in found(seen), "that its columns are to be mapped")
    assert not page.locator("#data-field-reply").is_visible()
    choose(seen, "question", "题")
    choose(seen, "answer", "标准")

    # 2. prompts, golds that can't be read, the bad row; another length of completions
    page.click("#look")
    until(lambda: page.locator("#data-found svg").count() == 1, "the histogram")
    assert "3 道题；坏行 1" in found(seen)
    assert "有 1 个（33.3%）判分器无法读取" in found(seen)
    assert "每条提示都给回答留出了空间" in found(seen)
    assert page.locator("#data-found td", has_text="file-train-2").count() == 2
    assert "标准答案：4" in found(seen)
    assert page.locator("#data-found .loss").count() == 0
    page.locator("#data-room input").fill("2040")
    until(lambda: "有 3 条（100.0%）没有给回答留出空间" in found(seen), "that they are too long")

    # 3. the section in a recipe of GRPO, whose command is not refused
    page.click("#open-in-train")
    until(lambda: "mull grpo --config" in page.inner_text("#command"), "the command")
    recipes = [path.read_text("utf-8") for path in (folder / ".board" / "recipes").iterdir()]
    assert any("problems.jsonl\n  fields:\n    question: 题\n    answer: 标准\n" in text for text in recipes)
    assert seen.errors == []


def test_what_is_no_data_is_neither_kept_nor_read(browser: Browser, url: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<script>alert(1)</script>")
    (tmp_path / "a.parquet").write_bytes(b"PK\x03\x04 not a table")
    (tmp_path / "secret.csv").write_text("question,answer\nwho?,a secret\n")
    seen = data_page(browser, url)
    drop = "#data-drop input[type=file]"
    seen.page.set_input_files(drop, str(tmp_path / "a.html"))
    until(lambda: "no data file; take one of" in found(seen), "its kind")
    seen.page.set_input_files(drop, str(tmp_path / "a.parquet"))
    until(lambda: "未保存" in found(seen), "what is in it")
    assert "not a whole Parquet file" in found(seen)
    assert not list((folder / "uploads").glob("a*"))

    field = seen.page.locator("#data-file input")
    field.fill(str(tmp_path / "secret.csv"))
    field.press("Enter")
    seen.page.click("#look")
    until(lambda: "no data file below" in found(seen), "the refusal")
    assert "a secret" not in found(seen)
