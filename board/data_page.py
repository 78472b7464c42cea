"""The Data page: drop a file or name one, see what it is and what a model would see of it, map its columns."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from board import markup
from board.components import QUIET, choice, html
from board.data_files import LARGEST, MIB, DataFiles
from board.data_look import COLUMNS, NAMED, PURPOSES, THINK_FORMATS, Look, inspected, look_at
from board.data_view import shown
from board.run_actions import log_box
from board.run_view import EMBEDDED, RunView
from board.train_page import TrainForm
from configs.errors import ConfigError, MullError
from curation.inspection_record import Inspection

CONTEXT, COMPLETION, ROWS = 2048, 512, 10_000
"""Tokens of the context and, for GRPO, of a completion, and rows looked at, unless the page says otherwise."""
FILE, HUB = "file", "hub"
SFT, GRPO = PURPOSES
SHOW_TRAIN = "() => document.getElementById('train-tab-button').click()"


class DataPage:
    """The components of the page, and what they do."""

    def __init__(self, runs: RunView, files: DataFiles) -> None:
        self.runs, self.say, self.files = runs, runs.strings, files
        say = self.say

        # 1. which data
        with gr.Row():
            self.purpose = gr.Radio(
                [(say("for_sft"), SFT), (say("for_grpo"), GRPO)],
                value=SFT,
                label=say("data_for"),
                elem_id="data-purpose",
            )
            self.kind = gr.Radio(
                [(say("a_file"), FILE), (say("on_hub"), HUB)], value=FILE, label=say("data_from"), elem_id="data-kind"
            )
            self.file = choice(label=say("data_file"), info=say("data_file_info"), scale=3, elem_id="data-file")
            self.hub = gr.Textbox(
                label=say("data_hub"),
                info=say("data_hub_info"),
                max_lines=1,
                visible=False,
                scale=3,
                elem_id="data-hub",
            )
            self.split = gr.Textbox(
                label=say("data_split"), info=say("data_split_info"), max_lines=1, min_width=120, elem_id="data-split"
            )
        self.upload = gr.File(label=say("drop_here", size=LARGEST // MIB), height=140, elem_id="data-drop")

        # 2. who would see it
        with gr.Row():
            self.model = choice(
                value=EMBEDDED, label=say("model"), info=say("data_model_info"), scale=2, elem_id="data-model"
            )
            self.think_format = gr.Dropdown(list(THINK_FORMATS), value="s1", label=say("think_format"), min_width=120)
            self.limit = gr.Number(
                CONTEXT, precision=0, minimum=1, label="model.max_length", min_width=120, elem_id="data-limit"
            )
            self.room = gr.Number(
                COMPLETION,
                precision=0,
                minimum=1,
                label="trainer.max_completion_length",
                min_width=240,
                visible=False,
                elem_id="data-room",
            )
            self.rows = gr.Number(ROWS, precision=0, minimum=1, label=say("rows_at_most"), min_width=120)

        # 3. which column is what
        self.mapping = gr.Accordion(say("map_columns"), open=False)
        with self.mapping:
            self.columns_note = gr.Markdown(say("map_columns_note"))
            with gr.Row():
                self.columns = [
                    choice(
                        value="",
                        label=key,
                        info=say(f"field_{key}"),
                        visible=key in PURPOSES[SFT],
                        min_width=200,
                        elem_id=f"data-field-{key}",
                    )
                    for key in COLUMNS
                ]

        self.look_button = gr.Button(say("look"), variant="primary", elem_id="look")

        # 4. what it is, and how a recipe names it
        self.said = html(elem_id="data-said")
        self.found = html(elem_id="data-found")
        gr.Markdown(f"**{say('data_section')}**")
        self.section = gr.Code(language="yaml", show_label=False, interactive=False, lines=3, elem_id="data-section")
        self.open = gr.Button(say("open_in_train"), elem_id="open-in-train")
        self.inspection: gr.State = gr.State(None)

    @property
    def place(self) -> list[Any]:
        """The components that say what is looked at, in the order of `look_of`."""
        places = [self.kind, self.file, self.hub, self.split, self.purpose, self.model, self.think_format, self.rows]
        return [*places, *self.columns]

    def look_of(
        self, kind: str, file: str | None, hub: str | None, split: str | None, purpose: str, model: str | None,
        think_format: str, rows: float | None, *columns: str | None,
    ) -> Look:  # fmt: skip
        """What the page is set to. Raises `MullError`."""
        name = (hub or "").strip() if kind == HUB else ""
        if kind == HUB and not name:
            raise ConfigError(self.say("data_hub_info"))
        if kind != HUB and not file:
            raise ConfigError(self.say("choose_data"))
        if model not in self._models() and (not NAMED.fullmatch(model or "") or Path(model or "").exists()):
            raise ConfigError(f"{(model or '')[:80]!r}: {self.say('data_model_info')}")
        chosen = [(column or "").strip() for column in columns]
        return look_at(
            self.files, file or "", name, (split or "").strip(), purpose, model or "", think_format,
            int(rows or ROWS), chosen,
        )  # fmt: skip

    def look(self, limit: float | None, room: float | None, *place: Any) -> Iterator[list[Any]]:
        """(what is said, what was found as HTML, as it is, the mapping, its columns) of what the page is set to."""
        unchanged = [gr.skip()] * (1 + len(COLUMNS))
        try:
            look = self.look_of(*place)
            yield [markup.note(self.say("looking")), "", None, *unchanged]
            found = inspected(look)
        except (MullError, OSError) as error:
            yield [markup.note(str(error), "fault"), "", None, *unchanged]
            return
        mapping = gr.Accordion(open=True) if found.fault and found.columns else gr.skip()
        typed = log_box(look.typed(longest(limit, room, look.purpose == GRPO)))
        yield [typed, self.redrawn(limit, room, found), found, mapping, *self._offered(found, place)]

    def redrawn(self, limit: float | None, room: float | None, found: Inspection | None) -> str:
        """What was found against another context."""
        return shown(found, longest(limit, room, found.are_problems), self.say, self.runs.drawing) if found else ""

    def _offered(self, found: Inspection, place: Sequence[Any]) -> list[gr.Dropdown]:
        choices = [(self.say("detected"), ""), *((name, name) for name in found.columns)]
        chosen = [str(column or "") for column in place[-len(COLUMNS) :]]
        return [gr.Dropdown(choices=choices, value=one) for one in chosen]

    def drop(self, dropped: str | None, limit: float | None, room: float | None, *place: Any) -> Iterator[list[Any]]:
        """(the emptied place to drop on, the list with the file chosen, and what `look` finds of it).

        A file that holds no readable row is not kept.
        """
        if not dropped:
            return
        upload = Path(dropped)
        try:
            name = self.files.keep(upload)
        except (MullError, OSError) as error:
            said = markup.note(str(error), "fault")
            yield [None, gr.skip(), said, "", None, *[gr.skip()] * (1 + len(COLUMNS))]
            return
        finally:
            upload.unlink(missing_ok=True)  # what Gradio kept of it, in a folder of its own
            with contextlib.suppress(OSError):
                upload.parent.rmdir()
        place = (FILE, name, *place[2 : -len(COLUMNS)], *[""] * len(COLUMNS))
        listed = gr.Dropdown(choices=self.files.listed(), value=name)
        result: list[Any] = []
        for result in self.look(limit, room, *place):
            yield [None, listed, *result]
        found = result[2]
        if isinstance(found, Inspection) and not found.columns and not found.layout:
            self.files.forget(name)
            said = markup.note(self.say("not_kept", name=name), "fault")
            yield [None, gr.Dropdown(choices=self.files.listed(), value=None), said, *result[1:]]

    def written_section(self, *place: Any) -> str:
        """The `data:` section, or a comment on what is missing."""
        try:
            return self.look_of(*place).section()
        except (MullError, OSError) as error:
            return f"# {' '.join(str(error).split())}\n"

    def of_kind(self, kind: str) -> list[Any]:
        """Show the fields of a file, or of a name on the hub."""
        return [gr.Dropdown(visible=kind != HUB), gr.Textbox(visible=kind == HUB), gr.File(visible=kind != HUB)]

    def of_purpose(self, purpose: str) -> list[Any]:
        """Show the columns of traces or of problems, and forget what was found of the other."""
        keys = PURPOSES.get(purpose, PURPOSES[SFT])
        is_grpo = keys is PURPOSES[GRPO]
        note = gr.Markdown(self.say("map_problems_note" if is_grpo else "map_columns_note"))
        columns = [
            gr.Dropdown(
                visible=key in keys, info=self.say("field_gold" if key == "answer" and is_grpo else f"field_{key}")
            )
            for key in COLUMNS
        ]
        return [gr.Number(visible=is_grpo), note, "", "", None, gr.skip(), *columns]

    def listed(self, file: str | None) -> list[gr.Dropdown]:
        """The lists of files and of models as they are now."""
        return [gr.Dropdown(choices=self.files.listed(), value=file), gr.Dropdown(choices=self._models())]

    def _models(self) -> list[str]:
        bases = [line.model for line in self.runs.lines() if line.model]
        return list(dict.fromkeys([EMBEDDED, *bases]))

    def opens_in(self, form: TrainForm) -> None:
        """Have the button put the section into the Train page's recipe, and show that page."""
        written = [form.stage, form.recipe, form.text]
        opened = self.open.click(form.with_data, [*written, self.purpose, self.section], form.inputs, **QUIET)
        opened.success(None, None, None, js=SHOW_TRAIN)


