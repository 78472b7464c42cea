"""What the publish gate asks of one model, in a process of its own.

    python -m release.gate_worker JOB.json ANSWER.json

Everything is loaded as a stranger would load it: plain Transformers and PEFT, the export's own tokenizer and template.
It answers as its weights are stored; then it is scored in fp32, so that what is compared is what was stored and not how
a machine rounds (4-bit weights run as bitsandbytes runs them).
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from peft import PeftModel
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from configs.run_directory import write_json
from data.chat_template import render_template
from data.prompts import render_prompt
from data.think_format import ThinkFormat
from models import gguf_cache, gguf_rope
from models.engines.base import Request
from models.engines.transformers import TransformersEngine
from models.gpu import dtype_of
from models.load import placement, quantization
from models.processor import has_bf16_units
from models.protocols import CausalLM
from models.source import source_of
from models.teacher_forcing import Pair, completion_logprobs, compute_in_fp32, vocabulary_logprobs
from release.gate_job import GateAnswer, GateJob
from training.finished_run import load_run_tokenizer, open_run
from training.heldout import GREEDY

BATCH = 4  # sequences in one forward pass: their logits are what takes memory
TIE = 0.02
"""Nats between two tokens that a model likes equally well: 16-bit rounding alone decides between them."""
MOST_TIED = 8


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model with its tokenizer, and for a run a context in which the model is its base."""

    model: CausalLM
    tokenizer: PreTrainedTokenizerBase
    without_adapter: Callable[[], AbstractContextManager[CausalLM]] | None = None


def answer_job(job: GateJob) -> GateAnswer:
    """Load the model and ask it."""
    export = _LOADERS[job.kind](job)
    model, tokenizer = export.model.eval(), export.tokenizer
    think_format = ThinkFormat.from_fields(job.think_format)
    prompt_ids = [_ids(tokenizer, job, question) for question in job.questions]
    engine = TransformersEngine(model, tokenizer, think_format, job.context, batch_size=len(prompt_ids))
    answers = engine.generate([Request(ids, GREEDY, job.max_tokens) for ids in prompt_ids])
    own = [(list(ids), list(answer.token_ids)) for ids, answer in zip(prompt_ids, answers, strict=True)]
    forced = (
        job.forced
        or own[: enough_answers([len(completion) for _, completion in own], job.least_answers, job.least_tokens)]
    )
    logprobs, likeliest = score(model, forced)
    stored_eos, stored_think_format = ([], None) if job.kind == "trained" else _stored(Path(job.folder))
    base_logprobs: list[float] = []
    if export.without_adapter is not None:
        with export.without_adapter() as base:
            base_logprobs, _ = score(base, forced)
    return GateAnswer(
        texts=[answer.text for answer in answers],
        prompt_ids=prompt_ids,
        prompts=[_prompt(tokenizer, job, *history) for history in job.histories],
        eos=list(engine.eos),
        rope=_rope(model),
        forced=forced,
        logprobs=logprobs,
        likeliest=likeliest,
        base_logprobs=base_logprobs,
        stored_eos=stored_eos,
        stored_think_format=stored_think_format,
    )


def enough_answers(lengths: Sequence[int], least_answers: int, least_tokens: int) -> int:
    """How many answers of these lengths are at least so many, with so many tokens together; or all."""
    tokens = accumulate(lengths)
    return next((at for at, held in enumerate(tokens, 1) if at >= least_answers and held >= least_tokens), len(lengths))


def score(model: CausalLM, forced: Sequence[Pair]) -> tuple[list[float], list[list[int]]]:
    """Per completion token, pairs one after the other: its log-probability, and `likeliest_of` its place."""
    logprobs: list[float] = []
    likeliest: list[list[int]] = []
    with compute_in_fp32(model):
        for vocabulary, (_, completion) in zip(vocabulary_logprobs(model, forced, BATCH), forced, strict=True):
            logprobs += completion_logprobs(vocabulary, completion).tolist()
            likeliest += likeliest_of(vocabulary)
    return logprobs, likeliest


def likeliest_of(logprobs: Tensor) -> list[list[int]]:
    """(N, V) → in each place the id that greedy decoding takes, and behind it those within `TIE` nats of it."""
    best, ids = logprobs.topk(min(MOST_TIED, logprobs.shape[-1]))  # (N, k), the likeliest first
    tied = (best >= best[:, :1] - TIE).sum(-1).tolist()
    return [row[:count] for row, count in zip(ids.tolist(), tied, strict=True)]


def _rope(model: CausalLM) -> list[float]:
    """The rotary frequencies, (head size / 2,), and last what the cosines are scaled with; empty without such."""
    rotary = [module for module in model.modules() if hasattr(module, "inv_freq")]
    return [value for one in rotary[:1] for value in (*one.inv_freq.tolist(), getattr(one, "attention_scaling", 1.0))]


