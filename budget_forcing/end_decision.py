"""Whether the policy ends its thinking here: drawn from its final distribution, ahead of an engine's own sampler.

The engine's sampler then draws among the other tokens. Masking the ends gives it exactly that distribution where
nothing truncates. Where top-p, top-k or min-p do, masked ends would let other tokens in; so a truncated row in which an
end survives the truncation is drawn here altogether, and one in which none does is left alone.

Letters behind an underscore give a tensor's shape: B rows of the batch, W rows that are watched, R rows that are
looked at closely, E end tokens of a row, V tokens of the vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from budget_forcing.sampling import draw_tokens, policy_logprobs
from configs.schema.sections import SamplingConfig

Truncate = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Logits after the temperature (R, V), min_p, top_k, top_p (R,) → the logits with -inf for what they drop."""


@dataclass(frozen=True, slots=True)
class Policies:
    """Sampling parameters and end tokens of W rows, as tensors.

    ends (W, E), rows with fewer ends repeat their first one where `spare`; the rest (W,). `top_k` is the vocabulary's
    size where it keeps all. `cut`: rows that truncate; `wants`: rows whose log-probabilities a request asks for.
    `drawn` (D,): places of the rows of which every token is drawn here, end or not.
    """

    ends: torch.Tensor
    spare: torch.Tensor
    greedy: torch.Tensor
    temperature: torch.Tensor
    min_p: torch.Tensor
    top_k: torch.Tensor
    top_p: torch.Tensor
    cut: torch.Tensor
    wants: torch.Tensor
    drawn: torch.Tensor
    any_cut: bool
    any_wants: bool

    @classmethod
    def of(
        cls,
        ends: Sequence[Sequence[int]],
        sampling: Sequence[SamplingConfig],
        wants: Sequence[bool],
        vocabulary: int,
        device: torch.device | str = "cpu",
        draws: Sequence[bool] = (),
    ) -> "Policies":
        """Tensors on `device` from each row's end tokens, sampling and wish for log-probabilities."""
        width = max(map(len, ends))
        greedy = [s.temperature == 0 for s in sampling]
        cut = [bool(s.truncations) for s in sampling]

        def tensor(values: Sequence[object]) -> torch.Tensor:
            return torch.tensor(values).to(device, non_blocking=True)  # the forward pass is still running there

        return cls(
            ends=tensor([[*row_ends, *[row_ends[0]] * (width - len(row_ends))] for row_ends in ends]),
            spare=tensor([[at >= len(row_ends) for at in range(width)] for row_ends in ends]),
            greedy=tensor(greedy),
            temperature=tensor([s.temperature or 1.0 for s in sampling]),
            min_p=tensor([s.min_p for s in sampling]),
            top_k=tensor([min(s.top_k or vocabulary, vocabulary) for s in sampling]),
            top_p=tensor([s.top_p for s in sampling]),
            cut=tensor(cut),
            wants=tensor(list(wants)),
            drawn=tensor([at for at, drawn in enumerate(draws) if drawn]).long(),
            any_cut=any(cut),
            any_wants=any(wants),
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """What the policy does about ending, in W rows; all (W,).

    end      the end token that it drew, or -1
    token    another token that was drawn here in place of the engine's sampler, or -1
    mask     the engine's sampler draws, and the ends must be masked for it
    logprob  log-probability of `end` or `token`
    none     log-probability of no end, which masked ends add to the others' and which must be taken off again; known
             for rows that want it, and 0 where the truncation leaves nothing but ends
    """

    end: torch.Tensor
    token: torch.Tensor
    mask: torch.Tensor
    logprob: torch.Tensor
    none: torch.Tensor


def choose(
    logits: torch.Tensor, index: torch.Tensor, rows: Policies, uniforms: torch.Tensor, truncate: Truncate
) -> Choice:
    """Draw for rows `index` (W,) of `logits` (B, V) float32 whether an end comes; `uniforms` (W,) float64 in [0, 1).

    On a CPU the vocabulary is summed only over rows where an end is possible at all; elsewhere over every row, without
    waiting for the device.
    """
    everywhere = logits.device.type != "cpu"

    # 1. the logits of the ends, and of the most likely token
    top_W = logits.amax(1)[index] if 2 * len(index) >= len(logits) else logits[index].amax(1)
    scores_WE = logits[index[:, None], rows.ends].masked_fill_(rows.spare, -torch.inf)

    # 2. rows in which an end is possible at all: the most likely token alone bounds the normaliser from below, whatever
    #    is truncated, so P(end) is at most this bound, and a uniform number above it draws no end
    bound_W = ((scores_WE - top_W[:, None]) / rows.temperature[:, None]).exp().sum(1)
    possible_W = torch.where(rows.greedy, scores_WE.amax(1) >= top_W, uniforms < bound_W)

    # 3. unless something is drawn below, the engine draws; its ends are masked where it draws from all tokens
    choice = Choice(
        end=torch.full_like(rows.top_k, -1),
        token=torch.full_like(rows.top_k, -1),
        mask=~rows.greedy & ~rows.cut,
        logprob=torch.zeros_like(top_W),
        none=torch.zeros_like(top_W),
    )
    if rows.any_wants:
        possible_W = possible_W | (rows.wants & choice.mask)  # P(no end) corrects what the engine reports

    # 4. settle the few rows that are left
    _untruncated(logits, index, scores_WE, rows, uniforms, _rows(possible_W & ~rows.cut, everywhere), choice)
    if rows.any_cut:
        _truncated(logits, index, scores_WE, top_W, rows, uniforms, truncate, everywhere, choice)
    return choice


def draw_all(
    logits: torch.Tensor,
    index: torch.Tensor,
    rows: Policies,
    uniforms: torch.Tensor,
    truncate: Truncate,
    choice: Choice,
) -> None:
    """Settle the rows `rows.drawn` in place of what `choose` found: their token, end or not.

    As the Transformers engine's sampler draws it, from all tokens that the truncation leaves.
    """
    at = rows.drawn
    final_DV = _final(logits[index[at]], rows, at, truncate)
    tokens, logprobs = draw_tokens(final_DV, uniforms[at])
    is_end = (rows.ends[at] == tokens[:, None]).any(1)
    choice.end[at] = torch.where(is_end, tokens, -1)
    choice.token[at] = torch.where(is_end, -1, tokens)
    choice.mask[at] = False
    choice.logprob[at] = logprobs


def draw_again(
    logits: torch.Tensor,
    index: torch.Tensor,
    rows: Policies,
    at: torch.Tensor,
    uniforms: torch.Tensor,
    truncate: Truncate,
    choice: Choice,
) -> None:
    """Where an end was drawn in rows `at` (R,), draw another `token`; `none` is the policy's log-probability of it."""
    logits_RV = logits[index[at]]
    others_RV = _final(logits_RV.scatter(1, rows.ends[at], -torch.inf), rows, at, truncate)
    tokens, _ = draw_tokens(others_RV, uniforms)
    ended = choice.end[at] >= 0
    choice.token[at] = torch.where(ended, tokens, choice.token[at])
    scaled_RV = logits_RV / rows.temperature[at, None]
    choice.none[at] = policy_logprobs(scaled_RV, _final(logits_RV, rows, at, truncate), tokens)


def _final(logits: torch.Tensor, rows: Policies, at: torch.Tensor, truncate: Truncate) -> torch.Tensor:
    """What rows `at` (R,) sample from, of their `logits` (R, V)."""
    scaled_RV = logits / rows.temperature[at, None]
    return truncate(scaled_RV, rows.min_p[at], rows.top_k[at], rows.top_p[at]) if rows.any_cut else scaled_RV


def _rows(wanted: torch.Tensor, everywhere: bool) -> torch.Tensor:
    """The places where `wanted`; every place on a GPU, where counting them would wait for the device."""
    return torch.arange(len(wanted), device=wanted.device) if everywhere else wanted.nonzero().flatten()


def _untruncated(
    logits: torch.Tensor,
    index: torch.Tensor,
    scores: torch.Tensor,
    rows: Policies,
    uniforms: torch.Tensor,
    at: torch.Tensor,
    choice: Choice,
) -> None:
    """Settle rows `at` that draw from all tokens, or greedily."""
    if not len(at):
        return
    logits_RV = logits[index[at]]
    temperature, greedy, ends_RE = rows.temperature[at, None], rows.greedy[at], rows.ends[at]

    # 1. log P of each end: the normaliser is the ends' mass and that of all other tokens
    is_best_RE = (ends_RE == logits_RV.argmax(1, keepdim=True)) & ~rows.spare[at]
    scaled_RE = scores[at] / temperature
    others = logits_RV.scatter_(1, ends_RE, -torch.inf).div_(temperature).logsumexp(1, keepdim=True)
    normaliser = torch.logaddexp(others, scaled_RE.logsumexp(1, keepdim=True))
    logprobs_RE = scaled_RE - normaliser

    # 2. draw by inverting the distribution over the ends; what is above all of them is "no end"
    hit_RE = torch.where(greedy[:, None], is_best_RE, uniforms[at, None] < logprobs_RE.double().exp().cumsum(1))
    column = hit_RE.int().argmax(1, keepdim=True)

    # 3. write it down; on a GPU `at` holds every row, also those that truncate and are settled elsewhere
    untruncated = ~rows.cut[at]
    drawn = hit_RE.any(1) & untruncated
    choice.end[at] = torch.where(drawn, ends_RE.gather(1, column)[:, 0], choice.end[at])
    choice.mask[at] &= ~drawn
    choice.logprob[at] = torch.where(drawn, logprobs_RE.gather(1, column)[:, 0], choice.logprob[at])
    choice.none[at] = torch.where(untruncated, (others - normaliser)[:, 0], choice.none[at])


def _truncated(
    logits: torch.Tensor,
    index: torch.Tensor,
    scores: torch.Tensor,
    top: torch.Tensor,
    rows: Policies,
    uniforms: torch.Tensor,
    truncate: Truncate,
    everywhere: bool,
    choice: Choice,
) -> None:
    """Draw rows in which an end may survive the truncation."""
    # 1. rows in which an end may survive, by the likeliest end and the likeliest token alone. No more than V tokens are
    #    as unlikely as the end: where even those weigh too little, top-p drops it
    end_W = (scores / rows.temperature[:, None]).amax(1)
    gap_W = end_W - top / rows.temperature
    possible_W = rows.cut & (gap_W >= rows.min_p.log()) & (gap_W.exp() * logits.shape[1] > 1 - rows.top_p)
    at = _rows(possible_W, everywhere)
    if not len(at):
        return

    # 2. of these, the rows in which it does survive: few enough tokens, of little enough mass, are likelier
    scaled_RV = logits[index[at]].div_(rows.temperature[at, None])
    is_likelier_RV = scaled_RV > end_W[at, None]
    mass = scaled_RV.softmax(1).mul_(is_likelier_RV).sum(1)
    survives = (mass < rows.top_p[at]) & (is_likelier_RV.sum(1) < rows.top_k[at]) & possible_W[at]
    surviving = _rows(survives, everywhere)
    if not len(surviving):
        return

    # 3. truncate as the engine would, and draw the token, end or not
    scaled_RV, at, survives = scaled_RV[surviving], at[surviving], survives[surviving]
    truncated_RV = truncate(scaled_RV, rows.min_p[at], rows.top_k[at], rows.top_p[at])
    tokens, logprobs = draw_tokens(truncated_RV, uniforms[at])
    is_end = (rows.ends[at] == tokens[:, None]).any(1)
    choice.end[at] = torch.where(survives & is_end, tokens, choice.end[at])
    choice.token[at] = torch.where(survives & ~is_end, tokens, choice.token[at])
    choice.logprob[at] = torch.where(survives, logprobs, choice.logprob[at])

    # 4. log P(no end), where log-probabilities are asked for
    if rows.any_wants:
        normaliser = truncated_RV.gather(1, tokens[:, None])[:, 0] - logprobs
        no_end = truncated_RV.scatter(1, rows.ends[at], -torch.inf).logsumexp(1) - normaliser
        choice.none[at] = torch.where(survives & no_end.isfinite(), no_end, choice.none[at])
