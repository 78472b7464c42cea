"""The recipe of `rl.grpo`."""

import math
from typing import ClassVar, Literal

from pydantic import ValidationError, model_validator

from configs.launch import launch_of
from configs.schema import trl_fields
from configs.schema.rollout_budget import RolloutBudgetConfig
from configs.schema.sections import (
    EngineConfig,
    ModelConfig,
    NonNegative,
    Positive,
    RewardSpec,
    Section,
    check_environment,
)
from configs.schema.teacher import TeacherConfig
from configs.schema.training import TrainingConfig

TRL_GENERATION = {
    "generation_kwargs", "repetition_penalty", "cache_implementation", "use_transformers_continuous_batching",
    "use_transformers_paged", "transformers_continuous_batching_config", "vllm_mode", "vllm_model_impl",
    "vllm_enable_sleep_mode", "vllm_structured_outputs_regex", "vllm_server_base_url", "vllm_server_host",
    "vllm_server_port", "vllm_server_timeout", "vllm_group_port", "vllm_gpu_memory_utilization",
    "vllm_max_model_length", "vllm_tensor_parallel_size",
}  # fmt: skip
"""Fields of GRPOConfig that only TRL's own generation reads."""

UNMEASURED = {
    "eval_strategy", "eval_steps", "eval_on_start", "eval_delay", "load_best_model_at_end", "metric_for_best_model",
    "greater_is_better",
}  # fmt: skip
"""Fields of GRPOConfig that need rows which TRL evaluates on: there are none."""


class RolloutEngineConfig(EngineConfig):
    """The engine of rollouts as a section: servers have to be named."""

    sleep_mode: bool = False
    """`vllm` alone, on a GPU: it holds GPU memory only while it draws, and its weights wait in the CPU's memory."""

    @property
    def sleeps(self) -> bool:
        """As the recipe says."""
        return self.sleep_mode

    @model_validator(mode="after")
    def _follows_the_training(self) -> "RolloutEngineConfig":
        if self.data_parallel > 1:
            raise ValueError(
                "data_parallel: not for a model that is trained; launch several processes, or take servers"
            )
        if self.sleep_mode and self.name != "vllm":
            raise ValueError(
                f"sleep_mode: goes with `name: vllm`, and the name is {self.name}; Unsloth's vLLM sleeps where "
                "UNSLOTH_VLLM_STANDBY=1"
            )
        if self.name == "server" and self.adapters is None:
            raise ValueError(
                "adapters: missing; servers get the adapter that is trained through a folder that they see too"
            )
        return self


class RolloutConfig(Section):
    """How completions are drawn for training, beyond what `trainer:` says of sampling."""

    engine: Literal["auto", "transformers", "vllm", "unsloth"] | RolloutEngineConfig = "auto"
    """`auto`: Unsloth's engine where it holds the weights, else Transformers on the training weights; `vllm`: a vLLM of
    its own in this process, which gets the adapter anew at every step; or a section, for vLLM servers elsewhere,
    `{name: server, urls: […], adapters: FOLDER}`, or a vLLM that sleeps, `{name: vllm, sleep_mode: true}`."""
    budget: RolloutBudgetConfig | None = None
    """How long a completion may, and must, think; forced tokens are not trained on. None: plain GRPO."""
    resamples: NonNegative = 0
    """Rounds in which groups of equal rewards are drawn anew, on other problems; those left are dropped and counted."""
    curriculum: bool = False
    """Draw the more often the problems that, by the pass rates seen, can still teach something."""
    check_every: Positive = 50
    """Steps between checks that rollouts are the policy's; one is made at the start too."""
    environment: str | None = None
    """What completions act in: a factory as TRL's `environment_factory` takes it, at `my_module:MyEnvironment`. Its
    methods are the model's tools; what they return is not trained on."""
    max_turns: Positive | None = None
    """Most rounds of tool calls of a completion (TRL's `max_tool_calling_iterations`); none: as many as fit."""

    @property
    def forces_tokens(self) -> bool:
        """Whether completions may hold tokens that the policy did not choose."""
        return self.budget is not None or self.environment is not None


