"""Attention for packed rows: each row attends to itself alone, and no T × T mask is ever made.

Packing lays rows after one another in one sequence, whose positions start again at 0 with each row. FlashAttention
takes that as it is; Transformers' SDPA builds a block-diagonal mask and computes every masked entry. Here SDPA is
called once a row instead. Where rows start is read from the device once a batch, ahead of the first layer: each layer
would have to wait for the GPU to ask it.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_flash_attention_utils import prepare_fa_kwargs_from_position_ids
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

FLASH, PACKED_SDPA = "flash_attention_2", "mull_packed"


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    row_starts: Sequence[int] = (),
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """SDPA as Transformers has it, row by row where several rows start; see `row_starts`.

    query (1, heads, T, d), key and value (1, groups, T, d); returns (1, T, heads, d).
    """
    if len(row_starts) < 2:
        whole: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, mask, **kwargs)
        return whole

    # each row by itself: causal SDPA needs no mask then, and no score between two rows is ever computed
    spans = zip(row_starts, [*row_starts[1:], query.shape[2]], strict=True)
    parts = [
        sdpa_attention_forward(module, *(x[:, :, a:b] for x in (query, key, value)), None, **kwargs)[0]
        for a, b in spans
    ]
    return torch.cat(parts, dim=1), None


def packed_mask(*args: Any, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor | None:
    """No mask for packed rows, which come without padding; SDPA's own for all else."""
    return None if attention_mask is None else sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


def row_starts(positions: torch.Tensor) -> dict[str, Any]:
    """What `packed_attention` is told of rows whose `positions` (1, T) start again at 0."""
    return {"row_starts": (positions[0] == 0).nonzero()[:, 0].tolist()}


def flash_lengths(positions: torch.Tensor) -> dict[str, Any]:
    """What FlashAttention is told of such rows; without it Transformers asks the device for it in every layer."""
    (starts_q, starts_k), (longest, _) = prepare_fa_kwargs_from_position_ids(positions)
    length = int(longest)
    return {"cu_seq_lens_q": starts_q, "cu_seq_lens_k": starts_k, "max_length_q": length, "max_length_k": length}


ALL_ATTENTION_FUNCTIONS.register(PACKED_SDPA, packed_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(PACKED_SDPA, packed_mask)


@contextmanager
def packed(model: PreTrainedModel, is_packed: bool) -> Iterator[None]:
    """Inside, a model that uses SDPA has the attention that packed rows need; any other keeps its own."""
    if not is_packed or model.config._attn_implementation != "sdpa":
        yield
        return
    flash = model.device.type == "cuda" and importlib.util.find_spec("flash_attn") is not None
    name, of_rows = (FLASH, flash_lengths) if flash else (PACKED_SDPA, row_starts)

    def with_rows(_: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """A mask, or no positions, means that nothing is packed in this batch."""
        positions = kwargs.get("position_ids") if kwargs.get("attention_mask") is None else None
        return args, kwargs if positions is None else kwargs | of_rows(positions)

    model.set_attn_implementation(name)
    hook = model.get_decoder().register_forward_pre_hook(with_rows, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
        model.set_attn_implementation("sdpa")
