"""What this machine's processor computes fast, read from what the system says of it: no torch, no timing."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BF16_UNITS = {"amx_bf16", "avx512_bf16", "bf16"}  # x86's two, and Arm's


def has_bf16_units(cpuinfo: Path = CPUINFO) -> bool:
    """Whether matrix products in bf16 run on units made for them.

    Without such units (AVX2 alone: most laptops, many cloud machines) every product is converted to fp32 and back: a
    matrix product takes about 6 times as long as in fp32, decoding about 4 times. False where the system doesn't say.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    lines = [line for line in text.splitlines() if line.lower().startswith(("flags", "features"))]
    return any(BF16_UNITS & set(line.split()) for line in lines)
