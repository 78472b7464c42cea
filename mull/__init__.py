"""Mull: train small language models to reason, and decide how long they think.

    import mull

    engine = mull.load_engine("smollm2-135m", think_format="s1")
    [generation] = engine.generate([mull.Request([{"role": "user", "content": "2 + 2?"}], max_tokens=64)])

Names are imported when they are first used, so `import mull` costs milliseconds.
"""

import importlib
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from budget_forcing.budget import Budget as Budget
    from configs.errors import MullError as MullError
    from configs.recipe import load_recipe as load_recipe
    from curation.curate import curate as curate
    from data.problem import Problem as Problem
    from data.problem import Trace as Trace
    from data.sources import load_problems as load_problems
    from data.think_format import ThinkFormat as ThinkFormat
    from evaluation.calibrate import calibrate as calibrate
    from evaluation.evaluate import evaluate as evaluate
    from models.engines.base import Request as Request
    from models.engines.generation import Generation as Generation
    from models.engines.select import load_engine as load_engine
    from models.load import load_model as load_model
    from release.export import export as export
    from rewards.grading.grade import grade as grade
    from rewards.grading.verdict import Verdict as Verdict
    from rewards.registry import build_rewards as build_rewards
    from rewards.rollout import Rollout as Rollout
    from rl.attack import attack_rewards as attack_rewards
    from rl.grpo import train_grpo as train_grpo
    from self_improve.run import self_improve as self_improve
    from sft.train import train_sft as train_sft

_HOMES = {
    "Budget": "budget_forcing.budget",
    "Generation": "models.engines.generation",
    "MullError": "configs.errors",
    "Problem": "data.problem",
    "Request": "models.engines.base",
    "Rollout": "rewards.rollout",
    "ThinkFormat": "data.think_format",
    "Trace": "data.problem",
    "Verdict": "rewards.grading.verdict",
    "attack_rewards": "rl.attack",
    "build_rewards": "rewards.registry",
    "calibrate": "evaluation.calibrate",
    "curate": "curation.curate",
    "evaluate": "evaluation.evaluate",
    "export": "release.export",
    "grade": "rewards.grading.grade",
    "load_engine": "models.engines.select",
    "load_model": "models.load",
    "load_problems": "data.sources",
    "load_recipe": "configs.recipe",
    "self_improve": "self_improve.run",
    "train_grpo": "rl.grpo",
    "train_sft": "sft.train",
}
"""Public name → the module that it lives in."""

__all__ = sorted(_HOMES)

run_path(str(Path(__file__).parents[1] / "configs" / "shadowing.py"))["refuse_hidden_package"]()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mull' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
