"""The peak memory of a training step, by arithmetic: no weights are loaded, and torch is not imported.

Adds up what the pinned TRL, Transformers, PEFT and Unsloth hold: weights, gradients, the optimizer; what autograd keeps
of a decoder layer; the logits that a loss keeps. `tests/training/test_step_memory.py` compares it with real steps.
"""

from dataclasses import dataclass
from typing import Any, Literal

from configs.schema.adapters import PREFIX_TYPES
from models.adapter_files import LINEAR
from models.weights import BYTES, Weights

SAME_INPUT = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
"""Linear maps that share their input with another."""
SCORING_CHUNK = 2**26
"""Bytes of fp32 logits that `models.token_logprobs` makes at a time."""
CHUNK_COPIES = 3
"""How many of them there are at once, and half of one more where the head computes in 16 bits."""
SFT_CHUNK = 256
"""Tokens whose logits TRL's `chunked_nll` makes at a time."""
HELD = ("base weights", "adapter", "optimizer")
"""What is there at every moment, while completions are drawn too."""
UNSLOTH_CHUNK = 4 * 2**30
"""Most bytes that Unsloth's SFT loss takes at a time; on a full card it takes half of what is free."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder's sizes; `query` and `key` are the widths of all query heads together, and of all key heads."""

    layers: int
    hidden: int
    query: int
    key: int
    mlp: int
    vocab: int
    weights: Weights

    @classmethod
    def of(cls, config: Any, weights: Weights) -> "Shape":
        """The sizes in a Transformers config."""
        heads, hidden = config.num_attention_heads, config.hidden_size
        width = getattr(config, "head_dim", None) or hidden // heads
        return cls(
            layers=config.num_hidden_layers,
            hidden=hidden,
            query=heads * width,
            key=(getattr(config, "num_key_value_heads", None) or heads) * width,
            mlp=getattr(config, "intermediate_size", None) or 4 * hidden,
            vocab=config.vocab_size,
            weights=weights,
        )

    @property
    def maps(self) -> dict[str, tuple[int, int]]:
        """Name → (input width, output width) of a layer's linear maps."""
        h, q, k, f = self.hidden, self.query, self.key, self.mlp
        return dict(zip(LINEAR, [(h, q), (h, k), (h, k), (q, h), (h, f), (h, f), (f, h)], strict=True))


@dataclass(frozen=True, slots=True)
class Step:
    """How a micro-batch of `rows` × `length` tokens is trained on; the loss makes logits for `kept` tokens of a row.

    adapter         its type; "": the weights themselves are trained
    rank, targets   of a low-rank adapter
    virtual, network  how many virtual tokens stand before a row, and the width of the network that makes them
    trained_layers  without an adapter: only the last so many; None: every weight
    has_autocast    linear maps compute in 16 bits, however the weights are held
    has_kernel      TRL's fused loss runs: it does on a GPU
    is_masked       attention takes a mask, as rows of different lengths need one
    accumulates     gradients of an earlier micro-batch are there
    """

    shape: Shape
    precision: str
    rows: int
    length: int
    kept: int
    loss: Literal["grpo", "chunked_nll", "nll"]
    adapter: str = ""
    rank: int = 0
    targets: tuple[str, ...] = ()
    virtual: int = 0
    network: int | None = None
    trained_layers: int | None = None
    optimizer: str = "adamw_torch"
    has_reference: bool = False
    has_autocast: bool = False
    has_kernel: bool = False
    has_checkpoints: bool = False
    is_masked: bool = False
    is_unsloth: bool = False
    accumulates: bool = False

    @property
    def is_quantised(self) -> bool:
        """Whether the weights of the linear maps are packed."""
        return self.precision in ("nf4", "int8")

    @property
    def width(self) -> int:
        """Positions of a row: a prefix has none, for its keys and values are there."""
        return self.length + (0 if self.adapter in PREFIX_TYPES else self.virtual)

    @property
    def compute(self) -> int:
        """Bytes of a number that a linear map computes."""
        return 4 if self.precision == "fp32" and not self.has_autocast else 2

    @property
    def stream(self) -> int:
        """Bytes of a number between layers, as in the embeddings; PEFT turns those of a quantised model into fp32."""
        return 4 if self.precision == "fp32" or (self.is_quantised and not self.is_unsloth) else 2


def peak(step: Step) -> dict[str, float]:
    """Bytes by what holds them at the moment when they are most, the largest first."""
    shape, tokens = step.shape, step.rows * step.width
    # 1. what is there at every moment
    linear = BYTES[step.precision] if step.is_quantised else step.stream
    base = shape.weights.others * linear + shape.weights.embeddings * step.stream
    trained, width = count_trained(step)
    copies = base * (2 if step.has_reference else 1)
    adapter = trained * width if step.adapter else 0
    held = dict(zip(HELD, [copies, adapter, trained * _state_bytes(step.optimizer, width)], strict=True))
    # 2. activations: of all layers, or of one, gone back through, and the inputs of all; Unsloth has most of those in
    #    the CPU's memory. The way back takes gradients of the MLP's and the stream's width on top.
    layer = _layer_bytes(step) * tokens
    inputs = step.stream * shape.hidden * tokens
    back: float = (2 * step.compute * shape.mlp if step.is_unsloth else 8 * (shape.mlp + shape.hidden)) * tokens
    depth = step.trained_layers or shape.layers
    if step.has_checkpoints:
        kept, back = float(inputs * (min(3, depth) if step.is_unsloth else depth)), back + layer
    else:
        kept = layer * depth
    # 3. copies of weights in 16 bits: autocast's of fp32 ones, or one quantised matrix
    copied = 2.0 * shape.hidden * shape.mlp if step.is_quantised else 0.0
    if step.precision == "fp32" and step.has_autocast:
        copied = 2 * shape.weights.others / (shape.layers if step.has_checkpoints else 1)
    # 4. which moment has the most: the loss, the way back through the last layer, or through the first
    gradients = trained * width
    earlier = gradients if step.accumulates else 0
    of_head = shape.vocab * shape.hidden * width if trained == shape.weights.total else 0
    moments: list[dict[str, float]] = [
        {"activations": kept + copied, "logits": _loss_bytes(step), "gradients": earlier},
        {"activations": kept + back + copied, "gradients": max(earlier, of_head)},
        {"activations": back + copied, "gradients": gradients},
    ]
    if step.adapter == "dora":  # at every forward pass of a map it makes its whole update, by an identity matrix
        widest = max(shape.maps[name] for name in step.targets if name in shape.maps)
        made = kept + copied + (layer if step.has_checkpoints else 0)
        moments.append({"activations": made, "DoRA's norms": 4.0 * widest[0] * (widest[0] + 3 * widest[1])})
    parts = held | max(moments, key=lambda moment: sum(moment.values()))
    return dict(sorted(((name, size) for name, size in parts.items() if size), key=lambda part: -part[1]))


