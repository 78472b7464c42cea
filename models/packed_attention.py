"""Attention for rows laid after one another in one sequence: a row sees itself, and the prompt that it shares.

    row | row | row                                                              packed rows of SFT
    prompt A | completion A1 | completion A2 | prompt B | completion B1          groups of GRPO

FlashAttention takes the first as it is; Transformers' SDPA builds a mask over the whole sequence and computes every
masked entry. Here SDPA is called once a row instead. Where rows start is read from the device once a batch, ahead of
the first layer: each layer would have to wait for the GPU to ask it.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_flash_attention_utils import prepare_fa_kwargs_from_position_ids
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

FLASH, PACKED_SDPA = "flash_attention_2", "sdpa_packed"


@dataclass(frozen=True, slots=True)
class Row:
    """`length` positions of a sequence, which see those before them in the row, and a prompt first.

    prompt  the number of the row that is its prompt, which stands earlier in the sequence
    mask    (length, prompt + length) bool, where that is the cheaper way: see `after_prompt`
    """

    length: int
    prompt: int | None = None
    mask: Tensor | None = None


def after_prompt(length: int, prompt: int, prompt_length: int, device: torch.device | str) -> Row:
    """A row of `length` positions after the prompt that is row number `prompt`.

    Causal SDPA without a mask skips what nobody sees, but wants as many queries as keys: the prompt's queries come
    along, for nothing. That costs less than a mask, under which every pair is computed, for rows of twice the prompt's
    length or more, as measured (`benchmarks/long_steps.py --attention`).
    """
    if length >= 2 * prompt_length:
        return Row(length, prompt)
    seen = torch.ones(length, prompt_length + length, dtype=torch.bool, device=device).tril(prompt_length)
    return Row(length, prompt, seen)


def packed(rows: Sequence[Row], device: torch.device | str) -> dict[str, Any]:
    """What a forward pass of a model whose attention is ours is told of `rows`, one after another in its sequence."""
    # Transformers hands a mask of four dimensions on as it is; ours reads nothing of it
    return {"packed_rows": tuple(rows), "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)}


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    packed_rows: Sequence[Row] = (),
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """SDPA as Transformers has it; row by row where there are `packed_rows`, whose lengths add up to T.

    query (B, heads, T, d), key and value (B, groups, T, d); returns (B, T, heads, d). B is 1 for packed rows.
    """
    if not packed_rows:
        whole: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, mask, **kwargs)
        return whole
    lengths = [row.length for row in packed_rows]
    parts = list(zip(*(x.split(lengths, dim=2) for x in (query, key, value)), strict=True))
    found = []
    for row, own in zip(packed_rows, parts, strict=True):
        q, k, v = own
        if row.prompt is not None:
            q, k, v = (torch.cat(both, dim=2) for both in zip(parts[row.prompt], own, strict=True))
        if row.mask is not None:
            q = own[0]
        out: Tensor = sdpa_attention_forward(module, q, k, v, row.mask, **kwargs)[0]
        found.append(out[:, -row.length :])
    return torch.cat(found, dim=1), None


def can_pack(model: PreTrainedModel) -> bool:
    """Whether `model`'s attention may be ours, and takes our positions, in every layer."""
    config = model.config.get_text_config()
    layers = getattr(config, "layer_types", None) or []
    adapter = getattr(model, "active_peft_config", None)
    return (
        getattr(config, "_attn_implementation", None) in ("sdpa", PACKED_SDPA)
        and getattr(config, "rope_parameters", None) is not None
        and all(layer == "full_attention" for layer in layers)
        and (bool(layers) or getattr(config, "sliding_window", None) is None)
        and not (adapter is not None and adapter.is_prompt_learning)  # virtual tokens stand before the sequence
    )


def take_packed_rows(model: PreTrainedModel) -> None:
    """Give a model that `can_pack` our attention, for good: a backward pass that computes layers anew needs it too."""
    model.config.get_text_config()._attn_implementation = PACKED_SDPA


def rows_of(positions: Tensor) -> list[Row]:
    """Rows whose `positions` (1, T) start again at 0; the lengths are read from the device."""
    starts = (positions[0] == 0).nonzero()[:, 0].tolist()
    return [Row(end - start) for start, end in zip(starts, [*starts[1:], positions.shape[1]], strict=True)]


def flash_lengths(positions: Tensor) -> dict[str, Any]:
    """What FlashAttention is told of such rows; without it Transformers asks the device for it in every layer."""
    (starts_q, starts_k), (longest, _) = prepare_fa_kwargs_from_position_ids(positions)
    length = int(longest)
    return {"cu_seq_lens_q": starts_q, "cu_seq_lens_k": starts_k, "max_length_q": length, "max_length_k": length}


ALL_ATTENTION_FUNCTIONS.register(PACKED_SDPA, packed_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(PACKED_SDPA, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


@contextmanager
def packing(model: PreTrainedModel, is_packed: bool) -> Iterator[None]:
    """Inside, a model that `can_pack` has the attention that SFT's packed batches need; any other keeps its own.

    Such a batch has positions that start again at 0, and no mask.
    """
    if not is_packed or not can_pack(model):
        yield
        return
    has_flash = model.device.type == "cuda" and importlib.util.find_spec("flash_attn") is not None

    def with_rows(_: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        positions = kwargs.get("position_ids") if kwargs.get("attention_mask") is None else None
        if positions is None:  # nothing is packed in this batch
            return args, kwargs
        return args, kwargs | (flash_lengths(positions) if has_flash else packed(rows_of(positions), positions.device))

    model.set_attn_implementation(FLASH if has_flash else PACKED_SDPA)
    hook = model.get_decoder().register_forward_pre_hook(with_rows, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
        model.set_attn_implementation("sdpa")
