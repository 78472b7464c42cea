"""The Runs page: the list, one run as it grows, and its completions through filters."""

from collections.abc import Callable
from typing import Any, TypeVar

import gradio as gr

from board import markup
from board.components import QUIET, choice, html
from board.rollouts import VERDICTS, Wanted
from board.run_view import RunView
from configs.errors import RunError

Number = TypeVar("Number", int, float)
TICK_SECONDS = 2.0
CHOOSE_ON_CLICK = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-run]");
  if (button) trigger("select", { run: button.dataset.run });
});
"""
"""A click on a run's name chooses it."""


def runs_page(view: RunView) -> None:
    """Builds the page into the open Gradio blocks."""
    say = view.strings
    table = html(elem_id="runs", js_on_load=CHOOSE_ON_CLICK)
    run = choice(value=None, label=say("run"), elem_id="run")
    status, head = html(elem_id="status"), html(elem_id="head")
    with gr.Tab(say("rollouts")):
        with gr.Row():
            step = gr.Textbox(label=say("step"), placeholder=say("step_info"), max_lines=1, min_width=120)
            lowest = gr.Textbox(label=say("lowest"), max_lines=1, min_width=100)
            highest = gr.Textbox(label=say("highest"), max_lines=1, min_width=100)
            verdicts = gr.CheckboxGroup([(say(name), name) for name in VERDICTS], label=say("verdicts"), min_width=300)
            with gr.Column(min_width=160):
                is_cut = gr.Checkbox(False, label=say("only_cut"))
                follows = gr.Checkbox(True, label=say("follow"))
        completions = html(elem_id="rollouts")
    with gr.Tab(say("curves")):
        curves = html(elem_id="curves")
    seen = gr.State({})
    filters = [step, verdicts, is_cut, lowest, highest]
    outputs = [table, run, status, head, curves, completions, seen]
    refresh = _refresh(view)

    def choose(event: gr.EventData) -> str:
        return str(event.run)

    def follow(name: str | None, shown: dict[str, Any], does_follow: bool, *wanted: Any) -> list[Any]:
        return refresh(name, shown, does_follow, wanted)

    def at_once(name: str | None, shown: dict[str, Any], *wanted: Any) -> list[Any]:
        return refresh(name, {**shown, "rollouts": None}, True, wanted)

    table.select(choose, None, run, **QUIET)
    timer = gr.Timer(TICK_SECONDS)
    timer.tick(follow, [run, seen, follows, *filters], outputs, trigger_mode="once", **QUIET)
    for control in (run, *filters):
        control.change(at_once, [run, seen, *filters], outputs, trigger_mode="always_last", **QUIET)


def _refresh(view: RunView) -> Callable[..., list[Any]]:
    """What a tick, a choice or a filter shows anew; what a browser shows already is not sent again."""

    def refresh(name: str | None, seen: dict[str, Any], follows: bool, filters: tuple[Any, ...]) -> list[Any]:
        names = [line.name for line in view.lines()]
        name = name or (names[0] if names else None)
        now: dict[str, Any] = {"table": view.table(name), "names": (names, name)}
        if name is not None:
            now |= _of_run(view, name, seen, follows, filters)
        shows = {**seen, **now}
        changed = {key for key in now if key not in seen or seen[key] != now[key]}
        texts = {
            key: now[key] if key in changed else gr.skip()
            for key in ("table", "status", "head", "curves")
            if key in now
        }
        return [
            texts.get("table", gr.skip()),
            gr.Dropdown(choices=names, value=name) if "names" in changed else gr.skip(),
            texts.get("status", gr.skip()),
            texts.get("head", gr.skip()),
            texts.get("curves", gr.skip()),
            shows.pop("frame", gr.skip()),
            shows,
        ]

    return refresh


def _of_run(view: RunView, name: str, seen: dict[str, Any], follows: bool, filters: tuple[Any, ...]) -> dict[str, Any]:
    """Status, figures, and `frame` where the completions are others than before."""
    try:
        head, curves = view.figures(name)
        now: dict[str, Any] = {"status": view.status(name), "head": head, "curves": curves}
        which = wanted(*filters)
        rollouts = (name, which, view.state_of(name))
        is_other_run = (seen.get("rollouts") or (None,))[0] != name
        if rollouts != seen.get("rollouts") and (follows or is_other_run):
            now |= {"rollouts": rollouts, "frame": view.completions(name, which)}
        return now
    except (RunError, OSError) as error:  # deleted while it is shown
        text = str(error) if isinstance(error, RunError) else view.strings("gone", run=name)
        return {"status": markup.note(text, "fault"), "head": "", "curves": "", "frame": "", "rollouts": None}


def wanted(step: Any, verdicts: Any, is_cut: Any, lowest: Any, highest: Any) -> Wanted:
    """The filters' values. Raises `RunError` for a text that is no number."""
    chosen = frozenset(name for name in verdicts or () if name in VERDICTS)
    bounds = [_number(text, float) for text in (lowest, highest)]
    return Wanted(_number(step, int), chosen, bool(is_cut), *bounds)


def _number(text: Any, kind: Callable[[str], Number]) -> Number | None:
    """The number that a text holds, None where it is empty. Raises `RunError`."""
    if not (found := str(text or "").strip()):
        return None
    try:
        return kind(found)
    except ValueError:
        raise RunError(f"{found[:40]!r} is no number") from None
