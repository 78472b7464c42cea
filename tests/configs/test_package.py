"""What `pip` installs: every package, and nothing that the pins leave out."""

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]


def test_every_package_is_in_the_wheel() -> None:
    ours = PROJECT["importlinter"]["root_packages"]
    folders = {path.parent for package in ours for path in (ROOT / package).rglob("*.py")}
    for folder in folders:
        name = ".".join(folder.relative_to(ROOT).parts)
        assert (folder / "__init__.py").is_file(), name
        assert any(fnmatchcase(name, pattern) for pattern in PROJECT["setuptools"]["packages"]["find"]["include"]), name


def test_pins_are_installed_with_no_deps() -> None:
    texts = [ROOT / "README.md", ROOT / "requirements" / "README.md", ROOT / "training" / "preflight.py"]
    lines = [line for path in texts for line in re.findall(r"pip install .*?\.txt", path.read_text())]
    assert len(lines) >= 3
    assert all("--no-deps" in line for line in lines)


def test_gpu_pins_fit_torchs_cuda() -> None:
    """nvcc refuses headers of another version, and xformers loads beside the torch alone that it was built for."""
    lines = (ROOT / "requirements" / "gpu.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    cuda = [f"nvidia-{name}" for name in ("cuda-runtime", "cuda-nvcc", "cuda-crt", "cuda-cccl", "cuda-nvrtc", "nvvm")]
    assert {pins[name].rpartition(".")[0] for name in cuda} == {"13.0"}
    assert "xformers" not in pins
