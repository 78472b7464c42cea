"""How much memory a model's weights take, from its config alone."""

BYTES = {"nf4": 0.56, "int8": 1.06, "bf16": 2.0, "fp32": 4.0}
"""Bytes a weight by precision, scales of the quantised blocks included."""


def count_weights(source: str, gguf_file: str | None = None) -> int:
    """How many weights the model has that `from_pretrained` finds at `source`; tied ones once."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source, gguf_file=gguf_file))
    return sum(parameter.numel() for parameter in model.parameters())


def weight_bytes(source: str, precision: str, gguf_file: str | None = None) -> int:
    """Bytes of those weights when they are held in `precision`."""
    return int(count_weights(source, gguf_file) * BYTES[precision])
