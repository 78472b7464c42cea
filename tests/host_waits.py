"""Counts what would make the host wait for a GPU, on any device: a value read, or a shape that depends on values."""

from collections import Counter
from types import TracebackType
from typing import Any, Self

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten: Any = torch.ops.aten
READS = {aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default, aten.masked_select.default}
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}


class HostWaits(TorchDispatchMode):  # type: ignore[misc]  # torch is not typed there
    """Inside, `waits` counts what would wait, by operator.

    `copies` counts copies into a tensor, which wait if it is the host's; `made`, tensors of Python's numbers, which
    wait on their way to the device.
    `Tensor.tolist` and `Tensor.numpy` don't reach the dispatcher on a CPU, so they are counted where they are called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.copies = 0
        self.made = 0

    def __enter__(self) -> Self:
        self._patch = pytest.MonkeyPatch()
        for name in ("tolist", "numpy"):
            self._patch.setattr(torch.Tensor, name, self._counted(name))
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._patch.undo()
        super().__exit__(kind, error, traceback)

    def _counted(self, name: str) -> Any:
        plain = getattr(torch.Tensor, name)

        def counted(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self.waits[name] += 1
            return plain(tensor, *args, **kwargs)

        return counted

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        masks = func in INDEXED and any(index is not None and index.dtype == torch.bool for index in args[1])
        if func in READS or masks:
            self.waits[str(func)] += 1
        elsewhere = func is aten._to_copy.default and kwargs.get("device") not in (None, args[0].device)
        if elsewhere and not kwargs.get("non_blocking"):
            self.waits["blocking copy"] += 1
        self.made += func is aten.lift_fresh.default
        self.copies += func is aten.copy_.default
        return func(*args, **kwargs)
