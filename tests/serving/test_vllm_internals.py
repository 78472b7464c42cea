"""Pins what `serving.vllm_internals` uses of vLLM 0.30's front end, with its own detokenizer; nothing is started."""

import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("vllm")
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]  # seconds to import

from vllm import SamplingParams  # noqa: E402
from vllm.v1.engine.detokenizer import IncrementalDetokenizer  # noqa: E402

from data.prompts import render_prompt  # noqa: E402
from data.think_format import THINK_FORMATS, ThinkFormat  # noqa: E402
from serving.vllm_internals import ANSWER_STOPS, AnswerStops, install_answer_stops  # noqa: E402
from tests.tiny import tiny_tokenizer  # noqa: E402

THINKING = [think for think in THINK_FORMATS.values() if think.has_thinking]


def request(stop: str, prompt: str, **options: Any) -> Any:
    """What of vLLM's `EngineCoreRequest` its detokenizer reads."""
    params = SamplingParams(stop=[stop], skip_special_tokens=False, **options)
    ids = tiny_tokenizer().encode(prompt, add_special_tokens=False)
    return SimpleNamespace(sampling_params=params, prompt_token_ids=ids, request_id="0")


def completed(think: ThinkFormat, text: str, stop: str, size: int = 1, **options: Any) -> tuple[str, str | None]:
    """(text, stop string) when vLLM has taken in `size` tokens of the completion `text` at a time."""
    tokenizer = tiny_tokenizer()
    detokenizer: Any = IncrementalDetokenizer.from_new_request(
        tokenizer, request(stop, render_prompt(tokenizer, "2 + 3?", think), **options)
    )
    update = AnswerStops(detokenizer, think, think.prefill).update
    ids = tokenizer.encode(text, add_special_tokens=False)
    for at in range(0, len(ids), size):
        if (found := update(ids[at : at + size], False)) is not None:
            return detokenizer.output_text, found
    return detokenizer.output_text, None


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("think", THINKING, ids=lambda think: think.name)
def test_stop_counts_from_the_answer_on(think: ThinkFormat, size: int) -> None:
    """In the thinking, in the delimiter between (its line break too), and nowhere: no stop."""
    text = think.render("2 and 3\nis 5", "It is 5, and so on").removeprefix(think.prefill)
    before = text[: text.index("It is")]
    assert completed(think, text, "is", size) == (before + "It ", "is")
    assert completed(think, text, " and", size) == (before + "It is 5,", " and")
    assert completed(think, text, "2 and", size)[1] is None
    assert completed(think, text, "\n", size)[1] == ("\n" if think.answer_close else None)
    assert completed(think, text, "is", size, include_stop_str_in_output=True) == (before + "It is", "is")


def test_fewest_tokens_are_kept() -> None:
    """`min_tokens`, as vLLM reads it: a stop string among them does not count, then or later."""
    think = THINK_FORMATS["deepseek"]
    text = think.render("a", "5, 6, 7").removeprefix(think.prefill)
    least = len(tiny_tokenizer().encode(text[: text.index(" 6")], add_special_tokens=False))
    assert completed(think, text, ",", min_tokens=least)[0] == text[: text.index("6") + 1]


def test_marked_requests_alone_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    # what another test may have installed asks the environment
    monkeypatch.setenv("MULL_THINK_FORMAT", json.dumps(asdict(THINK_FORMATS["deepseek"])))
    monkeypatch.setattr(IncrementalDetokenizer, "from_new_request", IncrementalDetokenizer.from_new_request)
    monkeypatch.delattr(IncrementalDetokenizer, ANSWER_STOPS, raising=False)
    install_answer_stops(lambda: THINK_FORMATS["deepseek"])
    installed = IncrementalDetokenizer.from_new_request
    install_answer_stops(lambda: THINK_FORMATS["s1"])
    assert IncrementalDetokenizer.from_new_request is installed
    ids = tiny_tokenizer().encode("a, b", add_special_tokens=False)
    found = []
    for options in ({}, {"extra_args": {ANSWER_STOPS: 1}}):
        detokenizer = IncrementalDetokenizer.from_new_request(tiny_tokenizer(), request(",", "2 + 3?", **options))
        found.append(detokenizer.update(ids, False))
    assert found == [",", None]
