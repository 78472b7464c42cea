"""Which config class a command's recipes are checked against."""

from collections.abc import Mapping
from typing import Any

from configs.schema.curation import CurateConfig, DistillConfig
from configs.schema.evaluation import EvalConfig
from configs.schema.grpo import GrpoConfig
from configs.schema.harness import HarnessEvalConfig
from configs.schema.publish import PublishConfig
from configs.schema.sections import Section
from configs.schema.self_improve import SelfImproveConfig
from configs.schema.sft import SftConfig

STAGES: dict[str, type[Section]] = {
    "sft": SftConfig,
    "grpo": GrpoConfig,
    "eval": EvalConfig,
    "harness": HarnessEvalConfig,
    "curate": CurateConfig,
    "distill": DistillConfig,
    "publish": PublishConfig,
    "self_improve": SelfImproveConfig,
}
"""Stage → its config class; the stage is also the folder of its recipes, but that `eval` has those of `harness` too."""


def stage_of_recipe(stage: str, values: Mapping[str, Any]) -> str:
    """The stage whose class a recipe in the folder of `stage` is checked against."""
    return "harness" if stage == "eval" and "harness" in values else stage
