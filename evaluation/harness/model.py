"""`EngineLM`: one of our engines as lm-evaluation-harness asks a model.

Written answers come from `Engine.generate`, under the recipe's budget where the format has thinking; the harness sees
the answer alone. Log-likelihoods come from `models.teacher_forcing`, for which the engine has to hold the model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from lm_eval import utils
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import has_bos_prefix, normalize_gen_kwargs, postprocess_generated_text

from budget_forcing.budget import Budget
from configs.errors import EngineError
from configs.schema.harness import HarnessEvalConfig
from configs.schema.sections import SamplingConfig
from data.prompts import loaded_eos
from data.think_format import NONE
from evaluation.harness.tasks import GENERATED, SAMPLING
from models.engines.base import Engine, Request, render_messages
from models.engines.generation import Generation

LOGITS = 2**29
"""Most logits in one forward pass, 2 GiB in fp32."""
Scored = tuple[tuple[str, str], list[int], list[int]]
"""((context, continuation), their ids)"""


class EngineLM(TemplateLM):  # type: ignore[misc]
    """An engine as one task asks it.

    generations  what was written, by (document, repeat), for who wants more of it than its answer
    truncated    how many prompts lost their beginning because the context had no room
    """

    def __init__(
        self, engine: Engine, config: HarnessEvalConfig, task: Any, progress: Callable[[int, int], None] | None = None
    ) -> None:
        super().__init__()
        self.engine = engine
        self.config = config
        self.tokenizer = engine.tokenizer
        self.is_chat = config.harness.apply_chat_template
        self.think_format = engine.think_format if task.OUTPUT_TYPE == GENERATED else NONE
        self.generations: dict[tuple[int, int], Generation] = {}
        self.truncated = 0
        self._task = task.task_name
        self._progress = progress

    # ---- prompts

    @property
    def eot_token_id(self) -> int:
        """The id of what ends a text, by the tokenizer's own files."""
        return int(self.tokenizer.convert_tokens_to_ids(loaded_eos(self.tokenizer) or self.tokenizer.eos_token))

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without any context, as in the harness's own backends."""
        begin = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else int(begin)

    @property
    def tokenizer_name(self) -> str:
        """For the harness's caches."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Ids of a text; the tokenizer adds what it adds to plain text, and nothing to what a template wrote."""
        if add_special_tokens is None:
            begun = has_bos_prefix(string, self.tokenizer.decode([self.prefix_token_id]))
            add_special_tokens = not (self.is_chat or begun)
        return list(self.tokenizer.encode(string, add_special_tokens=add_special_tokens))

    def apply_chat_template(self, chat_history: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """The prompt of a conversation, as every prompt of ours is rendered; a last assistant's turn is begun."""
        if add_generation_prompt:
            return render_messages(chat_history, self.tokenizer, self.think_format)
        return render_messages(chat_history[:-1], self.tokenizer, self.think_format) + chat_history[-1]["content"]

    # ---- written answers

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[str]:
        """The answer to each request, cut at the task's stop strings; thinking is no part of it."""
        places = _repeats(requests)
        kinds = [normalize_gen_kwargs(request.args[1], self.config.budget.max_answer) for request in requests]
        asks = [
            self._request(request.args[0], kind, place)
            for request, kind, place in zip(requests, kinds, places, strict=True)
        ]
        done: list[Generation] = []

        def show(generation: Generation) -> None:
            done.append(generation)
            self._show(len(done), len(asks))

        generations = self.engine.generate(asks, show)
        self.generations = dict(zip(places, generations, strict=True))
        return [self._answer(one, kind["until"]) for one, kind in zip(generations, kinds, strict=True)]

    def _request(self, prompt: str, kind: Mapping[str, Any], place: tuple[int, int]) -> Request:
        longest = int(kind["max_gen_toks"])
        budget, reserved = None, longest
        if self.think_format.has_thinking:
            section = self.config.budget.model_copy(update={"max_answer": longest})
            budget = Budget.from_config(section, self.engine.context)
            reserved += max(budget.min_thinking, budget.max_thinking or 0)
            reserved += len(self.tok_encode(self.think_format.end + budget.final_answer_text, False))
        return Request(
            self._fitting(self.tok_encode(prompt), reserved),
            _sampling(kind),
            max_tokens=longest if budget is None else None,
            seed=_seed(self.config.seed, self._task, *place),
            budget=budget,
            # what the thinking says ends no answer: there the stop strings are looked for in the answer alone
            stop=() if budget else tuple(text for text in kind["until"] if text),
        )

    def _fitting(self, ids: list[int], reserved: int) -> list[int]:
        """The prompt, without its beginning where the context has no room for it, as the harness cuts it."""
        room = self.engine.context - reserved
        if room < 1:
            raise EngineError(
                f"harness.tasks: {self._task} wants {reserved} tokens of thinking and answer, and the context is "
                f"{self.engine.context}: raise model.max_length"
            )
        self.truncated += len(ids) > room
        return ids[-room:]

    def _answer(self, generation: Generation, stops: Sequence[str]) -> str:
        text = generation.answer
        if not self.think_format.has_thinking:
            text = str(self.tokenizer.decode(generation.token_ids, skip_special_tokens=True))
        return str(postprocess_generated_text(text, list(stops), None))

    # ---- log-likelihoods

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Per request (context, continuation): the log-probability of the continuation, and whether it is greedy."""
        return list(super().loglikelihood(requests, disable_tqdm=disable_tqdm))

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = True) -> list[float]:
        """The log-probability of each text, a long one in windows of the context."""
        windows = [
            [
                utils.make_disjoint_window(window)
                for window in utils.get_rolling_token_windows(
                    self.tok_encode(request.args[0]), self.prefix_token_id, self.engine.context, context_len=1
                )
            ]
            for request in requests
        ]
        scored: list[Scored] = [(("", ""), *window) for its in windows for window in its]
        found = iter(self._loglikelihood_tokens(scored))
        return [sum(next(found)[0] for _ in its) for its in windows]

    def _loglikelihood_tokens(self, requests: Sequence[Scored], **options: Any) -> list[tuple[float, bool]]:
        from models.teacher_forcing import completion_logprobs, vocabulary_logprobs

        # 1. continuations of one context that differ in their last token alone take one forward pass
        passes: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for at, (_, context, continuation) in enumerate(requests):
            kept = self._beginning(context, continuation)
            passes.setdefault((kept, tuple(continuation[:-1])), []).append(at)
        # 2. the longest first: what does not fit in memory fails at once
        order = sorted(passes, key=lambda one: -len(one[0]) - len(one[1]))
        pairs = [(context, requests[passes[context, begun][0]][2]) for context, begun in order]
        found: dict[int, tuple[float, bool]] = {}
        for start, batch in _batches(pairs, LOGITS // len(self.tokenizer)):
            scores = vocabulary_logprobs(self.engine.model, batch, len(batch))  # type: ignore[attr-defined]
            for key, vocabulary in zip(order[start:], scores, strict=False):
                greedy = vocabulary.argmax(-1).tolist()
                for at in passes[key]:
                    continuation = requests[at][2]
                    score = completion_logprobs(vocabulary, continuation).sum().item()
                    found[at] = score, greedy == list(continuation)
            self._show(len(found), len(requests))
        return [found[at] for at in range(len(requests))]

    def _beginning(self, context: Sequence[int], continuation: Sequence[int]) -> tuple[int, ...]:
        """The context, without its beginning where there is no room; the last token of a continuation takes none."""
        room = self.engine.context + 1 - len(continuation)
        if room < 1:
            raise EngineError(
                f"harness.tasks: {self._task} has a continuation of {len(continuation)} tokens, over the context of "
                f"{self.engine.context}: raise model.max_length"
            )
        self.truncated += len(context) > room
        return tuple(context[-room:])

    def _show(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)


def _repeats(requests: Sequence[Any]) -> list[tuple[int, int]]:
    """(document, how often it was asked before) of each request."""
    counts: dict[int, int] = {}
    places = []
    for request in requests:
        document = int(request.doc_id)
        places.append((document, counts.setdefault(document, 0)))
        counts[document] += 1
    return places


def _sampling(kind: Mapping[str, Any]) -> SamplingConfig:
    """A task's `generation_kwargs`, normalised by the harness, as our section; greedy unless it asks to sample."""
    if not kind.get("do_sample"):
        return SamplingConfig(temperature=0.0)
    given = {name: kind[name] for name in SAMPLING - {"do_sample"} if kind.get(name) is not None}
    return SamplingConfig.model_validate({"temperature": 1.0} | given, strict=False)


def _seed(*parts: Any) -> int:
    return int(sha256(repr(parts).encode()).hexdigest()[:15], 16)


def _batches(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], most: int
) -> Iterator[tuple[int, list[tuple[Sequence[int], Sequence[int]]]]]:
    """(start, pairs) of each batch, of at most `most` positions with their padding; the longest pair comes first."""
    start = 0
    while start < len(pairs):
        width = len(pairs[start][0]) + len(pairs[start][1]) - 1
        count = max(1, most // width)
        yield start, list(pairs[start : start + count])
        start += count
