"""The Compare page: choose runs, read what differs."""

import gradio as gr

from board import markup
from board.compare_view import MOST_RUNS, CompareView
from board.components import QUIET, choice, html
from board.run_view import RunView
from configs.errors import MullError


def compare_page(tab: gr.Tab, runs: RunView) -> None:
    """Builds the page into the open Gradio blocks; `tab` is what it stands in."""
    say = runs.strings
    view = CompareView(runs.folder, say, runs.drawing)
    chosen = choice(value=[], multiselect=True, max_choices=MOST_RUNS, label=say("runs_compared"), elem_id="compared")
    differences = html(elem_id="differences")
    with gr.Tab(say("curves")):
        curves = html(elem_id="compare-curves")
    with gr.Tab(say("differing")):
        differing = html(elem_id="differing")

    def listed() -> gr.Dropdown:
        return gr.Dropdown(choices=[line.name for line in runs.lines(0)])

    def compare(names: list[str]) -> tuple[str, str, str]:
        try:
            lines, tables, questions = view.show(names or [])
            return tables, lines, questions
        except (MullError, OSError, ValueError, TypeError, KeyError) as error:
            kind = "fault" if len(names or []) > 1 else "note"
            return markup.note(" ".join(str(error).split()), kind), "", ""

    tab.select(listed, None, chosen, **QUIET)
    chosen.change(
        compare, chosen, [differences, curves, differing], trigger_mode="always_last", api_visibility="private"
    )
