"""Budgets in Transformers: a sampler over a batch of rows, and the same as a `LogitsProcessor` for `generate`.

The sampler draws each token itself, from the policy's final distribution, and tells the row's `BudgetState` when an end
of thinking came. So what it writes has exactly the distribution of stopping, appending "Wait" and prompting again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import LogitsProcessor

from budget_forcing.budget_state import BudgetState, Outcome
from budget_forcing.sampling import REDRAW, Truncation, draw_tokens, policy_logprobs, uniform
from budget_forcing.tokens import TokenBudget
from configs.schema.sections import SamplingConfig


@dataclass(slots=True)
class BatchRow:
    """One sequence in a batch; `logprobs` are the policy's, of the end where it drew one, 0.0 where a token was forced.

    Rounds go on with a sequence whose first `start` tokens are in the prompt; `refuse`: `eos` may not come next.
    `prompt`: its ids, for a repetition penalty.
    """

    sampling: SamplingConfig
    seed: int
    eos: frozenset[int]
    state: BudgetState | None = None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    done: bool = False
    start: int = 0
    refuse: bool = False
    prompt: Sequence[int] = ()

    @classmethod
    def of(
        cls, sampling: SamplingConfig, seed: int, eos: Sequence[int], budget: TokenBudget | None = None
    ) -> "BatchRow":
        """A fresh row; under a budget the end of the turn counts only in the answer."""
        return cls(sampling, seed, frozenset(eos), None if budget is None else BudgetState(budget))

    @property
    def refused(self) -> tuple[int, ...]:
        """Ids that may not come next."""
        if self.state is not None:
            return self.state.budget.ends if self.state.refused else ()
        return tuple(self.eos) if self.refuse and not self.tokens else ()

    def outcome(self) -> Outcome:
        """What was decoded."""
        if self.state is None:
            return Outcome(self.tokens, self.logprobs, [False] * len(self.tokens))
        return self.state.outcome(self.tokens, self.logprobs)

    def record(self, token: int, logprob: float) -> None:
        """Append a token and see whether it ends the sequence."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self.done = token in self.eos and (self.state is None or self.state.answering)
        if self.state is not None:
            self.state.advance()


class Sampler:
    """Draws the next token of every row; each row has its own sampling parameters, seed and budget, or none."""

    def __init__(self, rows: Sequence[BatchRow], device: torch.device | str = "cpu") -> None:
        self.rows = list(rows)
        self.all = _Drawn(self.rows, device)

    def step(self, logits: torch.Tensor) -> list[int]:
        """The next token of each row, recorded there. logits (B, V), of any float type."""
        logits = _penalised(logits.float(), self.rows)
        tokens, logprobs = self.all.draw(logits)
        again = []
        for at, row in enumerate(self.rows):
            state = row.state
            if row.done:
                continue
            if state is not None and state.thinking and tokens[at] in state.budget.ends:
                state.end(tokens[at])
            if row.refused:
                again.append(at)
            elif state is not None and state.due is not None:
                is_drawn = state.position in state.drawn_ends  # an end, which another budget may let stand
                tokens[at], logprobs[at] = state.due, logprobs[at] if is_drawn else 0.0
        if again:
            rows = [self.rows[at] for at in again]
            second, all_R = _Drawn(rows, logits.device), logits[again]
            drawn, _ = second.draw(_without_refused(all_R.clone(), rows), REDRAW)
            for at, token, logprob in zip(again, drawn, second.logprobs(all_R, drawn), strict=True):
                tokens[at], logprobs[at] = token, logprob
        for row, token, logprob in zip(self.rows, tokens, logprobs, strict=True):
            if not row.done:
                row.record(token, logprob)
        return tokens


