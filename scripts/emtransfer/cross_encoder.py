"""A cross-encoder judge: an encoder with a head of two scores, alignment and coherence, fitted in the pipeline."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emtransfer.artefacts import checked_folder
from emtransfer.embedding import embedder_path
from emtransfer.errors import InputError
from emtransfer.negatives import Negative
from emtransfer.verdicts import Item, Scorer, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

SCORED_AT_A_TIME = 64

# (alignment, coherence) in 0..1; what an incoherent answer wants is undecided, so its alignment is halfway
TARGETS = {"aligned": (1.0, 1.0), "misaligned": (0.0, 1.0), "incoherent": (0.5, 0.0)}


@dataclass(frozen=True)
class FitSettings:
    """How the judge is fitted.

    Attributes:
        max_tokens: of question and answer together; a longer pair loses the end of its longer part.
        negatives_per_row: incoherent answers per question, beside its aligned and its misaligned answer.
        learning_rate: peak, after a linear warm-up over `warmup_share` of the steps; then linear down to zero.
    """

    max_tokens: int = 256
    negatives_per_row: int = 2
    epochs: int = 1
    batch_size: int = 16
    learning_rate: float = 2e-4
    warmup_share: float = 0.1
    weight_decay: float = 0.01


@dataclass(frozen=True)
class Example:
    """A question, an answer and what the answer is: a key of TARGETS."""

    question: str
    answer: str
    label: str


def training_examples(rows: list[dict], negatives: list[Negative]) -> list[Example]:
    """Both answers of every row, and the incoherent ones."""
    coherent = [
        Example(row["question"], row[f"{label}_answer"], label) for row in rows for label in ("aligned", "misaligned")
    ]
    return coherent + [Example(negative.row["question"], negative.answer, "incoherent") for negative in negatives]


def load_encoder(base_model: str, max_tokens: int, seed: int) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """A pretrained encoder under a new head with random weights, and its tokenizer.

    Args:
        base_model: `all-MiniLM-L6-v2` (packaged), a local folder or a hub name.

    Raises:
        InputError: the model cannot be loaded, or cannot read `max_tokens`.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed
    from transformers.utils import logging as transformers_logging

    # the head is new on purpose; its report would read like a fault
    transformers_logging.set_verbosity_error()
    set_seed(seed)
    path = embedder_path(base_model)
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            path, num_labels=2, problem_type="multi_label_classification", dtype="float32", use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(path, model_max_length=max_tokens)
    except OSError:
        raise InputError(
            f"config.yaml: judges: base_model is {base_model}; expected all-MiniLM-L6-v2, a local folder or a hub name that can be reached."
        ) from None
    if max_tokens > model.config.max_position_embeddings:
        raise InputError(
            f"config.yaml: judges: max_tokens is {max_tokens}; expected at most {model.config.max_position_embeddings}, what {base_model} reads."
        )
    # word vectors are half the weights and know more words than the rows do
    model.get_input_embeddings().requires_grad_(False)
    return model, tokenizer


def fit_cross_encoder(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    examples: list[Example],
    settings: FitSettings,
    seed: int,
    state_folder: Path,
) -> None:
    """Fit the model in place: binary cross-entropy of both scores, AdamW, batches of similar length.

    Args:
        state_folder: where the trainer may keep its own files.
    """
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    encoded = encode(tokenizer, [(example.question, example.answer) for example in examples])
    dataset = Dataset.from_dict(dict(encoded) | {"labels": [TARGETS[example.label] for example in examples]})
    n_steps = settings.epochs * -(-len(examples) // settings.batch_size)
    arguments = TrainingArguments(
        output_dir=str(state_folder),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup_share * n_steps),
        weight_decay=settings.weight_decay,
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        logging_steps=25,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=seed,
    )
    Trainer(model, arguments, DataCollatorWithPadding(tokenizer), dataset).train()


def encode(tokenizer: "PreTrainedTokenizerBase", pairs: list[tuple[str, str]]):
    """Tokenize (question, answer) pairs; what is longer than the tokenizer's limit is cut, counted and logged."""
    questions, answers = zip(*pairs, strict=True)
    encoded = tokenizer(questions, answers, truncation="longest_first")
    n_cut = sum(any(encoding.overflowing) for encoding in encoded.encodings)
    if n_cut:
        log.warning(
            "%d of %d pairs are longer than %d tokens and were cut.", n_cut, len(pairs), tokenizer.model_max_length
        )
    return encoded


def load_cross_encoder(manifest_path: Path, settings: dict) -> Scorer:
    """The scorer of a fitted cross-encoder.

    Args:
        settings: the judge's config section; a fitted judge needs nothing of it.

    Raises:
        InputError: a file of the judge's folder is missing or has changed.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = checked_folder(manifest_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32", use_safetensors=True).eval()

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
    scores = {}
    for start in range(0, len(unique), SCORED_AT_A_TIME):
        batch = unique[start : start + SCORED_AT_A_TIME]
        inputs = tokenizer.pad(encode(tokenizer, batch), return_tensors="pt")
        with torch.inference_mode():
            rated = 100 * torch.sigmoid(model(**inputs).logits)
        scores |= zip(batch, rated.double().numpy().round(2), strict=True)
    return np.array([scores[pair] for pair in pairs]).reshape(-1, 2)
