"""Whether rollouts are the policy's, checked at the start of a run and every `rollout.check_every` steps.

The engine writes a few tokens, sampled as rollouts are, and says how likely it found them; the model in training says
the same of them.

- Both agree, but for rounding: else the engine samples something else than what is trained.
- The engine is nearer to the model with its adapter than to the base model, as soon as the adapter changes anything:
  else it samples the base model, as engines that lose an adapter do.
- Of several servers that draw rollouts each is asked, and has to hold by itself.
- The base weights' checksum stays what it was: nothing merged into them, nothing drifted.

What does not hold stops the run, and says what to do. The gap goes into `metrics.jsonl` either way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from configs.errors import RunError
from configs.schema.sections import SamplingConfig
from models.engines.base import Engine, Request
from models.teacher_forcing import Pair, vocabulary_logprobs
from rl.truncation import sampled_logprobs
from training.fsdp_internals import whole_weights
from training.run_callback import RunCallback
from training.together import failing_together

PROMPTS, TOKENS = 4, 16
"""How many prompts are asked, and how many tokens of each completion compared."""
ROUNDING, ROUNDING_16 = 1e-3, 0.25
"""Most that the mean gap may be, in nats a token: in fp32, and in 16 bits, which whatever is not fp32 computes in.

There logits of 16 to 32 are 0.125 apart: on the embedded model a gap of 0.06 is rounding."""


PLAIN = SamplingConfig()


@dataclass(frozen=True, slots=True)
class Agreement:
    """Gaps between log-probabilities of the same tokens, in nats.

    mean, maximum  engine and model in training
    base           engine and base model: without the adapter; None where there is none
    effect         model with and without the adapter
    """

    mean: float
    maximum: float
    base: float | None = None
    effect: float | None = None


def agreement(
    engine: Engine,
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingConfig = PLAIN,
    seed: int = 0,
) -> Agreement:
    """Ask `engine` for a few tokens after each prompt (ids), and `model` what it thinks of them."""
    engine.follow(model)
    requests = [Request(tuple(p), sampling, TOKENS, seed=seed + at, logprobs=True) for at, p in enumerate(prompts)]
    generations = engine.generate(requests)
    pairs = [(list(g.prompt_ids), list(g.token_ids)) for g in generations]
    of_engine = [logprob for g in generations for logprob in g.logprobs]
    of_model = logprobs(model, pairs, sampling)
    gaps = [abs(a - b) for a, b in zip(of_engine, of_model, strict=True)]
    if not hasattr(model, "peft_config"):
        return Agreement(fmean(gaps), max(gaps))
    with model.disable_adapter():
        of_base = logprobs(model, pairs, sampling)
    return Agreement(
        mean=fmean(gaps),
        maximum=max(gaps),
        base=fmean(abs(a - b) for a, b in zip(of_engine, of_base, strict=True)),
        effect=fmean(abs(a - b) for a, b in zip(of_model, of_base, strict=True)),
    )


def look_at_parts(
    engine: Engine,
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    bound: float,
    sampling: SamplingConfig = PLAIN,
) -> tuple[Agreement, str]:
    """The widest gap of the engine's parts, and what is wrong with the first one that is not the policy; "" if none.

    Each server is asked by itself: one that kept an old adapter, or has other weights, would hide among the others.
    """
    engine.follow(model)
    parts = engine.parts()
    gaps = [agreement(part, model, prompts, sampling) for part in parts]
    names = [f"{part.about}: " if len(parts) > 1 else "" for part in parts]
    wrong = [name + found for name, gap in zip(names, gaps, strict=True) if (found := mismatch(gap, bound))]
    return max(gaps, key=lambda gap: gap.mean), wrong[0] if wrong else ""


def logprobs(model: PreTrainedModel, pairs: Sequence[Pair], sampling: SamplingConfig = PLAIN) -> list[float]:
    """`model`'s log-probability of every completion token, under `sampling`."""
    vocabularies = vocabulary_logprobs(model, pairs)
    chosen = [
        sampled_logprobs(of, completion, sampling) for of, (_, completion) in zip(vocabularies, pairs, strict=True)
    ]
    found: list[float] = torch.cat(chosen).tolist()  # once, for each waits for the device
    return found


def mismatch(gap: Agreement, bound: float) -> str:
    """What is wrong, and what to do; "" if nothing."""
    if gap.base is not None and 2 * gap.base < gap.mean:
        return (
            "the rollout engine answers as the base model, without the adapter (which changes "
            f"{gap.effect:.2g} nats a token); set rollout.engine=transformers"
        )
    if gap.mean > bound:
        return (
            f"the rollout engine and the model in training disagree by {gap.mean:.2g} nats a token (up to "
            f"{bound:.2g} is rounding): completions are not the policy's; set rollout.engine=transformers"
        )
    return ""


def rounding_of(precision: str) -> float:
    """Most that the mean gap may be for base weights held so."""
    return ROUNDING if precision == "fp32" else ROUNDING_16


def checksum(model: PreTrainedModel) -> int:
    """Of all weights that are not trained, bit by bit and wherever they are; 4-bit ones as they are stored."""
    sums = [_bit_sum(weight) for weight in _frozen(model)]
    if not sums:
        return 0
    total = 0
    for value in torch.stack([found.to(sums[0].device) for found in sums]).tolist():  # in one copy to the host
        total = (total * 31 + int(value)) % (1 << 61)
    return total


def _bit_sum(weight: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor's bits as integers; it stays on its device."""
    data = weight.detach().contiguous().view(-1).view(torch.uint8)
    words = data.view(torch.int32) if len(data) % 4 == 0 else data
    return words.sum(dtype=torch.int64)


def _frozen(model: PreTrainedModel) -> Iterator[torch.Tensor]:
    return (parameter for parameter in model.parameters() if not parameter.requires_grad)


class PolicyCheck(TrainerCallback):  # type: ignore[misc] # transformers is not typed here
    """Makes the check during training; its figures go into the next row of `metrics.jsonl`."""

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[Sequence[int]],
        every: int,
        rows: RunCallback,
        precision: str,
        sampling: SamplingConfig = PLAIN,
    ) -> None:
        self.engine, self.prompts, self.every, self.rows = engine, list(prompts)[:PROMPTS], every, rows
        self.sampling = sampling
        self.bound = rounding_of(precision)
        self.base: int | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel,
        **_: object,
    ) -> None:
        """Before the first rollout, also of a resumed run."""
        with whole_weights(model):
            if next(model.parameters()).dtype != torch.float32:  # FSDP2 gathers weights in the type it computes in
                self.bound = ROUNDING_16
            self.base = checksum(model)
            self._check(model, state.global_step)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel,
        **_: object,
    ) -> None:
        """After every so many steps."""
        if state.global_step % self.every == 0:
            with whole_weights(model):
                self._check(model, state.global_step)

    def _check(self, model: PreTrainedModel, step: int) -> None:
        with failing_together():
            self._compare(model, step)

    def _compare(self, model: PreTrainedModel, step: int) -> None:
        gap, wrong = look_at_parts(self.engine, model, self.prompts, self.bound, self.sampling)
        self.rows.extra |= {"logprob_gap_mean": gap.mean, "logprob_gap_max": gap.maximum}
        if wrong:
            raise RunError(f"stopped at step {step}: {wrong}")
        if checksum(model) != self.base:
            raise RunError(
                f"stopped at step {step}: base weights that are not trained have changed since the start; something "
                "merged the adapter into them: go on with --resume from the last checkpoint, without other engines"
            )
