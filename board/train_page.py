"""The Train page: a recipe as a form, the plan and the doctor before the button, and runs started, stopped, resumed."""

from typing import Any

import gradio as gr

from board.components import QUIET, choice, html
from board.data_look import with_section
from board.jobs import Jobs
from board.recipe_form import (
    FIELDS,
    Launch,
    launch,
    recipe_text,
    recipes,
    sentence,
    unused_name,
    written_value,
)
from board.run_actions import LOG_SECONDS, RunActions
from board.run_view import RunView

STAGES = ("sft", "grpo", "curate", "distill")
"""What this page starts; evaluations and publications have their own."""
SHOWN = {key: stages for key, stages in FIELDS.items() if set(stages) & set(STAGES)}
FIRST_STAGE, FIRST_RECIPE = "grpo", "demo.yaml"


class TrainForm:
    """The components of a form, and what they make."""

    def __init__(self, runs: RunView) -> None:
        self.runs, self.folder = runs, runs.folder
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
                    info=say.of_schema(sentence(shown_stage, key)),
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

    def with_data(self, stage: str, name: str, text: str | None, purpose: str, section: str) -> list[Any]:
        """The form with another `data:` section in the recipe of the stage `purpose` that it has, or in the first one.

        Raises `gr.Error`, which a browser shows, for a text that is no section.
        """
        if not section.startswith("data:") or purpose not in STAGES:
            raise gr.Error(self.runs.strings("choose_data"), print_exception=False)
        if stage != purpose:
            stage, name, text = purpose, FIRST_RECIPE, None
        text = with_section(text or recipe_text(stage, name), section)
        return [stage, gr.Dropdown(choices=recipes(stage), value=name), *self._of_text(stage, name, text)]

    def _of_text(self, stage: str, name: str, text: str) -> list[Any]:
        unset = self.runs.strings("left_alone")
        fields = [
            gr.Textbox(
                value="",
                visible=stage in stages,
                placeholder=(written_value(stage, text, key) if stage in stages else "") or unset,
                info=self.runs.strings.of_schema(sentence(stage if stage in stages else stages[0], key)),
            )
            for key, stages in SHOWN.items()
        ]
        return [text, unused_name(self.folder, f"{stage}/{name.removesuffix('.yaml')}"), *fields]

    def still_unused(self, stage: str, recipe: str, run: str) -> Any:
        """Another name where a run of that name is there by now."""
        taken = (self.folder.root / run).exists()
        return unused_name(self.folder, f"{stage}/{recipe.removesuffix('.yaml')}") if taken else gr.skip()


def train_page(tab: gr.Tab, runs: RunView) -> TrainForm:
    """Builds the page into the open Gradio blocks, `tab` is what it stands in; its form."""
    # 1. the form, and what is looked at before the button
    say, jobs = runs.strings, Jobs(runs.folder)
    form = TrainForm(runs)
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
    act = RunActions(runs, jobs, form)
    of_recipe = [form.text, form.run, *form.fields.values()]
    form.stage.input(form.of_stage, form.stage, [form.recipe, *of_recipe], **QUIET)
    form.recipe.input(form.of_recipe, [form.stage, form.recipe], of_recipe, **QUIET)
    for field in (form.run, *form.fields.values()):
        field.change(act.command, form.inputs, command, trigger_mode="always_last", **QUIET)
    form.text.blur(act.command, form.inputs, command, **QUIET)

    # 4. the buttons, the log
    tab.select(act.command, form.inputs, command, **QUIET)
    tab.select(act.listed, run, run, **QUIET)
    tab.select(form.still_unused, [form.stage, form.recipe, form.run], form.run, **QUIET)
    plan.click(act.plan, form.inputs, looked, api_visibility="private")
    doctor.click(act.doctor, form.inputs, looked, api_visibility="private")
    start.click(act.start, form.inputs, [said, run], **QUIET)
    stop.click(act.stop, run, said, **QUIET)
    resume.click(act.resume, run, said, **QUIET)
    gr.Timer(LOG_SECONDS).tick(act.follow, [run, seen], [state, log, seen], trigger_mode="once", **QUIET)
    return form
