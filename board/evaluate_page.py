"""The Evaluate page: a model, a benchmark and budgets; the plan before the button; the curve as it grows."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from board import markup
from board.components import QUIET, choice, html
from board.eval_form import BASE, evaluation, typed_budgets
from board.eval_view import EvalView
from board.jobs import Jobs
from board.recipe_form import Launch, recipe_text, recipes, sentence, unused_name, written_value
from board.run_actions import LOG_SECONDS, RunActions, changes
from board.run_view import RunView
from configs.errors import MullError

STAGES = ("eval", "harness")
FIRST_RECIPE = "demo.yaml"
FIELDS = ("data.path", "data.limit", "samples", "sampling.temperature", "model.max_length")


class EvaluateForm:
    """The components of a form, and what they make."""

    def __init__(self, runs: RunView) -> None:
        self.runs, self.folder = runs, runs.folder
        say, text = runs.strings, recipe_text("eval", FIRST_RECIPE)
        with gr.Row():
            self.model = choice(label=say("eval_model"), info=say("eval_model_info"), elem_id="eval-model", scale=2)
            self.recipe = gr.Dropdown(
                recipes("eval"), value=FIRST_RECIPE, label=say("benchmark"), elem_id="eval-recipe"
            )
            self.budgets = gr.Textbox(
                label=say("eval_budgets"),
                info=say("eval_budgets_info"),
                placeholder=typed_budgets(text) or say("left_alone"),
                max_lines=1,
                elem_id="eval-budgets",
            )
            self.compare = choice(
                value="", label=say("eval_compare"), info=say("eval_compare_info"), elem_id="eval-compare"
            )
            self.run = gr.Textbox(self._new_name(FIRST_RECIPE), label=say("run_name"), max_lines=1, elem_id="eval-name")
        self.fields: dict[str, gr.Textbox] = {}
        with gr.Row():
            for key in FIELDS:
                self.fields[key] = gr.Textbox(
                    label=key,
                    info=say.of_schema(sentence("eval", key)),
                    placeholder=written_value("eval", text, key) or say("left_alone"),
                    max_lines=1,
                    min_width=220,
                    elem_id="eval-" + key.replace(".", "-"),
                )
        with gr.Accordion(say("the_rest"), open=False):
            self.text = gr.Code(text, language="yaml", show_label=False, elem_id="eval-text")
        chosen = [self.model, self.recipe, self.text, self.run, self.budgets, self.compare]
        self.inputs = [*chosen, *self.fields.values()]

    def launch(
        self, model: Any, recipe: str, text: str, run: str, budgets: str, compare: str | None, *changes: str
    ) -> Launch:
        """The command of the form as it stands. Raises `MullError`."""
        fields = dict(zip(self.fields, changes, strict=True))
        return evaluation(
            self.folder, model or "", recipe, text or "", budgets or "", (compare or "").strip(), fields, run.strip()
        )

    def of_recipe(self, name: str) -> list[Any]:
        """Another recipe was chosen: its text, a name for its run, and what it has in each field."""
        name = name if name in recipes("eval") else FIRST_RECIPE
        text, unset = recipe_text("eval", name), self.runs.strings("left_alone")
        fields = [gr.Textbox(value="", placeholder=written_value("eval", text, key) or unset) for key in self.fields]
        return [text, self._new_name(name), gr.Textbox(value="", placeholder=typed_budgets(text) or unset), *fields]

    def still_unused(self, recipe: str, run: str) -> Any:
        """Another name where a run of that name is there by now."""
        return self._new_name(recipe) if (self.folder.root / run).exists() else gr.skip()

    def listed(self, chosen: str | None, compared: str | None) -> list[gr.Dropdown]:
        """The lists of models and of what they may be compared with, as they are now."""
        say, names = self.runs.strings, self.runs.models()
        others = [(say("nothing_beside"), ""), (say("eval_base"), BASE)]
        others += [
            (line.name, line.name) for line in self.runs.lines() if line.stage == "eval" and line.state == "done"
        ]
        return [gr.Dropdown(choices=names, value=chosen or names[0]), gr.Dropdown(choices=others, value=compared or "")]

    def _new_name(self, recipe: str) -> str:
        return unused_name(self.folder, f"eval/{recipe.removesuffix('.yaml')}")


class EvaluateActions(RunActions):
    """What the buttons of this page do."""

    def __init__(self, runs: RunView, jobs: Jobs, form: EvaluateForm) -> None:
        super().__init__(runs, jobs, form)
        self.view = EvalView(runs)

    def calibrate(self, name: str | None) -> Iterator[str]:
        """What `mull calibrate` says of a run; it writes the run's `budget.yaml` where something is proven."""
        yield from self.output(lambda: ["evaluation.calibrate", str(self.runs.run(name or ""))])

    def figures(self, name: str | None, seen: tuple[str, str]) -> tuple[Any, ...]:
        """(the curve, what stands beside it, both to compare with next time)."""
        now = ("", "")
        if name:
            try:
                now = self.view.shown(name)
            except (MullError, OSError) as error:  # not there yet, or gone
                now = ("", "") if self.jobs.is_alive(name) else (markup.note(str(error), "fault"), "")
        return *changes(now, seen), now

    def _names(self) -> list[str]:
        """Evaluations alone; what a board started first."""
        runs = [line.name for line in self.runs.lines(0) if line.stage in STAGES]
        started = [name for name in self.jobs.runs() if (job := self.jobs.job(name)) and is_evaluation(job.words)]
        return list(dict.fromkeys([*started, *runs]))


