"""What a run takes: tokens, operations, seconds, by arithmetic; torch is not imported.

    operations   a token's forward pass is 2 for each weight of a matrix, and 2 · q · length a layer for causal
                 attention; the way back is that again for the activations and 2 for each weight that is trained
    training     operations ÷ (the device's × `Rates.training`)
    drawing      steps of a batch of sequences, each the longer of reading weights and keys, and computing; and `layer`
                 seconds a layer for starting the kernels
    exchange     a ring all-reduce of the trained weights' gradients

Rates of the CPU are fitted to measured points; `tests/training/test_cost.py` holds those steps of benchmarks/RESULTS.md
whose lengths are known against what this module says of them. Rates of GPUs are assumed; nothing was run on one yet.
"""

from dataclasses import dataclass

from models.accelerators import Accelerator
from models.weights import BYTES
from training.step_memory import Step, count_trained

GPUS_A_MACHINE = 8
NETWORK = 50e9
"""Bytes a second and GPU between machines: 400 Gbit/s, as in DGX H100. Assumed."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What of a device's figures is reached.

    training   share of its operations, forward and backward, and in reading prompts
    decoding   share of its operations while decoding
    reading    share of its memory's bandwidth while decoding
    layer      seconds that a decoding step takes a layer beyond that
    step       seconds of a step beyond its parts: scoring, logging, the optimizer; `drawn_step` of one that draws
    """

    training: float
    decoding: float
    reading: float
    layer: float
    step: float
    drawn_step: float


TRANSFORMERS_LAYER, VLLM_LAYER = 1e-3, 1e-4
"""Seconds a layer and decoding step: some twenty kernels started one by one, or as a CUDA graph. Assumed."""
GPU = Rates(training=0.35, decoding=0.35, reading=0.6, layer=TRANSFORMERS_LAYER, step=0.05, drawn_step=1.0)
"""Assumed. Training Llama 3 reached 38 to 43% of an H100 (arXiv 2407.21783, table 4); a small model reaches less."""
CPU = Rates(training=1.0, decoding=0.42, reading=1.0, layer=0.0, step=0.0, drawn_step=5.0)
"""Measured on two cores: 2,048 tokens with LoRA in 8 s, 215 tokens/s decoded at batch 64, and what steps of 8, 32 and
128 completions have in common (benchmarks/RESULTS.md, "GRPO steps and rollouts")."""
BATCH = {"transformers": 100, "vllm": 256, "unsloth": 256}
"""Most sequences that an engine decodes together."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a run does, on all devices together; token counts are means.

    steps             optimizer steps
    rows              that a step trains on; `row_tokens` go through the layers, `kept_tokens` of them through the head
    drawn             completions a step, 0 in SFT; `prompt_tokens` and `completion_tokens` of each
    passes            forward passes over the rows beside the training one: of a reference, of the policy that drew
    measured          completions of held-out measuring in the whole run, `measured_tokens` each: on one device
    """

    steps: int
    rows: float
    row_tokens: float
    kept_tokens: float
    drawn: float = 0
    prompt_tokens: float = 0
    completion_tokens: float = 0
    passes: int = 0
    measured: float = 0
    measured_tokens: float = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a whole run: tokens and operations of all devices, seconds on the clock."""

    trained_tokens: float
    drawn_tokens: float
    flops: float
    training: float
    drawing: float
    measuring: float
    exchange: float
    rest: float

    @property
    def seconds(self) -> float:
        """All of it; loading the weights is not in it."""
        return self.training + self.drawing + self.measuring + self.exchange + self.rest


def rates_of(device: Accelerator, engine: str = "transformers") -> Rates:
    """The device's rates, under an engine that draws completions."""
    if device.name == "cpu":
        return CPU
    layer = TRANSFORMERS_LAYER if engine == "transformers" else VLLM_LAYER
    return Rates(GPU.training, GPU.decoding, GPU.reading, layer, GPU.step, GPU.drawn_step)


def cost_of(step: Step, work: Work, device: Accelerator, devices: int = 1, engine: str = "transformers") -> Cost:
    """What the run takes on `devices` of one kind under DDP; `step` says how a micro-batch is trained on."""
    rates = rates_of(device, engine)
    rows = work.steps * work.rows
    trained = rows * training_flops(step, work.row_tokens, work.kept_tokens)
    trained += work.passes * rows * forward_flops(step, work.row_tokens, work.kept_tokens)
    draws = (
        work.steps * decoding_seconds(step, work.drawn / devices, work, device, rates, engine) if work.drawn else 0.0
    )
    measured = Work(1, 0, 0, 0, work.measured, work.prompt_tokens, work.measured_tokens)
    measuring = decoding_seconds(step, work.measured, measured, device, rates, engine) if work.measured else 0.0
    drawn = work.steps * work.drawn + work.measured
    decoded = work.steps * work.drawn * work.completion_tokens + work.measured * work.measured_tokens
    return Cost(
        trained_tokens=rows * work.row_tokens,
        drawn_tokens=decoded,
        flops=trained + forward_flops(step, 1, 1) * decoded + drawn * forward_flops(step, work.prompt_tokens, 0),
        training=trained / devices / (device.flops * rates.training),
        drawing=draws,
        measuring=measuring,
        exchange=work.steps * exchange_seconds(step, device, devices),
        rest=work.steps * (rates.drawn_step if work.drawn else rates.step),
    )


def forward_flops(step: Step, tokens: float, kept: float) -> float:
    """Operations of a forward pass over a row."""
    shape = step.shape
    layer = sum(width * out for width, out in shape.maps.values())
    attention = 2 * shape.query * tokens * tokens * shape.layers
    return 2 * tokens * shape.layers * layer + attention + 2 * kept * shape.vocab * shape.hidden


def training_flops(step: Step, tokens: float, kept: float) -> float:
    """Operations of a row's forward and backward pass, recomputed activations included."""
    shape, (trained, _) = step.shape, count_trained(step)
    forward = forward_flops(step, tokens, kept)
    attention = 2 * shape.query * tokens * tokens * shape.layers  # four products on the way back, two before
    passes = 3 if step.has_checkpoints else 2
    of_trained = 6 if step.adapter else 2  # an adapter's own three passes, or the gradients of the weights themselves
    return passes * forward + attention + of_trained * trained * tokens


def decoding_seconds(step: Step, sequences: float, work: Work, device: Accelerator, rates: Rates, engine: str) -> float:
    """Reading so many prompts and decoding their completions, on one device."""
    shape = step.shape
    prompts = sequences * forward_flops(step, work.prompt_tokens, 0) / (device.flops * rates.training)
    batch = min(sequences, BATCH[engine])
    weights = shape.weights.others * BYTES[step.precision] + 2.0 * shape.vocab * shape.hidden
    read = weights + batch * cache_bytes(step, work.prompt_tokens + work.completion_tokens / 2)
    flops = batch * forward_flops(step, 1, 1)
    slowest = max(read / (device.bandwidth * rates.reading), flops / (device.flops * rates.decoding))
    return prompts + work.completion_tokens * sequences / batch * (slowest + rates.layer * shape.layers)


def cache_bytes(step: Step, tokens: float) -> float:
    """Keys and values of a sequence, in 16 bits."""
    return 4 * step.shape.layers * step.shape.key * tokens


def exchange_seconds(step: Step, device: Accelerator, devices: int) -> float:
    """Averaging the gradients over the devices, once a step."""
    if devices == 1:
        return 0.0
    trained, width = count_trained(step)
    link = device.link if devices <= GPUS_A_MACHINE else min(device.link, NETWORK)
    return 2 * (devices - 1) / devices * trained * width / link
