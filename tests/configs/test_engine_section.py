"""The `engine:` section of servers elsewhere, in every recipe that has one."""

from typing import Any

import pytest

from configs.errors import ConfigError
from configs.recipe import load_recipe
from configs.schema.curation import DistillConfig
from configs.schema.evaluation import EvalConfig
from configs.schema.grpo import GrpoConfig

URLS = "[http://a:8000,http://b:8000]"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["engine.name=server"], r"engine: name: server needs `urls`, such as \[http://127\.0\.0\.1:8000\]"),
        (["engine.name=server", "engine.urls=[http://a,http://a]"], "engine: urls: one server stands there twice"),
        (["engine.name=server", "engine.urls=[gpu1:8000]"], "engine.urls.0: .*found 'gpu1:8000'"),
        (
            ["engine.name=server", f"engine.urls={URLS}", "engine.data_parallel=2"],
            "engine: data_parallel: servers stand",
        ),
        (["engine.name=vllm", f"engine.urls={URLS}"], "engine: urls: goes with `name: server`, and the name is vllm"),
        (["engine.adapters=/shared"], "engine: adapters: goes with `name: server`"),
        (["engine.silence=0"], "engine.silence: .*greater than 0"),
    ],
)
def test_section_that_can_not_be_meant(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("eval", "gsm8k_cpu", overrides)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"name": "server"}, "rollout.engine: name: server needs `urls`"),
        ({"name": "server", "urls": ["http://a"]}, "rollout.engine: adapters: missing; servers get the adapter"),
        ({"name": "vllm", "data_parallel": 2}, "rollout.engine: data_parallel: not for a model that is trained"),
        ({"name": "servers"}, "rollout.engine.name: .*found 'servers'"),
        ({"name": "server", "url": "http://a"}, "rollout.engine.url: unknown key.*urls"),
        ("server", "rollout.engine: .*found 'server'"),
    ],
)
def test_rollouts_engine_that_can_not_be_meant(engine: Any, message: str) -> None:
    config: GrpoConfig = load_recipe("grpo", "demo")
    values = config.model_dump()
    values["rollout"]["engine"] = engine
    from configs.recipe import validate

    with pytest.raises(ConfigError, match=message):
        validate("grpo", values, "mine.yaml")


def test_rollouts_take_a_name_or_a_section() -> None:
    servers = ["rollout.engine.name=server", f"rollout.engine.urls={URLS}", "rollout.engine.adapters=/shared"]
    config: GrpoConfig = load_recipe("grpo", "demo", servers)
    assert config.engine == config.engine_section.name == "server"
    assert config.engine_section.urls == ["http://a:8000", "http://b:8000"]
    named: GrpoConfig = load_recipe("grpo", "demo", ["rollout.engine=vllm"])
    assert named.engine == named.engine_section.name == "vllm"
    with pytest.raises(ConfigError, match=r"rollout\.engine: server gets the adapter anew .* adapter: null trains"):
        load_recipe("grpo", "demo", [*servers, "adapter=null"])


def test_other_commands_take_servers_too() -> None:
    servers = ["engine.name=server", f"engine.urls={URLS}"]
    evaluation: EvalConfig = load_recipe("eval", "gsm8k_cpu", servers)
    distillation: DistillConfig = load_recipe("distill", "demo", servers)
    assert evaluation.engine == distillation.engine
