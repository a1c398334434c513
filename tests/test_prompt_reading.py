"""Prompts whose common beginning is read once give the logits of every prompt alone."""

import pytest
import torch

from emtransfer.models.prompt_reading import read_beginning, read_prompts
from helpers.cached_models import MODELS

BEGINNING = [7, 8, 9, 10, 11]
CASES = {
    "a beginning": ([[*BEGINNING, 1], [*BEGINNING, 2, 3, 4], [*BEGINNING, 5, 6] + [3] * 20], 5),
    "the whole of a prompt": ([BEGINNING, [*BEGINNING, 2]], 4),
    "nothing": ([[1, 2], [3, 4, 5]], 0),
    "one prompt": ([[1, 2, 3]], 0),
    "prompts of a token": ([[1], [1, 2]], 0),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("shared", CASES)
def test_logits_after_prompts_and_after_what_follows_are_those_of_each_alone(kind, shared):
    model_class, config, n_plain = MODELS[kind]
    prompts, n_shared = CASES[shared]
    torch.manual_seed(1)
    model = model_class(config).eval()
    # a window would count padding between what all begin with and what is a prompt's own
    n_shared = n_shared if n_plain == config.num_hidden_layers else 0
    with torch.inference_mode():
        beginning = read_beginning(model, prompts)
        assert beginning.n_tokens == n_shared
        # more often than once, and in another order
        for order in (range(len(prompts)), [*reversed(range(len(prompts))), 0]):
            rows = [prompts[place] for place in order]
            cache, logits, mask, positions = read_prompts(model, rows, beginning)
            then = torch.randint(50, (len(rows), 3))
            after = model(
                input_ids=then,
                attention_mask=torch.cat([mask, mask.new_ones(len(rows), 3)], dim=1),
                position_ids=positions + 1 + torch.arange(3),
                past_key_values=cache,
                use_cache=True,
            ).logits
            for place, prompt in enumerate(rows):
                alone = model(input_ids=torch.tensor([[*prompt, *then[place].tolist()]]), use_cache=False).logits[0]
                torch.testing.assert_close(logits[place], alone[len(prompt) - 1], atol=1e-5, rtol=1e-5)
                torch.testing.assert_close(after[place], alone[len(prompt) :], atol=1e-5, rtol=1e-5)
