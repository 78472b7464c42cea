"""What is used of vLLM 0.30's server that it does not promise: each line is pinned in `test_vllm_internals.py`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vllm.v1.engine.detokenizer import IncrementalDetokenizer, check_stop_strings

from data.prompts import begun_turn
from data.think_format import ThinkFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm.v1.engine import EngineCoreRequest

ANSWER_STOPS = "answer_stops"
"""Key of `SamplingParams.extra_args`: the request's stop strings are looked for in the answer alone."""


def install_answer_stops(think_format: Callable[[], ThinkFormat]) -> None:
    """Have vLLM's front end obey `ANSWER_STOPS` for completions of that format; a second call changes nothing."""
    make = IncrementalDetokenizer.from_new_request
    if hasattr(IncrementalDetokenizer, ANSWER_STOPS):
        return

    def from_new_request(tokenizer: "PreTrainedTokenizerBase", request: "EngineCoreRequest") -> Any:
        detokenizer = make(tokenizer, request)
        if (request.sampling_params.extra_args or {}).get(ANSWER_STOPS) and getattr(detokenizer, "stop", None):
            prompt = tokenizer.decode(list(request.prompt_token_ids or ()), skip_special_tokens=False)
            think = think_format()
            detokenizer.update = AnswerStops(detokenizer, think, begun_turn(tokenizer, prompt, think)).update
        return detokenizer

    IncrementalDetokenizer.from_new_request = staticmethod(from_new_request)
    setattr(IncrementalDetokenizer, ANSWER_STOPS, True)


class AnswerStops:
    """Stands before the `update` of a vLLM detokenizer: its stop strings count from where the answer begins.

    `begun`: what the prompt holds of the turn already.
    """

    def __init__(self, detokenizer: Any, think: ThinkFormat, begun: str) -> None:
        self.detokenizer, self.plain = detokenizer, detokenizer.update
        self.think, self.begun = think, begun
        self.marks = tuple(filter(None, (*think.end_tokens, think.answer_open)))
        # a closed answer is shown when its turn has ended: until then the first opening is where it begins
        self.read = think.split if think.answer_close else think.split_so_far
        self.searched = self.checked = 0  # characters of the text looked through for marks, of the answer for stops
        self.has_mark = any(mark in begun for mark in self.marks)
        self.answer_start: int | None = None

    def update(self, new_token_ids: list[int], stop_terminated: bool) -> str | None:
        """Take the tokens in; the stop string that the answer now holds, before which the text is then cut."""
        detokenizer = self.detokenizer
        stops, detokenizer.stop = detokenizer.stop, []
        try:
            self.plain(new_token_ids, stop_terminated)
        finally:
            detokenizer.stop = stops
        start = self._answer_start(detokenizer.output_text)
        if start is None:
            return None
        answer = detokenizer.output_text[start:]
        fresh, self.checked = len(answer) - self.checked, len(answer)
        if detokenizer.num_output_tokens() <= detokenizer.min_tokens:
            return None
        found = check_stop_strings(answer, fresh, stops, detokenizer.include_stop_str_in_output)
        if found is None:
            return None
        stop, length = found
        if length >= 0:
            detokenizer.output_text = detokenizer.output_text[: start + length]
        return str(stop)

    def _answer_start(self, text: str) -> int | None:
        """Where in the completion's `text` the answer begins; None while it has not begun."""
        if self.answer_start is None:
            tail = text[max(self.searched - max(map(len, self.marks)), 0) :]
            self.has_mark = self.has_mark or any(mark in tail for mark in self.marks)
            self.searched = len(text)
            if self.has_mark:
                turn = self.begun + text
                start = self.read(turn).answer_start
                self.answer_start = max(start - len(self.begun), 0) if start < len(turn) else None
        return self.answer_start