def _ids(tokenizer: PreTrainedTokenizerBase, job: GateJob, question: str) -> list[int]:
    return list(tokenizer(_prompt(tokenizer, job, question, []), add_special_tokens=False)["input_ids"])


def _prompt(tokenizer: PreTrainedTokenizerBase, job: GateJob, question: str, history: list[tuple[str, str]]) -> str:
    """The run's prompt as training renders it; an export's through its template alone."""
    if job.kind == "trained":
        think_format = ThinkFormat.from_fields(job.think_format)
        return render_prompt(tokenizer, question, think_format, history=history)
    return render_template(tokenizer, tokenizer.chat_template, question, history)


def _stored(folder: Path) -> tuple[list[int], dict[str, Any] | None]:
    """What an export's own files say of the ends of a turn and of the think format."""
    config = GenerationConfig.from_pretrained(folder)
    eos = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    return eos, getattr(config, "think_format", None)


def _trained(job: GateJob) -> _Loaded:
    """The run's model as it was trained."""
    run = open_run(job.folder)
    if run.adapter is None:
        base = _load(source_of(run.base))
        trained = _load(str(run.product))
        return _Loaded(trained, load_run_tokenizer(run), lambda: nullcontext(base))
    model = _with_adapter(_load(source_of(run.trained_base), run.precision), run.adapter)

    @contextmanager
    def without_adapter() -> Iterator[CausalLM]:
        with model.disable_adapter():
            yield model

    return _Loaded(model, load_run_tokenizer(run), without_adapter)


def _adapter(job: GateJob) -> _Loaded:
    return _Loaded(_with_adapter(_load(source_of(job.base)), Path(job.folder)), _tokenizer(job))


def _transformers(job: GateJob) -> _Loaded:
    return _Loaded(_load(job.folder), _tokenizer(job))


def _gguf(job: GateJob) -> _Loaded:
    """The weights as Transformers reads them from the file; template, end of turn and vocabulary as the file has them.

    Rotary embeddings too are scaled as the file has them: Transformers reads no scaling. Its tokenizer is not used:
    Transformers rebuilds that with a splitting of its own, whatever the file says.
    """
    reader = GGUFReader(Path(job.folder) / job.file)
    fields = reader.fields
    tokenizer = _tokenizer(job)
    if not gguf_cache.has_vocabulary(tokenizer, fields):
        raise ValueError("the file's vocabulary is not the tokenizer's")
    tokenizer.chat_template = fields["tokenizer.chat_template"].contents()
    ends = gguf_cache.ends_of(fields)
    tokenizer.eos_token = fields["tokenizer.ggml.tokens"].contents(ends[0])
    model = _load(job.folder, gguf_file=job.file)
    model.config.eos_token_id = ends
    gguf_rope.restore(model, reader)
    return _Loaded(model, tokenizer)


_LOADERS = {"trained": _trained, "adapter": _adapter, "transformers": _transformers, "gguf": _gguf}


def _load(folder: str, precision: str = "", gguf_file: str | None = None) -> PreTrainedModel:
    """A model as its weights are stored, or as a run of that precision holds its base."""
    stored = "float32" if gguf_file else str(AutoConfig.from_pretrained(folder).dtype or "auto").removeprefix("torch.")
    held = precision or ("bf16" if stored in ("bfloat16", "float16") else "fp32")
    packing = quantization(precision)
    return AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=gguf_file,
        dtype=dtype_of(precision) if precision else _answering_dtype(stored),
        device_map=placement(folder, held, gguf_file),
        **({} if packing is None else {"quantization_config": packing}),  # a None would hide that a model is packed
    )


def _answering_dtype(stored: str) -> str:
    """What weights of the dtype `stored` are computed in: the same, where the machine computes so.

    On a processor without units for bf16 they are computed in fp32: the same values, several times as fast. A GPU
    without them computes in fp16, as it does in training.
    """
    if not torch.cuda.is_available() and not has_bf16_units():
        return "float32"
    return dtype_of("bf16") if stored == "bfloat16" else stored


def _with_adapter(model: PreTrainedModel, adapter: Path) -> PeftModel:
    return PeftModel.from_pretrained(model, str(adapter), autocast_adapter_dtype=True)


def _tokenizer(job: GateJob) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(job.folder)
    tokenizer.padding_side = "left"
    return tokenizer


def main(argv: list[str]) -> None:
    """Read the job, ask, write the answer."""
    job = GateJob(**json.loads(Path(argv[0]).read_text(encoding="utf-8")))
    write_json(Path(argv[1]), asdict(answer_job(job)))


if __name__ == "__main__":
    main(sys.argv[1:])
