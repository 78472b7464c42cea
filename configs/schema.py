"""The typed, strict schema of every recipe: sections first, then one config per command.

Only what a shipped recipe turns is a field. What TRL's own configs hold is not mirrored: `trainer:` goes to
`GRPOConfig` or `SFTConfig` as it is, after `configs.trainer_fields` has checked its names and types.
"""

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from configs import trainer_fields

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """A part of a recipe: unknown keys and wrong types are refused, values don't change after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class ModelConfig(Section):
    """Which weights, how they are held, and on what they run."""

    name: str
    """Hub id, local folder, GGUF file, or `smollm2-135m` for the embedded model."""
    adapter: str | None = None
    """Folder or hub id of a LoRA adapter to start from (training goes on with it, evaluation uses it)."""
    backend: Literal["auto", "unsloth", "transformers"] = "auto"
    """`auto`: Unsloth where it and a GPU are there, else Transformers; what was picked and why is printed."""
    precision: Literal["auto", "nf4", "int8", "bf16", "fp32"] = "auto"
    """How the base weights are held. `auto`: nf4 on a GPU with bitsandbytes, else bf16; fp32 on a processor without
    units for bf16, where that is several times as fast."""
    max_length: Positive = 2048
    """Context in tokens: prompt + completion."""
    fast_inference: bool = False
    """Unsloth only: its vLLM engine on the same weights."""
    gpu_memory_utilization: Share = 0.6
    """Unsloth's `fast_inference` and vLLM: the share of GPU memory for weights and KV cache."""


class AdapterConfig(Section):
    """LoRA through PEFT (or Unsloth's own call of it)."""

    r: Positive = 16
    """Rank."""
    alpha: Positive = 32
    """Scale numerator: the update is multiplied by alpha / r (alpha / sqrt(r) with rslora)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input."""
    target_modules: Literal["all-linear"] | list[str] = "all-linear"
    """`all-linear`, or module names."""
    rslora: bool = False
    """Rank-stabilised scaling."""


class ThinkFormatConfig(Section):
    """A custom think format; the fields of `data.think_format.ThinkFormat`."""

    name: str = "custom"
    """Its name in reports."""
    open: str
    """Opens the thinking."""
    prefill: str = ""
    """What the prompt already holds of the assistant's turn."""
    end: str
    """Closes the thinking and opens the answer."""
    end_tokens: list[str]
    """Strings, any of which ends the thinking."""
    answer_open: str = ""
    """Opens the answer."""
    answer_close: str = ""
    """Closes the answer."""
    system: str | None = None
    """System prompt that asks for this format."""


class DataConfig(Section):
    """Where problems come from, or traces for SFT; see `data.sources` and `data.corpus`."""

    source: str = "file"
    """`gsm8k`, `math`, `math500`, `aime24`, `aime25`, `reasoning_gym:<family>`, `arithmetic`, `file`, or a hub id."""
    path: str | None = None
    """Local file (JSON, JSONL, CSV, Parquet) to read instead of the hub."""
    split: str | None = None
    """Hub split; each source has its own default."""
    fields: dict[str, str] = {}
    """Column mapping: `question`, `answer` and optionally `id`, `solution` → the file's own names; for traces those of
    `data.formats.MAPPED`, and empty means detected."""
    limit: Positive | None = None
    """At most this many problems (how many to generate, for generated sources)."""
    seed: int = 0
    """Order and generation."""
    params: dict[str, Any] = {}
    """Parameters of a generated source."""


