"""Teacher forcing: what a model thinks of completions that stand already.

`compute_in_fp32` makes it an exact reader of weights that are held in 16 bits.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.engines.transformers import evaluating
from models.protocols import CausalLM

Pair = tuple[Sequence[int], Sequence[int]]
"""(prompt ids, completion ids)"""


def vocabulary_logprobs(model: CausalLM, pairs: Sequence[Pair], batch_size: int = 1) -> Iterator[Tensor]:
    """Per pair (C, V), fp32: the log-probability of every id at each of the C places of its completion.

    `batch_size`: pairs in one forward pass; their logits are what takes memory. No dropout and no gradients.
    """
    for at in range(0, len(pairs), batch_size):
        # what follows the last token is not asked: a pair may be one token longer than the model's context
        batch = [[*prompt, *completion[:-1]] for prompt, completion in pairs[at : at + batch_size]]
        longest = max(map(len, batch))
        # padded on the right, where causal attention lets no token of the pair see it: no mask is needed
        ids = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens in batch], device=model.device)  # (B, T)
        with evaluating(model):
            logits = model(input_ids=ids, use_cache=False).logits[:, -longest:]  # (B, T, V), virtual tokens left out
        for row, (prompt, completion) in enumerate(pairs[at : at + batch_size]):
            first = len(prompt) - 1
            yield logits[row, first : first + len(completion)].float().log_softmax(-1)


def completion_logprobs(vocabulary: Tensor, completion: Sequence[int]) -> Tensor:
    """(C, V) → (C,): the log-probability of each of the completion's tokens."""
    ids = torch.tensor([*completion], device=vocabulary.device)
    return vocabulary.gather(1, ids[:, None])[:, 0]


@contextmanager
def compute_in_fp32(model: CausalLM) -> Iterator[None]:
    """Inside, `model` computes in fp32 with the weights it has; one whose weights are packed stays as it is.

    Each module's own weights are widened while it runs and let go after it, so that they take no more memory than the
    largest of them.
    """
    held: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}

    def widen(module: nn.Module, _: object) -> None:
        tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        held[module] = [(tensor, tensor.data) for tensor in tensors if tensor.is_floating_point()]
        for tensor, data in held[module]:
            tensor.data = data.float()

    def restore(module: nn.Module, *_: object) -> None:
        for tensor, data in held.pop(module, []):
            tensor.data = data

    if getattr(model, "is_quantized", False):
        yield
        return
    hooks = [
        hook
        for module in model.modules()
        for hook in (module.register_forward_pre_hook(widen), module.register_forward_hook(restore, always_call=True))
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
