"""Commands that the board starts, each in a process of its own that outlives it; another board finds them again."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import psutil

from board.folder import Folder
from board.recipe_form import WORK, Launch
from configs.errors import RunError
from configs.run_directory import RunDir, write_json

HOUSE = Path(__file__).resolve().parents[1]
TAIL = 16_000
"""So many bytes of a log are shown."""


@dataclass(frozen=True, slots=True)
class Job:
    """A command that was started: `pid` with the time `born` at which that process began, which no later one shares."""

    run: str
    words: list[str]
    pid: int
    born: float


class Jobs:
    """The commands started below a folder, whichever board started them."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.home = folder.root / WORK / "jobs"
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, launch: Launch, resume: bool = False) -> Job:
        """Start the command. Raises `RunError` where the run is under way, or its folder in use."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self._lock():  # two tabs, two boards: the second finds the first one's process
            if self.is_alive(launch.run):
                raise RunError(f"{launch.run}: is under way already; nothing was started")
            if launch.is_run:
                RunDir(self.folder.path(launch.run)).check(resume)
            log = self.log(launch.run)
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab" if resume else "wb") as out:
                process = subprocess.Popen(
                    [sys.executable, "-m", *launch.words],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # closing the board's terminal ends nothing
                    env=environment(),
                )
            self._children.append(process)
            job = Job(launch.run, launch.words, process.pid, psutil.Process(process.pid).create_time())
            write_json(self._file(launch.run), asdict(job))
        return job

    def stop(self, run: str) -> None:
        """Ask the run to end: a training finishes its step and saves. Raises `RunError` where it is not under way."""
        job = self.job(run)
        if job is None or not self.is_alive(run):
            raise RunError(f"{run}: no process that a board started is under way")
        os.kill(job.pid, signal.SIGTERM)

    def job(self, run: str) -> Job | None:
        """The last command started for a run; None where no board started one."""
        file = self._file(run)
        try:
            return Job(**json.loads(file.read_text(encoding="utf-8"))) if self.folder.holds(file) else None
        except (ValueError, TypeError):
            return None

    def is_alive(self, run: str) -> bool:
        """Whether the run's last command still runs."""
        self._children = [child for child in self._children if child.poll() is None]
        job = self.job(run)
        try:
            process = psutil.Process(job.pid) if job else None
            return (
                process is not None
                and job is not None
                and abs(process.create_time() - job.born) < 1
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False

    def log(self, run: str) -> Path:
        """Where the run's command writes what it says."""
        self.folder.path(run)
        return self.home / quote(run, safe="") / "output.log"

    def tail(self, run: str) -> str:
        """The end of the run's log; "" without one."""
        log = self.log(run)
        if not self.folder.holds(log):
            return ""
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            return file.read().decode("utf-8", errors="replace")

    def runs(self) -> list[str]:
        """The runs that a board started, the last first."""
        files = sorted(self.home.glob("*/job.json"), key=lambda file: -file.stat().st_mtime)
        return [unquote(file.parent.name) for file in files]

    def _file(self, run: str) -> Path:
        return self.log(run).with_name("job.json")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.home / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def environment() -> dict[str, str]:
    """A command's environment: our packages are found from anywhere, and what it says comes at once."""
    path = [*filter(None, [os.environ.get("PYTHONPATH")]), str(HOUSE)]
    own = {"PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "120"}
    return {**os.environ, **own}


def output_of(words: list[str], seconds: float = 600.0) -> Iterator[str]:
    """What a command that only looks says so far, again and again until it ends; it is ended with its reader."""
    started, text = time.monotonic(), ""
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                text = (text + line.decode("utf-8", errors="replace"))[-4 * TAIL :]
                yield text
                if time.monotonic() - started > seconds:
                    break
            yield text
        finally:
            process.terminate()
