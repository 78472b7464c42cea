"""Several processes fail together, so that none waits for another that has left; and their figures are of all."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from statistics import fmean

from accelerate import PartialState
from accelerate.utils import gather_object

from configs import errors
from configs.errors import MullError


@contextmanager
def failing_together() -> Iterator[None]:
    """Inside, an error of one process becomes one of all, so that they can save the last whole step together.

    All processes enter and leave it at the same place; what is inside waits for no other process.
    """
    failure: MullError | None = None
    try:
        yield
    except MullError as error:
        failure = error
    if PartialState().num_processes > 1:
        others = [found for found in gather_object([_described(failure)]) if found]
        if others and failure is None:
            kind, text = others[0]
            raise getattr(errors, kind)(text)
    if failure is not None:
        raise failure


def of_all_processes(figures: Mapping[str, float], counts: Collection[str]) -> dict[str, float]:
    """Figures of this process's completions → of all processes': `counts` are added up, others averaged.

    A figure that a process has not is left out of its mean. All processes call it at the same place.
    """
    if PartialState().num_processes == 1:
        return dict(figures)
    every = gather_object([dict(figures)])
    names = dict.fromkeys(name for one in every for name in one)
    found = {name: [one[name] for one in every if name in one] for name in names}
    return {name: sum(values) if name in counts else fmean(values) for name, values in found.items()}


def _described(error: MullError | None) -> tuple[str, str] | None:
    """The name of an error's class in `configs.errors`, and its text: what travels between processes."""
    if error is None:
        return None
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return kind.__name__, str(error)