class RewardSpec(Section):
    """One reward in a recipe's `rewards:` list; see `rewards.build`."""

    name: str
    """A shipped reward, or a dotted path `my_module:my_reward`."""
    weight: float = 1.0
    """Multiplies the score in the sum that GRPO sees."""
    params: dict[str, Any] = {}
    """Keyword arguments of the reward."""
    when: str | None = None
    """Counts only where another reward of the list says so, such as `correctness > 0`; elsewhere it is 0."""
    required: bool = False
    """Where this reward is None ("could not be judged"), every reward of that completion is None."""
    clip: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """[low, high]: bounds of the score, before the weight."""
    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds that a reward of your own may take for a batch before the run stops; none: 300."""


class BudgetConfig(Section):
    """How long a model may, and must, think; the fields of `budget_forcing.budget.Budget`."""

    effort: Literal["low", "medium", "high", "auto"] | None = None
    """In place of `max_thinking`: 20, 50 or 80% of the context minus answer; `auto`: all that the context leaves."""
    max_thinking: NonNegative | None = None
    """Most thinking tokens, "Wait" included; none: no limit but the context."""
    min_thinking: NonNegative = 0
    """Below this an end of thinking becomes "Wait"."""
    num_waits: NonNegative = 0
    """How many ends of thinking are answered with `wait_text`."""
    wait_text: str = "Wait"
    """What is appended instead of the end of thinking; empty: the end is refused and another token drawn."""
    final_answer_text: str = ""
    """What a forced end appends after the end of thinking."""
    max_answer: Positive = 512
    """Most answer tokens."""

    @model_validator(mode="after")
    def _consistent(self) -> "BudgetConfig":
        if self.effort is not None and self.max_thinking is not None:
            raise ValueError("give `effort` or `max_thinking`, not both")
        if self.max_thinking is not None and self.min_thinking > self.max_thinking:
            raise ValueError(f"min_thinking {self.min_thinking} is above max_thinking {self.max_thinking}")
        return self


class SamplingConfig(Section):
    """How completions are drawn; never read from a model's `generation_config`."""

    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy."""
    top_p: Share = 1.0
    """Nucleus; 1 keeps all."""
    top_k: NonNegative = 0
    """Most likely tokens kept; 0 keeps all."""
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Tokens below this share of the most likely one are dropped; 0 keeps all."""


class EngineConfig(Section):
    """What generates: see `models.engines.base`."""

    name: Literal["auto", "transformers", "vllm", "unsloth"] = "auto"
    """`auto`: Unsloth's own engine where it holds the weights, vLLM where it and a GPU are there, else Transformers."""
    batch_size: Positive = 64
    """Most sequences decoded together."""
    data_parallel: Positive = 1
    """Engines side by side, each with a part of the requests, on GPUs of its own; not for a model that is trained."""
    tensor_parallel: Positive = 1
    """GPUs that share the layers of one vLLM engine."""

    @model_validator(mode="after")
    def _only_vllm_splits_layers(self) -> "EngineConfig":
        if self.tensor_parallel > 1 and self.name != "vllm":
            raise ValueError("`tensor_parallel` needs `name: vllm`")
        return self


class HeldOutConfig(Section):
    """Accuracy on problems that are never trained on, measured by a training command."""

    data: DataConfig | None = None
    """The held-out problems; a training problem with the same question is left out of training."""
    problems: Positive = 200
    """Without `data`: how many of the training problems are held out instead."""
    k: Positive = 4
    """Samples a problem at the training temperature, for avg@k."""
    max_tokens: Positive = 256
    """Longest completion, in tokens."""
    when: list[Literal["before", "after"]] = ["before", "after"]
    """Measure before training, after it, or both; empty: not at all."""


class TrackingConfig(Section):
    """Where metrics go besides `metrics.jsonl`."""

    to: Literal["none", "wandb", "tensorboard", "trackio"] = "none"
    """The tracker."""
    project: str = "mull"
    """Its project."""
    mode: Literal["online", "offline"] = "online"
    """wandb only: `offline` needs no account; `wandb sync` uploads later."""


class TrainingConfig(Section):
    """What `sft.train` and `rl.grpo` share."""

    model: ModelConfig
    adapter: AdapterConfig | None = AdapterConfig()
    """The LoRA to train; `null` trains every weight. Ignored where `model.adapter` brings one with its own shape."""
    think_format: Literal["s1", "deepseek", "xml"] | ThinkFormatConfig = "s1"
    """How the model writes its thinking and its answer."""
    data: DataConfig
    eval: HeldOutConfig | None = None
    tracking: TrackingConfig = TrackingConfig()
    seed: int = 42
    """Of everything: order, sampling, initialisation."""
    output_dir: str
    """The run directory; default `outputs/<stage>/<recipe>`."""
    trainer: dict[str, Any] = {}
    """Any field of TRL's config class, under its own name."""

    @property
    def sampling(self) -> "SamplingConfig":
        """How completions are drawn: `temperature`, `top_p`, `top_k` and `min_p` under `trainer:`, TRL's names."""
        given = {key: self.trainer[key] for key in SamplingConfig.model_fields if self.trainer.get(key) is not None}
        return SamplingConfig(**given)


class ValidationConfig(Section):
    """Rows that are never trained on: the checkpoint with their lowest loss is the one that is kept."""

    data: DataConfig | None = None
    """Traces of their own; none: a share of the training data, near-duplicates on one side."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Without `data`: how much of the training data."""
    every: Positive = 50
    """Steps between two measurements, and between two checkpoints."""
    patience: Positive | None = None
    """Stop after so many measurements in a row without a lower loss; none: train to the end."""


