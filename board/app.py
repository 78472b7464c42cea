"""The board as a Gradio app: its pages side by side, and how it is served."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from board import markup
from board.chat_page import chat_page
from board.compare_page import compare_page
from board.data_files import LARGEST
from board.data_page import data_page
from board.evaluate_page import evaluate_page
from board.folder import Folder
from board.no_files import NoFiles
from board.publish_page import publish_page
from board.recipe_form import WORK
from board.run_view import RunView
from board.runs_page import runs_page
from board.strings import Strings
from board.train_page import train_page
from configs.errors import ConfigError

LOCAL_NAMES = ["127.0.0.1", "localhost"]
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "DejaVu Sans", "sans-serif"]
MONO = ["ui-monospace", "DejaVu Sans Mono", "monospace"]


def board(folder: Path, language: str, data: Sequence[Path] = ()) -> gr.Blocks:
    """The pages over the runs below a folder; `data`: further folders whose data files may be read."""
    root, say = Folder(folder), Strings(language)
    view = RunView(root, say)
    with gr.Blocks(analytics_enabled=False, title="Mull", fill_width=True) as blocks:
        gr.Markdown(f"# Mull · {say('board')}")
        with gr.Tab(say("runs"), id="runs"):
            runs_page(view)
        with gr.Tab(say("compare"), id="compare") as tab:
            compare_page(tab, view)
        with gr.Tab(say("data"), id="data") as tab:
            data_of_page = data_page(tab, view, data)
        with gr.Tab(say("train"), id="train", elem_id="train-tab") as tab:
            data_of_page.opens_in(train_page(tab, view))
        with gr.Tab(say("evaluate"), id="evaluate") as tab:
            evaluate_page(tab, view)
        with gr.Tab(say("chat"), id="chat") as tab:
            chat_page(tab, view)
        with gr.Tab(say("publish"), id="publish") as tab:
            publish_page(tab, view)
    return blocks


def launch_options(host: str, port: int, password: str | None) -> dict[str, Any]:
    """How the board is served: to this machine alone, or behind a password; nothing from or to anywhere else."""
    names = LOCAL_NAMES if password is None else ["*"]
    return {
        "server_name": host,
        "server_port": port,
        "auth": None if password is None else ("mull", password),
        "share": False,
        "quiet": True,
        "footer_links": [],
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "max_file_size": LARGEST,
        "theme": gr.themes.Base(font=FONTS, font_mono=MONO),
        "head": f"<style>{markup.stylesheet()}</style>",  # as `css` Gradio would rewrite its selectors
        # a page elsewhere can't reach a board on this machine under a name of its own
        "app_kwargs": {"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=names), Middleware(NoFiles)]},
    }


def serve(folder: Path, language: str, host: str, port: int, password: str | None, data: Sequence[Path] = ()) -> None:
    """Serve the board until Ctrl-C. Raises `ConfigError` where the port is taken meanwhile."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    home = folder.resolve() / WORK
    home.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=home, prefix="dropped-", ignore_cleanup_errors=True) as dropped:
        os.environ["GRADIO_TEMP_DIR"] = dropped
        blocks = board(folder, language, data)
        blocks.queue(default_concurrency_limit=4)
        try:
            _, url, _ = blocks.launch(prevent_thread_lock=True, **launch_options(host, port, password))
        except OSError as error:
            raise ConfigError(f"--port {port}: {' '.join(str(error).split())}") from None
        print(f"board: {url} over {folder}" + ("" if password is None else ', user "mull"'), flush=True)
        blocks.block_thread()
