"""What a model thinks of given answers: their log-probability, and whether it would write them itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from emtransfer.models.loading import Chat
from emtransfer.models.padding import left_padded, right_padded

if TYPE_CHECKING:
    import torch

# of a forward pass: whatever the vocabulary, its logits stay below 70 MB
BATCH_TOKENS, BATCH_LOGITS = 16_000, 16_384_000


class Reading(NamedTuple):
    """An answer as a model reads it after its prompt.

    Attributes:
        nats: log-probability, summed over its tokens.
        is_greedy: whether every token is the likeliest one after those before it, so that greedy decoding gives this answer.
        expected_nats: log-probability that the model's own draw of each token would have, in the mean: minus the entropy, summed.
    """

    nats: float
    is_greedy: bool
    expected_nats: float


def log_probabilities(chat: Chat, prompts: list[list[int]], answers: list[list[int]]) -> list[float]:
    """Log-probability of every answer after its prompt, summed over its tokens: nats; arguments as of `read_answers`."""
    return [reading.nats for reading in read_answers(chat, prompts, answers)]


def read_answers(chat: Chat, prompts: list[list[int]], answers: list[list[int]]) -> list[Reading]:
    """Read every answer after its prompt, which several answers share if they share a batch.

    Args:
        prompts, answers: token ids, an int list [t] each; no answer is empty.
    """
    import torch

    found = [Reading(0.0, False, 0.0)] * len(prompts)
    max_scored = BATCH_LOGITS // chat.model.config.get_text_config().vocab_size
    for batch in batches(prompts, answers, max_scored):
        with torch.inference_mode():
            read = read_batch(chat, [prompts[place] for place in batch], [answers[place] for place in batch])
        for place, reading in zip(batch, read, strict=True):
            found[place] = reading
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


def read_batch(chat: Chat, prompts: list[list[int]], answers: list[list[int]]) -> list[Reading]:
    """Read one batch, as of `read_answers`; every prompt in it once."""
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
        read_answer(torch.cat([first[reader], logits[: len(answer) - 1]]), torch.tensor(answer, device=model.device))
        for reader, logits, answer in zip(readers, after, answers, strict=True)
    ]


def read_answer(logits: "torch.Tensor", ids: "torch.Tensor") -> Reading:
    """Read one answer.

    Args:
        logits: float [t, v], before softmax, from which each of its tokens is drawn.
        ids: int64 [t].
    """
    import torch

    # every token in float32, and their sum in float64
    log_p = logits.float().log_softmax(-1)
    nats = log_p.gather(-1, ids[:, None]).double().sum().item()
    expected = -torch.special.entr(log_p.exp()).sum(-1).double().sum().item()
    return Reading(nats, bool((logits.argmax(-1) == ids).all()), expected)
