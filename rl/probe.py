"""The worst step tried before the first one: longest prompts, longest completions, forward and backward.

Lengths grow in training, and a batch of the longest ones comes when it comes: better now than at step 120.
"""

from typing import Any

import torch

from configs.errors import RunError


def worst_batch(trainer: Any, rows: int, prompt: int, completion: int) -> dict[str, Any]:
    """A batch of `rows` completions of random ids, lengths in tokens; a group's prompt is one prompt."""
    generator = torch.Generator().manual_seed(0)
    vocabulary, group = trainer.model.config.get_text_config().vocab_size, trainer.num_generations
    prompts = torch.randint(vocabulary, (-(-rows // group), prompt), generator=generator)
    ids = torch.randint(vocabulary, (rows, completion), generator=generator)
    batch = {
        "prompt_ids": prompts.repeat_interleave(group, 0)[:rows],
        "prompt_mask": torch.ones(rows, prompt, dtype=torch.long),
        "completion_ids": ids,
        "completion_mask": torch.ones_like(ids),
        "advantages": torch.ones(rows),
        "num_items_in_batch": torch.tensor(ids.numel()),
    }
    if trainer.beta != 0.0:
        batch["ref_per_token_logps"] = torch.zeros(rows, completion)
    return {name: value.to(trainer.accelerator.device) for name, value in batch.items()}


def fits(trainer: Any, rows: int, prompt: int, completion: int) -> bool:
    """Whether a forward and a backward pass of that batch go through; nothing is learned from it."""
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    with torch.random.fork_rng():
        try:
            trainer.compute_loss(trainer.model, worst_batch(trainer, rows, prompt, completion)).backward()
        except torch.OutOfMemoryError:
            return False
        finally:
            trainer.model.zero_grad(set_to_none=True)
            trainer._metrics["train"].clear()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return True


def probe(trainer: Any, prompt: int, completion: int) -> None:
    """Raise `RunError` with the settings that fit, if the recipe's don't; lengths in tokens."""
    rows = trainer.args.per_device_train_batch_size
    if fits(trainer, rows, prompt, completion):
        return
    worst = f"{rows} rows of {prompt} + {completion} tokens, the longest that can come, don't fit the memory"
    for smaller in (n for n in range(rows // 2, 0, -1) if rows % n == 0):
        if fits(trainer, smaller, prompt, completion):
            steps = trainer.args.gradient_accumulation_steps * rows // smaller
            raise RunError(
                f"{worst}; the same batch in smaller parts does: trainer.per_device_train_batch_size={smaller} "
                f"trainer.gradient_accumulation_steps={steps}"
            )
    raise RunError(
        f"{worst}, nor does one row: lower trainer.max_completion_length, set trainer.gradient_checkpointing=true, or "
        "take model.precision=nf4"
    )