def count_trained(step: Step) -> tuple[int, int]:
    """(How many weights are trained, bytes of each); an adapter's are fp32."""
    shape = step.shape
    if step.virtual:
        return _virtual_weights(step), 4
    if step.adapter:
        maps = [shape.maps[name] for name in step.targets if name in shape.maps]
        magnitudes = sum(out for _, out in maps) if step.adapter == "dora" else 0
        return shape.layers * (step.rank * sum(map(sum, maps)) + magnitudes), 4
    if step.trained_layers:
        return shape.weights.others * step.trained_layers // shape.layers, step.stream
    return shape.weights.total, step.stream


def _virtual_weights(step: Step) -> int:
    """Weights of virtual tokens, and of the network that makes them: two maps of a prefix, three of embeddings."""
    shape = step.shape
    if step.adapter == "prompt":
        return step.virtual * shape.hidden
    states = 2 * shape.layers * shape.key
    if step.adapter == "prefix":
        return step.virtual * states
    if step.adapter == "p_tuning_v2":
        width = step.network or shape.key
        return step.virtual * shape.key + (shape.key + 1) * width + (width + 1) * states
    width = step.network or shape.hidden
    return step.virtual * shape.hidden + (shape.hidden + width + 2) * width + (width + 1) * shape.hidden


def _state_bytes(optimizer: str, width: int) -> float:
    """Bytes of the optimizer's state for a trained weight of `width` bytes."""
    states = 0 if optimizer.startswith(("sgd", "adafactor")) else 1 if "lion" in optimizer else 2
    return states * (1 if "8bit" in optimizer else 0.5 if "4bit" in optimizer else width)


def _layer_bytes(step: Step) -> float:
    """Bytes that autograd keeps of a token in one decoder layer, counted off the modules' code."""
    shape, compute, stream = step.shape, step.compute, step.stream
    h, q, k, f = shape.hidden, shape.query, shape.key, shape.mlp
    if step.is_unsloth:  # its kernels keep the inputs of norms and maps; q, k, v and what attention gives; gate and up
        return compute * (4 * h + 2 * q + 2 * k + 2 * f)

    # 1. norms: both compute in fp32, and keep what they multiply with their weights where those are trained
    size = 8.0 * h + (0 if step.adapter else 2 * stream * h)

    # 2. inputs of trained maps: one for those that share it, or a copy for each where it is cast for the map. Without a
    #    cast, and without a LoRA, that of o_proj is what attention gives. DoRA scales what a map and its LoRA answer
    names = [name for name in (step.targets if step.adapter else LINEAR) if name in shape.maps]
    is_cast = stream != compute or (step.rank > 0 and compute == 2)
    copies = set(names) if is_cast else {SAME_INPUT.get(name, name) for name in names}
    copies -= set() if is_cast and step.rank else {"o_proj"}
    each = 4 if is_cast and not step.has_autocast else compute  # a LoRA's weights are fp32
    size += each * (sum(shape.maps[name][0] for name in copies) + step.rank * len(names))
    if step.adapter == "dora":
        size += (compute + each) * sum(shape.maps[name][1] for name in names)

    # 3. attention: q, k, v and what it gives; under a mask, its copy, and k and v once for every query head. Before a
    #    prefix there always is one
    is_masked = step.is_masked or step.adapter in PREFIX_TYPES
    size += compute * (4 * q + step.length + step.virtual if is_masked else 2 * q + 2 * k)

    # 4. the MLP: gate, its activation and up; a quantised map answers in the precision of its input
    return size + 3 * f * (stream if step.is_quantised else compute)


def _loss_bytes(step: Step) -> float:
    """Bytes of the logits, of what the loss makes of them, and of their gradients; bytes a logit are as measured."""
    vocab, tokens = step.shape.vocab, step.rows * (step.kept + step.width - step.length)
    if step.is_unsloth and step.loss == "grpo":  # kept in 16 bits, and gone through in 4 or more chunks a row
        return (2 + 1 / step.rows) * vocab * tokens
    if step.is_unsloth:
        return min(UNSLOTH_CHUNK, 16 * vocab * tokens)
    head = 2 * vocab * step.shape.hidden if step.stream != step.compute else 0
    if step.loss == "chunked_nll":
        return head + 16 * vocab * min(SFT_CHUNK, tokens)
    if step.loss == "nll":
        return head + (12 if step.has_kernel else 14) * vocab * tokens
    slopes = step.stream * step.shape.hidden * tokens
    copies = CHUNK_COPIES + (0.5 if step.compute == 2 else 0.0)
    return head + slopes + copies * min(SCORING_CHUNK, 4 * vocab * tokens)
