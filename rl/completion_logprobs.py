"""Log-probabilities of a batch's completions: rows after one another in one sequence, or padded where that can't be.

Either way the model's hidden states go through its head a few rows at a time (`models.token_logprobs`), at the places
alone that predict a token of a completion.
"""

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedModel

from models.packed_attention import packed
from models.token_logprobs import DropTokens, Entropies, Head, hidden_states, token_logprobs
from rl import packed_batch
from rl.packed_batch import Places


@dataclass(frozen=True, slots=True)
class PaddedRows:
    """A batch as TRL has it: ids and mask (B, T), of which the last `completion` columns are the completions'.

    Prompts are padded on the left, completions on the right.
    """

    ids: Tensor
    mask: Tensor
    completion: int

    def split(self, size: int) -> list["PaddedRows"]:
        """So many rows at a time."""
        parts = zip(self.ids.split(size), self.mask.split(size), strict=True)
        return [PaddedRows(ids, mask, self.completion) for ids, mask in parts]


@dataclass(frozen=True, slots=True)
class Scoring:
    """How the log-probabilities of a model are taken.

    takes_places   whether the model computes its head for given places only (`logits_to_keep`)
    can_pack       whether its attention takes packed rows
    """

    head: Head
    temperature: float
    drop: DropTokens | None
    takes_places: bool
    can_pack: bool


def completion_logprobs(
    model: PreTrainedModel, rows: PaddedRows, scoring: Scoring, entropies: Entropies
) -> tuple[Tensor, Tensor | None]:
    """(B, C) log-probabilities and entropies, 0.0 at padding."""
    # 1. rows without padding
    prompts, completions = packed_batch.without_padding(rows.ids, rows.mask, rows.completion)

    # 2. the hidden state before each completion token, and where in the batch that token stands
    if scoring.can_pack and any(completions):
        pack = packed_batch.pack(prompts, completions, rows.ids.device)
        inputs = {"input_ids": pack.ids, "position_ids": pack.positions} | packed(pack.rows, rows.ids.device)
        hidden_NW = hidden_states(model, scoring.head, **inputs, logits_to_keep=pack.source)[0]
        places = pack.places
    else:
        kept = {"logits_to_keep": rows.completion + 1} if scoring.takes_places else {}
        hidden_BTW = hidden_states(model, scoring.head, input_ids=rows.ids, attention_mask=rows.mask, **kept)
        places = packed_batch.places_of(completions, rows.ids.device)
        hidden_NW = hidden_BTW[:, -rows.completion - 1 : -1][places.row, places.column]

    # 3. through the head, and back to the batch's shape
    found = token_logprobs(
        scoring.head, hidden_NW, places.target, temperature=scoring.temperature, drop=scoring.drop, entropies=entropies
    )
    shape = len(prompts), rows.completion
    logprobs_BC, entropies_BC = (None if v is None else _in_batch(v, places, shape) for v in found)
    assert logprobs_BC is not None
    return logprobs_BC, entropies_BC


def _in_batch(values_N: Tensor, places: Places, shape: tuple[int, int]) -> Tensor:
    return values_N.new_zeros(shape).index_put((places.row, places.column), values_N)
