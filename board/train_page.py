"""The Train page: a recipe as a form, the plan and the doctor before the button, and runs started, stopped, resumed."""

import html as escaping
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import gradio as gr

from board import markup
from board.components import QUIET, choice, html
from board.data_look import with_section
from board.jobs import Jobs, output_of
from board.recipe_form import (
    FIELDS,
    Launch,
    launch,
    recipe_text,
    recipes,
    resumed,
    sentence,
    unused_name,
    written_value,
)
from board.run_view import RunView
from board.runs import read_line
from configs.errors import MullError

STAGES = ("sft", "grpo", "curate", "distill")
"""What this page starts; evaluations and publications have their own."""
SHOWN = {key: stages for key, stages in FIELDS.items() if set(stages) & set(STAGES)}
FIRST_STAGE, FIRST_RECIPE = "grpo", "demo.yaml"
LOG_SECONDS = 2.0


class TrainForm:
    """The components of a form, and what they make."""

    def __init__(self, runs: RunView, jobs: Jobs) -> None:
        self.runs, self.jobs, self.folder = runs, jobs, runs.folder
        say = runs.strings
        text = recipe_text(FIRST_STAGE, FIRST_RECIPE)
        with gr.Row():
            self.stage = gr.Radio(STAGES, value=FIRST_STAGE, label=say("stage"), elem_id="stage")
            self.recipe = gr.Dropdown(recipes(FIRST_STAGE), value=FIRST_RECIPE, label=say("recipe"), elem_id="recipe")
            name = unused_name(self.folder, f"{FIRST_STAGE}/{FIRST_RECIPE.removesuffix('.yaml')}")
            self.run = gr.Textbox(name, label=say("run_name"), max_lines=1, elem_id="run-name")
        self.fields: dict[str, gr.Textbox] = {}
        with gr.Row(elem_id="fields"):
            for key, stages in SHOWN.items():
                shown_stage = FIRST_STAGE if FIRST_STAGE in stages else stages[0]
                self.fields[key] = gr.Textbox(
                    label=key,
                    info=sentence(shown_stage, key),
                    placeholder=written_value(FIRST_STAGE, text, key) or say("left_alone"),
                    visible=FIRST_STAGE in stages,
                    max_lines=1,
                    min_width=280,
                    elem_id="field-" + key.replace(".", "-"),
                )
        with gr.Accordion(say("the_rest"), open=False):
            self.text = gr.Code(text, language="yaml", show_label=False, elem_id="recipe-text")
        self.inputs = [self.stage, self.recipe, self.text, self.run, *self.fields.values()]

    def launch(self, stage: str, recipe: str, text: str, run: str | None, *changes: str | None) -> Launch:
        """The command of the form as it stands. Raises `MullError`."""
        written = {key: change or "" for key, change in zip(self.fields, changes, strict=True)}
        return launch(self.folder, stage, recipe, text or "", written, (run or "").strip())

    def command(self, *values: Any) -> str:
        """The command to copy, or in its place what is wrong."""
        try:
            return log_box(self.launch(*values).typed())
        except (MullError, OSError) as error:
            return markup.note(str(error), "fault")

    def of_stage(self, stage: str) -> list[Any]:
        """Another stage was chosen: its recipes, and the first one's text."""
        stage = stage if stage in STAGES else FIRST_STAGE
        names = recipes(stage)
        name = FIRST_RECIPE if FIRST_RECIPE in names else names[0]
        return [gr.Dropdown(choices=names, value=name), *self.of_recipe(stage, name)]

    def of_recipe(self, stage: str, name: str) -> list[Any]:
        """Another recipe was chosen: its text, a name for its run, and what it has in each field."""
        name = name if name in recipes(stage) else recipes(stage)[0]
        return self._of_text(stage, name, recipe_text(stage, name))

    def with_data(self, stage: str, name: str, text: str | None, section: str) -> list[Any]:
        """The form with another `data:` section in the recipe of `sft` that it has, or in the first one.

        Raises `gr.Error`, which a browser shows, for a text that is no section.
        """
        if not section.startswith("data:"):
            raise gr.Error(self.runs.strings("choose_data"), print_exception=False)
        if stage != "sft":
            stage, name, text = "sft", FIRST_RECIPE, None
        text = with_section(text or recipe_text(stage, name), section)
        return [stage, gr.Dropdown(choices=recipes(stage), value=name), *self._of_text(stage, name, text)]

    def _of_text(self, stage: str, name: str, text: str) -> list[Any]:
        unset = self.runs.strings("left_alone")
        fields = [
            gr.Textbox(
                value="",
                visible=stage in stages,
                placeholder=(written_value(stage, text, key) if stage in stages else "") or unset,
                info=sentence(stage if stage in stages else stages[0], key),
            )
            for key, stages in SHOWN.items()
        ]
        return [text, unused_name(self.folder, f"{stage}/{name.removesuffix('.yaml')}"), *fields]

    def still_unused(self, stage: str, recipe: str, run: str) -> Any:
        """Another name where a run of that name is there by now."""
        taken = (self.folder.root / run).exists()
        return unused_name(self.folder, f"{stage}/{recipe.removesuffix('.yaml')}") if taken else gr.skip()


def log_box(text: str) -> str:
    """A text as it was written."""
    return markup.inert(f'<div class="mull"><pre class="log">{escaping.escape(text)}</pre></div>') if text else ""


class Form(Protocol):
    """What the buttons need of a form."""

    def launch(self, *values: Any) -> Launch: ...