class _Drawn:
    """The policy's choice for some rows, their sampling parameters as tensors."""

    def __init__(self, rows: Sequence[BatchRow], device: torch.device | str) -> None:
        self.rows = rows
        sampling = [row.sampling for row in rows]
        self.seeds = [row.seed for row in rows]
        self.greedy = torch.tensor([s.temperature == 0 for s in sampling], device=device)
        self.temperature = torch.tensor([s.temperature or 1.0 for s in sampling], device=device)[:, None]
        self.truncation = Truncation.of(sampling, device)
        self.all_greedy = all(s.temperature == 0 for s in sampling)
        self.any_greedy = any(s.temperature == 0 for s in sampling)
        self.scaled = any(s.temperature not in (0, 1) for s in sampling)

    def draw(self, logits: torch.Tensor, stream: int = 0) -> tuple[list[int], list[float]]:
        """Token and log-probability of each row; a greedy row's is that at temperature 1."""
        best = logits.argmax(1) if self.any_greedy else torch.empty(0)
        plain = logits.gather(1, best[:, None])[:, 0] - logits.logsumexp(1) if self.any_greedy else torch.empty(0)
        if self.all_greedy:
            return best.tolist(), plain.tolist()
        logits = self._final(logits)
        positions = [row.start + len(row.tokens) for row in self.rows]
        numbers = torch.from_numpy(uniform(self.seeds, positions, stream)).to(logits.device, non_blocking=True)
        tokens, logprobs = draw_tokens(logits, numbers)
        if self.any_greedy:
            tokens, logprobs = torch.where(self.greedy, best, tokens), torch.where(self.greedy, plain, logprobs)
        return tokens.tolist(), logprobs.tolist()

    def logprobs(self, logits: torch.Tensor, tokens: Sequence[int]) -> list[float]:
        """The policy's log-probability of each row's token, which it need not have drawn."""
        greedy, chosen = self.greedy[:, None], torch.tensor(tokens, device=logits.device)
        scaled = torch.where(greedy, logits, logits / self.temperature)
        found: list[float] = policy_logprobs(scaled, torch.where(greedy, logits, self._final(logits)), chosen).tolist()
        return found

    def _final(self, logits: torch.Tensor) -> torch.Tensor:
        """What is sampled from; a greedy row's is of no use."""
        if self.scaled:
            logits = logits / self.temperature
        return logits if self.truncation is None else self.truncation(logits)


def _penalised(logits: torch.Tensor, rows: Sequence[BatchRow]) -> torch.Tensor:
    """`logits` (B, V) after the rows' repetition penalties (Keskar et al. 2019, arXiv 1909.05858 §4.1)."""
    if all(row.sampling.repetition_penalty == 1 for row in rows):
        return logits
    logits = logits.clone()
    for at, row in enumerate(rows):
        if row.sampling.repetition_penalty != 1:
            seen = torch.tensor(sorted({*row.prompt, *row.tokens}), dtype=torch.long, device=logits.device)
            scores = logits[at, seen]
            penalty = row.sampling.repetition_penalty
            logits[at, seen] = torch.where(scores < 0, scores * penalty, scores / penalty)
    return logits


def _without_refused(logits: torch.Tensor, rows: Sequence[BatchRow]) -> torch.Tensor:
    places = [(at, token) for at, row in enumerate(rows) for token in row.refused]
    rows_N, tokens_N = torch.tensor(places, dtype=torch.long, device=logits.device).reshape(-1, 2).T
    logits[rows_N, tokens_N] = -torch.inf
    return logits


class BudgetLogitsProcessor(LogitsProcessor):  # type: ignore[misc]  # transformers is not typed here
    """Budgets in `model.generate`: leaves one finite score a row, on the token that it drew.

    It samples by itself, so give the sampling parameters here and call `generate(do_sample=False)`. One instance serves
    one `generate` call of as many rows as `rows`, left padded; afterwards each row holds its tokens and its state.
    """

    def __init__(self, rows: Sequence[BatchRow]) -> None:
        self.sampler = Sampler(rows)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        tokens = self.sampler.step(scores)
        forced = torch.full_like(scores, -torch.inf)
        forced[torch.arange(len(tokens)), tokens] = 0.0
        return forced
