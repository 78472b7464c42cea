"""Sections that recipes of several commands share."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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
    """Folder or hub id of an adapter to start from (training goes on with it, evaluation uses it)."""
    backend: Literal["auto", "unsloth", "transformers"] = "auto"
    """`auto`: Unsloth where it and a GPU are there and the model is trained, if completions come from its own vLLM
    (`fast_inference`) or none are drawn; else Transformers. What was picked and why is printed."""
    precision: Literal["auto", "nf4", "int8", "bf16", "fp32"] = "auto"
    """How the base weights are held. `auto`: nf4 on a GPU with bitsandbytes, else bf16 (also where every weight is
    trained); fp32 on a processor without units for bf16, where that is several times as fast. On a GPU without bf16
    (older than Ampere) `bf16` is fp16."""
    max_length: Positive = 2048
    """Context in tokens: prompt + completion."""
    fast_inference: bool = False
    """Unsloth only: its vLLM engine on the same weights."""
    gpu_memory_utilization: Share = 0.6
    """Unsloth's `fast_inference` and vLLM: the share of GPU memory for weights and KV cache."""


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
    """A benchmark by name (`gsm8k`, `math500`, `aime26`, `gpqa_diamond`, …; all of them are in `data.benchmarks`),
    `reasoning_gym:<family>`, `arithmetic`, `clinic_notes` (with its task), `file`, or a hub id."""
    path: str | None = None
    """Local file (JSON, JSONL, CSV, text, Parquet, spreadsheet) to read instead of the hub; several of one layout: a
    folder, or a pattern such as `wards/*.csv`; or `FOLDER/dataset_info.json#NAME`."""
    split: str | None = None
    """Hub split; each source has its own default."""
    fields: dict[str, str] = {}
    """Column mapping: `question`, `answer` and optionally `id`, `solution` → the file's own names; for traces those of
    `data.formats.MAPPED`, and empty means detected. Without a header columns are `column_0`, `column_1`, …."""
    limit: Positive | None = None
    """At most this many problems (how many to generate, for generated sources)."""
    seed: int = 0
    """Order and generation."""
    params: dict[str, Any] = {}
    """Parameters of a generated source."""
    task: str | None = None
    """How a row's columns become prompt and reply: a task's name in `configs/tasks`, or its file. `fields` then maps
    the task's columns to the file's."""
    grader: str | None = None
    """What judges an answer: `math`, `choice`, `reasoning_gym`; `text`, `terms`, `json`, `entities` for whole replies
    as they are written; or your own at `my_module:my_grader`. None: the task's, or what fits the source, `choice` for
    rows with options."""


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


class StopRuleConfig(Section):
    """When thinking is stopped early: an answer is forced every so often, and the thinking ends when these settle.

    The answer from there counts. What was forced before is thrown away, and counted (`probe_tokens`).
    """

    probe_every: Positive
    """Thinking tokens between two probes."""
    agree: Annotated[int, Field(ge=2)] | None = None
    """Stop when so many successive probes have the same answer (Dynasor, arXiv 2412.20993)."""
    confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    """Stop when a probe's answer is so likely: exp(mean log-probability of its tokens) (DEER, arXiv 2504.15895)."""
    final_answer_text: str = ""
    """What a probe appends after the end of thinking."""
    max_answer: Positive = 32
    """Most tokens of a probe's answer."""

    @model_validator(mode="after")
    def _consistent(self) -> "StopRuleConfig":
        if (self.agree is None) == (self.confidence is None):
            raise ValueError("stop_when: give `agree` or `confidence`, one of them")
        if self.probe_every < self.max_answer:
            raise ValueError(
                f"stop_when: probe_every {self.probe_every} is below max_answer {self.max_answer}: probes would cost "
                "more than the thinking between them; raise the one or lower the other"
            )
        return self


def check_environment(environment: str | None, max_turns: int | None, think_format: object) -> None:
    """Raise `ValueError` where an environment can't be used with the rest of a recipe."""
    if environment is None and max_turns is not None:
        raise ValueError("max_turns: there is no environment whose tools are called; give one, or leave it out")
    if environment is not None and think_format not in ("none", "deepseek"):
        name = think_format if isinstance(think_format, str) else "of your own"
        raise ValueError(
            f"environment: tool calls are read by the chat template, which knows no think_format {name} and would take "
            "calls from inside the thinking; set think_format=none, or deepseek for a template with <think>"
        )


