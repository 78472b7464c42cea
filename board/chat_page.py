"""The Chat page: one or two models, thinking streamed and folded, and what the budget forced marked."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from board.chat_process import ChatProcess, ChatProcesses
from board.components import QUIET, choice, html
from board.run_view import RunView
from board.talk import Reply, Turn, exported, shown
from configs.errors import MullError
from training.finished_run import open_run

SHOWN_EVERY = 0.15
"""Seconds between two drawings of an answer that grows."""
SAVE = """
(text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "conversation.json";
  link.click();
}
"""


class Talk:
    """What the page does for each browser."""

    def __init__(self, runs: RunView) -> None:
        self.runs, self.say, self.processes = runs, runs.strings, ChatProcesses()
        self._thinks: dict[str, bool] = {}
        """Model → whether it thinks, of those that have answered."""

    def words(self, model: str, seed: str, system: str) -> list[str]:
        """The arguments of `mull chat` for a model of the list. Raises `MullError` for any other."""
        if model not in self.runs.models():
            raise MullError(self.runs.strings("gone", run=model))
        is_run = any(line.name == model for line in self.runs.lines())
        words = ["--model", str(self.runs.run(model)) if is_run else model]
        words += ["--seed", str(int(seed))] if seed.strip().isdecimal() else []
        return words + ([f"--system={system}"] if system.strip() else [])

    def answer(
        self, message: str, turns: list[Turn], models: tuple[str | None, ...], options: dict[str, Any], session: str
    ) -> Iterator[list[Turn]]:
        """The conversation with the next turn, as it grows; one model after the other."""
        turn = Turn(message)
        turns = [*turns, turn]
        for side, model in enumerate(models):
            if not model:
                continue
            reply = Reply(model)
            turn.replies.append(reply)
            yield turns
            said = f" {message}" if message.startswith("/") else message  # a message, no command
            for _ in self._filled(reply, said, side, options, session):
                yield turns
            yield turns

    def longer(self, turns: list[Turn], options: dict[str, Any], session: str) -> Iterator[list[Turn]]:
        """The conversation while each model thinks on about its last answer; what it had stays where it can't."""
        if not turns:
            return
        replies = turns[-1].replies
        for side, before in enumerate(replies):
            if not before.has_thinking:
                continue
            replies[side] = Reply(before.model)
            for _ in self._filled(replies[side], "/longer", side, options, session):
                yield turns
            if replies[side].error:
                replies[side] = replace(before, error=replies[side].error)
            yield turns

    def _filled(self, reply: Reply, said: str, side: int, options: dict[str, Any], session: str) -> Iterator[None]:
        """Let the reply's model say what it says to a line; now and then it is time to draw."""
        try:
            words = self.words(reply.model, options["seed"], options["system"])
            process = self.processes.of(session, str(side), words)
            self._thinks[reply.model] = process.thinks()
            drawn = 0.0
            for found in process.ask(*changed_settings(process, options), said):
                reply.add(found)
                if time.monotonic() - drawn > SHOWN_EVERY:
                    drawn = time.monotonic()
                    yield
        except (MullError, OSError, ValueError) as error:
            reply.error = str(error)

    def grow(
        self, text: str, before: list[Turn], first: str | None, second: str | None, limit: float, times: float,
        heat: float, number: str, instruction: str, request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        """(the conversation as HTML, its turns, as JSON, an empty message) as an answer grows."""
        if not (text or "").strip() or not first:
            return
        options = settings(limit, times, heat, number, instruction)
        for grown in self.answer(text, before, (first, second), options, str(request.session_hash)):
            is_silent = not before and not any(reply.pieces or reply.error for reply in grown[-1].replies)
            yield *self.page(grown, self.say("loading") if is_silent else ""), ""

    def grow_longer(
        self, before: list[Turn], limit: float, times: float, heat: float, number: str, instruction: str,
        request: gr.Request,
    ) -> Iterator[tuple[str, list[Turn], str]]:  # fmt: skip
        """(the conversation as HTML, its turns, as JSON) as its last answer is thought about longer."""
        options = settings(limit, times, heat, number, instruction)
        for grown in self.longer(before, options, str(request.session_hash)):
            yield self.page(grown)

    def page(self, turns: list[Turn], waiting: str = "") -> tuple[str, list[Turn], str]:
        """(the conversation as HTML, its turns, as JSON)."""
        return shown(turns, self.say, waiting), turns, json.dumps(exported(turns), ensure_ascii=False, indent=2)

    def thinks(self, model: str) -> bool:
        """Whether a model thinks, as far as its run or an answer of it says; else it may."""
        try:
            return (
                self._thinks[model]
                if model in self._thinks
                else open_run(self.runs.run(model)).think_format.has_thinking
            )
        except (MullError, OSError):
            return True

    def controls(self, *models: str | None) -> list[Any]:
        """What limits and prolongs thinking is there where a chosen model thinks."""
        is_there = any(self.thinks(model) for model in models if model)
        return [gr.Slider(visible=is_there), gr.Slider(visible=is_there), gr.Button(visible=is_there)]

    def listed(self, chosen: str | None) -> tuple[gr.Dropdown, gr.Dropdown]:
        """The lists of models as they are now."""
        names = self.runs.models()
        none = (self.say("nothing_beside"), "")
        return gr.Dropdown(choices=names, value=chosen or names[0]), gr.Dropdown(choices=[none, *names], value="")

    def stop(self, request: gr.Request) -> None:
        """End the answers under way."""
        for process in self.processes.of_session(str(request.session_hash)):
            process.stop()

    def reset(self, request: gr.Request) -> tuple[str, list[Turn], str]:
        """Forget the conversation, keep the models."""
        self.stop(request)
        for process in self.processes.of_session(str(request.session_hash)):
            try:
                list(process.ask("/reset"))
            except MullError:
                process.close()
        return "", [], "[]"


def settings(limit: float, times: float, heat: float, number: str | None, instruction: str | None) -> dict[str, Any]:
    """What the controls of the page are set to."""
    return {
        "budget": limit,
        "waits": times,
        "temperature": heat,
        "seed": number or "",
        "system": instruction or "",
    }


def changed_settings(process: ChatProcess, options: dict[str, Any]) -> list[str]:
    """The commands that bring a conversation to the options, where they are others than it has.

    A model that does not think has no thinking to limit.
    """
    wanted = {"temperature": f"{options['temperature']:g}"}
    if process.thinks():
        wanted["budget"] = f"{options['budget']:.0f}" if options["budget"] else "auto"
        wanted["waits"] = f"{options['waits']:.0f}"
    changed = {name: value for name, value in wanted.items() if process.settings.get(name) != value}
    process.settings |= changed
    return [f"/{name} {value}" for name, value in changed.items()]


def chat_page(tab: gr.Tab, runs: RunView) -> None:
    """Builds the page into the open Gradio blocks; `tab` is what it stands in."""
    # 1. who answers, and how
    say, talk = runs.strings, Talk(runs)
    with gr.Row():
        model = choice(label=say("model"), elem_id="chat-model")
        beside = choice(label=say("beside"), elem_id="chat-beside")
    with gr.Row():
        budget = gr.Slider(0, 2048, 0, step=8, label=say("budget"), info=say("budget_info"), elem_id="budget")
        waits = gr.Slider(0, 8, 0, step=1, label=say("waits"), elem_id="waits")
        temperature = gr.Slider(0, 2, 0.7, step=0.05, label=say("temperature"))
    with gr.Row():
        seed = gr.Textbox(label=say("seed"), placeholder=say("seed_info"), max_lines=1, min_width=120)
        system = gr.Textbox(label=say("system"), max_lines=3, scale=4)

    # 2. the conversation
    conversation = html(elem_id="conversation", autoscroll=True)
    message = gr.Textbox(label=say("message"), lines=2, max_lines=12, elem_id="message")
    with gr.Row():
        send = gr.Button(say("send"), variant="primary", elem_id="send")
        longer = gr.Button(say("think_longer"), elem_id="longer")
        stop = gr.Button(say("stop_answer"), elem_id="stop-answer")
        reset = gr.Button(say("new_conversation"), elem_id="reset")
        export = gr.Button(say("export"), elem_id="export")
    turns: gr.State = gr.State([])
    saved = gr.Textbox("[]", visible="hidden")

    # 3. the buttons
    controls = [budget, waits, temperature, seed, system]
    inputs = [message, turns, model, beside, *controls]
    tab.select(talk.listed, model, [model, beside], **QUIET)
    thinking = [budget, waits, longer]
    for chosen in (model, beside):
        chosen.change(talk.controls, [model, beside], thinking, **QUIET)
    for event in (send.click, message.submit):
        answered = event(talk.grow, inputs, [conversation, turns, saved, message], **QUIET)
        answered.then(talk.controls, [model, beside], thinking, **QUIET)
    longer.click(talk.grow_longer, [turns, *controls], [conversation, turns, saved], **QUIET)
    stop.click(talk.stop, None, None, **QUIET)
    reset.click(talk.reset, None, [conversation, turns, saved], **QUIET)
    export.click(None, saved, None, js=SAVE)
