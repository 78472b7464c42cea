"""The steps of a round: which command, in which folder, with which recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from configs.recipe import validate
from configs.schema.sections import ModelConfig, Section
from configs.schema.self_improve import SelfImproveConfig

Command = Literal["distill", "sft", "evaluate"]
STAGE_OF: dict[Command, str] = {"distill": "distill", "sft": "sft", "evaluate": "eval"}
WITHOUT_GOLD = {"verifier": "stop", "agreement": "majority", "judge": "keep"}
"""What `check.by` makes of a posed problem's answers in `curation.distill`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a command. `name` is what messages call it, `config` its recipe, whose `output_dir` is the folder."""

    name: str
    command: Command
    config: Section

    @property
    def folder(self) -> Path:
        return Path(str(self.config.model_dump()["output_dir"]))


def round_folder(config: SelfImproveConfig, number: int) -> Path:
    """`round_1`, … in the run's folder; `round_0` has the model as it came, measured."""
    return Path(config.output_dir) / f"round_{number}"


def with_adapter(model: ModelConfig, adapter: str | Path | None) -> ModelConfig:
    """The same weights under another adapter, or under none."""
    return model.model_copy(update={"adapter": None if adapter is None else str(adapter)})


def train_poser(config: SelfImproveConfig, rows: Path) -> Step:
    """Teaches a model to pose, before the first round."""
    assert config.pose.train is not None
    values = {
        "model": _poser(config),
        "adapter": config.pose.train.adapter,
        "think_format": "none",
        "data": {"path": str(rows)},
        "trainer": config.pose.train.trainer,
    }
    return _step("train the poser", "sft", Path(config.output_dir) / "poser", values, config)


def pose(config: SelfImproveConfig, number: int, prompts: Path) -> Step:
    """A model answers prompts that ask for problems: a distillation of questions without gold answers."""
    poser = Path(config.output_dir) / "poser" / "adapter" if config.pose.train else None
    values = {
        "data": {"path": str(prompts)},
        "server": config.pose.server,
        "model": None if config.pose.server else _poser(config, poser),
        "engine": config.engine,
        "think_format": "none",
        "without_gold": "keep",
        "sampling": config.pose.sampling,
        "samples": 1,
        "max_tokens": config.pose.max_tokens,
    }
    return _step(f"round {number}, pose", "distill", round_folder(config, number) / "posed", values, config, number)


def solve(config: SelfImproveConfig, number: int, problems: Path, model: ModelConfig) -> Step:
    """The model that the round is built on answers the new problems."""
    grader = {"grader": "reasoning_gym"} if _is_own_score(config) else {}
    values = {
        "data": {"path": str(problems), **grader},
        "model": model,
        "engine": config.engine,
        "think_format": config.think_format,
        "without_gold": WITHOUT_GOLD[config.check.by],
        **config.solve.model_dump(),
        "keep": config.solve.samples,
    }
    return _step(f"round {number}, solve", "distill", round_folder(config, number) / "solved", values, config, number)


def train(config: SelfImproveConfig, number: int, traces: Path, model: ModelConfig) -> Step:
    """SFT on the kept answers, old rows among them; held-out questions are never trained on."""
    settings = config.train
    old = [{**settings.old.model_dump(), "share": settings.old_share}] if settings.old else []
    values = {
        "model": model,
        "adapter": settings.adapter,
        "think_format": config.think_format,
        "data": {"path": str(traces)},
        "mix": old,
        "eval": {"data": config.eval.data, "when": []},
        "trainer": settings.trainer,
    }
    return _step(f"round {number}, train", "sft", round_folder(config, number) / "sft", values, config)


def measure(config: SelfImproveConfig, number: int, model: ModelConfig) -> Step:
    """The held-out problems, the same in every round and with the same seeds."""
    values = {
        "model": model,
        "engine": config.engine,
        "think_format": config.think_format,
        "data": config.eval.data,
        "instruction": config.eval.instruction,
        "budgets": [config.eval.budget],
        "sampling": config.eval.sampling,
        "samples": config.eval.samples,
    }
    return _step(f"round {number}, measure", "evaluate", round_folder(config, number) / "eval", values, config)


def check_steps(config: SelfImproveConfig) -> list[Step]:
    """The steps of a first round. Raises the `ConfigError` that any of them would."""
    folder = round_folder(config, 1)
    by_model = config.pose.by == "model"
    return [
        *([train_poser(config, folder)] if config.pose.train else []),
        *([pose(config, 1, folder)] if by_model else []),
        solve(config, 1, folder, config.model),
        train(config, 1, folder, config.model),
        measure(config, 1, config.model),
    ]


def describe(config: SelfImproveConfig) -> str:
    """The plan in words, for `--dry-run`."""
    steps = [f"  mull {step.command:<9} → {step.folder}" for step in check_steps(config)]
    asked = f"{config.pose.problems:,} problems posed by {config.pose.by}, {config.solve.samples} answers each"
    head = f"at most {config.rounds} rounds; {asked}, checked by {config.check.by}; in the first:"
    return "\n".join([config.model_dump_json(indent=2), head, *steps])


def _poser(config: SelfImproveConfig, adapter: Path | None = None) -> ModelConfig:
    """Who poses: the recipe's own choice, or the base model; once trained, under its adapter."""
    model = config.pose.model or with_adapter(config.model, None)
    return with_adapter(model, adapter) if adapter else model


def _is_own_score(config: SelfImproveConfig) -> bool:
    """Whether the family has no gold answer to compare with, but a score of its own."""
    families = config.pose.families
    return config.check.by == "verifier" and all(one.source.startswith("reasoning_gym") for one in families)


def _step(
    name: str, command: Command, folder: Path, values: Mapping[str, Any], config: SelfImproveConfig, number: int = 0
) -> Step:
    """`values` against the command's schema; each round samples anew. Raises `ConfigError`."""
    plain = {key: _plain(value) for key, value in values.items()}
    plain |= {"seed": config.seed + number, "output_dir": str(folder)}
    return Step(name, command, validate(STAGE_OF[command], plain, f"the recipe, {name}"))


def _plain(value: Any) -> Any:
    """Sections as what a YAML file holds, whatever they are in."""
    if isinstance(value, Section):
        return value.model_dump()
    return [_plain(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
