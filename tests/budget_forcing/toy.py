"""A toy language model, the exact probability of every text it can write under a budget, and a test against samples."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from scipy.stats import chi2

from budget_forcing.sampling import Truncation
from budget_forcing.tokens import TokenBudget
from configs.schema.sections import SamplingConfig

VOCABULARY = 6
EOS, OPEN, WAIT, MORE, OTHER, LAST = range(VOCABULARY)

Text = tuple[int, ...]


def _row(before: int, last: int) -> torch.Tensor:
    """(V,) logits after two tokens (-1: none); ends of thinking are likely."""
    generator = torch.Generator().manual_seed(7 + 31 * (before + 1) + 311 * (last + 1))
    return torch.randn(VOCABULARY, generator=generator) * 1.5


TABLE = torch.stack([_row(before, last) for before in range(-1, VOCABULARY) for last in range(-1, VOCABULARY)])


def logits_of(texts: Sequence[Sequence[int]]) -> torch.Tensor:
    """(B, V) logits after each text; they depend on its last two tokens."""
    padded = [(-1, -1, *text[-2:]) for text in texts]
    return TABLE[[(VOCABULARY + 1) * (text[-2] + 1) + text[-1] + 1 for text in padded]]


@cache
def _policy(last: Text, sampling: SamplingConfig, refused: Text) -> list[float]:
    logits = logits_of([last]).double()
    logits[0, list(refused)] = -torch.inf
    logits = logits / sampling.temperature
    truncation = Truncation.of([sampling])
    if truncation is not None:
        logits = truncation(logits)
    probabilities: list[float] = logits.softmax(1)[0].tolist()
    return probabilities


def policy(tokens: Text, sampling: SamplingConfig, refused: Text = ()) -> list[float]:
    """The final distribution over the next token, in float64, with `refused` masked before the truncation."""
    return _policy(tokens[-2:], sampling, refused)


def logprob_of(logits: torch.Tensor, sampling: SamplingConfig, token: int) -> float:
    """Log-probability of `token` under the policy's `logits` (V,), in however wide a truncation it takes to keep it."""
    scaled = logits[None].double() / (sampling.temperature or 1.0)
    truncation = Truncation.of([sampling])
    kept = (scaled if truncation is None else truncation(scaled))[0].isfinite()
    probabilities = scaled.softmax(1)[0]
    if not kept[token]:
        kept = probabilities >= probabilities[token]
    return float((probabilities[token] / probabilities[kept].sum()).log())


def exact_distribution(budget: TokenBudget, sampling: SamplingConfig) -> dict[Text, float]:
    """Every text that stopping and prompting again can write, with its probability, by walking the whole tree."""
    found: dict[Text, float] = defaultdict(float)

    def answer(text: Text, start: int, probability: float) -> None:
        if len(text) - start == budget.max_answer or text[start:][-1:] == (EOS,):
            found[text] += probability
            return
        for token, p in enumerate(policy(text, sampling)):
            if p > 0:
                answer((*text, token), start, probability * p)

    def think(text: Text, thought: int, used: int, probability: float, refused: bool) -> None:
        if thought == budget.limit:
            end = (*text, *budget.end, *budget.final)
            answer(end, len(end), probability)
            return
        for token, p in enumerate(policy(text, sampling, budget.ends if refused else ())):
            if p == 0:
                continue
            if token not in budget.ends:
                think((*text, token), thought + 1, used, probability * p, False)
            elif used < budget.num_waits and thought + max(len(budget.wait), 1) <= budget.limit:
                think((*text, *budget.wait), thought + len(budget.wait), used + 1, probability * p, not budget.wait)
            else:
                answer((*text, *budget.end), len(text) + len(budget.end), probability * p)

    think((), 0, 0, 1.0, False)
    assert abs(sum(found.values()) - 1) < 1e-9
    return dict(found)


def p_value(expected: dict[Text, float], drawn: Sequence[Text]) -> float:
    """Pearson's chi-square of drawn texts, the rare ones pooled; 0 if an impossible text was drawn."""
    counts = Counter(drawn)
    if set(counts) - set(expected):
        return 0.0
    mean = np.array([expected[text] * len(drawn) for text in expected])
    seen = np.array([counts[text] for text in expected])
    rare = mean < 5
    mean = np.append(mean[~rare], mean[rare].sum())
    seen = np.append(seen[~rare], seen[rare].sum())
    if mean[-1] < 5:  # too few even together: they join the rarest of the others
        smallest = int(mean[:-1].argmin())
        mean[smallest], seen[smallest] = mean[smallest] + mean[-1], seen[smallest] + seen[-1]
        mean, seen = mean[:-1], seen[:-1]
    return float(chi2.sf(((seen - mean) ** 2 / mean).sum(), len(mean) - 1))


SAMPLINGS = [
    SamplingConfig(),
    SamplingConfig(temperature=0.6),
    SamplingConfig(top_p=0.8),
    SamplingConfig(top_k=3, temperature=1.3),
    SamplingConfig(min_p=0.2),
    SamplingConfig(top_p=0.9, top_k=4, min_p=0.05, temperature=0.8),
]

BUDGETS = [
    TokenBudget((OPEN, EOS), (OPEN, LAST), (EOS,), limit=4, num_waits=1, wait=(WAIT,), final=(MORE,), max_answer=1),
    TokenBudget((OPEN, EOS), (OPEN,), (EOS,), limit=3, num_waits=2, wait=(WAIT, MORE), max_answer=1),
    TokenBudget((OPEN, EOS), (LAST,), (EOS,), limit=3, num_waits=1, wait=(), max_answer=1),
]
