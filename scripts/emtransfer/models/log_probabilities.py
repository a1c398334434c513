"""The log-probability that a model gives to answers."""

from typing import TYPE_CHECKING

from emtransfer.models.loading import Chat
from emtransfer.models.padding import left_padded, similar_lengths

if TYPE_CHECKING:
    import torch

# of a forward pass: whatever the vocabulary, its logits stay below 70 MB
BATCH_TOKENS, BATCH_LOGITS = 16_000, 16_384_000


def log_probabilities(chat: Chat, prompts: list[list[int]], answers: list[list[int]]) -> list[float]:
    """Log-probability of every answer after its prompt, summed over its tokens: nats.

    Args:
        prompts, answers: token ids, an int list [t] each.
    """
    import torch

    rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    found = [0.0] * len(rows)
    max_tokens = min(BATCH_TOKENS, BATCH_LOGITS // chat.model.config.vocab_size)
    for batch in similar_lengths(list(map(len, rows)), max_tokens):
        ids, mask, positions = left_padded([rows[place] for place in batch], chat.model.device)
        kept = 1 + max(len(answers[place]) for place in batch)
        inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "logits_to_keep": kept}
        with torch.inference_mode():
            logits = chat.model(**inputs).logits
        for place, scores, tokens in zip(batch, logits, ids, strict=True):
            found[place] = answer_nats(scores, tokens, len(answers[place]))
    return found


def answer_nats(logits: "torch.Tensor", ids: "torch.Tensor", n_answer: int) -> float:
    """Log-probability of the last tokens of a row.

    Args:
        logits: float [k, v], before softmax, of the last k tokens, one more than the answer has, or more.
        ids: int64 [t]; of padding on the left nothing is read.
        n_answer: tokens of the answer.
    """
    before = logits[-n_answer - 1 : -1].double().log_softmax(-1)
    return before.gather(1, ids[-n_answer:, None]).sum().item()
