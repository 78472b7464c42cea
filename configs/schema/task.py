"""The schema of a task: `configs/tasks/*.yaml`."""

from typing import Any

from configs.schema.sections import Section


class TaskConfig(Section):
    """How a row's columns become a prompt and a reply; each is a Jinja template over the columns, and over `params`."""

    prompt: str
    """What is asked."""
    reply: str
    """What is learned, and the gold answer."""
    key: str
    """What tells rows apart without the instruction: splits, duplicates and contamination are looked for in it."""
    system: str | None = None
    """The system message; none: the think format's own."""
    grader: str = "text"
    """What judges a reply, as in `data.grader`."""
    metrics: list[str] = []
    """Text metrics of replies, beside those that the grader knows: `bleu`, `chrf`, `rouge1`, `rouge2`, `rougeL`, …"""
    labels: list[str] = []
    """What a reply may be, where there are but a few; a row with another is bad. The templates may list them."""
    params: dict[str, Any] = {}
    """Names that the templates may use beside the columns."""
