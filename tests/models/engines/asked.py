"""What tests ask engines on vLLM for: samplings, budgets, and requests."""

from typing import Any

from budget_forcing.budget import Budget
from configs.schema.sections import SamplingConfig
from models.engines.base import Request

GREEDY = SamplingConfig(temperature=0.0)
SAMPLINGS = [SamplingConfig(), SamplingConfig(temperature=0.7, top_p=0.9), SamplingConfig(top_k=5, min_p=0.01)]
BUDGETS = [
    Budget(max_thinking=24, num_waits=2, max_answer=8, final_answer_text="So "),
    Budget(max_thinking=24, num_waits=2, wait_text="", max_answer=8),
    Budget(max_thinking=30, min_thinking=25, max_answer=3),
    Budget(max_thinking=0, max_answer=1),
    Budget(max_answer=90),
]


def ask(text: str, **fields: Any) -> Request:
    return Request([{"role": "user", "content": text}], **{"seed": len(text), "logprobs": True, **fields})
