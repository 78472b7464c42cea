"""Log-probabilities of tokens from hidden states, without the logits of all of them.

The logits of N tokens are N × V numbers: 8 × 4,096 tokens of Qwen's vocabulary take 18.5 GiB in fp32, and a loss holds
several times as much. Here the head runs over a few rows at a time, and what is kept of them is N × W, as wide as the
hidden states.

While the rows' logits stand, the slope of each log-probability with respect to its own hidden state is taken too: the
gradient is that slope times whatever the loss asks for, so that the backward pass needs no logits and no second run of
the head. A head that is trained itself (tied embeddings, LoRA on it) needs the loss's gradient first: there each chunk
is computed again in the backward pass.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.engines.transformers import evaluating
from models.protocols import CausalLM

CHUNK_BYTES = 1 << 26
"""Size in bytes of the logits that are held at a time, in fp32; a few copies of them are made."""
PROBE = (0, 1, 2, 3)
"""Token ids for the one look whether a head is understood."""

Entropies = Literal["none", "value", "gradient"]
DropTokens = Callable[[Tensor, Tensor], Tensor]
"""(logits (R, V), target (R,)) → logits without the tokens that the sampling drops; it may change them in place."""
LogitsOf = Callable[[Tensor, Tensor], Tensor]
"""(hidden states (R, W), target (R,)) → the logits (R, V) that it is drawn from."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a model does with its last hidden states: a module, then a scale, then a soft cap."""

    module: nn.Module
    scale: float = 1.0
    softcap: float | None = None

    @classmethod
    def of(cls, model: CausalLM) -> Self | None:
        """The head of `model`, or None where its logits are made in a way that is not known here.

        One forward pass over a few tokens compares.
        """
        bare: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
        module, config = bare.get_output_embeddings(), bare.config.get_text_config()
        if module is None:
            return None
        scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
        head = cls(module, scale, getattr(config, "final_logit_softcapping", None))
        ids = torch.tensor([PROBE], device=bare.device)
        with evaluating(bare):
            logits = bare(input_ids=ids, use_cache=False).logits.float()
            found = head(hidden_states(bare, head, input_ids=ids))
        is_same = found.shape == logits.shape and torch.allclose(found, logits, rtol=1e-2, atol=1e-2)
        return head if is_same else None

    def __call__(self, hidden: Tensor) -> Tensor:
        """(…, W) → logits (…, V), in fp32."""
        logits: Tensor = self.module(hidden).float()
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)

    @property
    def is_trained(self) -> bool:
        """Whether any of its weights is."""
        return any(parameter.requires_grad for parameter in self.module.parameters())


