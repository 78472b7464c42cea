"""What `nvidia-smi` tells of GPUs decides dtypes and refusals; its lines stand here as the tool prints them."""

from pathlib import Path

import pytest

from models import gpu
from models.gpu import Gpu, dtype_of, has_bf16, parse_listing, unfit, visible, visible_gpus

T4 = "0, GPU-11, Tesla T4, 7.5, 580.65.06\n"
A100 = "1, GPU-22, NVIDIA A100-SXM4-80GB, 8.0, 580.65.06\n"
GT1030 = "2, GPU-33, NVIDIA GeForce GT 1030, 6.1, 580.65.06\n"


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        (T4, ["Tesla T4"]),
        (T4 + A100 + GT1030, ["NVIDIA A100-SXM4-80GB", "Tesla T4", "NVIDIA GeForce GT 1030"]),  # CUDA counts so
        ("", []),
        ("No devices were found\n", []),
        ("0, GPU-44, NVIDIA Thing, [N/A], 580.65.06\n", []),
    ],
)
def test_listing_is_read_in_cuda_order(listing: str, names: list[str]) -> None:
    assert [found.name for found in parse_listing(listing)] == names


@pytest.mark.parametrize(
    ("allowed", "uuids"),
    [
        (None, ["GPU-22", "GPU-11", "GPU-33"]),
        ("0", ["GPU-22"]),
        ("1,0", ["GPU-11", "GPU-22"]),
        ("GPU-33, GPU-11", ["GPU-33", "GPU-11"]),
        ("", []),
        ("-1", []),
        ("7", []),
    ],
)
def test_hidden_gpus_are_left_out(allowed: str | None, uuids: list[str]) -> None:
    assert [found.uuid for found in visible(parse_listing(T4 + A100 + GT1030), allowed)] == uuids


@pytest.mark.parametrize(
    ("listing", "precision", "dtype"),
    [
        (T4, "bf16", "float16"),
        (T4, "nf4", "float16"),
        (T4, "fp32", "float32"),
        (A100, "bf16", "bfloat16"),
        (A100, "fp32", "float32"),
        (T4 + A100, "int8", "float16"),  # the weakest decides
        ("", "bf16", "bfloat16"),
    ],
)
def test_gpu_without_bf16_takes_fp16(listing: str, precision: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "visible_gpus", lambda: parse_listing(listing))
    assert dtype_of(precision) == dtype


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        (T4 + A100, None),
        ("0, GPU-11, Tesla T4, 7.5, 575.57.08\n", "driver 575.57.08, CUDA 13 needs 580"),
        (GT1030, "compute capability 6.1, CUDA 13 needs 7.5"),
        ("0, GPU-1, NVIDIA B200, 10.0, 600.1\n", None),
    ],
)
def test_too_old_gpus_are_named(listing: str, words: str | None) -> None:
    wrong = unfit(parse_listing(listing))
    assert (wrong is None) if words is None else (wrong is not None and words in wrong[0])


@pytest.fixture
def fresh_listing() -> None:
    visible_gpus.cache_clear()


@pytest.mark.usefixtures("fresh_listing")
@pytest.mark.parametrize(("script", "count"), [(f"printf '{T4}'", 1), ("exit 6", 0), (None, 0)])
def test_driver_tool_is_asked(script: str | None, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real process; what it prints is made up where this machine has no such tool."""
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert len(visible_gpus()) == count
    visible_gpus.cache_clear()


def test_no_gpu_keeps_bf16() -> None:
    assert has_bf16(())
    assert has_bf16([Gpu(0, "", "H100", (9, 0), "580.1")])
