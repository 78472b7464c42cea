"""Rows of a data set on the hub, or from its cache when the hub is out of reach."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from configs.errors import DataError
from data.row import Row, finite

log = logging.getLogger("mull.data")

_PROBE_SECONDS = 10.0


def hub_rows(name: str, configuration: str | None, split: str, folder: str | None = None) -> Iterator[Row]:
    """The split's rows, counted from 1; `folder`: the one of the repository that holds them.

    Raises `DataError` where neither the hub nor the cache has it.
    """
    try:
        rows = _loaded(name, configuration, split, folder)
    except DataError:
        raise
    except Exception as error:  # the hub's clients raise a dozen kinds, with and without a network
        reason = str(error).strip().partition("\n")[0][:120]
        raise DataError(
            f"{name} ({split}): can't be had from the hub ({type(error).__name__}: {reason}); "
            "give a local copy with data.path=FILE"
        ) from None
    for line, fields in enumerate(rows, start=1):
        yield Row(line, finite(dict(fields)))


def _loaded(name: str, configuration: str | None, split: str, folder: str | None) -> Any:
    """One probe first: `load_dataset` alone retries for half a minute before it gives up."""
    from datasets import load_dataset

    with nullcontext() if _is_there(name) else cache_alone():
        return load_dataset(name, configuration, split=split, data_dir=folder)


def _is_there(name: str) -> bool:
    """Whether the hub can be reached and has it. Raises `DataError` where the hub says that there is no such thing."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import RepositoryNotFoundError

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=_PROBE_SECONDS)
    except RepositoryNotFoundError:
        raise DataError(f"{name}: no such data set on the hub") from None
    except Exception as error:
        log.info("the hub can't be reached (%s); looking in its cache", error)
        return False
    return True


def reaches_hub() -> bool:
    """Whether anything answers at the hub's address, and the user has not set `HF_HUB_OFFLINE`."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_PROBE_SECONDS)
    except Exception as error:  # of any kind, with and without a network
        log.info("the hub can't be reached (%s)", error)
        return False
    return True


@contextmanager
def cache_alone() -> Iterator[None]:
    """Inside, what comes from the hub comes from its cache on this machine."""
    from datasets import config
    from huggingface_hub import constants

    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
