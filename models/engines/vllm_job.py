"""A job as vLLM's sampling parameters, in this process or over HTTP, and vLLM's tokens as an outcome; without vLLM."""

from typing import Any

from budget_forcing.budget_state import Outcome
from budget_forcing.sampling import mix
from budget_forcing.vllm_request import extra_args
from models.engines.job import Job

MAX_SEED = (1 << 63) - 1


def sampling_fields(job: Job, nonce: str) -> dict[str, Any]:
    """The fields of vLLM's `SamplingParams` for `job`; over HTTP they have the same names, but for `extra_args`.

    `nonce` names the request for `WorkerExtension.budget_outcomes`. A seeded budget draws each token itself.
    """
    sampling = job.sampling
    draws = job.budget is not None and job.seeded and sampling.temperature > 0
    seed = job.seed if draws else None
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "seed": _round_seed(job) & MAX_SEED if job.seeded and not draws else None,
        "max_tokens": job.max_tokens - (len(job.begun.tokens) if job.begun else 0),
        "min_tokens": int(job.refuse),
        "stop": list(job.stop) or None,
        "include_stop_str_in_output": True,
        "stop_token_ids": list(job.ends),  # vLLM's own tokenizer may name another end than ours
        "logprobs": 0 if job.logprobs else None,
        "skip_special_tokens": False,
        "extra_args": None if job.budget is None else extra_args(job.budget, nonce, job.logprobs, seed, job.begun),
    }


def _round_seed(job: Job) -> int:
    """The job's seed; a later round's is another, for vLLM draws from the seed's first number on in each of them."""
    later = 2 * job.start + job.refuse
    return mix(job.seed + later) if later else job.seed


def outcome_of(
    tokens: list[int], logprobs: list[float], told: dict[str, Any] | None, begun: Outcome | None = None
) -> Outcome:
    """vLLM's tokens, after those that were `begun`, with what the worker told of the budget."""
    if told is None:
        return Outcome(tokens, logprobs, [False] * len(tokens))
    first = len(begun.tokens) if begun else 0
    for position, correction in told["corrections"].items():
        if int(position) - first < len(logprobs):
            logprobs[int(position) - first] += correction
    if begun:
        tokens, logprobs = begun.tokens + tokens, begun.logprobs + logprobs
    drawn_ends = {int(at): token for at, token in told["drawn_ends"].items()}
    whole = Outcome(tokens, logprobs, told["forced"], told["thought"], told["answer_at"], told["reason"], drawn_ends)
    return whole.cut(len(tokens))  # the worker may be a token ahead
