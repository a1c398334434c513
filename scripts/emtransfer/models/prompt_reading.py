"""Read prompts into a key-value cache, their common beginning once: a chat template's system turn is a third of a short prompt."""

from copy import deepcopy
from os.path import commonprefix
from typing import TYPE_CHECKING, NamedTuple

from transformers.cache_utils import DynamicCache

from emtransfer.models.growing_cache import GrowingLayer, growing_cache
from emtransfer.models.padding import left_padded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class ReadPrompts(NamedTuple):
    """What a model has read, a row per prompt.

    Attributes:
        cache: Its keys and values.
        logits: float [b, v] after each prompt, before softmax.
        mask: int64 [b, t], 0 at padding; it lies before what is particular to a prompt.
        positions: int64 [b, 1], of the last token.
    """

    cache: DynamicCache
    logits: "Tensor"
    mask: "Tensor"
    positions: "Tensor"


class Beginning(NamedTuple):
    """What prompts begin with, read once.

    Attributes:
        n_tokens: Tokens of it; 0 where nothing is in common, or where the model has layers that need more than a mask to skip padding.
        cache: Their keys and values, of a single row; None of no tokens.
    """

    n_tokens: int
    cache: DynamicCache | None


def read_beginning(model: "PreTrainedModel", prompts: list[list[int]]) -> Beginning:
    """Read what all prompts begin with, token ids [b][t] of which none are empty; the last token of none is part of it."""
    import torch

    cache = growing_cache(model.config)
    n_tokens = len(commonprefix([prompt[:-1] for prompt in prompts])) if len(prompts) > 1 else 0
    if not n_tokens or any(type(layer) is not GrowingLayer for layer in cache.layers):
        return Beginning(0, None)
    ids = torch.tensor([prompts[0][:n_tokens]], device=model.device)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Beginning(n_tokens, cache)


def read_prompts(model: "PreTrainedModel", prompts: list[list[int]], beginning: Beginning) -> ReadPrompts:
    """Read prompts, token ids [b][t], after what they begin with, into a cache of their own; equal ones are read once."""
    import torch

    n_begun, begun = beginning
    distinct = list(dict.fromkeys(map(tuple, prompts)))
    cache = growing_cache(model.config) if begun is None else deepcopy(begun)
    if begun is not None:
        cache.batch_select_indices(torch.zeros(len(distinct), dtype=torch.int64))
    ids, mask, positions = left_padded([list(prompt[n_begun:]) for prompt in distinct], model.device)
    mask, positions = torch.cat([mask.new_ones(len(mask), n_begun), mask], dim=1), positions + n_begun
    logits = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    positions = positions[:, -1:]
    if len(distinct) < len(prompts):
        places = {prompt: place for place, prompt in enumerate(distinct)}
        # on the CPU, since the layers of a large model lie on several GPUs
        rows = torch.tensor([places[tuple(prompt)] for prompt in prompts])
        cache.batch_select_indices(rows)
        logits, mask, positions = logits[rows], mask[rows], positions[rows]
    return ReadPrompts(cache, logits, mask, positions)
