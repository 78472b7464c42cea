"""The estimate of a step's memory against real steps, counted tensor by tensor: TRL's own losses on a CPU.

Shapes that are too large for that run on fake tensors, which have sizes and no memory.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from accelerate.utils import convert_outputs_to_fp32
from peft import get_peft_model, prepare_model_for_kbit_training
from pydantic import TypeAdapter
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig, Qwen2Config
from transformers.models.qwen2 import modeling_qwen2
from trl.trainer import sft_trainer
from trl.trainer import utils as trl_utils

from configs.schema.adapters import AdapterConfig
from models.adapter_files import LINEAR
from models.adapters import peft_config
from models.load import quantization
from models.token_logprobs import Head, hidden_states, token_logprobs
from models.weights import Weights
from tests.training.live_memory import allocated_peak, made_fake, peak_of, quant_states
from training.step_memory import Shape, Step, peak

GIB = 2**30
WITHIN = 0.1
"""How far the estimate may be off; 0.3 is what is promised."""


def sizes(layers: int, hidden: int, heads: int, key_heads: int, mlp: int, vocab: int, tied: bool) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
        "num_key_value_heads": key_heads, "intermediate_size": mlp, "vocab_size": vocab, "tie_word_embeddings": tied,
        "max_position_embeddings": 32_768,
    }  # fmt: skip


QWEN2_1B5 = Qwen2Config(**sizes(28, 1536, 12, 2, 8960, 151_936, True))
QWEN2_7B = Qwen2Config(**sizes(28, 3584, 28, 4, 18_944, 152_064, False))
SMALL = Qwen2Config(**sizes(4, 256, 4, 1, 768, 4096, True))
WIDE = Qwen2Config(**sizes(2, 256, 4, 4, 1536, 16_384, False))
LLAMA = LlamaConfig(**sizes(8, 256, 4, 1, 768, 512, True))


class FusedLoss(torch.autograd.Function):  # type: ignore[misc] # torch does not type it
    """Stands for TRL's Triton kernel: it keeps the logits and makes their gradient at once."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logps, entropy, log_z, expected = (torch.zeros(logits.shape[:-1]) for _ in range(4))
        ctx.save_for_backward(logits, index, log_z, expected)
        return logps, entropy

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.zeros_like(ctx.saved_tensors[0], memory_format=torch.contiguous_format), None


@contextlib.contextmanager
def loss_of(step: Step) -> Iterator[None]:
    """TRL's losses as on a GPU, or as without one; fake tensors don't tell how many chunks there are."""
    chunks = -(-step.rows * step.length // 256) * 256
    real = torch.Tensor.__index__

    def index(tensor: torch.Tensor) -> int:
        return chunks if isinstance(tensor, FakeTensor) else int(real(tensor))

    with pytest.MonkeyPatch.context() as patch:
        fused = (lambda logits, index, **_: FusedLoss.apply(logits, index)) if step.has_kernel else None
        patch.setattr(trl_utils, "_fused_logprob_entropy", fused)
        patch.setattr(trl_utils, "_supports_trl_loss_kernel", lambda *_: True)
        patch.setattr(torch.Tensor, "__index__", index)
        yield


@contextlib.contextmanager
def unmasked(case: "Case") -> Iterator[None]:
    """No mask where nothing is padded: Transformers drops a real one of ones, and can't look into a fake one."""
    with pytest.MonkeyPatch.context() as patch:
        if not case.masked:
            patch.setattr(modeling_qwen2, "create_causal_mask", lambda **_: None)
        yield


@dataclass(frozen=True)
class Case:
    """A model's config, and how a step trains it."""

    config: PretrainedConfig
    precision: str
    rows: int
    length: int
    loss: Any = "grpo"
    rank: int = 0
    checkpoints: bool = False
    autocast: bool = False
    kernel: bool = True
    masked: bool = False
    accumulates: bool = False
    adapter: str = ""
    virtual: int = 0

    @property
    def kind(self) -> str:
        return self.adapter or ("lora" if self.rank else "")

    def step(self, weights: Weights) -> Step:
        return Step(
            Shape.of(self.config, weights), self.precision, self.rows, self.length,
            self.length * 3 // 4 if self.loss == "grpo" else self.length, self.loss, adapter=self.kind, rank=self.rank,
            targets=LINEAR if self.rank else (), virtual=self.virtual,
            has_autocast=self.autocast, has_kernel=self.kernel, has_checkpoints=self.checkpoints,
            is_masked=self.masked, accumulates=self.accumulates,
        )  # fmt: skip


def weights_of(model: Any) -> Weights:
    ends = {id(end.weight): end.weight.numel() for end in (model.get_input_embeddings(), model.get_output_embeddings())}
    return Weights(sum(ends.values()), sum(p.numel() for p in model.parameters()) - sum(ends.values()))


def built(case: Case, folder: Path | None = None) -> tuple[Any, Weights]:
    """A model with random weights as Mull loads it, and its weights before they are quantised."""
    dtype = torch.float32 if case.precision == "fp32" else torch.bfloat16
    model = AutoModelForCausalLM.from_config(case.config, dtype=dtype)
    weights = weights_of(model)
    if folder is not None:
        model.save_pretrained(folder)
        packing = quantization(case.precision)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, quantization_config=packing, device_map="cpu")
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return with_adapter(model, case), weights


