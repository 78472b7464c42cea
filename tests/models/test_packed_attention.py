"""Packed rows don't see each other, and a packed batch teaches exactly what a padded one does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from configs.errors import ModelError
from data.arithmetic import generate_problems
from data.corpus import solution_traces
from data.think_format import S1
from models.packed_attention import PACKED_SDPA, after_prompt, flash_lengths, packing
from sft import dataset
from sft.encoding import encode_trace
from sft.first_batch import check_packing, documents
from tests.host_waits import HostWaits
from tests.tiny import tiny_model

pytestmark = pytest.mark.engine

ROWS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def trainer_of(folder: Path, tmp_path: Path, packing: bool) -> Any:
    """A trainer over `ROWS` rows that are one batch, packed or padded."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    examples = [encode_trace(trace, tokenizer, S1) for trace in solution_traces(generate_problems(ROWS, seed=1))]
    arguments = SFTConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=1 if packing else ROWS,
        packing=packing,
        max_length=4096,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    rows = Dataset.from_dict(dataset.arrow_columns(examples))
    return SFTTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)


def gradients(trainer: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """(loss, gradient of every weight) of the trainer's one batch."""
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in trainer.model.named_parameters()}


def test_packed_gradients_equal_padded(folder: Path, tmp_path: Path) -> None:
    padded = trainer_of(folder, tmp_path, packing=False)
    loss, expected = gradients(padded)
    trainer = trainer_of(folder, tmp_path, packing=True)
    assert len(trainer.train_dataset) == 1
    with packing(trainer.model, True):
        assert trainer.model.config._attn_implementation == PACKED_SDPA
        packed_loss, found = gradients(trainer)
    assert trainer.model.config._attn_implementation == "sdpa"
    assert packed_loss == pytest.approx(loss, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)


def test_leaking_rows_are_detected(folder: Path, tmp_path: Path) -> None:
    trainer = trainer_of(folder, tmp_path, packing=True)
    batch = next(iter(trainer.get_train_dataloader()))
    assert len(documents(batch)) == ROWS
    trainer.model.train()
    with packing(trainer.model, True):
        said = check_packing(batch, trainer.model)
    assert "packed and" in said
    assert trainer.model.training
    forward = trainer.model.forward

    def leaking(**inputs: Any) -> Any:
        if "position_ids" in inputs:  # one long row instead of many
            inputs["position_ids"] = torch.arange(inputs["input_ids"].shape[1])[None]
        return forward(**inputs)

    trainer.model.forward = leaking
    with pytest.raises(ModelError, match="lets packed rows see each other"):
        check_packing(batch, trainer.model)


def test_row_lengths_reach_the_attention(folder: Path, tmp_path: Path) -> None:
    """As Unsloth's: its collator adds the rows' lengths to the batch, and positions that start again mean nothing."""
    trainer = trainer_of(folder, tmp_path, packing=True)
    batch = next(iter(trainer.get_train_dataloader()))
    batch["packed_seq_lengths"] = torch.tensor([len(ids) for ids, _ in documents(batch)], dtype=torch.int32)
    forward = trainer.model.forward

    def by_lengths(packed_seq_lengths: torch.Tensor | None = None, **inputs: Any) -> Any:
        lengths = packed_seq_lengths if packed_seq_lengths is not None else [inputs["input_ids"].shape[1]]
        inputs["position_ids"] = torch.cat([torch.arange(int(n)) for n in lengths])[None]
        return forward(**inputs)

    trainer.model.forward = by_lengths
    with packing(trainer.model, True):
        assert "packed and" in check_packing(batch, trainer.model)


def test_packed_attention_keeps_padded_logits(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = tokenizer(["one", "and one more"], return_tensors="pt", padding=True)
    inputs.pop("token_type_ids", None)
    before = model(**inputs).logits
    with packing(model, True), torch.no_grad():
        torch.testing.assert_close(model(**inputs).logits, before)


@pytest.mark.parametrize(
    ("length", "prompt", "has_mask"),
    [(16, 50, True), (64, 50, True), (416, 50, False), (200, 200, True), (768, 50, False), (40, 700, True)],
)
def test_rows_after_long_prompts_are_masked(length: int, prompt: int, has_mask: bool) -> None:
    """The table that `benchmarks/long_steps.py --attention` measures."""
    assert (after_prompt(length, 0, prompt, "cpu").mask is not None) == has_mask


@pytest.mark.parametrize("reentrant", [True, False])
def test_waits_are_per_batch_not_per_layer(tmp_path: Path, reentrant: bool) -> None:
    counts = []
    for layers in (2, 6):
        trainer = trainer_of(tiny_model(tmp_path / str(layers), layers=layers), tmp_path, packing=True)
        batch = next(iter(trainer.get_train_dataloader()))
        trainer.model.train()
        trainer.model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        with packing(trainer.model, True), HostWaits() as host:
            trainer.compute_loss(trainer.model, batch).backward()
        counts.append(host.waits)
    assert counts[0] == counts[1]
    assert counts[0]["aten.nonzero.default"] == 1


def test_flash_is_told_the_rows_lengths() -> None:
    told = flash_lengths(torch.tensor([[0, 1, 2, 0, 1, 0, 1, 2, 3]]))
    assert told["cu_seq_lens_q"].tolist() == told["cu_seq_lens_k"].tolist() == [0, 3, 5, 9]
    assert told["max_length_q"] == told["max_length_k"] == 4
    assert isinstance(told["max_length_q"], int)  # the kernel would read a tensor from the device, in every layer
