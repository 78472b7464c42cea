"""vLLM's reasoning parser for our think formats: over HTTP, thinking arrives as `reasoning`, the answer as `content`.

    vllm serve … --reasoning-parser mull --reasoning-parser-plugin models/reasoning_parser.py

The format is read from the environment (`MULL_THINK_FORMAT`, the fields of `data.think.ThinkFormat` as JSON): vLLM
makes parsers itself and passes nothing of ours. Special tokens are kept while parsing: delimiters are made of them.
"""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from vllm.entrypoints.generate.base.protocol import DeltaMessage
from vllm.reasoning import ReasoningParser, ReasoningParserManager

from data.think import ThinkFormat
from models.division import divided

NAME, VARIABLE = "mull", "MULL_THINK_FORMAT"
RECENT = 64  # last tokens that are searched for an end that has just come


@ReasoningParserManager.register_module(NAME)  # type: ignore[untyped-decorator,unused-ignore]
class ThinkFormatParser(ReasoningParser):  # type: ignore[misc]
    """See the module."""

    def __init__(self, tokenizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        fields = json.loads(os.environ[VARIABLE])
        self.think = ThinkFormat(**(fields | {"end_tokens": tuple(fields["end_tokens"])}))

    def adjust_request(self, request: Any) -> Any:
        """Keep special tokens in the text that is parsed."""
        request.skip_special_tokens = False
        return request

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Never: vLLM asks this of prompts, each opens a new turn, and a system prompt may spell out delimiters."""
        return False

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """Whether the last thinking in these ids has ended; from then on vLLM passes text on as it is.

        Never where the answer has a closing delimiter, which is to be cut: there every step comes through here.
        """
        if self.think.answer_close:
            return False
        text = self.model_tokenizer.decode(list(input_ids[-RECENT:]), skip_special_tokens=False)
        last = text.rpartition(self.think.open)[2]
        places = [at for at in map(last.find, self.think.end_tokens) if at >= 0]
        rest = last[min(places) :] if places else ""
        return bool(rest) and (rest == self.think.end or not self.think.end.startswith(rest))

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """Ids of the answer; found by the length of its text."""
        from models.generation import parts_of

        return input_ids[parts_of(input_ids, self.model_tokenizer, self.think)[1] :]

    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        """(thinking, answer) of a whole completion."""
        thinking, answer = divided(model_output, self.think, whole=True)
        return thinking or None, answer or None

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
        before = divided(previous_text, self.think, whole=False)
        now = divided(current_text, self.think, whole=False)
        thinking, answer = (text[len(old) :] or None for text, old in zip(now, before, strict=True))
        return DeltaMessage(reasoning=thinking, content=answer) if thinking or answer else None
