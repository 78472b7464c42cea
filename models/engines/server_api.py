"""What the `server` engine and its vLLM servers say to each other beside OpenAI's API; both sides read it here.

GET  /engine/about?probe=NAME  `ServerFacts`, and whether the server sees that file in its folder of adapters
GET  /engine/heartbeat         answered by vLLM's worker itself: a server that hangs alive gives no answer
POST /engine/outcomes          {"names": [...]} → what became of finished requests under a budget, each or null
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from configs.errors import EngineError

ABOUT, HEARTBEAT, OUTCOMES = "/engine/about", "/engine/heartbeat", "/engine/outcomes"
ADAPTERS_VARIABLE = "MULL_ADAPTERS"
"""The environment variable of a server that holds its folder of adapters."""
PROBE = re.compile(r"probe-[0-9a-f]{32}")
"""Names of the files that show whether two machines see one folder."""
SHAPE = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
"""Of a model's config: where two differ, they are not the same model."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself.

    name           what requests call its base model
    model          the folder or hub id of the base model, as the server was started with it
    dtype          what it computes in, such as "float32"
    context        most tokens of prompt + completion
    ends           ids that its model's configs name as ends of a turn
    shape          the fields `SHAPE` of the model's config
    logprobs_mode  of what its log-probabilities are; "processed_logprobs" is needed
    budgets        whether its sampler keeps budgets and tells what became of them
    max_rank       the largest LoRA that it has room for; None: no LoRA
    adapters       the folder from which it loads adapters at any time; None: it does not
    sees_probe     whether the file that was asked for is there
    """

    name: str
    model: str
    dtype: str
    context: int
    ends: tuple[int, ...]
    shape: Mapping[str, Any]
    logprobs_mode: str
    budgets: bool
    max_rank: int | None
    adapters: str | None
    sees_probe: bool = False

    @classmethod
    def read(cls, answer: Any, url: str) -> "ServerFacts":
        """From the answer of `ABOUT`. Raises `EngineError` for another version of it."""
        try:
            return cls(**answer | {"ends": tuple(answer["ends"])})
        except (TypeError, KeyError):
            raise EngineError(f"{url}: it speaks of itself as another version of Mull; start both with one") from None


def shape_of(config: Any) -> dict[str, Any]:
    """The fields `SHAPE` of a Transformers config; None where it has no such field."""
    return {name: getattr(config, name, None) for name in SHAPE}
