"""The truncated policy: log-probabilities among the tokens that top-p, top-k and min-p keep.

Rollouts come from π(a) / Z, where Z is the mass of the tokens kept, and that is what engines report. A loss over the
whole vocabulary reads a ratio of Z a token: about 0.95^T for a completion, as if the policy had moved; and its
gradient moves mass to tokens that are never drawn and so never corrected. So the loss takes π / Z too, of the policy,
of the old one and of the reference: its gradient is that of what the truncated policy earns, and ratios stay 1 where
nothing moved (DeepSeek-V3.2, arXiv 2512.02556 §3.1).

The tokens kept are those of the model whose log-probability is taken, and as many more as the token drawn needs: one
that another engine's rounding, an optimizer step, the reference or a redraw puts outside is never impossible. Unlike
§3.1, which replays the sampler's sets, nothing of the vocabulary's size is stored; on policy it is the same.

Unsloth's loss and the Liger kernel never show the logits. There log Z is added to what the engine reports instead, so
that both sides are over the vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from budget_forcing.sampling import Truncation, dropped
from configs.schema.sections import SamplingConfig
from models.engines.generation import Generation
from models.protocols import CausalLM
from models.teacher_forcing import completion_logprobs, vocabulary_logprobs

ROWS = 64
"""Rows of the vocabulary that are sorted at a time: what bounds the memory."""


def drop(logits: torch.Tensor, targets: torch.Tensor, sampling: SamplingConfig) -> torch.Tensor:
    """`logits` (…, V), changed in place: so low where the sampling drops a token that its probability is 0.

    targets (…), the tokens that were drawn, are kept. Finite, as p·log p must be for an entropy; gradients there are 0.
    """
    lowest = torch.finfo(logits.dtype).min / 2 * min(sampling.temperature, 1.0)  # finite after the temperature too
    return logits.masked_fill_(_dropped(logits, targets, sampling), lowest)


def _dropped(logits: torch.Tensor, targets: torch.Tensor, sampling: SamplingConfig) -> torch.Tensor:
    """(…, V) bool: what the sampling drops."""
    truncation = Truncation.of([sampling], logits.device)
    found = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    if truncation is None:
        return found
    parts = (x.split(ROWS) for x in (logits.detach().flatten(0, -2), targets.flatten(), found.flatten(0, -2)))
    for logits_RV, targets_R, found_RV in zip(*parts, strict=True):
        scaled_RV = logits_RV.float() / sampling.temperature
        found_RV.copy_(dropped(scaled_RV, truncation(scaled_RV), targets_R))
    return found


@contextmanager
def truncated(model: nn.Module, sampling: SamplingConfig) -> Iterator[None]:
    """Inside, the logits of `model` for the token that follows each position of its rows are those that `drop` leaves.

    For rows (B, T) of ids of which it computes the last positions.
    """

    def hook(_: Any, __: Any, inputs: dict[str, Any], output: Any) -> None:
        following = inputs["input_ids"].roll(-1, 1)[:, -output.logits.shape[1] :]
        output.logits = drop(output.logits, following, sampling)

    handle = model.register_forward_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def sampled_logprobs(vocabulary: torch.Tensor, completion: Sequence[int], sampling: SamplingConfig) -> torch.Tensor:
    """(C,) log-probabilities of a completion's tokens under `sampling`; `vocabulary` (C, V) at temperature 1."""
    return completion_logprobs(_sampled(vocabulary, completion, sampling).log_softmax(-1), completion)


def over_vocabulary(generations: Sequence[Generation], model: CausalLM, sampling: SamplingConfig) -> list[Generation]:
    """The same completions, the log-probabilities of chosen tokens over the whole vocabulary: log Z is added."""
    pairs = [(generation.prompt_ids, generation.token_ids) for generation in generations]
    found = []
    for generation, vocabulary in zip(generations, vocabulary_logprobs(model, pairs), strict=True):
        kept = _sampled(vocabulary, generation.token_ids, sampling).logsumexp(-1)
        log_z_C = (kept - (vocabulary / sampling.temperature).logsumexp(-1)).tolist()
        rows = zip(generation.logprobs, log_z_C, generation.forced, strict=True)
        logprobs = tuple(value if forced else value + log_z for value, log_z, forced in rows)
        found.append(replace(generation, logprobs=logprobs))
    return found


def _sampled(vocabulary: torch.Tensor, completion: Sequence[int], sampling: SamplingConfig) -> torch.Tensor:
    """(C, V) the logits that a completion's tokens are drawn from."""
    targets = torch.tensor([*completion], device=vocabulary.device)
    return drop(vocabulary.clone(), targets, sampling) / sampling.temperature


def in_loss(backend: str, uses_liger: bool) -> bool:
    """Whether the loss can be that of the truncated policy: those of Unsloth and Liger never show the logits."""
    return backend != "unsloth" and not uses_liger


def compared(sampling: SamplingConfig, is_in_loss: bool) -> str:
    """A line for the screen: of which tokens the loss and the rollouts have their log-probabilities."""
    settings = ", ".join(f"{name} {getattr(sampling, name)}" for name in sampling.truncations)
    if is_in_loss:
        return f"log-probabilities: among the tokens kept by {settings}, in the loss as in the rollouts"
    return f"log-probabilities: over the whole vocabulary, as in the loss; the mass kept by {settings} is added"
