"""A frozen model beside the one in training: on the same base weights where they are the same, else with its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from configs.schema.sections import ModelConfig
from configs.schema.training import TrainingConfig
from models.adapter_types import adapter_type
from models.adapters import add_frozen
from models.backend import about_teacher, choose_backend
from models.engines.transformers import evaluating
from models.load import load_model
from models.protocols import CausalLM

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTER = "frozen"
"""The name of its adapter beside `default`, which is trained."""


def shares_base(frozen: ModelConfig, training: TrainingConfig) -> bool:
    """Whether `frozen` is an adapter, or none, on the base weights that `training` has in memory."""
    own = training.model
    return (
        frozen.name == own.name
        and not training.trains_every_weight
        and frozen.precision in ("auto", choose_backend(own, training).precision)
        and adapter_type(frozen) in (None, "lora", "dora")
    )


class FrozenModel:
    """A model that is asked and never trained: nothing of it has a gradient, or dropout.

    On shared base weights it is another adapter of `student`, switched on while it is asked, or all of them switched
    off. Raises `ModelError`.
    """

    def __init__(self, config: ModelConfig, training: TrainingConfig, student: "PeftModel | CausalLM") -> None:
        self.adapter = config.adapter
        self.model: Any = None
        """Its own weights; None where it has the student's."""
        with about_teacher():
            if not shares_base(config, training):
                self.model = load_model(config).model.requires_grad_(False)
            elif config.adapter:
                add_frozen(student, config.adapter, ADAPTER)

    @contextmanager
    def answering(self, student: Any) -> Iterator[Any]:
        """Inside, what is yielded answers as this model, its logits in fp32; `student` as it was given."""
        with self._switched(student) if self.model is None else evaluating(self.model):
            model = student if self.model is None else self.model
            handle = model.register_forward_hook(_widen)
            try:
                yield model
            finally:
                handle.remove()

    @contextmanager
    def _switched(self, student: "PeftModel") -> Iterator[None]:
        if self.adapter is None:
            with student.disable_adapter(), evaluating(student):
                yield
            return
        student.set_adapter(ADAPTER, inference_mode=True)
        try:
            with evaluating(student):
                yield
        finally:
            student.set_adapter("default")


def _widen(_: Any, __: Any, output: Any) -> None:
    """In 16 bits a log-softmax over a vocabulary loses what a teacher and a student differ by."""
    output.logits = output.logits.float()
