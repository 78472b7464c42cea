"""Attention for packed rows: each row attends to itself alone, and no T × T mask is ever made.

Packing lays rows after one another in one sequence, whose positions start again at 0 with each row. FlashAttention
takes that as it is; Transformers' SDPA builds a block-diagonal mask and computes every masked entry. Here SDPA is
called once a row instead.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

PACKED_SDPA = "mull_packed"


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """SDPA as Transformers has it, row by row where `position_ids` (1, T) start again.

    query (1, heads, T, d), key and value (1, groups, T, d); returns (1, T, heads, d).
    """
    # 1. where rows start: at position 0. A mask, or no positions, means that nothing is packed here
    positions = kwargs.get("position_ids")
    starts = [] if positions is None or mask is not None else (positions[0] == 0).nonzero()[:, 0].tolist()
    if len(starts) < 2:
        whole: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, mask, **kwargs)
        return whole

    # 2. each row by itself: causal SDPA needs no mask then, and no score between two rows is ever computed
    spans = zip(starts, [*starts[1:], query.shape[2]], strict=True)
    parts = [
        sdpa_attention_forward(module, *(x[:, :, a:b] for x in (query, key, value)), None, **kwargs)[0]
        for a, b in spans
    ]
    return torch.cat(parts, dim=1), None


def packed_mask(*args: Any, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor | None:
    """No mask for packed rows, which come without padding; SDPA's own for all else."""
    return None if attention_mask is None else sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


ALL_ATTENTION_FUNCTIONS.register(PACKED_SDPA, packed_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(PACKED_SDPA, packed_mask)


@contextmanager
def packed(model: PreTrainedModel, is_packed: bool) -> Iterator[None]:
    """Inside, a model that uses SDPA has the attention that packed rows need; any other keeps its own."""
    if not is_packed or model.config._attn_implementation != "sdpa":
        yield
        return
    flash = model.device.type == "cuda" and importlib.util.find_spec("flash_attn") is not None
    model.set_attn_implementation("flash_attention_2" if flash else PACKED_SDPA)
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")