DECIDED = {
    "eval_strategy": "set validation.every",
    "eval_steps": "set validation.every",
    "load_best_model_at_end": "name a validation section",
    "packing_strategy": "leave it out: whole rows are packed, best fit first",
    "padding_free": "set trainer.packing=true",
    "assistant_only_loss": "leave it out: the loss is on thinking and answer unless trainer.completion_only_loss=false",
    "dataset_text_field": "map the columns with data.fields",
    "eos_token": "leave it out: it is what the chat template ends a turn with",
}
"""Fields of SFTConfig that our own data preparation or sections decide."""

VALIDATED = {
    "save_strategy": "leave it out: it is saved where it is validated",
    "save_steps": "set validation.every",
    "save_total_limit": "leave it out: the best checkpoint and the last are kept",
    "metric_for_best_model": "leave it out: it is the loss on the validation rows",
    "greater_is_better": "leave it out: the lowest loss on the validation rows is the best",
}
"""Fields that a validation section decides."""


class SftConfig(TrainingConfig):
    """`python -m sft.train`."""

    truncation: Literal["error", "drop", "cut"] = "error"
    """What happens to a row longer than `model.max_length`: refuse to train, leave it out, or cut its end."""
    bad_rows: Literal["stop", "skip"] = "stop"
    """What a row that can't be read does to the run; skipped ones are counted and kept in `rejected.jsonl`."""
    validation: ValidationConfig | None = None
    trained_layers: Positive | None = None
    """Without an adapter: train only the last so many layers and freeze the rest; none: every weight."""

    @model_validator(mode="after")
    def _check_trainer(self) -> "SftConfig":
        trainer_fields.check("SFTConfig", self.trainer)
        decided = DECIDED | (VALIDATED if self.validation else {})
        for key in decided.keys() & self.trainer.keys():
            raise ValueError(f"trainer.{key}: {decided[key]}")
        if self.trainer.get("save_strategy") == "best":
            raise ValueError("trainer.save_strategy: best needs rows to validate on; name a validation section instead")
        if self.trained_layers and (self.adapter or self.model.adapter):
            raise ValueError("trained_layers: an adapter trains no layers of its own; set adapter=null")
        if self.adapter is None and self.model.precision in ("nf4", "int8"):
            raise ValueError(
                f"model.precision: {self.model.precision} weights can't be trained; set bf16, or give an adapter"
            )
        return self


NOT_OURS = ("generation_kwargs", "repetition_penalty", "cache_implementation", "use_transformers_continuous_batching")
"""Fields of GRPOConfig that only TRL's own generation reads."""

UNMEASURED = {
    "eval_strategy", "eval_steps", "eval_on_start", "eval_delay", "load_best_model_at_end", "metric_for_best_model",
    "greater_is_better",
}  # fmt: skip
"""Fields of GRPOConfig that need rows which TRL evaluates on: there are none."""


class RolloutConfig(Section):
    """How completions are drawn for training, beyond what `trainer:` says of sampling."""

    engine: Literal["auto", "transformers", "vllm", "unsloth"] = "auto"
    """`auto`: Unsloth's engine where it holds the weights, else Transformers on the training weights; `vllm`: a vLLM of
    its own in this process, which gets the adapter anew at every step."""
    budget: BudgetConfig | None = None
    """How long a completion may, and must, think; forced tokens are not trained on. None: plain GRPO."""
    resamples: NonNegative = 0
    """Rounds in which groups of equal rewards are drawn anew, on other problems; those left are dropped and counted."""
    curriculum: bool = False
    """Draw the more often the problems that, by the pass rates seen, can still teach something."""
    check_every: Positive = 50
    """Steps between proofs that rollouts are the policy's; one is made at the start too."""


