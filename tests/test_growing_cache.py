"""A cache with room gives the logits of transformers' own to the last bit, whatever is appended and whichever rows are kept."""

import pytest
import torch
from transformers import DynamicCache

from emtransfer.models.growing_cache import ROOM, GrowingLayer, growing_cache
from helpers.cached_models import MODELS

# tokens that are appended at a time, and the rows of four that are kept after them
STEPS = [
    (9, [0, 1, 1, 2, 3]),
    (1, [0, 1, 2, 3, 4]),
    (ROOM - 2, [4, 0, 2]),
    (1, [0, 1, 2]),
    (1, [2, 1]),
    (3 * ROOM, [1]),
]


@pytest.mark.parametrize("kind", MODELS)
def test_logits_are_those_of_transformers_own_cache(kind):
    model_class, config, n_plain = MODELS[kind]
    torch.manual_seed(1)
    model = model_class(config).eval()
    caches = growing_cache(config), DynamicCache(config=config)
    assert sum(type(layer) is GrowingLayer for layer in caches[0].layers) == n_plain
    n_rows, n_read = 4, 0
    mask = torch.tensor([[0] * n + [1] * (9 - n) for n in range(4)])
    with torch.inference_mode():
        for n_tokens, kept in STEPS:
            ids = torch.randint(50, (n_rows, n_tokens))
            mask = mask if n_read == 0 else torch.cat([mask, mask.new_ones(n_rows, n_tokens)], dim=1)
            ours, theirs = (
                model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True).logits
                for cache in caches
            )
            # a row that begins with padding has nothing to attend to there
            assert torch.equal(ours[:, -1], theirs[:, -1])
            for cache in caches:
                cache.batch_select_indices(torch.tensor(kept))
            mask, n_rows, n_read = mask[kept], len(kept), n_read + n_tokens
    assert caches[0].get_seq_length() == n_read == sum(n for n, _ in STEPS)
