"""What reaches into PyTorch's FSDP2; `tests/training/test_fsdp_internals.py` pins it.

Under FSDP2 each forward pass fetches the other processes' parts of the weights, layer by layer: all processes have to
make the same passes. Decoding can't, as completions end at other lengths. So the weights are gathered once for all
that is decoded, and let go after it: a step of training has its part alone, beside the optimizer's.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.fsdp._fully_shard._fsdp_common import TrainingState


@contextmanager
def whole_weights(model: nn.Module) -> Iterator[None]:
    """Inside, each process holds all weights of `model`, to make passes without gradients that wait for no other.

    All processes enter it together; each leaves when it likes. A model that is not shared out stays as it is. Inside,
    `state_dict()` would let the weights go: read `named_parameters()`.
    """
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.unshard()
        # its hooks leave the weights alone, as where activations are computed again in a backward pass
        part._get_fsdp_state()._training_state = TrainingState.PRE_BACKWARD
    try:
        yield
    finally:
        for part in parts:
            state = part._get_fsdp_state()
            state._training_state = TrainingState.IDLE
            state._modules_to_run_forward.clear()
            part.reshard()
