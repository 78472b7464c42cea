"""What is used of PEFT 0.21 that it does not promise: the parts of a LoRA layer, pinned in its test."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from peft.tuners.lora.layer import Linear
from torch import Tensor, nn

from models.protocols import CausalLM


@contextmanager
def decoding_lora(model: CausalLM) -> Iterator[None]:
    """Plain LoRA layers on a CPU add their update in one product, in the dtype of the base weights.

    PEFT (0.21, `Linear.forward`) holds A and B in fp32 and reads the wide outputs four times: product, scaling, sum and
    cast. What vLLM and a training under autocast compute is a product in 16 bits too. The weights are read once, on
    entering; nothing is merged. For use without dropout and gradients: inside `evaluating`.
    """
    layers = [layer for layer in model.modules() if _is_plain(layer)]
    for layer in layers:
        layer.forward = _forward(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own again


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer is one LoRA on one linear map of floats, and nothing else.

    PEFT keeps what is not: DoRA and other variants, several adapters, biases, quantised or shared-out weights, a merged
    or switched-off adapter, hooks.
    """
    if type(layer) is not Linear or layer.disable_adapters or layer.merged or len(layer.active_adapters) != 1:
        return False
    [name], base = layer.active_adapters, layer.base_layer
    if name not in layer.lora_A or name in layer.lora_variant or type(base) is not nn.Linear:
        return False
    down, up = layer.lora_A[name], layer.lora_B[name]
    has_hooks = any("forward" in vars(m) or m._forward_hooks or m._forward_pre_hooks for m in (layer, base, down, up))
    weights = (base.weight, down.weight, up.weight)
    is_here = all(type(weight) is nn.Parameter and weight.device.type == "cpu" for weight in weights)
    return is_here and base.weight.is_floating_point() and up.bias is None and not has_hooks


def _forward(layer: Linear) -> Callable[[Tensor], Tensor]:
    """x (…, W) → x @ base^T + x @ A^T @ (scaling · B)^T, (…, V)."""
    [name], base = layer.active_adapters, layer.base_layer
    down_RW = layer.lora_A[name].weight.to(base.weight.dtype)
    up_RV = (layer.lora_B[name].weight * layer.scaling[name]).to(base.weight.dtype).T

    def forward(x: Tensor) -> Tensor:
        flat_NW = x.reshape(-1, x.shape[-1])
        y_NV: Tensor = nn.functional.linear(flat_NW, base.weight, base.bias)
        y_NV.addmm_(nn.functional.linear(flat_NW, down_RW), up_RV.to(y_NV.dtype))  # autocast's, where it is on
        return y_NV.view(*x.shape[:-1], -1)

    return forward
