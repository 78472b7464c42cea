"""The recipes of `curation.curate` and `curation.distill`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.schema.sections import (
    DataConfig,
    EngineConfig,
    ModelConfig,
    NonNegative,
    Positive,
    SamplingConfig,
    Section,
    ServerConfig,
    Share,
    ThinkFormatConfig,
    check_room,
)

Markup = Literal["html", "entities", "control_characters", "invisible_characters"]
"""What may be cleaned out of texts; see `data.residue`."""


class TraceSourceConfig(Section):
    """One file of traces (see `data.formats`), or problems by name."""

    path: str | None = None
    """JSON, JSONL, CSV or Parquet; a folder or a pattern of such files; or `FOLDER/dataset_info.json#NAME`."""
    problems: DataConfig | None = None
    """Instead of a file: problems, whose reference solutions are the thinking."""
    mapping: dict[str, str] = {}
    """`question`, `reply`, `thinking`, `answer`, … → the file's own columns; empty: detected."""
    domain: str | None = None
    """The column that names each row's domain."""
    share: Annotated[float, Field(gt=0)] | None = None
    """Its part of the mix, in proportion to the other sources' shares; none: all of it."""
    cap: Positive | None = None
    """At most this many of its rows."""

    @model_validator(mode="after")
    def _check(self) -> "TraceSourceConfig":
        if (self.path is None) == (self.problems is None):
            raise ValueError("path: name a file or problems, and not both")
        return self

    @property
    def name(self) -> str:
        """What its rows are called: the file's name, or the problems' source."""
        if self.problems:
            return self.problems.source
        return Path(self.path or "").name.removeprefix("dataset_info.json#")


class QualityConfig(Section):
    """Rows that are never trained on; see `curation.quality`."""

    require_thinking: bool = False
    """Remove rows without thinking."""
    require_answer: bool = False
    """Remove rows without a checkable answer."""
    no_figures: bool = True
    """Remove questions that refer to a figure."""
    no_residue: list[Markup | Literal["empty_answer"]] = []
    """Remove rows with these; `empty_answer`: a reply such as 无, N/A or -, without thinking before it."""
    languages: list[Literal["en", "zh", "ja", "ko", "ru", "ar", "hi", "other", "none"]] = []
    """Keep these alone; empty: all."""
    min_words: NonNegative = 0
    """Least words of question, thinking and reply together."""
    max_words: Positive | None = None
    """Most words."""


class DecontaminateConfig(Section):
    """Benchmarks whose questions are removed; see `curation.decontaminate`."""

    benchmarks: list[DataConfig]
    """Each is a source like any other: `{source: math500}`, or a file."""
    n: Annotated[int, Field(ge=2)] = 8
    """Words of an n-gram."""


class DifficultyConfig(Section):
    """Keep what some models can't solve, or can't always."""

    models: list[ModelConfig]
    """Each answers every question; the best of them counts."""
    engine: EngineConfig = EngineConfig()
    """What they run on."""
    think_format: Literal["s1", "deepseek", "xml", "none"] | ThinkFormatConfig | None = None
    """How they write; none: plain chat, where the last box or number is the answer."""
    instruction: str = ""
    """Appended to every question, after a blank line."""
    sampling: SamplingConfig = SamplingConfig()
    """How they answer."""
    samples: Positive = 1
    """Answers a question and model."""
    max_tokens: Positive = 4096
    """Longest answer."""
    min_pass_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Remove questions below (too hard: no signal for RL)."""
    max_pass_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Remove questions above (too easy); 0 keeps what nobody solved, as s1 does."""

    @model_validator(mode="after")
    def _questions_have_room(self) -> "DifficultyConfig":
        for place, model in enumerate(self.models):
            check_room(self.max_tokens, model, f"models.{place}")
        return self


class DiversityConfig(Section):
    """Domains for the selection; see `curation.selection`."""

    clusters: Positive | None = None
    """Domains are this many TF-IDF clusters; none: each source's `domain` column."""
    quota: dict[str, float] = {}
    """Weight of each domain; empty: all the same."""
    shape: DataConfig | None = None
    """Clusters only: the share of each as in this benchmark, instead of a quota."""


class CurateConfig(Section):
    """`python -m curation.curate`."""

    sources: Annotated[list[TraceSourceConfig], Field(min_length=1)]
    """What comes in."""
    bad_rows: Literal["stop", "skip"] = "stop"
    """What a row that can't be read does to the run; skipped ones are counted and kept in `rejected.jsonl`."""
    clean: list[Markup] = []
    """What is taken out of all texts before anything else: HTML tags, entities (resolved), characters that nobody sees.
    What is left in the rows that are kept is counted all the same."""
    quality: QualityConfig = QualityConfig()
    near_duplicates: Share | None = 0.85
    """Overlap of words from which the later of two rows goes; none: keep duplicates."""
    decontaminate: DecontaminateConfig | None = None
    difficulty: DifficultyConfig | None = None
    n: Positive | None = None
    """How many rows to keep; none: all that pass."""
    diversity: DiversityConfig = DiversityConfig()
    splits: dict[str, Annotated[float, Field(gt=0)]] = {"train": 1.0}
    """Name of each output file → its share; near-duplicates never end up in two."""
    seed: int = 0
    """Of the selection and the splits."""
    workers: Positive = 2
    """Processes for what runs on the CPU."""
    output_dir: str
    """The run directory; default `outputs/curate/<recipe>`."""

    @model_validator(mode="after")
    def _check(self) -> "CurateConfig":
        if self.diversity.shape and not self.diversity.clusters:
            raise ValueError("diversity.shape: needs diversity.clusters, the domains that both have")
        if self.diversity.shape and self.diversity.quota:
            raise ValueError("diversity.quota: a quota or a shape, not both")
        if self.difficulty and self.difficulty.min_pass_rate > self.difficulty.max_pass_rate:
            raise ValueError("difficulty.min_pass_rate: larger than max_pass_rate, so nothing would be kept")
        return self


class DistillConfig(Section):
    """`python -m curation.distill`."""

    data: DataConfig
    """The questions."""
    server: ServerConfig | None = None
    """Who answers: a server, or `model` on one of our engines."""
    model: ModelConfig | None = None
    engine: EngineConfig = EngineConfig()
    think_format: Literal["s1", "deepseek", "xml", "none"] | ThinkFormatConfig = "deepseek"
    """How the teacher writes."""
    instruction: str = ""
    """Appended to every question, after a blank line."""
    sampling: SamplingConfig = SamplingConfig(temperature=0.6, top_p=0.95)
    samples: Positive = 4
    """Answers a question."""
    max_tokens: Positive = 8192
    """Longest answer."""
    keep: Positive = 1
    """Right answers kept a question, the shortest first."""
    without_gold: Literal["stop", "keep", "majority"] = "stop"
    """What a question without a gold answer does: it stops the run; its first answers are kept, ungraded; or those that
    agree with more than half of its `samples`, ungraded too. The traces say so under `verdict`."""
    seed: int = 0
    """Of sampling."""
    output_dir: str
    """The run directory; default `outputs/distill/<recipe>`."""

    @model_validator(mode="after")
    def _check(self) -> "DistillConfig":
        if (self.server is None) == (self.model is None):
            raise ValueError("server: name a server or a model, and not both")
        if self.model:
            check_room(self.max_tokens, self.model, "model")
        if self.without_gold == "majority" and self.samples < 3:
            raise ValueError("without_gold: a majority needs at least samples=3")
        return self