class RunActions:
    """What the buttons of a form and of a run do: each says in place what is wrong."""

    def __init__(self, runs: RunView, jobs: Jobs, form: Form) -> None:
        self.runs, self.jobs, self.form, self.say = runs, jobs, form, runs.strings

    def plan(self, *values: Any) -> Iterator[str]:
        """What `--dry-run` prints."""
        yield from self._look(lambda one: [*one.words, "--dry-run"], values)

    def doctor(self, *values: Any) -> Iterator[str]:
        """What `mull doctor` finds."""
        yield from self._look(self._doctored, values)

    def _doctored(self, one: Launch) -> list[str]:
        if one.stage != "grpo":
            raise MullError(self.say("no_doctor"))
        return ["rl.doctor", *one.words[1:]]

    def _look(self, words_of: Callable[[Launch], list[str]], values: Sequence[Any]) -> Iterator[str]:
        try:
            yield log_box("…")
            for text in output_of(words_of(self.form.launch(*values))):
                yield log_box(text)
        except (MullError, OSError) as error:
            yield markup.note(str(error), "fault")

    def start(self, *values: Any) -> tuple[str, Any]:
        """Start the form's command; (what happened, the list of runs with the new one chosen)."""
        try:
            job = self.jobs.start(self.form.launch(*values))
        except (MullError, OSError) as error:
            return markup.note(str(error), "fault"), gr.skip()
        return markup.note(self.say("started", run=job.run)), gr.Dropdown(choices=self._names(), value=job.run)

    def stop(self, name: str | None) -> str:
        """Ask a run to end."""
        try:
            self.jobs.stop(name or "")
        except (MullError, OSError) as error:
            return markup.note(str(error), "fault")
        return markup.note(self.say("stopping", run=name))

    def resume(self, name: str | None) -> str:
        """Go on with a run, by its own recipe."""
        try:
            stage = read_line(self.runs.folder, self.runs.run(name or "")).stage
            self.jobs.start(resumed(self.runs.folder, name or "", stage), resume=True)
        except (MullError, OSError) as error:
            return markup.note(str(error), "fault")
        return markup.note(self.say("started", run=name))

    def follow(self, name: str | None, seen: tuple[str, str]) -> tuple[Any, Any, tuple[str, str]]:
        """(what the run's process is doing, the end of its log, both to compare with next time)."""
        now = self.followed(name) if name else ("", "")
        first, second = (new if new != old else gr.skip() for new, old in zip(now, seen, strict=True))
        return first, second, now

    def followed(self, name: str) -> tuple[str, str]:
        """(what the run's process is doing, the end of its log)."""
        try:
            job = self.jobs.job(name)
            is_alive = job is not None and self.jobs.is_alive(name)
            text = self.say("under_way", pid=job.pid) if job and is_alive else self.say("not_under_way")
            return markup.note(f"{name}: {text}"), log_box(self.jobs.tail(name))
        except (MullError, OSError) as error:
            return markup.note(str(error), "fault"), ""

    def listed(self, chosen: str | None) -> gr.Dropdown:
        """The list of runs as it is now."""
        names = self._names()
        return gr.Dropdown(choices=names, value=chosen if chosen in names else (names[0] if names else None))

    def _names(self) -> list[str]:
        """What a board started first, then the other runs."""
        return list(dict.fromkeys([*self.jobs.runs(), *(line.name for line in self.runs.lines(0))]))


def train_page(tab: gr.Tab, runs: RunView) -> TrainForm:
    """Builds the page into the open Gradio blocks, `tab` is what it stands in; its form."""
    # 1. the form, and what is looked at before the button
    say, jobs = runs.strings, Jobs(runs.folder)
    form = TrainForm(runs, jobs)
    gr.Markdown(f"**{say('command')}**")
    command = html(elem_id="command")
    with gr.Row():
        plan = gr.Button(say("plan"), elem_id="plan")
        doctor = gr.Button(say("doctor"), elem_id="doctor")
        start = gr.Button(say("start"), variant="primary", elem_id="start")
    looked = html(elem_id="looked")

    # 2. runs under way
    with gr.Row():
        run = choice(label=say("a_run"), elem_id="job", scale=3)
        stop = gr.Button(say("stop"), variant="stop", elem_id="stop")
        resume = gr.Button(say("resume"), elem_id="resume")
    said, state = html(elem_id="said"), html(elem_id="job-state")
    log = html(elem_id="log", autoscroll=True, max_height=440)
    seen = gr.State(("", ""))

    # 3. the form follows what is chosen, and the command follows the form
    of_recipe = [form.text, form.run, *form.fields.values()]
    form.stage.input(form.of_stage, form.stage, [form.recipe, *of_recipe], **QUIET)
    form.recipe.input(form.of_recipe, [form.stage, form.recipe], of_recipe, **QUIET)
    for field in (form.run, *form.fields.values()):
        field.change(form.command, form.inputs, command, trigger_mode="always_last", **QUIET)
    form.text.blur(form.command, form.inputs, command, **QUIET)

    # 4. the buttons, the log
    act = RunActions(runs, jobs, form)
    tab.select(form.command, form.inputs, command, **QUIET)
    tab.select(act.listed, run, run, **QUIET)
    tab.select(form.still_unused, [form.stage, form.recipe, form.run], form.run, **QUIET)
    plan.click(act.plan, form.inputs, looked, api_visibility="private")
    doctor.click(act.doctor, form.inputs, looked, api_visibility="private")
    start.click(act.start, form.inputs, [said, run], **QUIET)
    stop.click(act.stop, run, said, **QUIET)
    resume.click(act.resume, run, said, **QUIET)
    gr.Timer(LOG_SECONDS).tick(act.follow, [run, seen], [state, log, seen], trigger_mode="once", **QUIET)
    return form