def with_adapter(model: Any, case: Case) -> Any:
    if not case.kind:
        return model
    sizes = {"init_r": case.rank, "target_r": 1} if case.kind == "adalora" else {"r": case.rank}
    adapter: Any = TypeAdapter(AdapterConfig).validate_python(
        {"type": case.kind} | ({"virtual_tokens": case.virtual} if case.virtual else sizes)
    )
    return get_peft_model(model, peft_config(adapter, ""))


def as_trained(model: Any, case: Case) -> None:
    """What `Trainer` does to a model before its first step."""
    model.train()
    model.config.use_cache = False
    if case.checkpoints:
        model.gradient_checkpointing_enable()
    if case.loss == "chunked_nll":
        sft_trainer._patch_chunked_ce_lm_head(model.get_base_model() if case.kind else model, 256)
    if case.autocast:
        model.forward = convert_outputs_to_fp32(torch.autocast("cpu", dtype=torch.bfloat16)(model.forward))


def loss(model: Any, case: Case) -> torch.Tensor:
    """TRL's loss; what else the model returned is gone, as it is before `Trainer` goes back through it."""
    ids = torch.randint(10, 100, (case.rows, case.length))
    mask = torch.ones_like(ids)
    if case.masked:
        mask[-1, -3:] = 0
    if case.loss == "grpo":
        head, kept = Head(model.get_output_embeddings()), case.length * 3 // 4
        hidden = hidden_states(model, head, input_ids=ids, attention_mask=mask, logits_to_keep=kept + 1)[:, :-1]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=case.autocast):
            logps, _ = token_logprobs(head, hidden.flatten(0, 1), ids[:, -kept:].flatten(), entropies="value")
        return torch.exp(logps - logps.detach()).mean()
    out = model(input_ids=ids, attention_mask=mask, labels=ids, use_cache=False)
    if case.loss == "nll":
        with torch.no_grad():
            trl_utils.entropy_from_logits(out.logits[..., :-1, :])
    value: torch.Tensor = out.loss
    return value


def real_step(case: Case, folder: Path | None = None, meter: Callable[..., int] = peak_of) -> tuple[int, Step]:
    """The peak of a second step, with the optimizer's state of the first."""
    torch.manual_seed(0)
    model, weights = built(case, folder)
    as_trained(model, case)
    step = case.step(weights)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    with loss_of(step):
        loss(model, case).backward()
        optimizer.step()
        optimizer.zero_grad()
        if case.accumulates:
            loss(model, case).backward()
        states = [value for state in optimizer.state.values() for value in state.values()]
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        held = [*model.parameters(), *model.buffers(), *quant_states(model), *gradients, *states]
        return meter(lambda: loss(model, case).backward(), held), step


