"""What was written for a CPU's and a GPU's arithmetic alike, compared and timed without a trained model."""

from collections.abc import Callable

import torch

from benchmarks.gpu.measure import DEVICE, Figures, Shape, milliseconds, peak_gib, random_model
from budget_forcing.end_decision import Choice, Policies, choose
from budget_forcing.sampling import Truncation, uniform
from configs.schema.sections import SamplingConfig
from models.packed_attention import can_pack, packed, packing, take_packed_rows
from rl.packed_batch import pack

SAMPLINGS = {
    "greedy": SamplingConfig(temperature=0.0),
    "temperature": SamplingConfig(temperature=1.0),
    "top_p": SamplingConfig(temperature=1.0, top_p=0.95),
    "top_k": SamplingConfig(temperature=1.0, top_k=20),
    "min_p": SamplingConfig(temperature=1.0, min_p=0.05),
}
ENDS = (7, 11)


def sampling(tiny: bool) -> Figures:
    """Whether an end of thinking comes, for every row of a batch: as on the CPU, and what it costs a step.

    The yardstick is what any sampler does: a softmax over the vocabulary and a draw.
    """
    rows, vocabulary = (8, 512) if tiny else (256, 151_936)
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(rows, vocabulary, generator=generator)
    logits[:, ENDS[0]] = logits.amax(1) + torch.linspace(-8, 2, rows)  # from hopeless to certain
    uniforms = torch.from_numpy(uniform(list(range(rows)), [5] * rows))
    on_device = logits.to(DEVICE)
    plain = milliseconds(lambda: torch.multinomial(on_device.softmax(1), 1), 3 if tiny else 20)
    yield "softmax_and_draw_ms", plain
    for name, config in SAMPLINGS.items():

        def decide(values: torch.Tensor, config: SamplingConfig = config) -> Choice:
            policies = Policies.of([ENDS] * rows, [config] * rows, [True] * rows, vocabulary, values.device)
            index = torch.arange(rows, device=values.device)
            return choose(values, index, policies, uniforms.to(values.device), _truncate)

        here, there = decide(logits.clone()), decide(on_device.clone())
        for part in ("end", "token", "mask"):
            equal = getattr(here, part) == getattr(there, part).cpu()
            yield f"{name}_{part}_equal_share", equal.float().mean().item()
        yield f"{name}_logprob_gap", (here.logprob - there.logprob.cpu()).abs().max().item()
        taken = milliseconds(lambda: decide(on_device.clone()), 3 if tiny else 20)
        yield f"{name}_ms", taken
        yield f"{name}_of_softmax_and_draw", taken / plain
        yield f"{name}_peak_gib", peak_gib(lambda: decide(on_device.clone()))


def _truncate(logits: torch.Tensor, min_p: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    return Truncation(min_p[:, None], top_k[:, None], top_p[:, None])(logits)


def attention(tiny: bool) -> Figures:
    """Rows laid after one another, for SFT and for GRPO's groups: equal to rows apart, and at what price."""
    lengths = (64,) if tiny else (1024, 4096, 8192)
    shape = Shape(64, 128, 2, 4, 2, vocabulary=512) if tiny else Shape(1536, 8960, 4, 12, 2, vocabulary=8192)
    for dtype in (torch.float32, torch.bfloat16):
        model = random_model(shape, dtype).requires_grad_(False)
        kind = str(dtype).removeprefix("torch.")
        for length in lengths:
            yield from _packed_rows(model, kind, length, tiny)
            yield from _shared_prompt(model, kind, length, tiny)
        del model


def _ids(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    drawn: list[int] = torch.randint(512, (count,), generator=generator).tolist()
    return drawn


def _compared(
    name: str, together: Callable[[], torch.Tensor], apart: Callable[[], torch.Tensor], tiny: bool
) -> Figures:
    """Rows together against the same rows apart: the largest difference of logits, time, and peak memory together."""
    yield f"{name}_gap", (together().float() - apart().float()).abs().max().item()
    runs = 1 if tiny else 5
    yield f"{name}_of_padded", milliseconds(together, runs) / milliseconds(apart, runs)
    yield f"{name}_peak_gib", peak_gib(together)


def _packed_rows(model: torch.nn.Module, kind: str, length: int, tiny: bool) -> Figures:
    """Eight rows in one sequence against eight rows of a batch."""
    rows = [_ids(length // 8, seed) for seed in range(8)]
    batch = torch.tensor(rows, device=DEVICE)
    sequence = batch.reshape(1, -1)
    positions = torch.arange(length // 8, device=DEVICE).repeat(8)[None]

    def together() -> torch.Tensor:
        with packing(model, True):
            out: torch.Tensor = model(input_ids=sequence, position_ids=positions, use_cache=False).logits
        return out.reshape(8, length // 8, -1)

    def apart() -> torch.Tensor:
        out: torch.Tensor = model(input_ids=batch, use_cache=False).logits
        return out

    yield from _compared(f"packed_{kind}_{length}", together, apart, tiny)


def _shared_prompt(model: torch.nn.Module, kind: str, length: int, tiny: bool) -> Figures:
    """A prompt with eight completions in one sequence against eight rows of prompt + completion."""
    prompt = _ids(length // 4, 0)
    completions = [_ids(length * 3 // 32, seed) for seed in range(1, 9)]
    pack_ = pack([prompt] * 8, completions, DEVICE)
    batch = torch.tensor([prompt + completion for completion in completions], device=DEVICE)
    kept = slice(len(prompt) - 1, -1)
    assert can_pack(model)
    take_packed_rows(model)

    def together() -> torch.Tensor:
        out: torch.Tensor = model(
            input_ids=pack_.ids, position_ids=pack_.positions, use_cache=False, **packed(pack_.rows, DEVICE)
        ).logits
        return out[0, pack_.source].reshape(8, len(completions[0]), -1)

    def apart() -> torch.Tensor:
        out: torch.Tensor = model(input_ids=batch, use_cache=False).logits[:, kept]
        return out

    yield from _compared(f"shared_{kind}_{length}", together, apart, tiny)
