"""Which config class a command's recipes are checked against."""

from configs.schema.curation import CurateConfig, DistillConfig
from configs.schema.evaluation import EvalConfig
from configs.schema.grpo import GrpoConfig
from configs.schema.publish import PublishConfig
from configs.schema.sections import Section
from configs.schema.sft import SftConfig

STAGES: dict[str, type[Section]] = {
    "sft": SftConfig,
    "grpo": GrpoConfig,
    "eval": EvalConfig,
    "curate": CurateConfig,
    "distill": DistillConfig,
    "publish": PublishConfig,
}
"""Stage → its config class; the stage is also the folder of its recipes."""
