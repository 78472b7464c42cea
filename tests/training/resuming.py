"""Several processes resume a run that had ended; started by `test_checkpoint.py`."""

import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from accelerate import PartialState

from configs.run_directory import RunDir
from training import trainer
from training.checkpoint import checkpoint_to_resume
from training.trainer import run_training


class Ended:
    """Of a trainer what `run_training` asks of one that has nothing left to do."""

    args = SimpleNamespace(max_steps=2, load_best_model_at_end=False)
    callback_handler = SimpleNamespace(callbacks=[])

    def __init__(self, note: Path) -> None:
        self.note = note

    def remove_callback(self, callback: object) -> None: ...

    def add_callback(self, callback: object) -> None: ...

    def _load_from_checkpoint(self, checkpoint: str) -> None:
        self.note.write_text(checkpoint)


def main(folder: Path) -> None:
    """Each process notes whether it tidied the run, and which checkpoint it goes on from."""
    rank = PartialState(cpu=True).process_index  # as TrainingArguments make it without a GPU

    def tidied(run: RunDir) -> str | None:
        (folder / f"tidied-{rank}").touch()
        return checkpoint_to_resume(run)

    with patch.object(trainer, "checkpoint_to_resume", tidied):
        run_training(Ended(folder / f"loaded-{rank}"), RunDir(folder / "run"), resume=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