def is_evaluation(words: list[str]) -> bool:
    """Whether a command evaluates."""
    return words[:1] == ["evaluation.evaluate"]


def evaluate_page(tab: gr.Tab, runs: RunView) -> None:
    """Builds the page into the open Gradio blocks; `tab` is what it stands in."""
    # 1. the form, and what is looked at before the button
    say, jobs = runs.strings, Jobs(runs.folder)
    form = EvaluateForm(runs)
    gr.Markdown(f"**{say('command')}**")
    command = html(elem_id="eval-command")
    with gr.Row():
        plan = gr.Button(say("plan"), elem_id="eval-plan")
        start = gr.Button(say("start"), variant="primary", elem_id="eval-start")
    looked = html(elem_id="eval-looked")

    # 2. an evaluation: its process, its curve, its log
    with gr.Row():
        run = choice(label=say("a_run"), elem_id="eval-run", scale=3)
        stop = gr.Button(say("stop"), variant="stop", elem_id="eval-stop")
        resume = gr.Button(say("resume"), elem_id="eval-resume")
        calibrate = gr.Button(say("calibrate"), elem_id="eval-calibrate")
    said, state = html(elem_id="eval-said"), html(elem_id="eval-state")
    curve, points = html(elem_id="eval-curve"), html(elem_id="eval-points")
    log = html(elem_id="eval-log", autoscroll=True, max_height=240)
    followed, drawn = gr.State(("", "")), gr.State(("", ""))

    # 3. the form follows what is chosen, and the command follows the form
    of_recipe = [form.text, form.run, form.budgets, *form.fields.values()]
    form.recipe.input(form.of_recipe, form.recipe, of_recipe, **QUIET)
    act = EvaluateActions(runs, jobs, form)
    for field in (form.model, form.run, form.budgets, form.compare, *form.fields.values()):
        field.change(act.command, form.inputs, command, trigger_mode="always_last", **QUIET)
    form.text.blur(act.command, form.inputs, command, **QUIET)
    chosen = [form.model, form.compare]
    tab.select(form.listed, chosen, chosen, **QUIET)
    tab.select(act.listed, run, run, **QUIET)
    tab.select(form.still_unused, [form.recipe, form.run], form.run, **QUIET)
    tab.select(act.command, form.inputs, command, **QUIET)

    # 4. the buttons, the curve, the log
    plan.click(act.plan, form.inputs, looked, api_visibility="private")
    start.click(act.start, form.inputs, [said, run], **QUIET)
    stop.click(act.stop, run, said, **QUIET)
    resume.click(act.resume, run, said, **QUIET)
    calibrate.click(act.calibrate, run, said, api_visibility="private")
    timer = gr.Timer(LOG_SECONDS)
    timer.tick(act.follow, [run, followed], [state, log, followed], trigger_mode="once", **QUIET)
    timer.tick(act.figures, [run, drawn], [curve, points, drawn], trigger_mode="once", **QUIET)
