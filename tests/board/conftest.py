"""The browser that a module's tests share, and a board over the module's `folder`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.board.browser import board, launch


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with board(folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launch(playwright)
        yield opened
        opened.close()
