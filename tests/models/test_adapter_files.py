"""Adapters on disk, and the rank that vLLM makes room for."""

from pathlib import Path
from typing import get_args

import pytest

from configs.errors import ModelError
from configs.schema.sections import ModelConfig
from models import backend
from models.adapter_files import LORA_RANKS, rank_slot


def test_adapter_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model\.adapter: .* holds no adapter_model\.safetensors; train one first"):
        backend.check_model_config(ModelConfig(name="smollm2-135m", adapter=str(tmp_path)))


@pytest.mark.parametrize(("rank", "slot"), [(1, 1), (2, 8), (16, 16), (17, 32), (512, 512)])
def test_rank_gets_smallest_fitting_slot(rank: int, slot: int) -> None:
    assert rank_slot(rank, "adapter.r") == slot


def test_rank_above_every_slot_is_refused() -> None:
    with pytest.raises(ModelError, match=r"adapter\.r: rank 513 is above the 512"):
        rank_slot(513, "adapter.r")


@pytest.mark.engine
def test_rank_slots_match_vllm() -> None:
    pytest.importorskip("vllm")
    from vllm.config.lora import MaxLoRARanks

    assert get_args(MaxLoRARanks) == LORA_RANKS
