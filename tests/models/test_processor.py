"""The precision that `auto` takes on a CPU is the one that this processor computes fast."""

from pathlib import Path

import pytest

from configs.schema.sections import ModelConfig
from models import backend
from models.processor import has_bf16_units


@pytest.mark.parametrize(
    ("text", "has_units"),
    [
        ("processor : 0\nflags\t\t: fpu avx avx2 fma\n", False),  # AVX2 alone
        ("flags : avx2 avx512f avx512bw avx512_vnni\n", False),  # AVX-512 before Cooper Lake
        ("flags : avx512f avx512_bf16\n", True),
        ("flags : avx512_bf16 amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd sve i8mm bf16\n", True),  # Arm
        ("model name : bf16\n", False),
    ],
)
def test_cpu_flags_tell_bf16_units(tmp_path: Path, text: str, has_units: bool) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert has_bf16_units(file) is has_units


def test_missing_cpuinfo_means_no_bf16_units(tmp_path: Path) -> None:
    assert has_bf16_units(tmp_path / "none") is False


@pytest.mark.parametrize(("gpu", "units", "precision"), [(False, False, "fp32"), (False, True, "bf16")])
def test_auto_precision_follows_bf16_units(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, units: bool, precision: str
) -> None:
    monkeypatch.setattr(backend, "has_gpu", lambda: gpu)
    monkeypatch.setattr(backend, "has_bf16_units", lambda: units)
    choice = backend.choose_backend(ModelConfig(name="smollm2-135m"))
    assert choice.precision == precision
    assert "bf16" in choice.why


def test_recipe_precision_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "has_bf16_units", lambda: False)
    assert backend.choose_backend(ModelConfig(name="smollm2-135m", precision="bf16")).precision == "bf16"
