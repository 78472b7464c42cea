"""The virtual tokens of an adapter before a prompt, for an engine with a cache of its own.

PEFT's forward makes them anew at every call and drops the cache that it is given, so the base model gets them here,
once, together with the prompt.
"""

from typing import Any

import torch

from models.adapters import count_virtual_tokens


class VirtualTokens:
    """What `model`'s adapter puts before every prompt; `decoder`: the model that goes on from there.

    count  how many they are; 0 for a model without such an adapter
    """

    def __init__(self, model: Any) -> None:  # has methods of PEFT
        self._model = model
        self.count = count_virtual_tokens(model)
        self.decoder = model.get_base_model() if self.count else model

    def before(self, ids: torch.Tensor, cache: Any) -> dict[str, torch.Tensor]:
        """The decoder's inputs for prompts `ids` (B, T): the virtual tokens are in `cache` then, or embedded first."""
        if not self.count:
            return {"input_ids": ids}
        tokens = self._model.get_prompt(batch_size=len(ids))
        if isinstance(tokens, torch.Tensor):  # (B, count, hidden)
            embedded = self._model.word_embeddings(ids)
            return {"inputs_embeds": torch.cat([tokens.to(embedded.dtype), embedded], dim=1)}
        for layer, prefix in zip(cache.layers, tokens.layers, strict=True):
            layer.update(prefix.keys, prefix.values)
        return {"input_ids": ids}
