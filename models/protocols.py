"""What is used of a model, whichever library made its class."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from torch import device, nn
    from transformers import GenerationConfig, PreTrainedConfig
    from transformers.modeling_outputs import CausalLMOutputWithPast


class CausalLM(Protocol):
    """A causal language model of Transformers, or PEFT's or Unsloth's wrapper around one."""

    config: "PreTrainedConfig"
    generation_config: "GenerationConfig"

    @property
    def device(self) -> "device": ...

    def __call__(self, *args: object, **inputs: object) -> "CausalLMOutputWithPast": ...

    def modules(self) -> Iterator["nn.Module"]: ...

    def parameters(self) -> Iterator["nn.Parameter"]: ...

    def named_parameters(self) -> Iterator[tuple[str, "nn.Parameter"]]: ...

    def get_input_embeddings(self) -> "nn.Module": ...

    def eval(self) -> Self: ...

    def float(self) -> Self: ...
