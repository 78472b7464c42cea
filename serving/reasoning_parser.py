"""vLLM's reasoning parser for our think formats: over HTTP, thinking arrives as `reasoning`, the answer as `content`.

    vllm serve … --reasoning-parser mull --reasoning-parser-plugin serving/reasoning_parser.py

The format is read from the environment (`MULL_THINK_FORMAT`, the fields of `data.think_format.ThinkFormat` as JSON):
vLLM makes parsers itself and passes nothing of ours. Special tokens are kept while parsing: delimiters are made of
them. `MULL_BUDGET`, the fields of `configs.schema.sections.BudgetConfig` as JSON, is the budget of requests without one
of their own.
"""

import json
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vllm.entrypoints.generate.base.protocol import DeltaMessage
from vllm.reasoning import ReasoningParser, ReasoningParserManager

from budget_forcing.tokens import think_tokens
from configs.errors import EngineError
from configs.schema.sections import BudgetConfig
from data.prompts import begun_turn
from data.think_format import ThinkFormat
from data.turn_reader import Parts
from models.engines.generation import positions
from models.engines.vllm_internals import end_of_turn_of
from serving.thinking_switches import CLOSED_AT_ONCE, budget_args, has_budget, limit_asked, served_budget
from serving.vllm_internals import ANSWER_STOPS, install_answer_stops

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME, VARIABLE, BUDGET_VARIABLE = "mull", "MULL_THINK_FORMAT", "MULL_BUDGET"
RECENT = 64  # last tokens that are searched for an end that has just come


def think_format() -> ThinkFormat:
    """The format that the server's environment names."""
    return ThinkFormat.from_fields(json.loads(os.environ[VARIABLE]))


install_answer_stops(think_format)


@ReasoningParserManager.register_module(NAME)  # type: ignore[untyped-decorator,unused-ignore] # typed in some builds
class ThinkFormatParser(ReasoningParser):  # type: ignore[misc]  # vLLM is not typed here
    """See the module.

    `begun`: what the prompt already holds of the turn that is parsed, its opening included. `seen`: that, and what was
    streamed so far; `streamed_parts`: its parts, and `streamed_thinking` the tokens of its thinking once it has ended.
    """

    engine_based_streaming = True
    """vLLM hands every piece to this parser, and asks `finish_streaming` for what is left when the turn has ended."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", *args: Any, **kwargs: Any) -> None:
        super().__init__(tokenizer, *args, **kwargs)
        self.think = think_format()
        self.template_kwargs: dict[str, Any] = kwargs.get("chat_template_kwargs") or {}
        self.begun = self.seen = self.think.prefill
        self.streamed_parts: Parts | None = None
        self.streamed_thinking: int | None = None

    def adjust_request(self, request: Any) -> Any:
        """Keep special tokens in the text that is parsed; what is asked of the thinking becomes a budget.

        Stop strings are a chat's client's own: they are meant for the answer.
        """
        request.skip_special_tokens = False
        try:
            xargs = self._with_budget(request, dict(request.vllm_xargs or {}))
        except EngineError as error:
            raise ValueError(str(error)) from error  # vLLM answers 400 with its text
        if request.stop and self.think.has_thinking:
            xargs[ANSWER_STOPS] = 1
        request.vllm_xargs = xargs or None
        return request

    def _with_budget(self, request: Any, xargs: dict[str, Any]) -> dict[str, Any]:
        """`xargs` with the budget that the request asks for in other words, if it does; else with the server's own."""
        name, limit = limit_asked(self.template_kwargs, getattr(request, "thinking_token_budget", None))
        if not name and not has_budget(xargs) and BUDGET_VARIABLE in os.environ:
            budget = BudgetConfig.model_validate_json(os.environ[BUDGET_VARIABLE])
            limit = served_budget(budget, self.model_tokenizer)
        if not limit or (not self.think.has_thinking and limit == CLOSED_AT_ONCE):
            return xargs
        config = self._model_config
        eos = () if config is None else end_of_turn_of(config, self.model_tokenizer)
        xargs = budget_args(name, limit, xargs, think_tokens(self.think, self.model_tokenizer, eos))
        if name == "thinking_token_budget":
            request.thinking_token_budget = None  # vLLM's own would end the thinking as well
        return xargs

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int:
        """How many of a completion's ids are thinking, as an engine counts them; all while a stream still thinks."""
        if self.streamed_parts is None:
            return self._thinking_tokens(token_ids)
        if self.streamed_parts.thinking_end >= len(self.seen):
            return len(token_ids)
        if self.streamed_thinking is None:
            self.streamed_thinking = self._thinking_tokens(token_ids)
        return self.streamed_thinking

    def _thinking_tokens(self, token_ids: Sequence[int]) -> int:
        return positions(token_ids, self.model_tokenizer, self.think, self.begun)[0]

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Whether the prompt itself has ended the thinking of its last turn (`continue_final_message`).

        vLLM asks this of each prompt before anything is parsed, so what that turn holds already is kept for then. Never
        true here: the answer's end is to be found as well.
        """
        prompt = self.model_tokenizer.decode(list(input_ids), skip_special_tokens=False)
        self.begun = self.seen = begun_turn(self.model_tokenizer, prompt, self.think)
        return False

    def is_reasoning_end_streaming(self, input_ids: Sequence[int], delta_ids: Iterable[int]) -> bool:
        """Whether the thinking has ended in these ids; vLLM holds only what follows to a grammar, where one is set."""
        if not self.think.has_thinking:
            return True
        text = self.model_tokenizer.decode(list(input_ids[-RECENT:]), skip_special_tokens=False)
        turn = self.think.open + text.rpartition(self.think.open)[2]
        return self.think.split_so_far(turn).thinking_end < len(turn)

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """Ids of the answer; found by the length of its text."""
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
        before = self._parts_so_far()
        self.seen += delta_text
        self.streamed_parts = self.think.split_so_far(self.seen)
        return _message(*_added(before, self.streamed_parts))

    def finish_streaming(self) -> Any:
        """What was held back and belongs to the thinking or the answer after all, now that the turn has ended."""
        return _message(*self._rest(self._parts_so_far(), self.seen))

    def _parts_so_far(self) -> Parts:
        """Those of `seen`."""
        return self.streamed_parts or self.think.split_so_far(self.seen)

    def _rest(self, before: Parts, turn: str) -> tuple[str | None, str | None]:
        """(thinking, answer) that the whole `turn` has and neither `before` nor an answer begun in the prompt has."""
        thinking, answer = _added(before, self.think.split(turn))
        begun = "" if before.answer else self.think.split(self.begun).answer
        return thinking, (answer or "").removeprefix(begun) or None


def _added(before: Parts, now: Parts) -> tuple[str | None, str | None]:
    """(thinking, answer) that `now` has and `before` has not."""
    return now.thinking[len(before.thinking) :] or None, now.answer[len(before.answer) :] or None


def _message(thinking: str | None, answer: str | None) -> Any:
    return DeltaMessage(reasoning=thinking, content=answer) if thinking or answer else None
