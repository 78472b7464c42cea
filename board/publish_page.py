"""The Publish page: a finished run as a repository; dry run, gate, card first, and sent when confirmed."""

from typing import Any

import gradio as gr

from board import markup
from board.components import QUIET, choice, html
from board.jobs import Jobs
from board.publication import FIELDS, dry, publication, publication_name
from board.publish_view import PublishView
from board.recipe_form import Launch, sentence
from board.run_actions import LOG_SECONDS, RunActions, changes, in_place, log_box
from board.run_view import RunView
from configs.errors import ConfigError, MullError
from configs.schema.publish import TARGETS

Shown = tuple[str, str, str, str]


class PublishForm:
    """The components of a form, and what they make."""

    def __init__(self, runs: RunView) -> None:
        self.runs, say = runs, runs.strings
        with gr.Row():
            self.run = choice(label=say("finished_run"), elem_id="publish-run", scale=2)
            self.repo = gr.Textbox(label=say("repo"), placeholder=say("repo_info"), max_lines=1, elem_id="publish-repo")
            self.is_public = gr.Checkbox(False, label=say("is_public"), elem_id="publish-public")
        with gr.Row():
            self.exports = gr.CheckboxGroup(
                list(TARGETS), value=["adapter"], label=say("exports"), elem_id="publish-exports"
            )
            self.evaluations = choice(
                value=[], multiselect=True, label=say("evaluations"), elem_id="publish-evaluations"
            )
        self.fields: dict[str, gr.Textbox] = {}
        with gr.Row():
            for key in FIELDS:
                self.fields[key] = gr.Textbox(
                    label=key,
                    info=say.of_schema(sentence("publish", key)),
                    max_lines=3 if key == "limits" else 1,
                    min_width=220,
                    elem_id="publish-" + key.replace("_", "-"),
                )
        chosen = [self.run, self.repo, self.is_public, self.exports, self.evaluations]
        self.inputs = [*chosen, *self.fields.values()]

    def launch(
        self, run: str | None, repo: str, is_public: bool, exports: list[str], evaluations: list[str], *typed: str
    ) -> Launch:
        """The command of the form as it stands, which sends. Raises `MullError`."""
        fields = dict(zip(self.fields, typed, strict=True))
        folder = self.runs.folder
        return publication(folder, run or "", exports or [], repo or "", bool(is_public), evaluations or [], fields)

    def listed(self, chosen: str | None) -> tuple[gr.Dropdown, gr.Dropdown]:
        """The lists of finished trainings and of evaluations as they are now."""
        lines = {line.name: line for line in self.runs.lines(0)}
        names = [name for name in self.runs.trained() if lines[name].stage in ("sft", "grpo")]
        evaluated = [name for name, line in lines.items() if line.stage == "eval" and line.state == "done"]
        value = chosen if chosen in names else (names[0] if names else None)
        return gr.Dropdown(choices=names, value=value), gr.Dropdown(choices=evaluated)


class PublishActions:
    """What the buttons do: each says in place what is wrong."""

    def __init__(self, runs: RunView, form: PublishForm) -> None:
        self.form, self.say, self.jobs = form, runs.strings, Jobs(runs.folder)
        self.view = PublishView(runs.folder, runs.strings)
        self.runs = RunActions(runs, self.jobs, form)

    def command(self, *values: Any) -> str:
        """The dry run's command to copy."""
        return in_place(lambda: log_box(dry(self.form.launch(*values)).typed()))

    def dry_run(self, *values: Any) -> str:
        """Put the folder together and send nothing."""
        return in_place(lambda: self._started(dry(self.form.launch(*values))))

    def send(self, typed: str, *values: Any) -> str:
        """Publish what a dry run with the same settings has put together, if the name was typed again."""

        def sent() -> str:
            launch = self.form.launch(*values)
            self._check_confirmed(launch, (typed or "").strip())
            return self._started(launch)

        return in_place(sent)

    def _started(self, launch: Launch) -> str:
        return markup.note(self.say("publish_started", run=self.jobs.start(launch).run))

    def _check_confirmed(self, launch: Launch, typed: str) -> None:
        repo = next((word.removeprefix("--repo=") for word in launch.words if word.startswith("--repo=")), "")
        if not repo:
            raise ConfigError(self.say("no_repo"))
        if typed != repo:
            raise ConfigError(self.say("not_confirmed", repo=repo))
        looked_at = self.jobs.job(launch.run)
        has_looked = looked_at is not None and looked_at.words in (launch.words, dry(launch).words)
        if not (has_looked and self.view.is_ready(launch.run)):
            raise ConfigError(self.say("no_dry_run"))

    def stop(self, run: str | None) -> str:
        """Ask a publication to end."""
        return self.runs.stop(publication_name(run or ""))

    def follow(self, run: str | None, seen: Shown) -> tuple[Any, ...]:
        """(state of its process, end of its log, the gate's table, the card, and all of them to compare with)."""
        now: Shown = ("", "", "", "")
        if run:
            name = publication_name(run)
            try:
                now = (*self.runs.followed(name), self.view.gate(name), self.view.card(name))
            except (MullError, OSError) as error:
                now = (markup.note(str(error), "fault"), "", "", "")
        return *changes(now, seen), now


def publish_page(tab: gr.Tab, runs: RunView) -> None:
    """Builds the page into the open Gradio blocks; `tab` is what it stands in."""
    # 1. the form, and the dry run
    say = runs.strings
    form = PublishForm(runs)
    act = PublishActions(runs, form)
    gr.Markdown(f"**{say('command')}**")
    command = html(elem_id="publish-command")
    with gr.Row():
        look = gr.Button(say("dry_run"), variant="primary", elem_id="publish-dry")
        stop = gr.Button(say("stop"), variant="stop", elem_id="publish-stop")
    said, state = html(elem_id="publish-said"), html(elem_id="publish-state")
    log = html(elem_id="publish-log", autoscroll=True, max_height=160)

    # 2. what it found, and the last word
    gate = html(elem_id="publish-gate")
    card = html(elem_id="publish-card")
    with gr.Row(equal_height=True):
        typed = gr.Textbox(label=say("publish_confirm"), max_lines=1, scale=3, elem_id="publish-typed")
        send = gr.Button(say("send_now"), variant="stop", elem_id="publish-send")
    sent = html(elem_id="publish-sent")
    seen = gr.State(("", "", "", ""))

    # 3. the command follows the form; the buttons
    tab.select(form.listed, form.run, [form.run, form.evaluations], **QUIET)
    for field in form.inputs:
        field.change(act.command, form.inputs, command, trigger_mode="always_last", **QUIET)
    look.click(act.dry_run, form.inputs, said, **QUIET)
    stop.click(act.stop, form.run, said, **QUIET)
    send.click(act.send, [typed, *form.inputs], sent, **QUIET)
    gr.Timer(LOG_SECONDS).tick(
        act.follow, [form.run, seen], [state, log, gate, card, seen], trigger_mode="once", **QUIET
    )