def hidden_states(model: CausalLM, head: Head, **inputs: Any) -> Tensor:
    """(B, T, W) what the head of `model` reads, for the inputs of a forward pass; the head itself runs on nothing."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.append(given[0])
        return (given[0][:, :0], *given[1:])

    handle = head.module.register_forward_pre_hook(keep)
    try:
        model(**inputs, use_cache=False)
    finally:
        handle.remove()
    return seen[0]


def token_logprobs(
    head: Head,
    hidden_NW: Tensor,
    target_N: Tensor,
    *,
    temperature: float = 1.0,
    drop: DropTokens | None = None,
    entropies: Entropies = "none",
) -> tuple[Tensor, Tensor | None]:
    """((N,) log-probabilities of the targets, (N,) entropies), in fp32 and nats, at `temperature`.

    `entropies`: None in their place, or their values, or with their gradient too.
    """

    def logits_of(hidden_RW: Tensor, target_R: Tensor) -> Tensor:
        logits_RV = head(hidden_RW)
        if drop is not None:
            logits_RV = drop(logits_RV, target_R)
        return logits_RV if temperature == 1.0 else logits_RV / temperature

    # chunks of one size: a small rest at the end would take a kernel of its own, which may need far more memory
    most = max(1, CHUNK_BYTES // (4 * vocabulary_size(head)))
    count = max(1, math.ceil(len(target_N) / most))
    if torch.is_grad_enabled() and (head.is_trained or entropies == "gradient"):

        def score(hidden_RW: Tensor, target_R: Tensor) -> tuple[Tensor, Tensor | None]:
            return _scores(logits_of(hidden_RW, target_R), target_R, entropies)

        chunks = zip(hidden_NW.tensor_split(count), target_N.tensor_split(count), strict=True)
        logprobs, entropy = zip(*(checkpoint(score, *chunk, use_reentrant=False) for chunk in chunks), strict=True)
        return torch.cat(logprobs), None if entropies == "none" else torch.cat(entropy)
    logprobs_N, entropy_N = _FrozenHead.apply(hidden_NW, target_N, logits_of, count, entropies)
    return logprobs_N, None if entropies == "none" else entropy_N


def _scores(logits_RV: Tensor, target_R: Tensor, entropies: Entropies) -> tuple[Tensor, Tensor | None]:
    """(R,) log-probabilities, (R,) entropies or nothing."""
    logprobs_RV = logits_RV.log_softmax(-1)
    logprobs_R = logprobs_RV.gather(1, target_R[:, None])[:, 0]
    if entropies == "none":
        return logprobs_R, None
    with torch.set_grad_enabled(entropies == "gradient"):
        return logprobs_R, -(logprobs_RV.exp() * logprobs_RV).sum(-1)


def vocabulary_size(head: Head) -> int:
    """How many logits the head makes of a hidden state."""
    weight = getattr(head.module, "weight", None)
    return int(getattr(head.module, "out_features", 0) or (weight.shape[0] if weight is not None else 1 << 18))


class _FrozenHead(torch.autograd.Function):  # type: ignore[misc] # torch is not typed here
    """Scores in `count` chunks, and the slopes of their log-probabilities, taken while a chunk's logits stand.

    Each chunk writes into tensors that were there before the first: what it left behind would lie between the logits
    of two chunks, and glibc's malloc would find room for the next ones' only behind it.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_NW: Tensor, target_N: Tensor, logits_of: LogitsOf, count: int, entropies: Entropies
    ) -> tuple[Tensor, Tensor]:
        wants_slopes = ctx.needs_input_grad[0]
        logprobs_N, entropy_N = (torch.empty_like(target_N, dtype=torch.float32) for _ in range(2))
        slope_NW = torch.empty_like(hidden_NW if wants_slopes else hidden_NW[:0])
        tensors = (hidden_NW, target_N, logprobs_N, entropy_N, slope_NW)
        chunks = zip(*(tensor.tensor_split(count) for tensor in tensors), strict=True)
        for hidden_RW, target_R, logprobs_R, entropy_R, slope_RW in chunks:
            with torch.set_grad_enabled(wants_slopes):
                leaf_RW = hidden_RW.detach().requires_grad_(wants_slopes)
                logits_RV = logits_of(leaf_RW, target_R)
            # three tensors as large as the logits in all: what is no longer read is written over
            score_RV = logits_RV.detach().log_softmax(-1)
            logprobs_R.copy_(score_RV.gather(1, target_R[:, None])[:, 0])
            if entropies == "none" and not wants_slopes:
                continue
            probability_RV = score_RV.exp()
            if entropies != "none":
                entropy_R.copy_(score_RV.mul_(probability_RV).sum(-1).neg_())
            if wants_slopes:
                # of log p(target) with respect to the logits: 1 at the target, less the probabilities
                slope_RV = probability_RV.neg_()
                slope_RV.scatter_add_(1, target_R[:, None], slope_RV.new_ones(len(target_R), 1))
                slope_RW.copy_(torch.autograd.grad(logits_RV, leaf_RW, slope_RV)[0])
        ctx.save_for_backward(slope_NW)
        ctx.mark_non_differentiable(entropy_N)
        return logprobs_N, entropy_N

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        [slope_NW] = ctx.saved_tensors
        return (gradients[0][:, None] * slope_NW).to(slope_NW.dtype), None, None, None, None
