"""One or two processes take the same steps on the same completions; started by `test_processes.py`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from configs.schema.adapters import LoraConfig
from configs.schema.sections import ModelConfig
from models.engines.generation import Generation
from models.load import load_model
from rewards.composition import Member, RewardSet
from tests.rl.trainers import built, randomise
from training.fsdp_internals import whole_weights


def written(tokenizer: Any, prompts: Sequence[str]) -> list[Generation]:
    """Completions that depend on the prompt and the place in its group alone."""
    found = []
    for at, prompt in enumerate(prompts):
        ids = tuple(tokenizer(prompt)["input_ids"])
        seed = sum(ids) + at % 4
        tokens = tuple(3 + (seed * (i + 7)) % 240 for i in range(2 + seed % 5))
        none = (False,) * len(tokens), (0.0,) * len(tokens)
        found.append(Generation(at, 0, ids, tokens, "", "", "", len(tokens), 0, *none, "length", None))
    return found


def main(argv: list[str]) -> None:
    """Train a model into a folder with so many completions a process; the first process writes what came of it."""
    model, folder, rows = argv
    loaded = load_model(ModelConfig(name=model, precision="fp32"), LoraConfig(r=4, alpha=8))
    randomise(loaded.model)
    rewards = RewardSet([Member("r", lambda seen: [float(sum(r.completion_ids) % 3) for r in seen])])
    trainer = built(
        loaded, Path(folder), rewards, rollout={}, per_device_train_batch_size=int(rows), learning_rate=1e-2
    )
    trainer.sampler.generate = lambda _, prompts, *others: written(loaded.tokenizer, prompts)
    trainer.train()
    with whole_weights(trainer.model):
        if trainer.accelerator.is_main_process:
            logs = [row for row in trainer.state.log_history if "loss" in row]
            weights = [p.detach() for p in trainer.model.parameters() if p.requires_grad]
            torch.save(weights, Path(folder) / "weights.pt")
            (Path(folder) / "logs.json").write_text(json.dumps(logs))


if __name__ == "__main__":
    main(sys.argv[1:])
