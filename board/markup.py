"""HTML that Gradio shows: nothing of it is a template, and pages of samples run in a frame that can reach nothing."""

import html
from collections.abc import Sequence
from pathlib import Path

from report import page

FRAME_HEIGHT = 900
TEMPLATE = {"{": "&#123;", "$": "&#36;", "`": "&#96;"}
"""What Gradio's HTML component would read as a template, wherever it stands: model text may hold anything."""


def inert(markup: str) -> str:
    """The same HTML without a character that starts a template of Gradio's."""
    for sign, reference in TEMPLATE.items():
        markup = markup.replace(sign, reference)
    return markup


def sections(parts: Sequence[page.ReportSection]) -> str:
    """Sections of a report as they stand on the board."""
    shown = (f"<section>{f'<h2>{page.cell_html(p.title)}</h2>' if p.title else ''}{p.html()}</section>" for p in parts)
    return inert(f'<div class="mull">{"".join(shown)}</div>')


def framed(parts: Sequence[page.ReportSection], title: str, language: str) -> str:
    """Sections with a script of ours in a sandboxed frame of its own origin, which may fetch nothing."""
    document = page.render_page("", parts).replace('<html lang="en">', f'<html lang="{language}">', 1)
    return inert(
        f'<iframe class="mull-frame" sandbox="allow-scripts" title="{html.escape(title)}" height="{FRAME_HEIGHT}" '
        f'srcdoc="{html.escape(document)}"></iframe>'
    )


def note(text: str, kind: str = "note") -> str:
    """One line; `kind` is its class: "note" or "fault"."""
    return inert(f'<div class="mull"><p class="{kind}">{html.escape(text)}</p></div>')


def stylesheet() -> str:
    """The colours, and a report's parts inside `.mull` alone, so that Gradio's own look stays."""
    theme, parts = ((Path(page.__file__).parent / name).read_text(encoding="utf-8") for name in page.STYLES[::2])
    own = Path(__file__).with_name("board.css").read_text(encoding="utf-8")
    return f"{theme}\n.mull {{\n{parts}\n}}\n{own}"
