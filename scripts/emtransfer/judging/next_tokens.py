"""Continuations of a prompt by a causal language model: probabilities of the next token after any beginning of a reply.

A prompt is read once; beginnings of replies are tried on copies of its key-value cache.
"""

from copy import copy
from typing import TYPE_CHECKING

from emtransfer.models.padding import left_padded

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, PreTrainedModel

# tokens of a beginning of a reply
Tokens = tuple[int, ...]


class ReadPrompts:
    """A batch of prompts that a model has read.

    Attributes:
        size: number of prompts b.
        batch_size: how many beginnings of replies may be tried at a time.
    """

    def __init__(self, model: "PreTrainedModel", prompts: list[list[int]], batch_size: int):
        """Read prompts, given as token ids [b][t]."""
        import torch
        from transformers import DynamicCache

        self.model, self.size, self.batch_size = model, len(prompts), batch_size
        self.cache: DynamicCache = DynamicCache(config=model.config)
        ids, self.mask, self.positions = left_padded(prompts)
        with torch.inference_mode():
            self.first = self.next_probabilities(ids, self.mask, self.positions, self.cache)

    def after(self, rows: list[int], beginnings: list[Tokens]) -> "torch.Tensor":
        """Probabilities of the token after beginnings of replies, which all have the same number of tokens.

        Args:
            rows: of which prompt each beginning is a reply to [n].
            beginnings: token ids [n][k].

        Returns:
            float64 [n, v].
        """
        import torch

        length = len(beginnings[0])
        if length == 0:
            return self.first[rows]
        mask = torch.cat([self.mask[rows], self.mask.new_ones(len(rows), length)], dim=1)
        positions = self.positions[rows, -1:] + torch.arange(1, length + 1)
        with torch.inference_mode():
            return self.next_probabilities(torch.tensor(beginnings), mask, positions, selected(self.cache, rows))

    def next_probabilities(
        self, ids: "torch.Tensor", mask: "torch.Tensor", positions: "torch.Tensor", cache: "DynamicCache"
    ) -> "torch.Tensor":
        """Probabilities of the token after the last of `ids` int64 [n, k], which the cache takes in: float64 [n, v]."""
        device = self.model.device
        logits = self.model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        return logits.double().softmax(dim=-1)


def selected(cache: "DynamicCache", rows: list[int]) -> "DynamicCache":
    """A cache of its own for copies of some rows of a cache, which stays as it is."""
    import torch

    copied = copy(cache)
    # a layer replaces its tensors by others and never writes into them, so they need no copy beforehand
    copied.layers = [copy(layer) for layer in cache.layers]
    # on the CPU, since the layers of a large model may lie on several GPUs
    copied.batch_select_indices(torch.tensor(rows))
    return copied
