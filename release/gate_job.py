"""What the publish gate asks of one model, and what it answers: both travel between processes as JSON."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GateJob:
    """What to load and what to ask it.

    kind       "trained" (a run's own product), "adapter", "transformers" (merged or 4-bit weights), "gguf"
    folder     the export, or the run
    file       a GGUF's name in `folder`
    base       the base model's folder or hub id, for "adapter"
    questions  held-out questions, answered greedily with at most `max_tokens` tokens in a context of `context`
    histories  conversations of which the prompt's text is wanted
    forced     (prompt ids, completion ids) to score teacher-forced; None ("trained"): its own first answers,
               at least `least_answers` of them and `least_tokens` tokens
    """

    kind: str
    folder: str
    think_format: dict[str, Any]
    questions: list[str]
    histories: list[tuple[str, list[tuple[str, str]]]]
    max_tokens: int
    context: int
    file: str = ""
    base: str = ""
    forced: list[tuple[list[int], list[int]]] | None = None
    least_answers: int = 16
    least_tokens: int = 2048


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """What one model answered, and how it scored.

    texts, prompt_ids    one a question
    prompts              one of `histories`
    eos                  ids that end a turn, the tokenizer's first
    rope                 the rotary frequencies; see `_rope`
    forced               what was scored, as in `GateJob`
    logprobs, likeliest  one a forced token; see `score`
    base_logprobs        the same of a run without its adapter; an export has none
    stored_eos, stored_think_format  what an export's own files say; a run has none
    """

    texts: list[str]
    prompt_ids: list[list[int]]
    prompts: list[str]
    eos: list[int]
    rope: list[float]
    forced: list[tuple[list[int], list[int]]]
    logprobs: list[float]
    likeliest: list[list[int]]
    base_logprobs: list[float]
    stored_eos: list[int]
    stored_think_format: dict[str, Any] | None
