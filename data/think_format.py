"""Think formats: how a model writes its thinking and its answer, spelled in this file and nowhere else.

A turn of the assistant is `prefill` (put there by the prompt) + thinking + `end` + answer + `answer_close` + the end of
the turn. Rendering for SFT, prompts, extraction, rewards, budget forcing, serving and publishing all read it from here;
`data.turn_reader` takes a turn apart.

Sources: `s1`: Muennighoff et al. 2025 (arXiv 2501.19393), `data/tokenization.py` of their repository; `deepseek`:
DeepSeek-R1 (arXiv 2501.12948) §2.2.1, Table 1; `xml`: the widely used GSM8K GRPO demo (W. Brown, 2025).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from data.turn_reader import END_OF_TURN, Parts, read_turn


@dataclass(frozen=True, slots=True)
class ThinkFormat:
    """How one model writes.

    open          opens the thinking
    prefill       what the prompt already holds of the assistant's turn (the opening, or nothing)
    end           closes the thinking and opens the answer, as the model is taught to write it and as a budget forces it
    end_tokens    strings, any of which ends the thinking when the model writes it; more than one where the model may
                  also end its turn while thinking
    answer_open   opens the answer (part of `end`, or "")
    answer_close  closes the answer ("" where the end of the turn does)
    system        the system prompt that asks for this format, or None
    """

    name: str
    open: str
    prefill: str
    end: str
    end_tokens: tuple[str, ...]
    answer_open: str = ""
    answer_close: str = ""
    system: str | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The format of `dataclasses.asdict`, read back from JSON, where `end_tokens` is a list."""
        return cls(**{**fields, "end_tokens": tuple(fields["end_tokens"])})

    @property
    def has_thinking(self) -> bool:
        """Whether models of this format think at all; `none` is the shipped one that does not."""
        return bool(self.open or self.end_tokens)

    def split(self, text: str) -> Parts:
        """The parts of a whole turn; see `data.turn_reader` for the policy."""
        return read_turn(self, text)

    def split_so_far(self, text: str) -> Parts:
        """The parts of a turn that still grows: as `text` grows they only grow, up to those of `split`."""
        return read_turn(self, text, is_growing=True)

    def render(self, thinking: str, answer: str) -> str:
        """The assistant's whole turn, prefilled part included and without the end of the turn."""
        if not self.has_thinking:
            if thinking.strip():
                raise ValueError(f"think format {self.name}: it has no place for thinking")
            return answer.strip()
        head = self.prefill or f"{self.open}\n"
        return f"{head}{thinking.strip()}\n{self.end}{answer.strip()}{self._tail()}"

    def _tail(self) -> str:
        return f"\n{self.answer_close}\n" if self.answer_close else ""


S1 = ThinkFormat(
    name="s1",
    open="<|im_start|>think",
    prefill="<|im_start|>think\n",
    end="<|im_start|>answer\n",
    end_tokens=("<|im_start|>", "<|im_end|>"),
    answer_open="<|im_start|>answer",
)

DEEPSEEK = ThinkFormat(
    name="deepseek",
    open="<think>",
    prefill="<think>\n",
    end="</think>\n\n",
    end_tokens=("</think>",),
    system=None,
)

XML = ThinkFormat(
    name="xml",
    open="<reasoning>",
    prefill="",
    end="</reasoning>\n<answer>\n",
    end_tokens=("</reasoning>",),
    answer_open="<answer>",
    answer_close="</answer>",
    system=(
        "Respond in the following format:\n<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>\n"
        "Inside <answer> write the final answer alone."
    ),
)

NONE = ThinkFormat(name="none", open="", prefill="", end="", end_tokens=())
"""A model that does not think: its whole turn is the answer."""

THINK_FORMATS = {f.name: f for f in (S1, DEEPSEEK, XML, NONE)}


def resolve_think_format(value: object) -> ThinkFormat:
    """The think format a recipe names, or the one that a `ThinkFormatConfig` spells out; a `ThinkFormat` as it is."""
    if isinstance(value, ThinkFormat):
        return value
    if isinstance(value, str):
        return THINK_FORMATS[value]
    return ThinkFormat.from_fields({name: getattr(value, name) for name in ThinkFormat.__dataclass_fields__})


def delimiters(think_format: ThinkFormat) -> tuple[str, ...]:
    """The format's delimiters in the order of writing: opening, end of thinking, answer opening, answer closing."""
    thinking_end = thinking_end_of(think_format)
    parts = (think_format.open, thinking_end, think_format.answer_open, think_format.answer_close)
    return tuple(part for part in parts if part)


def thinking_end_of(think_format: ThinkFormat) -> str:
    """What ends the thinking when it is not the answer's opening itself ("" for s1)."""
    end = think_format.end.strip()
    if think_format.answer_open:
        return end.split(think_format.answer_open)[0].strip()
    tokens = [token for token in think_format.end_tokens if end.startswith(token)]
    return tokens[0] if tokens else end


def without_end_of_turn(text: str) -> str:
    """`text` without the tokens that end the turn at its end."""
    text = text.rstrip()
    while True:
        tail = text[-40:]
        found = [match for match in END_OF_TURN.finditer(tail) if match.end() == len(tail)]
        if not found:
            return text
        text = text[: len(text) - len(found[-1].group())].rstrip()


def without_unknown_end(text: str, end: str, think_format: ThinkFormat) -> str:
    """`text` without `end`, the token that its model ended the turn with, where it would be read as the answer's.

    What `END_OF_TURN` knows stays to be seen, and what is a delimiter as well has to.
    """
    kept = not end or END_OF_TURN.fullmatch(end) or end in delimiters(think_format)
    return text if kept else text.removesuffix(end)
