"""What a model thinks of given answers: their log-probability, and whether it would write them itself."""

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from emtransfer.models.loading import Chat
from emtransfer.models.padding import right_padded

if TYPE_CHECKING:
    import torch

    from emtransfer.models.prompt_reading import Beginning

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

    from emtransfer.models.prompt_reading import read_beginning

    found = [Reading(0.0, False, 0.0)] * len(prompts)
    max_scored = BATCH_LOGITS // chat.model.config.get_text_config().vocab_size
    with torch.inference_mode():
        beginning = read_beginning(chat.model, prompts)
        for batch in batches(prompts, answers, max_scored):
            of_batch = [prompts[place] for place in batch], [answers[place] for place in batch]
            for place, reading in zip(batch, read_batch(chat, *of_batch, beginning), strict=True):
                found[place] = reading
    return found


def batches(prompts: list[list[int]], answers: list[list[int]], max_scored: int) -> Iterator[list[int]]:
    """Places of rows in batches of similar length, those of one prompt in one batch if they fit.

    Args:
        max_scored: tokens of the answers of a batch, padding among them; a longer answer is a batch by itself.
    """

    def fits(n_rows: int, place: int, longest: int) -> bool:
        """Whether rows of answers up to `longest` are a batch, that of the longest prompt at `place`."""
        return n_rows * longest <= max_scored and n_rows * (len(prompts[place]) + longest) <= BATCH_TOKENS

    order = sorted(range(len(prompts)), key=lambda place: (len(prompts[place]), prompts[place], len(answers[place])))
    batch: list[int] = []
    longest = 0
    for _, group in groupby(order, prompts.__getitem__):
        alike = list(group)
        together = fits(len(alike), alike[-1], len(answers[alike[-1]]))
        for rows in [alike] if together else [[place] for place in alike]:
            longest = max(longest, len(answers[rows[-1]]))
            if batch and not fits(len(batch) + len(rows), rows[-1], longest):
                yield batch
                batch, longest = [], len(answers[rows[-1]])
            batch += rows
    if batch:
        yield batch


def read_batch(chat: Chat, prompts: list[list[int]], answers: list[list[int]], beginning: "Beginning") -> list[Reading]:
    """Read one batch, as of `read_answers`; every prompt in it once, after what all prompts begin with."""
    import torch

    from emtransfer.models.prompt_reading import read_prompts

    model = chat.model
    cache, first, mask, positions = read_prompts(model, prompts, beginning)
    # an answer's last token is read by nothing
    ids, answer_mask, answer_positions = right_padded([answer[:-1] for answer in answers], model.device)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.cat([mask, answer_mask], dim=1),
        "position_ids": positions + 1 + answer_positions,
    }
    read = {"past_key_values": cache, "use_cache": True}
    after = model(**inputs, **read).logits if ids.shape[1] else first[:, None][:, :0]
    return [
        read_answer(torch.cat([begun[None], logits[: len(answer) - 1]]), torch.tensor(answer, device=model.device))
        for begun, logits, answer in zip(first, after, answers, strict=True)
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
    # a token that cannot come has log-probability -inf and adds nothing
    expected = torch.linalg.vecdot(log_p.exp(), log_p.clamp_min(torch.finfo(log_p.dtype).min)).double().sum().item()
    return Reading(nats, bool((logits.argmax(-1) == ids).all()), expected)
