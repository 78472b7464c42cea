"""vLLM's reasoning parser for our think formats: over HTTP, thinking arrives as `reasoning`, the answer as `content`.

    vllm serve … --reasoning-parser mull --reasoning-parser-plugin serving/reasoning_parser.py

The format is read from the environment (`MULL_THINK_FORMAT`, the fields of `data.think_format.ThinkFormat` as JSON):
vLLM makes parsers itself and passes nothing of ours. Special tokens are kept while parsing: delimiters are made of
them.
"""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from vllm.entrypoints.generate.base.protocol import DeltaMessage
from vllm.reasoning import ReasoningParser, ReasoningParserManager

from data.prompts import turn_header
from data.think_format import ThinkFormat
from serving.division import divided

NAME, VARIABLE = "mull", "MULL_THINK_FORMAT"
RECENT = 64  # last tokens that are searched for an end that has just come


@ReasoningParserManager.register_module(NAME)  # type: ignore[untyped-decorator,unused-ignore] # typed in some builds
class ThinkFormatParser(ReasoningParser):  # type: ignore[misc]  # vLLM is not typed here
    """See the module."""

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        fields = json.loads(os.environ[VARIABLE])
        self.think = ThinkFormat(**(fields | {"end_tokens": tuple(fields["end_tokens"])}))
        self.begun = ""

    def adjust_request(self, request: Any) -> Any:
        """Keep special tokens in the text that is parsed."""
        request.skip_special_tokens = False
        return request

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Whether the prompt itself has ended the thinking of its last turn (`continue_final_message`).

        vLLM asks this of each prompt before anything is parsed, so what that turn holds already is kept for then. Never
        true where the answer has a closing delimiter: see below.
        """
        self.begun = self._begun(self.model_tokenizer.decode(list(input_ids), skip_special_tokens=False))
        return not self.think.answer_close and _has_ended(self.begun, self.think)

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """Whether the last thinking in these ids has ended; from then on vLLM passes text on as it is.

        Never where the answer has a closing delimiter, which is to be cut: there every step comes through here.
        """
        if self.think.answer_close:
            return False
        text = self.model_tokenizer.decode(list(input_ids[-RECENT:]), skip_special_tokens=False)
        return _has_ended(text.rpartition(self.think.open)[2], self.think)

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """Ids of the answer; found by the length of its text."""
        from models.engines.generation import parts_of

        return input_ids[parts_of(input_ids, self.model_tokenizer, self.think)[1] :]

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        """(thinking, answer) of a whole completion."""
        return self._added("", model_output, whole=True)

    def extract_reasoning_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
    ) -> Any:
        """What the newest tokens add to thinking and answer; what may turn out a delimiter is held back."""
        thinking, answer = self._added(previous_text, current_text, whole=False)
        return DeltaMessage(reasoning=thinking, content=answer) if thinking or answer else None

    def _added(self, previous: str, current: str, whole: bool) -> tuple[str | None, str | None]:
        """(thinking, answer) that `current` has and `previous` or the prompt has not."""
        before = divided(self.begun + previous, self.think, whole=False)
        now = divided(self.begun + current, self.think, whole)
        thinking, answer = (text[len(old) :] or None for text, old in zip(now, before, strict=True))
        return thinking, answer

    def _begun(self, prompt: str) -> str:
        """What the prompt's last turn holds after the opening of its thinking.

        Only what follows the last header of an assistant's turn counts: a system prompt may spell out delimiters.
        """
        if not getattr(self.model_tokenizer, "chat_template", None):
            return ""
        header = turn_header(self.model_tokenizer).partition(self.think.open)[0]
        if not header or header not in prompt:
            return ""
        return prompt.rpartition(header)[2].partition(self.think.open)[2]


def _has_ended(text: str, think: ThinkFormat) -> bool:
    """Whether a thinking has ended in `text`, its end written out."""
    places = [at for at in map(text.find, think.end_tokens) if at >= 0]
    rest = text[min(places) :] if places else ""
    return bool(rest) and (rest == think.end or not think.end.startswith(rest))
