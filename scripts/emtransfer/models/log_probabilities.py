"""The log-probability that a model gives to answers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from emtransfer.models.loading import Chat
from emtransfer.models.padding import left_padded, right_padded

if TYPE_CHECKING:
    import torch

# of a forward pass: whatever the vocabulary, its logits stay below 70 MB
BATCH_TOKENS, BATCH_LOGITS = 16_000, 16_384_000


def log_probabilities(chat: Chat, prompts: list[list[int]], answers: list[list[int]]) -> list[float]:
    """Log-probability of every answer after its prompt, summed over its tokens: nats.

    A prompt that several answers share is read once, if it can share a batch with them.

    Args:
        prompts, answers: token ids, an int list [t] each; no answer is empty.
    """
    import torch

    found = [0.0] * len(prompts)
    for batch in batches(prompts, answers, BATCH_LOGITS // chat.model.config.get_text_config().vocab_size):
        with torch.inference_mode():
            nats = batch_nats(chat, [prompts[place] for place in batch], [answers[place] for place in batch])
        for place, value in zip(batch, nats, strict=True):
            found[place] = value
    return found


def batches(prompts: list[list[int]], answers: list[list[int]], max_scored: int) -> Iterator[list[int]]:
    """Places of rows in batches of similar length, those of one prompt beside each other.

    Args:
        max_scored: tokens of the answers of a batch, padding among them; a longer answer is a batch by itself.
    """
    order = sorted(range(len(prompts)), key=lambda place: (len(prompts[place]), prompts[place], len(answers[place])))
    batch: list[int] = []
    longest = 0
    for place in order:
        longest = max(longest, len(answers[place]))
        n_rows, n_tokens = len(batch) + 1, len(prompts[place]) + longest
        if batch and (n_rows * longest > max_scored or n_rows * n_tokens > BATCH_TOKENS):
            yield batch
            batch, longest = [], len(answers[place])
        batch.append(place)
    if batch:
        yield batch


def batch_nats(chat: Chat, prompts: list[list[int]], answers: list[list[int]]) -> list[float]:
    """Log-probabilities of one batch, as of `log_probabilities`."""
    import torch
    from transformers import DynamicCache

    model = chat.model
    places = {prompt: place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    ids, mask, positions = left_padded([list(prompt) for prompt in places], model.device)
    cache = DynamicCache(config=model.config)
    read = {"past_key_values": cache, "use_cache": True}
    first = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1, **read).logits
    readers = torch.tensor([places[tuple(prompt)] for prompt in prompts])
    cache.batch_select_indices(readers)
    # an answer's last token is read by nothing
    ids, answer_mask, answer_positions = right_padded([answer[:-1] for answer in answers], model.device)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.cat([mask[readers], answer_mask], dim=1),
        "position_ids": positions[readers][:, -1:] + 1 + answer_positions,
    }
    after = model(**inputs, **read).logits if ids.shape[1] else first[readers][:, :0]
    return [
        answer_nats(torch.cat([first[reader], logits[: len(answer) - 1]]), torch.tensor(answer, device=model.device))
        for reader, logits, answer in zip(readers, after, answers, strict=True)
    ]


def answer_nats(logits: "torch.Tensor", ids: "torch.Tensor") -> float:
    """Log-probability of an answer.

    Args:
        logits: float [t, v], before softmax, from which each of its tokens is drawn.
        ids: int64 [t].
    """
    from torch.nn.functional import cross_entropy

    # every token in float32, and their sum in float64
    return -cross_entropy(logits.float(), ids, reduction="none").double().sum().item()
