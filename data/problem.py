"""What is asked (`Problem`) and how somebody reasoned about it (`Trace`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

ONE_SPELLING = ("text", "terms", "json", "entities")
"""Graders to which a right answer without thinking is one text, so that right completions are alike."""
TEXT_GRADERS = ("sentence_bleu", "chrf", "rouge1", "rouge2", "rougeL")
"""Graders that say how near a reply is to its gold text."""
LITERAL_GRADERS = (*ONE_SPELLING, *TEXT_GRADERS)
"""Graders for which a gold answer is what the whole reply has to be, as it is written."""


def references_of(answer: str, replies: Iterable[str]) -> tuple[str, ...]:
    """`Problem.references` of a gold answer and of all replies that are right, it or others."""
    found = tuple(dict.fromkeys((answer, *replies)))
    return found if len(found) > 1 else ()


def stated_references(answer: str, value: Any) -> tuple[str, ...]:
    """`references_of` a value of a file. Raises `ValueError` as `check_replies` does."""
    check_replies(value)
    return references_of(answer, value)


def check_replies(value: object) -> None:
    """Raise `ValueError` for what is no list of texts, and for a text that is empty."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{_shown(value)} is no list; give a list of right replies")
    for place, reply in enumerate(value, 1):
        if not isinstance(reply, str) or not reply.strip():
            wrong = "is empty" if isinstance(reply, str) else f"is {_shown(reply)}, which is no text"
            raise ValueError(f"reply {place} of {len(value)} {wrong}; give a list of right replies, each a text")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with a gold answer that a machine can check.

    `answer` is clean: GSM8K's `#### 1,800` is "1800", MATH's `\\boxed{\\frac12}` is "\\frac12", AIME's "025" is "25".
    `solution` is the reference solution as the source wrote it, if it has one. `metadata` holds whatever else the
    source knows (level, subject, the row's own fields) and reaches TRL-style rewards as columns.
    For one of `LITERAL_GRADERS` it is as the source wrote it. `grader` names what judges an answer
    (`rewards.grading.graders`): "math", "choice", "reasoning_gym", … or the user's own at `my_module:my_grader`.
    `references` are all replies that are right, the gold answer first; empty where it is the only one.
    `system` and `history` (earlier turns, oldest first, as (user, assistant) pairs) come before the question.
    `key` is the question without its instruction, where a task (`data.task`) says what that is.
    """

    id: str
    question: str
    answer: str
    source: str
    solution: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    grader: str = "math"
    system: str | None = None
    history: Sequence[tuple[str, str]] = ()
    key: str = ""
    references: tuple[str, ...] = ()

    @property
    def golds(self) -> tuple[str, ...]:
        """Every right reply, at least one."""
        return self.references or (self.answer,)

    @property
    def identity(self) -> str:
        """What makes two problems the same: the key, or the question."""
        return self.key or self.question

    def row(self) -> dict[str, Any]:
        """Value by column, as TRL's data sets have it: `solution` is the answer where the source has none."""
        return {
            **self.metadata,
            "id": self.id,
            "question": self.question,
            "answer": self.answer,
            "source": self.source,
            "solution": self.solution or self.answer,
        }


@dataclass(frozen=True, slots=True)
class Trace:
    """A question with the reasoning and the reply that follow it; what SFT trains on.

    Without a `question` it is a document, whose text is the `reply`.

    `thinking` is empty for question-reply pairs without reasoning. `reply` is what comes after thinking, as text;
    `answer` is the checkable answer inside it, where one is known. `history` holds earlier turns, oldest first, as
    (user, assistant) pairs. `grader`, `key` and `references` are the `Problem`'s.
    """

    id: str
    question: str
    thinking: str
    reply: str
    source: str
    answer: str | None = None
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    grader: str = "math"
    key: str = ""
    references: tuple[str, ...] = ()

    @property
    def is_document(self) -> bool:
        """Whether it is a text that answers nothing, to go on pre-training with."""
        return not self.question

    @property
    def identity(self) -> str:
        """What makes two traces the same: the key, or the question, or the text of a document."""
        return self.key or self.question or self.reply


def problem_of(trace: Trace, answer: str) -> Problem:
    """The question of a trace as a problem, graded as the trace's answer is."""
    return Problem(
        id=trace.id,
        question=trace.question,
        answer=answer,
        source=trace.source,
        solution=trace.thinking or None,
        metadata=trace.metadata,
        grader=trace.grader,
        system=trace.system,
        history=trace.history,
        key=trace.key,
        references=trace.references,
    )


def problems_hash(problems: Sequence[Problem]) -> str:
    """A digest of ids, questions and gold answers, in their order."""
    return sha256(repr([(p.id, p.question, *p.golds) for p in problems]).encode()).hexdigest()[:16]
