"""Adapters on disk, and the rank that vLLM makes room for."""

from pathlib import Path
from typing import get_args

import pytest

from configs.errors import ModelError
from configs.schema.sections import ModelConfig
from models import backend
from models.adapter_files import LORA_RANKS, rank_slot


def test_an_adapter_whose_weights_are_gone_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model\.adapter: .* holds no adapter_model\.safetensors; train one first"):
        backend.check_model_config(ModelConfig(name="smollm2-135m", adapter=str(tmp_path)))


@pytest.mark.parametrize(("rank", "slot"), [(1, 1), (2, 8), (16, 16), (17, 32), (512, 512)])
def test_a_rank_gets_the_smallest_slot_it_fits(rank: int, slot: int) -> None:
    assert rank_slot(rank, "adapter.r") == slot


def test_a_rank_above_every_slot_is_refused() -> None:
    with pytest.raises(ModelError, match=r"adapter\.r: rank 513 is above the 512"):
        rank_slot(513, "adapter.r")


@pytest.mark.engine
def test_the_slots_are_vllm_s_own() -> None:
    pytest.importorskip("vllm")
    from vllm.config.lora import MaxLoRARanks

    assert get_args(MaxLoRARanks) == LORA_RANKS
