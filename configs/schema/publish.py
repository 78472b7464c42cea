"""The recipe of `release.publish`."""

from typing import Annotated

from pydantic import Field

from configs.schema.sections import Section

K_QUANTS = ("gguf:q4_k_m", "gguf:q5_k_m", "gguf:q6_k")
"""What llama.cpp's own tool makes of a GGUF file."""
TARGETS = ("adapter", "merged16", "nf4", "gguf:f16", "gguf:q8_0", *K_QUANTS)
"""The forms that a run is exported in."""


class PublishConfig(Section):
    """`python -m release.publish`."""

    run: str
    """The run folder whose product is published."""
    repo: str | None = None
    """`owner/name` on the hub; `--repo` wins."""
    public: bool = False
    """Visible to all; `--public` sets it."""
    exports: Annotated[list[str], Field(min_length=1)] = ["adapter"]
    """Targets of `release.export`: the first is the repository's root, the others are folders, GGUF files beside."""
    evaluations: list[str] = []
    """Run folders of `evaluation.evaluate`: their figures and the first one's curve go into the card."""
    budget: str | None = None
    """A `budget.yaml` whose promise goes into the card; default: those in the folders of `run` and `evaluations`."""
    curation: str | None = None
    """Run folder of `curation.curate` that made the training data: its manifest and decontamination are in the card."""
    base_model: str | None = None
    """The base's hub id, where the run names a local folder."""
    license: str | None = None
    """The base's licence, where its own files don't say."""
    data_license: str | None = None
    """The training data's licence."""
    tags: list[str] = []
    """Besides those that follow from the run."""
    limits: str = ""
    """What it is not for, in a sentence or two."""
    output_dir: str
    """Where the folder is put together; default `outputs/publish/<recipe>`."""
