"""vLLM's reasoning parser for our think formats: over HTTP, thinking arrives as `reasoning`, the answer as `content`.

    vllm serve … --reasoning-parser mull --reasoning-parser-plugin serving/reasoning_parser.py

The format is read from the environment (`MULL_THINK_FORMAT`, the fields of `data.think_format.ThinkFormat` as JSON):
vLLM makes parsers itself and passes nothing of ours. Special tokens are kept while parsing: delimiters are made of
them.
"""

import json
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vllm.entrypoints.generate.base.protocol import DeltaMessage
from vllm.reasoning import ReasoningParser, ReasoningParserManager

from data.prompts import turn_header
from data.think_format import ThinkFormat
from data.turn_reader import Parts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME, VARIABLE = "mull", "MULL_THINK_FORMAT"
RECENT = 64  # last tokens that are searched for an end that has just come


@ReasoningParserManager.register_module(NAME)  # type: ignore[untyped-decorator,unused-ignore] # typed in some builds
class ThinkFormatParser(ReasoningParser):  # type: ignore[misc]  # vLLM is not typed here
    """See the module.

    `begun`: what the prompt already holds of the turn that is parsed, its opening included. `seen`: that, and what was
    streamed so far.
    """

    engine_based_streaming = True
    """vLLM hands every piece to this parser, and asks `finish_streaming` for what is left when the turn has ended."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        self.think = ThinkFormat.from_fields(json.loads(os.environ[VARIABLE]))
        self.begun = self.seen = self.think.prefill

    def adjust_request(self, request: Any) -> Any:
        """Keep special tokens in the text that is parsed."""
        request.skip_special_tokens = False
        return request

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Whether the prompt itself has ended the thinking of its last turn (`continue_final_message`).

        vLLM asks this of each prompt before anything is parsed, so what that turn holds already is kept for then. Never
        true here: the answer's end is to be found as well.
        """
        self.begun = self.seen = self._begun(self.model_tokenizer.decode(list(input_ids), skip_special_tokens=False))
        return False

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """Whether the thinking has ended in these ids; vLLM holds only what follows to a grammar, where one is set."""
        text = self.model_tokenizer.decode(list(input_ids[-RECENT:]), skip_special_tokens=False)
        turn = self.think.open + text.rpartition(self.think.open)[2]
        return self.think.split_so_far(turn).thinking_end < len(turn)

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """Ids of the answer; found by the length of its text."""
        from models.engines.generation import positions

        return input_ids[positions(input_ids, self.model_tokenizer, self.think)[1] :]

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        """(thinking, answer) of a whole completion, without what the prompt has of them."""
        return self._rest(self.think.split_so_far(self.begun), self.begun + model_output)

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> Any:
        """What the newest tokens add to thinking and answer; what may turn out a delimiter is held back.

        vLLM keeps no text for a parser that streams on its own: `seen` does.
        """
        before = self.think.split_so_far(self.seen)
        self.seen += delta_text
        return _message(*_added(before, self.think.split_so_far(self.seen)))

    def finish_streaming(self) -> Any:
        """What was held back and belongs to the thinking or the answer after all, now that the turn has ended."""
        return _message(*self._rest(self.think.split_so_far(self.seen), self.seen))

    def _rest(self, before: Parts, turn: str) -> tuple[str | None, str | None]:
        """(thinking, answer) that the whole `turn` has and neither `before` nor an answer begun in the prompt has."""
        thinking, answer = _added(before, self.think.split(turn))
        begun = "" if before.answer else self.think.split(self.begun).answer
        return thinking, (answer or "").removeprefix(begun) or None

    def _begun(self, prompt: str) -> str:
        """What the prompt's last turn holds: at least the opening that the template or the think format put there.

        Only what follows the last header of an assistant's turn counts: a system prompt may spell out delimiters.
        """
        if not getattr(self.model_tokenizer, "chat_template", None):
            return self.think.prefill
        header = turn_header(self.model_tokenizer).partition(self.think.open)[0]
        return prompt.rpartition(header)[2] if header and header in prompt else self.think.prefill


def _added(before: Parts, now: Parts) -> tuple[str | None, str | None]:
    """(thinking, answer) that `now` has and `before` has not."""
    return now.thinking[len(before.thinking) :] or None, now.answer[len(before.answer) :] or None


def _message(thinking: str | None, answer: str | None) -> Any:
    return DeltaMessage(reasoning=thinking, content=answer) if thinking or answer else None
