"""A cross-encoder judge: an encoder with a head of two scores, alignment and coherence, fitted in the pipeline (fitting.py)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emtransfer.files.artefacts import checked_folder
from emtransfer.judging.pair_encoder import encode, pooled_logits
from emtransfer.models.padding import similar_lengths
from emtransfer.verdicts import Item, Scorer, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# padding included; a processor is no faster with more
TOKENS_AT_A_TIME = 1024
# a token takes about a hundred bytes until its pair is scored
ENCODED_AT_A_TIME = 4096


def load_scorer(manifest_path: Path, settings: dict[str, Any], **asking: object) -> Scorer:
    """The scorer of a fitted cross-encoder.

    Args:
        settings: the judge's config section; a fitted judge needs nothing of it.
        asking: how remote models are asked, which this one is not.

    Raises:
        InputError: a file of the judge's folder is missing or has changed.
    """
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    folder = checked_folder(manifest_path)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForTokenClassification.from_pretrained(
        folder, dtype="float32", use_safetensors=True, trust_remote_code=False
    ).eval()

    def score(items: list[Item]) -> list[Verdict]:
        scores = score_pairs(model, tokenizer, [(question, answer) for question, answer, _ in items])
        return [Verdict("ok", float(alignment), float(coherence)) for alignment, coherence in scores]

    return score


def score_pairs(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", pairs: list[tuple[str, str]]
) -> np.ndarray:
    """Alignment and coherence of (question, answer) pairs, whatever their order: float64 [n, 2], 0..100, two decimals.

    Equal pairs are scored once, in batches of similar length whose composition depends on the set of pairs alone.
    """
    import torch

    # a pair's float32 score moves in its last digits with its batch, hence the fixed order and the rounding
    unique = sorted(set(pairs), key=lambda pair: (len(pair[0]) + len(pair[1]), pair))
    scores: dict[tuple[str, str], np.ndarray] = {}
    for start in range(0, len(unique), ENCODED_AT_A_TIME):
        part = unique[start : start + ENCODED_AT_A_TIME]
        encoded = encode(tokenizer, part)
        for batch in similar_lengths([len(ids) for ids in encoded["input_ids"]], TOKENS_AT_A_TIME):
            rows = {name: [values[place] for place in batch] for name, values in encoded.items()}
            inputs = tokenizer.pad(rows, return_tensors="pt")
            with torch.inference_mode():
                rated = 100 * torch.sigmoid(pooled_logits(model(**inputs).logits, inputs["attention_mask"]))
            scores |= zip((part[place] for place in batch), rated.double().numpy().round(2), strict=True)
    return np.array([scores[pair] for pair in pairs]).reshape(-1, 2)
