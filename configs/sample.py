"""`Sample`: one completion and what became of it, with one schema in every file of samples.

`samples.jsonl` (evaluation), `heldout_before.jsonl` and `heldout_after.jsonl` (training) and `rollouts.jsonl` (GRPO)
hold a sample a line, with every field. The schema stands on the floor of a run's folder because all read it: the
report, which imports `configs` alone, the grader's verdict, and `evaluation.sample_store`, which keeps and grades.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

RIGHT_FROM = 1 - 1e-6
"""From this score on an answer is right: a mean of parts may miss 1 by the last bits of a float."""
Place = tuple[str, str, int]
"""Where a sample belongs: (point, problem, sample)."""
Ranges = tuple[tuple[int, int], ...]
"""[start, end) ranges."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion to one problem.

    id, point, sample  the problem; what it was asked under (a budget's label, "greedy", "rollouts"); which of several
    question, gold     the problem's own, as they were when it was graded; `grader` is what judged it
    references         all replies that were right, the gold answer first; () where it was the only one
    text               the assistant's turn with special tokens, the prefilled part (`prefilled` characters) included
    forced             ranges of characters of `text` that the policy did not choose
    tool_results       ranges of characters of `text` that an environment wrote, of `forced` ones too; () without one
    thinking, answer   the parts of the text, where the engine told them apart; `extracted` is what was graded
    score              0 to 1, None: it could not be judged; `reason` and `parts` say why (`rewards.grading.verdict`)
    stop               what ended the thinking: "natural", "waited:k", "limit", "context", "agreed:k", "confident:p"
    finish             "stop" (the model ended its turn) or "length" (it was cut); None where another tool wrote it
    completion_tokens  how many; `thinking_tokens` and `answer_tokens` those of its parts
    max_thinking       most thinking tokens that its budget allowed; None: no such limit
    probe_tokens       tokens more that were decoded to decide when to stop
    answer_logprob     mean log-probability of the answer's tokens that the policy chose, where the engine gave them
    token_ids          of the completion, and `forced_tokens`, ranges of them that the policy did not choose
    seed, key          what it was drawn from; `key` also stands for model, prompt, budget and sampling
    prompt_hash        of the prompt, whose text is in `prompts.jsonl`; or `prompt`, the text itself
    control, tries     how its budget was kept, and how often it was drawn; `seconds` until it was there
    step, rewards      GRPO: the step that it trains; score by reward, their weighted sum `reward`, and `advantage`
    """

    id: str
    point: str = ""
    sample: int = 0
    question: str = ""
    gold: str = ""
    references: tuple[str, ...] = ()
    grader: str = "math"
    text: str = ""
    prefilled: int = 0
    forced: Ranges = ()
    tool_results: Ranges = ()
    thinking: str = ""
    answer: str = ""
    extracted: str | None = None
    score: float | None = None
    reason: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    stop: str | None = None
    finish: str | None = None
    completion_tokens: int | None = None
    thinking_tokens: int | None = None
    max_thinking: int | None = None
    answer_tokens: int | None = None
    probe_tokens: int = 0
    answer_logprob: float | None = None
    token_ids: tuple[int, ...] = ()
    forced_tokens: Ranges = ()
    seed: int | None = None
    key: str = ""
    prompt_hash: str = ""
    prompt: str = ""
    control: str | None = None
    tries: int = 1
    seconds: float | None = None
    step: int | None = None
    rewards: Mapping[str, float | None] = field(default_factory=dict)
    reward: float | None = None
    advantage: float | None = None

    @property
    def is_right(self) -> bool | None:
        """Whether the answer is right as a whole; None where it could not be judged."""
        return None if self.score is None else self.score >= RIGHT_FROM

    @property
    def golds(self) -> tuple[str, ...]:
        """Every right reply, at least one."""
        return self.references or (self.gold,)

    @property
    def is_truncated(self) -> bool:
        """Whether it was cut before the model ended its turn."""
        return self.finish == "length"

    @property
    def turn_start(self) -> int:
        """Where in `text` the model's last turn begins, the one that answers."""
        return self.tool_results[-1][1] if self.tool_results else 0

    @property
    def place(self) -> Place:
        """Where it belongs among the samples of a file."""
        return self.point, self.id, self.sample

    def to_row(self) -> dict[str, Any]:
        """As a line of a file holds it."""
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Sample":
        """The sample of a line; a field that is left out has its default. Raises `ValueError` for what is no sample."""
        if "id" not in row or not row.keys() <= FIELDS.keys():
            unknown = ", ".join(sorted(row.keys() - FIELDS.keys()))
            raise ValueError(f"not a sample: {f'unknown {unknown}' if unknown else 'no id'}")
        ranges = {name: tuple((start, end) for start, end in row.get(name, ())) for name in RANGES}
        tuples = {name: tuple(row.get(name, ())) for name in ("references", "token_ids")}
        return cls(**{**row, **ranges, **tuples})


RANGES = ("forced", "forced_tokens", "tool_results")
"""Fields that are `Ranges`."""
FIELDS = {one.name: one for one in fields(Sample)}


def read_samples(path: Path) -> list[Sample]:
    """The samples of a file; a last line cut off by a kill is left out. Raises `ValueError` for a damaged line."""
    from configs.run_directory import read_jsonl  # pydantic, for which `--help` of a command must not wait

    return [Sample.from_row(row) for row in read_jsonl(path)]
