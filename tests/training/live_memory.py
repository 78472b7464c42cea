"""The most bytes of tensors that are alive during a call, on real tensors and on fake ones, which take no memory."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):  # type: ignore[misc] # torch does not type it
    """Inside, a storage that an operation makes counts until it is freed; `held` counts from the start."""

    def __init__(self, held: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.seen: dict[int, int] = {}
        self.live: int = 0
        self.peak: int = 0
        for tensor in held:
            self.count(tensor)

    def count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.seen:
            self.seen[key] = storage.nbytes()
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.freed, key)

    def freed(self, key: int) -> None:
        self.live -= self.seen.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.count(tensor)
        return out


def peak_of(call: Callable[[], object], held: Iterable[torch.Tensor]) -> int:
    """The most bytes alive during `call`, of which `held` are there throughout."""
    with LiveBytes(held) as live:
        call()
    return int(live.peak)


def allocated_peak(call: Callable[[], object]) -> int:
    """The most bytes that the CPU's allocator had given out during `call`, as the profiler logs them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def quant_states(model: torch.nn.Module) -> Iterable[torch.Tensor]:
    """The scales of quantised weights, which are no parameters."""
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        while state is not None:
            yield from (t for t in (state.absmax, state.code, state.offset) if isinstance(t, torch.Tensor))
            state = state.state2


def made_fake(model: torch.nn.Module, mode: FakeTensorMode) -> None:
    """Turn a model on the meta device into one of fake CPU tensors, quantised maps with fake scales."""
    from bitsandbytes.functional import QuantState
    from bitsandbytes.nn import Linear4bit

    fakes: dict[int, torch.nn.Parameter] = {}

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        return FakeTensor(mode, tensor, torch.device("cpu"))

    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                made = torch.nn.Parameter(fake(parameter.data), requires_grad=parameter.requires_grad)
                module._parameters[name] = fakes.setdefault(id(parameter), made)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = fake(buffer)
        if isinstance(module, Linear4bit):
            size, blocks = module.out_features * module.in_features, module.out_features * module.in_features // 64
            with mode:
                scales = QuantState(
                    torch.empty(-(-blocks // 256)), blocksize=256, code=torch.empty(256), dtype=torch.float32
                )
                weight = torch.nn.Parameter(torch.empty(size // 2, 1, dtype=torch.uint8), requires_grad=False)
                weight.bnb_quantized = True
                weight.quant_state = QuantState(
                    torch.empty(blocks, dtype=torch.uint8),
                    shape=torch.Size((module.out_features, module.in_features)),
                    dtype=torch.bfloat16,
                    blocksize=64,
                    code=torch.empty(16),
                    quant_type="nf4",
                    offset=torch.empty(()),
                    state2=scales,
                )
            module._parameters["weight"] = weight
            module.compute_dtype, module.compute_type_is_set = torch.bfloat16, True