class BudgetFields(Section):
    """What a budget says beside its longest thinking."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh", "auto"] | None = None
    """In place of `max_thinking`: 10, 20, 50, 80 or 95% of the context minus answer; `auto`: all that is left."""
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
    stop_when: StopRuleConfig | None = None
    """Stop early, by what the model would answer; none: at the limit or by itself."""

    def check_limit(self, shortest: int | None) -> None:
        """Raise `ValueError` where `shortest`, the least that `max_thinking` may be, contradicts the other fields."""
        if self.effort is not None and shortest is not None:
            raise ValueError("give `effort` or `max_thinking`, not both")
        if shortest is not None and self.min_thinking > shortest:
            raise ValueError(f"min_thinking {self.min_thinking} is above max_thinking {shortest}")


class BudgetConfig(BudgetFields):
    """How long a model may, and must, think; the fields of `budget_forcing.budget.Budget`."""

    max_thinking: NonNegative | None = None
    """Most thinking tokens, "Wait" included; none: no limit but the context."""

    @property
    def limits_thinking(self) -> bool:
        """Whether it says anything of the thinking, beside how long the answer may be."""
        limits = (
            self.effort, self.max_thinking, self.min_thinking, self.num_waits, self.final_answer_text, self.stop_when
        )  # fmt: skip
        return any(limit not in (None, 0, "") for limit in limits) or self.max_thinking == 0

    @field_validator("max_thinking", mode="before")
    @classmethod
    def _one_number(cls, value: Any) -> Any:
        if isinstance(value, list | dict):
            raise ValueError("one number here; a list or a range is drawn from in `rollout.budget` of GRPO alone")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "BudgetConfig":
        self.check_limit(self.max_thinking)
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
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    """Logits of tokens that the prompt or the text has are divided by this (multiplied where negative); 1 changes none.
    Not in vLLM under a budget."""

    @property
    def truncations(self) -> tuple[str, ...]:
        """The fields that drop tokens; none where decoding is greedy."""
        drops = {"top_p": self.top_p < 1, "top_k": self.top_k > 0, "min_p": self.min_p > 0}
        return tuple(name for name, active in drops.items() if active and self.temperature > 0)


class EngineConfig(Section):
    """What generates: see `models.engines.base`."""

    name: Literal["auto", "transformers", "vllm", "unsloth", "server"] = "auto"
    """`auto`: Unsloth's own engine where it holds the weights, vLLM where it and a GPU are there, else Transformers.
    `server`: vLLM servers elsewhere, at `urls`."""
    urls: list[Annotated[str, Field(pattern=r"^https?://\S+$")]] = []
    """`server` alone: what `mull serve` started on the recipe's model; requests are shared among all of them."""
    adapters: str | None = None
    """`server` alone: a folder that this machine and the servers see, through which they get an adapter; none: they
    answer with the base model."""
    api_key_env: str | None = None
    """`server` alone: the environment variable that holds the servers' key; keys never stand in a recipe."""
    silence: Annotated[float, Field(gt=0)] = 600.0
    """Seconds without a sign of life after which a vLLM that hangs is ended and started anew once, like one that died,
    or a server left out. Above what its longest single step takes."""
    batch_size: Positive = 64
    """Most sequences decoded together; with `server` on each of them."""
    data_parallel: Positive = 1
    """Engines side by side, each with a part of the requests, on GPUs of its own; not for a model that is trained."""
    tensor_parallel: Positive = 1
    """GPUs that share the layers of one vLLM engine."""

    @property
    def sleeps(self) -> bool:
        """Whether it holds GPU memory only while it draws."""
        return False

    @model_validator(mode="after")
    def _servers_have_urls(self) -> "EngineConfig":
        if self.name == "server":
            if not self.urls:
                raise ValueError("name: server needs `urls`, such as [http://127.0.0.1:8000]; `mull serve` starts one")
            if len(set(self.urls)) < len(self.urls):
                raise ValueError("urls: one server stands there twice; name each once")
            if self.data_parallel > 1:
                raise ValueError("data_parallel: servers stand side by side already; name more `urls`")
        for key in ("urls", "adapters", "api_key_env"):
            if getattr(self, key) and self.name != "server":
                raise ValueError(f"{key}: goes with `name: server`, and the name is {self.name}")
        return self

    @model_validator(mode="after")
    def _only_vllm_splits_layers(self) -> "EngineConfig":
        if self.tensor_parallel > 1 and self.name != "vllm":
            raise ValueError("`tensor_parallel` needs `name: vllm`")
        return self


def check_room(max_tokens: int, model: ModelConfig, key: str) -> None:
    if max_tokens >= model.max_length:
        raise ValueError(
            f"max_tokens: {max_tokens} leaves no room for a question in {key}.max_length={model.max_length}; raise it, "
            "or lower max_tokens"
        )


class ServerConfig(Section):
    """An OpenAI-compatible server, or several of one model."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    """Its base, from `http://` up to and including `/v1`."""
    urls: list[Annotated[str, Field(pattern=r"^https?://\S+$")]] = []
    """In place of `url`: the bases of several, which share the requests; what one fails on, another is asked."""
    model: str
    """The model's name there."""
    api_key_env: str | None = None
    """The environment variable that holds the key; keys never stand in a recipe."""
    concurrency: Positive = 32
    """Requests at a time; of several servers at each."""
    retries: NonNegative = 4
    """Tries after a failed one, each after twice the wait."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds for one request."""

    @property
    def addresses(self) -> list[str]:
        """The bases of all servers."""
        return [self.url] if self.url else self.urls

    @model_validator(mode="after")
    def _has_addresses(self) -> "ServerConfig":
        if bool(self.url) == bool(self.urls):
            raise ValueError("url: give the server's, or the `urls` of several, one of them")
        if len(set(self.urls)) < len(self.urls):
            raise ValueError("urls: one server stands there twice; name each once")
        return self
