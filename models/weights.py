"""How much memory a model's weights take, from its config alone."""

from functools import cache
from typing import NamedTuple

BYTES = {"nf4": 0.516, "int8": 1.0, "bf16": 2.0, "fp32": 4.0}
"""Bytes a weight by precision, scales of the quantised blocks included."""


class Weights(NamedTuple):
    """How many weights a model has, tied ones once; the embeddings, output head included, are never quantised."""

    embeddings: int
    others: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.embeddings + self.others


@cache
def count_weights(source: str, gguf_file: str | None = None) -> Weights:
    """The weights of the model that `from_pretrained` finds at `source`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source, gguf_file=gguf_file))
    ends = {id(end.weight): end.weight for end in (model.get_input_embeddings(), model.get_output_embeddings())}
    embeddings = sum(weight.numel() for weight in ends.values())
    return Weights(embeddings, sum(parameter.numel() for parameter in model.parameters()) - embeddings)


def weight_bytes(source: str, precision: str, gguf_file: str | None = None) -> int:
    """Bytes of those weights when they are loaded in `precision`."""
    weights = count_weights(source, gguf_file)
    return int(weights.others * BYTES[precision] + weights.embeddings * max(BYTES[precision], BYTES["bf16"]))
