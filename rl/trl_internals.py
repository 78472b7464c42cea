"""TRL's `GRPOTrainer` with the private methods that we change under names of our own.

`rl.trainer` overrides `draw`, `arrange`, `loss` and `log_probabilities`, and nothing that begins with an underscore.
Pinned to TRL 1.14.2 by `tests/rl/test_pinned_sources.py`, and to what it computes by `tests/rl/test_trainer.py` and
`tests/rl/test_packed_batch.py`.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from rl.trl_batch import TrlBatch
from training.fsdp_internals import whole_weights

Row = dict[str, Any]
LogProbabilities = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
"""Log-probabilities (B, T), entropies (B, T), auxiliary loss; None where they were not asked for."""


class EpochSampler(RepeatSampler):  # type: ignore[misc] # TRL is not typed
    """TRL's order of problems, from seed and epoch: TRL's own goes on with a generator that no checkpoint keeps."""

    def set_epoch(self, epoch: int) -> None:
        """Draw the next order for `epoch`; a run that is resumed there has the same."""
        if self.shuffle:
            self.generator.manual_seed(self.seed + epoch)


class OpenGRPOTrainer(GRPOTrainer):  # type: ignore[misc] # TRL is not typed
    """`GRPOTrainer`, its private methods handed on to public ones that do what TRL does.

    `corrects_sampling`: whether TRL weighs each token by the policy's probability over the engine's.
    """

    _buffered_inputs: list[TrlBatch] | None
    rollout_func: Callable[[list[str], "OpenGRPOTrainer"], dict[str, list[Any]]] | None

    def __init__(self, *args: Any, corrects_sampling: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.corrects_sampling = corrects_sampling

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        own = super()._get_train_sampler(dataset)
        names = ("data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed")
        return EpochSampler(**{name: getattr(own, name) for name in names})

    def draw(self, rows: list[Row]) -> TrlBatch:
        """Completions and advantages for the rows of a generation."""
        output: TrlBatch = super()._generate_and_score_completions(rows)
        return output

    def _generate_and_score_completions(self, inputs: list[Row]) -> TrlBatch:
        with whole_weights(self.model):  # completions end at other lengths in each process
            return self.draw(inputs)

    def compare(self, rows: list[Row], columns: dict[str, list[Any]]) -> TrlBatch:
        """TRL's batch, advantages included, of completions that are drawn and scored: one entry a row in each column.

        What TRL doesn't know of the columns reaches the reward functions under their names.
        """
        self.rollout_func = lambda prompts, trainer: dict(columns)
        self._last_loaded_step = self.state.global_step  # TRL has no vLLM of its own to load weights into
        try:
            with self._correction():
                output: TrlBatch = dict(super()._generate_and_score_completions(rows))
        finally:
            self.rollout_func = None
        return output

    def compute_loss(
        self, model: PreTrainedModel, inputs: TrlBatch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """TRL's loss, or Unsloth's, corrected for what the engine drew differently."""
        with self._correction():
            value: torch.Tensor = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return value

    @contextmanager
    def _correction(self) -> Iterator[None]:
        """Inside, `use_vllm` is on where sampling is corrected: TRL's one switch for it, which also starts a vLLM."""
        self.use_vllm = self.corrects_sampling
        try:
            yield
        finally:
            self.use_vllm = False

    def arrange(self, batches: list[TrlBatch]) -> list[TrlBatch]:
        """The micro-batches of a generation, in the order in which they are trained on."""
        return batches

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        batches = self._buffered_inputs
        if batches is None or batches is before:  # nothing new was drawn
            return inputs
        self._buffered_inputs = self.arrange(batches)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def loss(self, model: PreTrainedModel, inputs: TrlBatch) -> torch.Tensor:
        """The loss of a micro-batch."""
        value: torch.Tensor = super()._compute_loss(model, inputs)
        return value

    def _compute_loss(self, model: PreTrainedModel, inputs: TrlBatch) -> torch.Tensor:
        return self.loss(model, inputs)

    def log_probabilities(self, model: PreTrainedModel, *rows: Any, **options: Any) -> LogProbabilities:
        """Of every completion token of padded rows."""
        values: LogProbabilities = super()._get_per_token_logps_and_entropies(model, *rows, **options)
        return values

    def _get_per_token_logps_and_entropies(
        self, model: PreTrainedModel, *rows: Any, **options: Any
    ) -> LogProbabilities:
        return self.log_probabilities(model, *rows, **options)

    @property
    def has_entropy_bonus(self) -> bool:
        """Whether the loss rewards entropy."""
        return bool(self._entropy_bonus_enabled)

    def add_metric(self, name: str, value: float) -> None:
        """A figure for the step's row of metrics; several of a step are averaged."""
        self._metrics["train"][name].append(value)

    def forget_metrics(self, *prefixes: str) -> None:
        """Drop the figures since the last row; of names that begin so, where beginnings are given."""
        for name in [name for name in self._metrics["train"] if name.startswith(prefixes or "")]:
            del self._metrics["train"][name]

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Checkpoints hold the adapter that is trained, and none beside it.

        With another one, such as TRL's `ref`, in a folder of its own, Transformers would resume from that alone.
        """
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or self.args.output_dir)
        for name in getattr(self.accelerator.unwrap_model(self.model), "peft_config", {}):
            if name != "default":
                shutil.rmtree(folder / name, ignore_errors=True)
