"""Gradio components as the board uses them."""

from typing import Any

import gradio as gr

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Of an event that redraws what it shows, and that is no API."""


def html(**options: Any) -> gr.HTML:
    """A place for HTML of `board.markup`, in our own look."""
    return gr.HTML(apply_default_css=False, **options)


def choice(**options: Any) -> gr.Dropdown:
    """A choice from a list that changes; what a browser sends is checked where it is used, not against the list."""
    return gr.Dropdown([], allow_custom_value=True, **options)