class GrpoConfig(TrainingConfig):
    """`python -m rl.grpo`."""

    long_prompts: Literal["error", "drop"] = "error"
    """What happens to a problem whose prompt leaves no room for a completion in `model.max_length`: refuse to train, or
    leave it out; those are counted. Held-out problems have to fit."""
    rollout: RolloutConfig = RolloutConfig()
    rewards: Annotated[list[RewardSpec], Field(min_length=1)]
    """What is rewarded, and how much."""
    on_alarm: Literal["warn", "stop"] = "warn"
    """What an alarm of `rl.monitor` (reward hacking, collapse) does besides being shown and written."""

    @model_validator(mode="after")
    def _check_trainer(self) -> "GrpoConfig":
        trainer_fields.check("GRPOConfig", self.trainer)
        self._check_sampling()
        for key in UNMEASURED & self.trainer.keys():
            raise ValueError(f"trainer.{key}: leave it out; `eval` measures before training and after it")
        for key in NOT_OURS:
            if key in self.trainer and not self.trainer.get("use_vllm"):
                raise ValueError(f"trainer.{key}: the rollout engine doesn't have it; leave it out")
        if self.trainer.get("use_vllm") and self.rollout != RolloutConfig():
            raise ValueError("rollout: TRL's own vLLM knows none of it; leave out trainer.use_vllm, our engines do")
        group = self.trainer.get("num_generations", 8)
        batch = self.completions_per_generation
        if group < 2:
            raise ValueError(f"trainer.num_generations: {group}; a group needs at least 2 completions to compare")
        if batch % group:
            raise ValueError(
                f"trainer.num_generations: {group} does not divide the {batch} completions of a generation batch "
                "(per_device_train_batch_size × steps_per_generation, or generation_batch_size)"
            )
        if self.trainer.get("save_strategy") == "best":
            raise ValueError(
                "trainer.save_strategy: best never saves, as no step is followed by an evaluation; set steps"
            )
        if self.trainer.get("save_strategy") == "steps":
            self._check_save_steps()
        if self.completion_length >= self.model.max_length:
            raise ValueError(
                f"trainer.max_completion_length: {self.completion_length} leaves no room for a prompt in "
                f"model.max_length={self.model.max_length}"
            )
        return self

    def _check_sampling(self) -> None:
        try:
            sampling = self.sampling
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"trainer.{first['loc'][0]}: {first['msg']}, found {first['input']!r}") from None
        if sampling.temperature == 0:
            raise ValueError("trainer.temperature: 0; a group of equal completions teaches nothing: raise it")

    def _check_save_steps(self) -> None:
        """Checkpoints fall where the completions of a generation are used up."""
        every, steps = self.trainer.get("save_steps", 500), self.trainer.get("max_steps", -1)
        if 0 < every < 1 and steps > 0:  # a share of all steps
            every = math.ceil(every * steps)
        if every <= 0 or (self.steps_per_rollout > 1 and every % self.steps_per_rollout):
            raise ValueError(
                f"trainer.save_steps: {every} is no multiple of the {self.steps_per_rollout} steps that one generation "
                "is used for, so a resumed run would not be the same; make it one"
            )

    @property
    def completion_length(self) -> int:
        """Most tokens of a completion; TRL's default where the recipe is silent."""
        return int(self.trainer.get("max_completion_length", 256))

    @property
    def steps_per_rollout(self) -> int:
        """Optimizer steps that the completions of one generation are used for, by TRL's rule."""
        per_device = self.trainer.get("per_device_train_batch_size", 8)
        accumulation = self.trainer.get("gradient_accumulation_steps", 1)
        batches = self.completions_per_generation // per_device * self.trainer.get("num_iterations", 1)
        return max(1, int(batches // accumulation))

    @property
    def completions_per_generation(self) -> int:
        """How many completions one process samples at a time, by TRL's rule."""
        if batch := self.trainer.get("generation_batch_size"):
            return int(batch)
        per_device = self.trainer.get("per_device_train_batch_size", 8)
        accumulation = self.trainer.get("gradient_accumulation_steps", 1)
        return int(per_device * (self.trainer.get("steps_per_generation") or accumulation))

    @property
    def prompts_per_generation(self) -> int:
        """How many problems all processes take together at a time."""
        processes = 1 if self.trainer.get("generation_batch_size") else int(os.environ.get("WORLD_SIZE", 1))
        return self.completions_per_generation * processes // int(self.trainer.get("num_generations", 8))


class PointConfig(BudgetConfig):
    """One point of an evaluation's sweep: a budget, and what the prompt says about it."""

    prompt: Literal["tokens", "steps", "short", "long"] | None = None
    """s1's other controls: the prompt asks for at most `target` tokens or steps, or for little or much thinking."""
    target: Positive | None = None
    """How many tokens or steps the prompt asks for."""
    tries: Positive = 1
    """Rejection sampling: draw again while thinking does not end by itself within its limit; the last draw is kept."""

    @model_validator(mode="after")
    def _tries_need_a_limit(self) -> "PointConfig":
        if self.tries > 1 and self.max_thinking is None and self.effort is None:
            raise ValueError("`tries` draws again what is over a limit: give `max_thinking` or `effort` too")
        return self

    @model_validator(mode="after")
    def _target_is_asked_for(self) -> "PointConfig":
        if (self.prompt in ("tokens", "steps")) != (self.target is not None):
            raise ValueError("`target` goes with `prompt: tokens` or `prompt: steps`, and they need it")
        return self


class EvalConfig(Section):
    """`python -m evaluation.evaluate`."""

    model: ModelConfig
    engine: EngineConfig = EngineConfig()
    think_format: Literal["s1", "deepseek", "xml"] | ThinkFormatConfig = "s1"
    """How the model writes its thinking and its answer."""
    data: DataConfig
    instruction: str = ""
    """Appended to every question, after a blank line."""
    budgets: Annotated[list[PointConfig], Field(min_length=1)] = [PointConfig()]
    """The sweep: every problem is answered under each of them."""
    sampling: SamplingConfig = SamplingConfig(temperature=0.0)
    samples: Positive = 1
    """Samples a problem and budget, for avg@k, pass@k and maj@k."""
    answers: str | None = None
    """A JSONL file of answers that another tool made: they are graded, nothing is generated."""
    seed: int = 42
    """Of sampling (each sample has its own, made from this, its problem and its number) and of the bootstrap."""
    output_dir: str
    """The run directory; default `outputs/eval/<recipe>`."""

    @model_validator(mode="after")
    def _check(self) -> "EvalConfig":
        if self.samples > 1 and self.sampling.temperature == 0:
            raise ValueError(
                f"samples: {self.samples} samples at sampling.temperature=0 are all the same; raise the temperature"
            )
        if self.sampling.temperature == 0 and any(budget.tries > 1 for budget in self.budgets):
            raise ValueError("tries: at sampling.temperature=0 every draw is the same; raise the temperature")
        twice = [budget for at, budget in enumerate(self.budgets) if budget in self.budgets[:at]]
        if twice:
            raise ValueError(f"budgets: the same budget twice: {twice[0].model_dump(exclude_defaults=True)}")
        return self


STAGES: dict[str, type[Section]] = {"sft": SftConfig, "grpo": GrpoConfig, "eval": EvalConfig}
"""Command stage → its config class; the stage is also the folder of its recipes."""


class TraceSourceConfig(Section):
    """One file of traces (see `data.formats`), or problems by name."""

    path: str | None = None
    """JSON, JSONL, CSV or Parquet; or `FOLDER/dataset_info.json#NAME`."""
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


def _check_room(max_tokens: int, model: ModelConfig, key: str) -> None:
    if max_tokens >= model.max_length:
        raise ValueError(
            f"max_tokens: {max_tokens} leaves no room for a question in {key}.max_length={model.max_length}; raise it, "
            "or lower max_tokens"
        )


class DifficultyConfig(Section):
    """Keep what some models can't solve, or can't always."""

    models: list[ModelConfig]
    """Each answers every question; the best of them counts."""
    engine: EngineConfig = EngineConfig()
    """What they run on."""
    think_format: Literal["s1", "deepseek", "xml"] | ThinkFormatConfig | None = None
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
            _check_room(self.max_tokens, model, f"models.{place}")
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


class ServerConfig(Section):
    """An OpenAI-compatible server."""

    url: str
    """Its base, up to and including `/v1`."""
    model: str
    """The model's name there."""
    api_key_env: str | None = None
    """The environment variable that holds the key; keys never stand in a recipe."""
    concurrency: Positive = 32
    """Requests at a time."""
    retries: NonNegative = 4
    """Tries after a failed one, each after twice the wait."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds for one request."""


class DistillConfig(Section):
    """`python -m curation.distill`."""

    data: DataConfig
    """The questions."""
    server: ServerConfig | None = None
    """Who answers: a server, or `model` on one of our engines."""
    model: ModelConfig | None = None
    engine: EngineConfig = EngineConfig()
    think_format: Literal["s1", "deepseek", "xml"] | ThinkFormatConfig = "deepseek"
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
    seed: int = 0
    """Of sampling."""
    output_dir: str
    """The run directory; default `outputs/distill/<recipe>`."""

    @model_validator(mode="after")
    def _check(self) -> "DistillConfig":
        if (self.server is None) == (self.model is None):
            raise ValueError("server: name a server or a model, and not both")
        if self.model:
            _check_room(self.max_tokens, self.model, "model")
        return self


STAGES |= {"curate": CurateConfig, "distill": DistillConfig}


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


STAGES |= {"publish": PublishConfig}