def fake_step(case: Case) -> tuple[int, Step]:
    """The peak of a first step on fake tensors."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    gc.collect()  # what other tests left (an engine of vLLM) must not be ended on fake tensors
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with torch.device("meta"):
        model, weights = built(Case(case.config, case.precision, case.rows, case.length))
        if case.precision == "nf4":  # as Transformers and PEFT load it
            for name, module in list(model.named_modules()):
                if isinstance(module, torch.nn.Linear) and name != "lm_head":
                    packed = Linear4bit(
                        module.in_features, module.out_features, module.bias is not None, torch.bfloat16
                    )
                    model.set_submodule(name, packed)
            for parameter in model.parameters():
                parameter.requires_grad_(False)
                if not isinstance(parameter, Params4bit):
                    parameter.data = parameter.data.float()
            model.is_loaded_in_4bit = True
        model = with_adapter(model, case)
    made_fake(model, mode)
    as_trained(model, case)
    step = case.step(weights)
    with loss_of(step), mode, unmasked(case):
        held = [*model.parameters(), *model.buffers(), *quant_states(model)]
        return peak_of(lambda: loss(model, case).backward(), held), step


def check(measured: int, step: Step, without: str = "") -> None:
    parts = peak(step)
    estimate = sum(size for name, size in parts.items() if name != without)
    print(f"measured {measured / GIB:.3f} GiB, estimate {estimate / measured:.2f} of it, {parts}")
    assert estimate == pytest.approx(measured, rel=WITHIN)


@pytest.mark.engine
@pytest.mark.parametrize("case", [
    Case(SMALL, "fp32", 2, 64, rank=16, kernel=False),
    Case(SMALL, "fp32", 4, 256, rank=16, checkpoints=True, masked=True),
    Case(SMALL, "fp32", 1, 1024, "chunked_nll", rank=8, checkpoints=True),
    Case(SMALL, "fp32", 2, 512, "chunked_nll"),
    Case(SMALL, "fp32", 2, 256, "nll", checkpoints=True, kernel=False),
    Case(SMALL, "fp32", 4, 256, checkpoints=True, autocast=True, masked=True),
    Case(SMALL, "fp32", 2, 256, rank=16, autocast=True),
    Case(LLAMA, "fp32", 4, 256, accumulates=True, masked=True),
    Case(LLAMA, "bf16", 1, 1024, "chunked_nll", rank=32),
    Case(LLAMA, "bf16", 4, 512, rank=8, checkpoints=True, autocast=True, masked=True),
    Case(WIDE, "bf16", 2, 512, rank=16, checkpoints=True, autocast=True),
    Case(WIDE, "bf16", 1, 512, "nll", rank=16, autocast=True),
    Case(WIDE, "bf16", 4, 128, "chunked_nll", checkpoints=True, accumulates=True),
    Case(WIDE, "bf16", 2, 256),
])  # fmt: skip
def test_estimate_is_right_for_real_steps(case: Case) -> None:
    check(*real_step(case))


@pytest.mark.engine
@pytest.mark.parametrize("case", [
    Case(WIDE, "fp32", 2, 256, "chunked_nll", rank=16, adapter="dora"),
    Case(SMALL, "bf16", 4, 256, "chunked_nll", rank=16, adapter="dora", masked=True, checkpoints=True),
    Case(SMALL, "fp32", 2, 512, "chunked_nll", rank=12, adapter="adalora"),
    Case(SMALL, "fp32", 2, 512, "chunked_nll", adapter="prefix", virtual=20),
    Case(WIDE, "fp32", 2, 256, "nll", adapter="p_tuning_v2", virtual=20, kernel=False),
    Case(SMALL, "fp32", 2, 512, "chunked_nll", adapter="p_tuning", virtual=20, checkpoints=True),
    Case(WIDE, "fp32", 4, 128, "nll", adapter="prompt", virtual=30, masked=True, kernel=False),
])  # fmt: skip
def test_estimate_is_right_for_every_adapter(case: Case) -> None:
    check(*real_step(case))


@pytest.mark.engine
@pytest.mark.parametrize("case", [
    Case(SMALL, "nf4", 2, 256, rank=16, checkpoints=True, autocast=True),
    Case(SMALL, "nf4", 4, 256, rank=16, autocast=True, masked=True),
    Case(WIDE, "nf4", 1, 1024, "chunked_nll", rank=16, checkpoints=True, autocast=True),
])  # fmt: skip
def test_estimate_is_right_for_quantised_weights(case: Case, tmp_path: Path) -> None:
    check(*real_step(case, tmp_path))


@pytest.mark.engine
@pytest.mark.parametrize("case", [
    Case(QWEN2_1B5, "bf16", 8, 1024, rank=64, checkpoints=True, autocast=True, masked=True),
    Case(QWEN2_1B5, "nf4", 8, 1024, rank=64, checkpoints=True, autocast=True, masked=True),
    Case(QWEN2_1B5, "nf4", 8, 1024, rank=64, autocast=True, masked=True),
    Case(QWEN2_1B5, "bf16", 8, 1024, checkpoints=True, autocast=True, masked=True),
    Case(QWEN2_7B, "nf4", 1, 20_000, "chunked_nll", rank=64, checkpoints=True, autocast=True),
    Case(QWEN2_7B, "nf4", 1, 8192, "chunked_nll", rank=64, checkpoints=True, autocast=True),
])  # fmt: skip
def test_estimate_is_right_for_large_models(case: Case) -> None:
    check(*fake_step(case), without="optimizer")


@pytest.mark.engine
def test_counted_tensors_are_what_is_allocated() -> None:
    case = Case(SMALL, "fp32", 2, 256, rank=16, checkpoints=True)
    static: list[int] = []

    def allocated(call: Callable[[], object], held: list[torch.Tensor]) -> int:
        static.append(sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}.values()))
        return allocated_peak(call)

    beyond, _ = real_step(case, meter=allocated)
    counted, _ = real_step(case)
    assert counted == pytest.approx(beyond + static[0], rel=1e-3)


@pytest.mark.engine
@pytest.mark.parametrize("masked", [False, True])
def test_fake_steps_take_what_real_ones_take(masked: bool) -> None:
    case = Case(SMALL, "fp32", 2, 256, rank=16, masked=masked)
    states = 2 * peak(case.step(weights_of(built(case)[0].get_base_model())))["adapter"]
    real, _ = real_step(case)
    assert fake_step(case)[0] == pytest.approx(real - states, rel=2e-3)


def test_fused_loss_keeps_what_the_stand_in_keeps() -> None:
    kernel = (Path(trl.__file__).parent / "kernels" / "logprob_entropy.py").read_text(encoding="utf-8")
    assert "ctx.save_for_backward(logits, index, log_z, expected_logit, row_mask)" in kernel
    assert "grad_logits = torch.empty_like(logits, memory_format=torch.contiguous_format)" in kernel
