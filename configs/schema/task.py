"""The schema of a task: `configs/tasks/*.yaml`."""

from typing import Any, Self

from pydantic import model_validator

from configs.schema.sections import Section


class TaskConfig(Section):
    """How a row's columns become a prompt and a reply; Jinja templates over the columns, and over `params`."""

    prompt: str
    """What is asked."""
    reply: str | None = None
    """What is learned, and the gold answer; the first of `references` where it is left out."""
    references: str | None = None
    """Every right reply of a row that may have several: one expression, or a column, whose value is a list of texts."""
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

    @model_validator(mode="after")
    def _has_a_reply(self) -> Self:
        if self.reply is None and self.references is None:
            raise ValueError("no reply; write reply: a template, or references: a list of right replies")
        return self
