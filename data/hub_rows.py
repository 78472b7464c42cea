"""Rows of a data set on the hub, or from its cache when the hub is out of reach."""

import logging
from collections.abc import Iterator
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
    import huggingface_hub
    from datasets import config, load_dataset
    from huggingface_hub import constants
    from huggingface_hub.errors import RepositoryNotFoundError

    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    if not config.HF_HUB_OFFLINE:
        try:
            huggingface_hub.HfApi().dataset_info(name, timeout=_PROBE_SECONDS)
        except RepositoryNotFoundError:
            raise DataError(f"{name}: no such data set on the hub") from None
        except Exception as error:
            log.info("the hub can't be reached (%s); looking in its cache", error)
            config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        return load_dataset(name, configuration, split=split, data_dir=folder)
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
