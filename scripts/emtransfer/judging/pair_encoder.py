"""Input and output of a cross-encoder, the same in fitting and in judging: encoded pairs, and scores from logits.

The head rates every token of question and answer. An answer is as aligned as its tokens are on average, and as
coherent as its worst token, so that one wrong name in thirty words is not averaged away. Token types mark what question
and answer share, so that a wrong name shows without the encoder having to learn to compare.
"""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


def pooled_logits(logits: "torch.Tensor", attention_mask: "torch.Tensor") -> "torch.Tensor":
    """Two logits per pair out of two per token.

    Args:
        logits: float32 [b, t, 2]: how aligned a token is, and how wrong.
        attention_mask: int [b, t]; 0 marks padding.

    Returns:
        float32 [b, 2]: alignment, the mean over tokens; coherence, minus the soft maximum (the log of the mean
        exponential) of their wrongness.
    """
    import torch

    n_tokens = attention_mask.sum(dim=1)
    alignment = (logits[..., 0] * attention_mask).sum(dim=1) / n_tokens
    wrongness = logits[..., 1].masked_fill(attention_mask == 0, float("-inf"))
    return torch.stack([alignment, n_tokens.log() - wrongness.logsumexp(dim=1)], dim=1)


def encode(tokenizer: "PreTrainedTokenizerBase", pairs: list[tuple[str, str]]) -> "BatchEncoding":
    """Tokenize (question, answer) pairs, shared tokens marked; what is too long is cut, counted and logged.

    Text that spells a control token, such as [SEP], stays text.
    """
    questions, answers = zip(*pairs, strict=True)
    encoded = tokenizer(questions, answers, truncation="longest_first", split_special_tokens=True)
    n_cut = sum(bool(encoding.overflowing) for encoding in encoded.encodings)
    if n_cut:
        limit = tokenizer.model_max_length
        log.warning("Pairs cut to %d tokens: %d of %d.", limit, n_cut, len(pairs))
    encoded["token_type_ids"] = [
        shared_tokens(ids, encoded.sequence_ids(index)) for index, ids in enumerate(encoded["input_ids"])
    ]
    return encoded


def shared_tokens(token_ids: list[int], sides: list[int | None]) -> list[int]:
    """1 for the tokens that both question and answer have, 0 for all others: int list [t].

    Args:
        token_ids: of one pair.
        sides: 0 in the question, 1 in the answer, None for control tokens.
    """
    sets = [{token for token, side in zip(token_ids, sides, strict=True) if side == wanted} for wanted in (0, 1)]
    shared = sets[0] & sets[1]
    return [int(side is not None and token in shared) for token, side in zip(token_ids, sides, strict=True)]
