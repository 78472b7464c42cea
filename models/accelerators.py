"""What accelerators compute, hold and move, by their vendors' data sheets: dense bf16, without sparsity."""

from dataclasses import dataclass

from configs.errors import ConfigError
from configs.suggestion import did_you_mean


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device.

    flops      bf16 operations a second, matrix products accumulated in fp32
    memory     bytes
    bandwidth  bytes a second between its memory and its cores
    link       bytes a second that it sends to the others of its machine, one way
    source     where the figures stand
    """

    name: str
    flops: float
    memory: float
    bandwidth: float
    link: float
    source: str


NVLINK4, NVLINK3, PCIE4 = 450e9, 300e9, 32e9
"""One way, of 18 links (H100, H200), of 12 (A100), of 16 lanes."""
ACCELERATORS = {
    device.name: device
    for device in (
        Accelerator("h100", 989.4e12, 80e9, 3.35e12, NVLINK4, "NVIDIA H100 data sheet, SXM"),
        Accelerator("h200", 989.4e12, 141e9, 4.8e12, NVLINK4, "NVIDIA H200 data sheet, SXM"),
        Accelerator("a100-80", 312e12, 80e9, 2.039e12, NVLINK3, "NVIDIA A100 data sheet, 80 GB SXM"),
        Accelerator("a100-40", 312e12, 40e9, 1.555e12, NVLINK3, "NVIDIA A100 data sheet, 40 GB SXM"),
        Accelerator("l40s", 362.05e12, 48e9, 864e9, PCIE4, "NVIDIA L40S data sheet"),
        Accelerator("4090", 165.2e12, 24e9, 1008e9, PCIE4, "NVIDIA Ada GPU architecture, appendix A"),
        Accelerator("3090", 71e12, 24e9, 936e9, PCIE4, "NVIDIA Ampere GA102 GPU architecture, appendix A"),
        # what two cores of a shared x86-64 server with AVX-512-BF16 do, as measured: `training.cost` explains it
        Accelerator("cpu", 138e9, 24e9, 10e9, 1e9, "measured: benchmarks/RESULTS.md"),
    )
}
"""Name → device."""


def accelerator(name: str) -> Accelerator:
    """The device that the command line names. Raises `ConfigError` for an unknown one."""
    if name.casefold() in ACCELERATORS:
        return ACCELERATORS[name.casefold()]
    hint = did_you_mean(name, ACCELERATORS, f"known here: {', '.join(ACCELERATORS)}")
    raise ConfigError(f"--gpu {name}: no figures of it here; {hint}")


def recognised(device: str) -> Accelerator | None:
    """The device by the name that its driver gives it ("NVIDIA H100 80GB HBM3"); None for any other."""
    words = device.casefold().replace("-", " ").split()
    for name, found in ACCELERATORS.items():
        model, _, size = name.partition("-")
        if model in words and (not size or f"{size}gb" in words):
            return found
    return None
