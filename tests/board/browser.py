"""A board in a process of its own, and a real browser that looks at it."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, FrameLocator, Page, Playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 300.0
"""Seconds for what a loaded machine may take."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def board(folder: Path, *arguments: str) -> Iterator[str]:
    """The address of a board over `folder`."""
    port = free_port()
    words = [sys.executable, "-m", "board.serve", "--folder", str(folder), "--port", str(port), *arguments]
    log = folder.with_name(f"{folder.name}-board-{port}.log")
    with log.open("w") as out:
        process = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        until(lambda: "board: http" in log.read_text() or process.poll() is not None, "the board")
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}/"
        assert "Traceback" not in log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"Ctrl-C did not end the board: {log.read_text()}") from None


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])


@dataclass
class Looked:
    """A page with what it asked for and what went wrong on it."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def frame(self, place: str = "rollouts") -> FrameLocator:
        return self.page.frame_locator(f"#{place} iframe")

    def options(self, place: str = "rollouts") -> int:
        """How many samples the frame lists."""
        return self.frame(place).locator("li[role=option]").count()


def look(browser: Browser, url: str, **context: object) -> Looked:
    """Open the board and wait for its list of runs."""
    page = browser.new_context(**context).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(1000 * PATIENCE)
    looked = Looked(page)
    page.on("request", lambda request: looked.hosts.update(re.findall(r"^\w+://([^/:]+)", request.url)))
    page.on("pageerror", lambda error: looked.errors.append(str(error)))
    page.on("console", lambda said: looked.errors.append(said.text) if said.type == "error" else None)
    page.goto(url)
    page.wait_for_selector("#runs .mull")
    return looked


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds. Raises `AssertionError` that says what did not."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)
