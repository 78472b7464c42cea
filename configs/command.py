"""What every `python -m …` shares: run `main`, turn the user's errors into one line and exit code 2."""

import argparse
import atexit
import ctypes
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from configs.errors import MullError
from configs.launch import launch_of

PATIENCE = 5.0
"""Seconds that other threads get to end after an error."""
HEAD_START = 10.0
"""Seconds that the other processes give the first one to say what is wrong: its launcher ends them then."""


def run_command(main: Callable[[list[str]], int | None]) -> NoReturn:
    """Call `main(argv)` and exit: 0, `main`'s own code, 2 for a `MullError`, 130 after Ctrl-C.

    Anything else is a bug of ours and keeps its traceback.
    """
    try:
        code = main(sys.argv[1:])
    except MullError as error:
        if launch_of().rank > 0:  # the first process has most errors too, and says them once for all
            time.sleep(HEAD_START)
        print(f"error: {error}", file=sys.stderr)
        _end_in_spite_of_threads(2)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    raise SystemExit(code or 0)


def _end_in_spite_of_threads(code: int) -> None:
    """End the process although a thread of a plug-in blocks, for which the interpreter would wait for ever."""
    joined = threading.Event()
    atexit.register(joined.set)  # called when no thread is waited for any more

    def end() -> None:
        if not joined.wait(PATIENCE):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            os._exit(code)

    threading.Thread(target=end, name="end", daemon=True).start()


def recipe_parser(
    command: str, stage: str, description: str, resume: str | None = None, dry_run: str | None = None
) -> argparse.ArgumentParser:
    """The arguments of `python -m <command> --config RECIPE key.path=value …`.

    `--resume` and `--dry-run` are there if their help is given.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {command}", description=description)
    parser.add_argument("--config", required=True, help=f"a recipe: a path, or a name in configs/{stage}")
    for name, text in (("--resume", resume), ("--dry-run", dry_run)):
        if text:
            parser.add_argument(name, action="store_true", help=text)
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="changes to the recipe")
    return parser


def is_lead() -> bool:
    """Whether this process, of those that a launcher started together, is the one that checks, prints and writes.

    The others' prints go nowhere.
    """
    if launch_of().rank == 0:
        return True
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for as long as the process lives)
    return False


QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
NO_TERMINAL = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}
"""Downloads and loading draw their bars on a terminal alone; elsewhere each step of a bar would be a line."""
SHARED_CORES = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}
"""Threads that wait for one another spin for some microseconds, then sleep. Where two processes share the cores,
spinning on costs each of them most of its speed; sleeping at once costs a process that is alone a third of its
decoding."""


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST_KEPT = 32 << 20
"""Bytes: blocks up to this size stay with the process when they are freed; glibc takes no more."""


def prepare_libraries() -> None:
    """Keep the libraries' bars and notices off the screen and their threads from spinning; the user's variables win.
    Memory that is freed is kept for the next tensor.

    Call it before the first of them is imported.
    """
    waiting = {} if "OMP_WAIT_POLICY" in os.environ else SHARED_CORES
    for name, value in (QUIET | waiting | ({} if sys.stderr.isatty() else NO_TERMINAL)).items():
        os.environ.setdefault(name, value)
    for name in ("bitsandbytes", "trl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed.

    It gives a tensor's memory back to the system, and the next tensor's pages are cleared one by one: half of the time
    of a LoRA layer on a CPU.
    """
    libc = ctypes.CDLL(None)
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ and hasattr(libc, "mallopt"):  # not with musl, nor on macOS
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