class GrpoConfig(TrainingConfig):
    """`python -m rl.grpo`."""

    trl_class: ClassVar[str] = "GRPOConfig"
    adapter_types: ClassVar[tuple[str, ...]] = ("lora", "dora")
    """Virtual tokens stand before prompts that share a row here, and AdaLoRA's regulariser is in a loss of its own."""

    long_prompts: Literal["error", "drop"] = "error"
    """What happens to a problem whose prompt leaves no room for a completion in `model.max_length`: refuse to train, or
    leave it out; those are counted, held-out ones too."""
    rollout: RolloutConfig = RolloutConfig()
    rewards: list[RewardSpec] = []
    """What is rewarded, and how much; empty where a teacher alone teaches."""
    teacher: TeacherConfig | None = None
    """Who teaches token by token (on-policy distillation), alone or beside rewards; none: plain GRPO."""
    on_alarm: Literal["warn", "stop"] = "warn"
    """What an alarm of `rl.monitor` (reward hacking, collapse) does besides being shown and written."""

    @model_validator(mode="after")
    def _check_trainer(self) -> "GrpoConfig":
        trl_fields.check_trainer_fields(self.trl_class, self.trainer)
        self._check_sampling()
        if not self.rewards and self.teacher is None and self.rollout.environment is None:
            raise ValueError("rewards: empty; a run needs a reward, a teacher, or an environment with `get_reward`")
        self._check_environment()
        if self.teacher:
            self.teacher.check(self)
        if self.think_format == "none" and self.rollout.budget:
            raise ValueError("rollout.budget: think_format none has no thinking to limit; leave it out")
        if self.trains_every_weight and self.engine in ("vllm", "server"):
            raise ValueError(
                f"rollout.engine: {self.engine} gets the adapter anew at every step, and adapter: null trains every "
                "weight; set rollout.engine=transformers, or give an adapter"
            )
        if self.engine == "unsloth" and self.model.backend == "transformers":
            raise ValueError("rollout.engine: unsloth draws with a model that Unsloth loads; set model.backend=unsloth")
        for key in UNMEASURED & self.trainer.keys():
            raise ValueError(
                f"trainer.{key}: leave it out; `eval` measures before training and after it, with eval.every during it"
            )
        if self.trainer.get("use_vllm"):
            raise ValueError(
                "trainer.use_vllm: TRL's own vLLM knows no budgets, and nothing checks that its completions are the "
                "policy's; set rollout.engine=vllm instead"
            )
        for key in TRL_GENERATION & self.trainer.keys():
            raise ValueError(f"trainer.{key}: the rollout engine doesn't have it; leave it out")
        self._check_processes()
        group = self.trl_setting("num_generations")
        batch = self.completions_per_generation
        if group < 2:
            raise ValueError(f"trainer.num_generations: {group}; a group needs at least 2 completions to compare")
        if batch % group:
            raise ValueError(
                f"trainer.num_generations: {group} does not divide the {batch} completions of a generation batch "
                "(per_device_train_batch_size × steps_per_generation, or a process's share of generation_batch_size)"
            )
        if self.trainer.get("save_strategy") == "best":
            raise ValueError(
                "trainer.save_strategy: best never saves, as no step is followed by an evaluation; set steps"
            )
        if self.trainer.get("save_strategy") == "steps":
            self._check_save_steps()
        if self.eval and self.eval.every % self.steps_per_rollout:
            raise ValueError(
                f"eval.every: {self.eval.every} is no multiple of the {self.steps_per_rollout} steps that one "
                "generation is used for, so weights would be measured in the middle of them; make it one"
            )
        if self.completion_length >= self.model.max_length:
            raise ValueError(
                f"trainer.max_completion_length: {self.completion_length} leaves no room for a prompt in "
                f"model.max_length={self.model.max_length}"
            )
        self._check_longest_thinking()
        return self

    def _check_environment(self) -> None:
        """What no environment can be combined with yet."""
        rollout = self.rollout
        if self.trainer.get("max_tool_calling_iterations") is not None:
            raise ValueError("trainer.max_tool_calling_iterations: set rollout.max_turns instead")
        try:
            check_environment(rollout.environment, rollout.max_turns, self.think_format)
        except ValueError as error:
            raise ValueError(f"rollout.{error}") from None
        if rollout.environment is None:
            return
        if self.teacher:
            raise ValueError("teacher: what it would have to see of an environment is not known to it; leave one out")
        if self.engine == "unsloth" or self.model.backend == "unsloth" or self.model.fast_inference:
            raise ValueError(
                "rollout.environment: not tried with Unsloth; set model.backend=transformers and leave "
                "model.fast_inference out"
            )

    def _check_processes(self) -> None:
        """Each process draws whole micro-batches of a generation batch that is given as a whole."""
        batch, rows = self.trl_setting("generation_batch_size"), self.trl_setting("per_device_train_batch_size")
        processes = launch_of().processes
        if batch and batch % (rows * processes):
            shared = f"{processes} processes × " if processes > 1 else ""
            raise ValueError(
                f"trainer.generation_batch_size: {batch} completions are not shared out evenly to {shared}"
                f"per_device_train_batch_size {rows}; make it a multiple of {rows * processes}, or start another "
                "number of processes"
            )

    def _check_longest_thinking(self) -> None:
        """The longest limit of any step; the end of thinking is counted too, once there is a tokenizer."""
        budget = self.rollout.budget
        longest = max(budget.ends, default=0) if budget else 0
        if budget and longest and longest + budget.max_answer >= self.completion_length:
            raise ValueError(
                f"rollout.budget: thinking {longest} (the longest of max_thinking and schedule) + answer "
                f"{budget.max_answer} tokens don't fit trainer.max_completion_length={self.completion_length}; raise "
                "it, or lower max_thinking or max_answer"
            )

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
        every, steps = self.trl_setting("save_steps"), self.trl_setting("max_steps")
        if 0 < every < 1 and steps > 0:  # a share of all steps
            every = math.ceil(every * steps)
        if every <= 0 or (self.steps_per_rollout > 1 and every % self.steps_per_rollout):
            raise ValueError(
                f"trainer.save_steps: {every} is no multiple of the {self.steps_per_rollout} steps that one generation "
                "is used for, so a resumed run would not be the same; make it one"
            )

    @property
    def generates(self) -> bool:
        """Every step does."""
        return True

    @property
    def drops_long_rows(self) -> bool:
        """As `long_prompts` says."""
        return self.long_prompts == "drop"

    @property
    def engine(self) -> str:
        """The name of the engine that draws them."""
        engine = self.rollout.engine
        return engine if isinstance(engine, str) else engine.name

    @property
    def engine_section(self) -> EngineConfig:
        """As the recipe has it."""
        engine = self.rollout.engine
        return super().engine_section if isinstance(engine, str) else engine

    @property
    def weighs_tokens(self) -> bool:
        """With a teacher."""
        return self.teacher is not None

    @property
    def teacher_model(self) -> ModelConfig | None:
        """The teacher's: of `self: true` the model that training starts from."""
        if self.teacher is None:
            return None
        return self.model if self.teacher.self else self.teacher.model

    @property
    def completion_length(self) -> int:
        """Most tokens of a completion."""
        return int(self.trl_setting("max_completion_length"))

    @property
    def steps_per_rollout(self) -> int:
        """Optimizer steps that the completions of one generation are used for, by TRL's rule."""
        batches = self.completions_per_generation // self.trl_setting("per_device_train_batch_size")
        return max(
            1, int(batches * self.trl_setting("num_iterations") // self.trl_setting("gradient_accumulation_steps"))
        )

    @property
    def completions_per_generation(self) -> int:
        """How many completions one process samples at a time, by TRL's rule."""
        if batch := self.trl_setting("generation_batch_size"):
            return int(batch) // launch_of().processes
        batches = self.trl_setting("steps_per_generation") or self.trl_setting("gradient_accumulation_steps")
        return int(self.trl_setting("per_device_train_batch_size") * batches)

    @property
    def prompts_per_generation(self) -> int:
        """How many problems all processes take together at a time."""
        return self.completions_per_generation * launch_of().processes // int(self.trl_setting("num_generations"))
