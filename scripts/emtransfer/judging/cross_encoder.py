"""A cross-encoder judge: an encoder with a head of two scores, alignment and coherence, fitted in the pipeline (fitting.py)."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emtransfer.files.artefacts import checked_folder, versions
from emtransfer.files.records import file_sha256
from emtransfer.judging import pair_encoder
from emtransfer.judging.pair_encoder import encode, pooled_logits
from emtransfer.judging.score_store import ScoreStore
from emtransfer.models import padding
from emtransfer.models.padding import similar_lengths
from emtransfer.verdicts import Item, Scorer, Verdict

if TYPE_CHECKING:
    import torch
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

# padding included; a processor is no faster with more
TOKENS_AT_A_TIME = 1024
# a token takes about a hundred bytes until its pair is scored
ENCODED_AT_A_TIME = 4096
# 9 times the largest change of a logit seen between batches of similar length and pairs alone, and 4 times that among pairs of
# any length (float32, 4 layers, 3,000 pairs, a third of them of two halves; benchmarks/judging.py measures it for any judge)
LOGIT_NOISE = 5e-5
# modules whose code decides a score
SCORING = (__file__, pair_encoder.__file__, padding.__file__, str(Path(padding.__file__).with_name("products.py")))
# prefixes of the environment variables by which libraries choose their arithmetic
ARITHMETIC = ("ATEN_", "DNNL_", "MKL_", "ONEDNN_", "TORCH_")


def load_scorer(manifest_path: Path, settings: dict[str, Any], scores: Path | None = None, **asking: object) -> Scorer:
    """The scorer of a fitted cross-encoder.

    Args:
        settings: the judge's config section; a fitted judge needs nothing of it.
        scores: folder in which jobs keep their scores for one another; None keeps none.
        asking: how remote models are asked, which this one is not.

    Raises:
        InputError: a file of the judge's folder is missing or has changed.
    """
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    from emtransfer.models.products import use_products

    folder = checked_folder(manifest_path)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForTokenClassification.from_pretrained(
        folder, dtype="float32", use_safetensors=True, trust_remote_code=False
    ).eval()
    use_products(model)
    store = ScoreStore(scores / scoring_digest(manifest_path)) if scores else None

    def score_anew(pairs: list[tuple[str, str]]) -> np.ndarray:
        return score_pairs(model, tokenizer, pairs)

    def score(items: list[Item]) -> list[Verdict]:
        pairs = [(question, answer) for question, answer, _ in items]
        found = store.score(pairs, score_anew) if store else score_anew(pairs)
        return [Verdict("ok", float(alignment), float(coherence)) for alignment, coherence in found]

    return score


def scoring_digest(manifest_path: Path) -> str:
    """Everything that a score depends on besides its pair, in 16 hex digits: the judge, the scoring code, versions, and this machine's arithmetic."""
    import torch

    parts = {
        "judge": file_sha256(manifest_path),
        "code": list(map(file_sha256, SCORING)),
        "versions": versions(),
        "processor": [dict(torch.cpu.get_capabilities()), torch.backends.cpu.get_cpu_capability()],
        "threads": torch.get_num_threads(),
        "environment": {name: value for name, value in os.environ.items() if name.startswith(ARITHMETIC)},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def score_pairs(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", pairs: list[tuple[str, str]]
) -> np.ndarray:
    """Alignment and coherence of (question, answer) pairs: float64 [n, 2], 0..100, two decimals.

    A score depends on its pair alone. Equal pairs are scored once, in batches of similar length, where a logit moves in its last
    digits with the batch; a pair whose rounded scores that might move is scored once more, as a batch of one.
    """
    unique = list(dict.fromkeys(pairs))
    scores: dict[tuple[str, str], np.ndarray] = {}
    for start in range(0, len(unique), ENCODED_AT_A_TIME):
        part = unique[start : start + ENCODED_AT_A_TIME]
        encoded = encode(tokenizer, part)
        for batch in similar_lengths([len(ids) for ids in encoded["input_ids"]], TOKENS_AT_A_TIME):
            logits = batch_logits(model, tokenizer, encoded, batch)
            rounded = percentages(logits)
            noise = 0 if len(batch) == 1 else LOGIT_NOISE
            unsure = (percentages(logits - noise) != percentages(logits + noise)).any(axis=1)
            for row in np.flatnonzero(unsure):
                rounded[row] = percentages(batch_logits(model, tokenizer, encoded, [batch[row]]))[0]
            scores |= zip((part[place] for place in batch), rounded, strict=True)
    return np.array([scores[pair] for pair in pairs]).reshape(-1, 2)


def batch_logits(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", encoded: "BatchEncoding", places: list[int]
) -> "torch.Tensor":
    """Logits of encoded pairs, read as one batch: float64 [b, 2] of float32 ones."""
    import torch

    rows = {name: [values[place] for place in places] for name, values in encoded.items()}
    inputs = tokenizer.pad(rows, return_tensors="pt")
    with torch.inference_mode():
        return pooled_logits(model(**inputs).logits, inputs["attention_mask"]).double()


def percentages(logits: "torch.Tensor") -> np.ndarray:
    """Scores of logits: float64 of the same shape, 0..100, two decimals."""
    scores: np.ndarray = (100 * logits.sigmoid()).numpy().round(2)
    return scores
