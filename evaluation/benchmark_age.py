"""Whether a benchmark's questions were public before the model was released, so that it may have trained on them."""

import re
from pathlib import PurePath

from data.benchmarks import BENCHMARKS

_RELEASES = {
    r"DeepSeek-R1-0528": "2025-05",
    r"DeepSeek-R1": "2025-01",  # with its distills
    r"DeepSeek-V3": "2024-12",
    r"s1(\.1)?-\d+B": "2025-02",
    r"QwQ-32B-Preview": "2024-11",
    r"QwQ-32B": "2025-03",
    r"Qwen3-Next": "2025-09",
    r"Qwen3-.*-2507": "2025-07",
    r"Qwen3": "2025-04",
    r"Qwen2\.5": "2024-09",
    r"Qwen2": "2024-06",
    r"Qwen1\.5": "2024-02",
    r"Llama-4": "2025-04",
    r"Llama-3\.3": "2024-12",
    r"Llama-3\.2": "2024-09",
    r"Llama-3\.1": "2024-07",
    r"Llama-3": "2024-04",
    r"Llama-2": "2023-07",
    r"SmolLM3": "2025-07",
    r"SmolLM2": "2024-11",
    r"SmolLM": "2024-07",
    r"gemma-3": "2025-03",
    r"gemma-2": "2024-06",
    r"gemma-[27]b": "2024-02",
    r"phi-4-reasoning": "2025-04",
    r"phi-4-mini": "2025-02",
    r"phi-4": "2024-12",
    r"phi-3\.5": "2024-08",
    r"phi-3": "2024-04",
    r"phi-2": "2023-12",
    r"Mistral-Nemo": "2024-07",
    r"Mistral-7B(-Instruct)?-v0\.3": "2024-05",
    r"Mistral-7B(-Instruct)?-v0\.2": "2023-12",
    r"Mistral-7B": "2023-09",
    r"Mixtral-8x7B": "2023-12",
    r"OLMo-2": "2024-11",
    r"gpt-oss": "2025-08",
}
"""The start of a family's names → year and month in which its first weights came out; the first that fits counts."""


def release_of(model: str) -> str | None:
    """Year and month of the release that a hub id, folder or file is named after; None where the name says nothing."""
    name = PurePath(model).name
    whole = (rf"(?<![a-z0-9]){start}(?![\d.]*\d)" for start in _RELEASES)  # Qwen3 is no Qwen3.5
    fits = (re.search(pattern, name, re.IGNORECASE) for pattern in whole)
    return next((month for found, month in zip(fits, _RELEASES.values(), strict=True) if found), None)


def older_than_model(source: str, model: str) -> str | None:
    """What a reader of the accuracy must know where the benchmark is older than the model; None where it is not."""
    released = release_of(model)
    if source not in BENCHMARKS or released is None or BENCHMARKS[source].released >= released:
        return None
    return (
        f"{source} was published in {BENCHMARKS[source].released}, {PurePath(model).name} in {released}: its questions "
        "may be in the training data"
    )
