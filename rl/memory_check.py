"""The worst step tried before the first one: longest prompts, longest completions, forward and backward.

Lengths grow in training, and a batch of the longest ones comes when it comes: better now than at step 120. The model is
as `Trainer.train` will have it: checkpointing as the recipe says, computing in autocast, its logits in fp32.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate.utils import convert_outputs_to_fp32
from transformers import PreTrainedModel

from configs.errors import RunError
from rl.trainer import RolloutTrainer
from rl.trl_batch import TrlBatch


def worst_batch(trainer: RolloutTrainer, rows: int, prompt: int, completion: int) -> TrlBatch:
    """A batch of `rows` completions of random ids, lengths in tokens; a group's prompt is one prompt."""
    generator = torch.Generator().manual_seed(0)
    pad, group = trainer.processing_class.pad_token_id, trainer.num_generations
    vocabulary = trainer.model.config.get_text_config().vocab_size

    def ids(count: int, length: int) -> torch.Tensor:
        drawn = torch.randint(vocabulary - 1, (count, length), generator=generator)
        return drawn + (drawn >= pad).long()  # Unsloth takes every pad token for padding

    shape = (rows, completion)
    batch = {
        "prompt_ids": ids(-(-rows // group), prompt).repeat_interleave(group, 0)[:rows],
        "prompt_mask": torch.ones(rows, prompt, dtype=torch.long),
        "completion_ids": ids(*shape),
        "completion_mask": torch.ones(shape, dtype=torch.long),
        "advantages": torch.ones(rows),
        "num_items_in_batch": torch.tensor(rows * completion),
    }
    if trainer.beta != 0.0:
        batch["ref_per_token_logps"] = torch.zeros(shape)
    if trainer.corrects_sampling:
        batch |= {name: torch.zeros(shape) for name in ("old_per_token_logps", "sampling_per_token_logps")}
        batch["importance_sampling_ratio"] = torch.ones(shape)
    return {name: value.to(trainer.accelerator.device) for name, value in batch.items()}


@contextmanager
def as_trained(trainer: RolloutTrainer) -> Iterator[None]:
    """The model as in `Trainer.train`, which does all this only once it runs."""
    model: PreTrainedModel = trainer.model
    args = trainer.args
    if trainer.is_unsloth:  # it has modes, and an autocast, of its own
        checkpointing = getattr(model, "_unsloth_gradient_checkpointing", args.gradient_checkpointing)
        model.for_training(use_gradient_checkpointing=checkpointing)
        try:
            yield
        finally:
            model.for_inference()
        return
    model.train()
    if args.gradient_checkpointing:
        options = dict(args.gradient_checkpointing_kwargs or {})
        apart = {name: options.pop(name) for name in ("every_n_layers", "offload") if name in options}
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options or None, **apart)
    before = {name: value for name, value in vars(model).items() if name == "forward"}
    if trainer.accelerator.native_amp:
        model.forward = convert_outputs_to_fp32(trainer.accelerator.autocast()(model.forward))
    try:
        yield
    finally:
        vars(model).pop("forward", None)
        vars(model).update(before)


def fits(trainer: RolloutTrainer, rows: int, prompt: int, completion: int) -> bool:
    """Whether a forward and a backward pass of that batch go through; nothing is learned from it."""
    trainer.current_gradient_accumulation_steps = 1
    with torch.random.fork_rng():
        try:
            trainer.compute_loss(trainer.model, worst_batch(trainer, rows, prompt, completion)).backward()
        except torch.OutOfMemoryError:
            return False
        finally:
            trainer.model.zero_grad(set_to_none=True)
            trainer.forget_metrics()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return True


def try_worst_step(trainer: RolloutTrainer, prompt: int, completion: int) -> None:
    """Raise `RunError` with the settings that fit, if the recipe's don't; lengths in tokens."""
    rows = trainer.args.per_device_train_batch_size
    with as_trained(trainer):
        if fits(trainer, rows, prompt, completion):
            return
        smaller = (n for n in range(rows // 2, 0, -1) if rows % n == 0)
        fitting = next((n for n in smaller if fits(trainer, n, prompt, completion)), None)
    worst = f"{rows} rows of {prompt} + {completion} tokens, the longest that can come, don't fit the memory"
    if fitting is not None:
        steps = trainer.args.gradient_accumulation_steps * rows // fitting
        raise RunError(
            f"{worst}; the same batch in smaller parts does: trainer.per_device_train_batch_size={fitting} "
            f"trainer.gradient_accumulation_steps={steps}"
        )
    raise RunError(
        f"{worst}, nor does one row: lower trainer.max_completion_length, set trainer.gradient_checkpointing=true, or "
        "take model.precision=nf4"
    )