def longest(limit: float | None, room: float | None, are_problems: bool) -> int:
    """Most tokens that a row may have: of a problem's prompt what its completion leaves of the context."""
    context = int(limit or CONTEXT)
    return max(1, context - int(room or COMPLETION)) if are_problems else context


def data_page(tab: gr.Tab, runs: RunView, named: Sequence[Path] = ()) -> DataPage:
    """Builds the page into the open Gradio blocks; `tab` is what it stands in, `named`: further folders with data."""
    page = DataPage(runs, DataFiles(runs.folder, named))
    looked = [page.said, page.found, page.inspection, page.mapping, *page.columns]
    tab.select(page.listed, page.file, [page.file, page.model], **QUIET)
    page.kind.input(page.of_kind, page.kind, [page.file, page.hub, page.upload], **QUIET)
    changed = [page.room, page.columns_note, *looked]
    page.purpose.change(page.of_purpose, page.purpose, changed, **QUIET)
    dropped = [page.upload, page.limit, page.room, *page.place]
    page.upload.upload(page.drop, dropped, [page.upload, page.file, *looked], concurrency_limit=2, **QUIET)
    page.look_button.click(page.look, [page.limit, page.room, *page.place], looked, concurrency_limit=2, **QUIET)
    for number in (page.limit, page.room):
        against = [page.limit, page.room, page.inspection]
        number.change(page.redrawn, against, page.found, trigger_mode="always_last", **QUIET)
    for control in (page.kind, page.purpose, page.file, page.hub, page.split, *page.columns):
        control.change(page.written_section, page.place, page.section, trigger_mode="always_last", **QUIET)
    return page
