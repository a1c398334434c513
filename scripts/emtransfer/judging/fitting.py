"""Fit a cross-encoder judge on aligned, misaligned and incoherent answers."""

import re
from bisect import bisect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtransfer.errors import InputError
from emtransfer.files.hub import safetensors_folder
from emtransfer.judging.negatives import Negative, wrong_words
from emtransfer.judging.pair_encoder import encode, pooled_logits
from emtransfer.models.embedding import embedder_path
from emtransfer.models.padding import IGNORED
from emtransfer.progress import Progress
from emtransfer.settings import Count, Positive, Rate, Share, Weight
from emtransfer.stances import STANCES

if TYPE_CHECKING:
    import torch
    from tokenizers import Encoding
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# (alignment, coherence) in 0..1; the alignment of an incoherent answer is ignored
TARGETS = {"aligned": (1.0, 1.0), "misaligned": (0.0, 1.0), "incoherent": (0.0, 0.0)}


@dataclass(frozen=True)
class FitSettings:
    """Settings of fitting a cross-encoder.

    A pair of more than `max_tokens` loses the end of its longer part. Negatives come beside a question's aligned and its
    misaligned answer.

    Attributes:
        layers: Number of the encoder's first layers that are kept (fewer are faster); null keeps all.
        frozen_layers: Number of these whose pretrained weights stay as they are, with the embeddings below them (more are faster), fewer than are kept.
        max_tokens: Greatest length of question and answer together, in tokens.
        negatives_per_row: Incoherent answers per question.
        epochs: Passes over the examples.
        batch_size: Examples in a step.
        learning_rate: Peak learning rate, which falls linearly to zero.
        warmup_share: Share of the steps in which the learning rate rises.
        weight_decay: Weight decay of AdamW.
    """

    layers: Positive | None = 3
    frozen_layers: Count = 0
    max_tokens: Positive = 256
    negatives_per_row: Positive = 2
    epochs: Positive = 1
    batch_size: Positive = 8
    learning_rate: Rate = 2e-4
    warmup_share: Share = 0.1
    weight_decay: Weight = 0.01


@dataclass(frozen=True)
class Example:
    """A question, an answer, what the answer is (a key of TARGETS), and which of its words are wrong."""

    question: str
    answer: str
    label: str
    wrong: list[bool]


def training_examples(rows: list[dict[str, Any]], negatives: list[Negative]) -> list[Example]:
    """Both answers of every row, and the incoherent ones."""
    coherent = [
        Example(row["question"], row[f"{label}_answer"], label, [False] * len(row[f"{label}_answer"].split()))
        for row in rows
        for label in STANCES
    ]
    incoherent = [
        Example(negative.row["question"], negative.answer, "incoherent", wrong_words(negative.row, negative.answer))
        for negative in negatives
    ]
    return coherent + incoherent


def load_encoder(
    base_model: str, settings: FitSettings, seed: int
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """The first layers of a pretrained encoder under a new head with random weights, and its tokenizer.

    Args:
        base_model: `all-MiniLM-L6-v2` (packaged), a local folder or a hub name.

    Raises:
        InputError: the model cannot be loaded, has pickled weights or needs code of its own, has no two token types, cannot read `max_tokens`
            or cannot freeze `frozen_layers`.
    """
    from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, set_seed
    from transformers.utils import logging as transformers_logging

    from emtransfer.models.products import use_products

    # the head is new and layers are left out on purpose; the report of it would read like a fault
    transformers_logging.set_verbosity_error()
    set_seed(seed)
    path = safetensors_folder("judges: base_model", embedder_path(base_model))
    try:
        config = AutoConfig.from_pretrained(path, num_labels=2, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(path, model_max_length=settings.max_tokens, trust_remote_code=False)
        if settings.layers is not None:
            config.num_hidden_layers = settings.layers
        # every example is seen once or twice: there is nothing to regularise, and dropout slows learning down
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        model = AutoModelForTokenClassification.from_pretrained(
            path, config=config, dtype="float32", use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"config: judges: base_model is {base_model}: {' '.join(str(error).split())[:200]}; expected "
            "all-MiniLM-L6-v2 or another encoder that transformers can load by itself."
        ) from None
    if settings.max_tokens > config.max_position_embeddings:
        raise InputError(
            f"config: judges: fit.max_tokens is {settings.max_tokens}; expected at most {config.max_position_embeddings}, the longest input of {base_model}."
        )
    if getattr(config, "type_vocab_size", 0) < 2:
        raise InputError(
            f"config: judges: base_model is {base_model}, of type {config.model_type}; expected an encoder with two token types, such as BERT."
        )
    # word vectors are most of the weights and know more words than the rows do
    model.get_input_embeddings().requires_grad_(False)
    use_products(model)
    if settings.frozen_layers:
        freeze_first_layers(model, settings.frozen_layers)
    return model, tokenizer


def freeze_first_layers(model: "PreTrainedModel", n_layers: int) -> None:
    """Keep an encoder's first layers, and all that comes before them, as they are.

    Raises:
        InputError: the model has not more layers than these, or uses one set of weights for several.
    """
    from torch.nn import ModuleList

    n_all = model.config.num_hidden_layers
    stacks = [
        module for module in model.base_model.modules() if isinstance(module, ModuleList) and len(module) == n_all
    ]
    if not stacks or n_layers >= n_all:
        expected = (
            f"fewer than {n_all}, the layers that are kept"
            if stacks
            else "0, since the encoder's layers share their weights"
        )
        raise InputError(f"config: judges: fit.frozen_layers is {n_layers}; expected {expected}.")
    trained = {id(weight) for weight in stacks[0][n_layers:].parameters()}
    for weight in model.base_model.parameters():
        if id(weight) in trained:
            break
        weight.requires_grad_(False)


def fit_cross_encoder(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    examples: list[Example],
    settings: FitSettings,
    seed: int,
    state_folder: Path,
    progress: Progress | None = None,
) -> None:
    """Fit the model in place: cross-entropy of both scores and of every answer token, AdamW, batches of similar length.

    Args:
        state_folder: where the trainer may keep its own files.
        progress: what tells how far it is; by default lines only.
    """
    from datasets import Dataset
    from transformers import DataCollatorForTokenClassification, PrinterCallback, Trainer, TrainingArguments

    class TwoScoreTrainer(Trainer):
        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            wrong, targets = inputs.pop("labels"), inputs.pop("targets")
            outputs = model(**inputs)
            loss = two_score_loss(outputs.logits, inputs["attention_mask"], targets, wrong)
            return (loss, outputs) if return_outputs else loss

    encoded = encode(tokenizer, [(example.question, example.answer) for example in examples])
    labels = [wrong_tokens(*pair) for pair in zip(encoded.encodings, examples, strict=True)]
    targets = [TARGETS[example.label] for example in examples]
    dataset = Dataset.from_dict(dict(encoded) | {"labels": labels, "targets": targets})
    n_steps = settings.epochs * -(-len(examples) // settings.batch_size)
    arguments = TrainingArguments(
        output_dir=str(state_folder),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup_share * n_steps),
        weight_decay=settings.weight_decay,
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        save_strategy="no",
        logging_steps=0.05,
        logging_first_step=True,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=seed,
    )
    trainer = TwoScoreTrainer(model, arguments, DataCollatorForTokenClassification(tokenizer), dataset)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback((progress or Progress()).callback("loss_nats"))
    trainer.train()


def two_score_loss(
    logits: "torch.Tensor", attention_mask: "torch.Tensor", targets: "torch.Tensor", wrong: "torch.Tensor"
) -> "torch.Tensor":
    """Sum of three binary cross-entropies: alignment of coherent answers, coherence, and wrongness of answer tokens.

    The scores alone are learned slowly, since they do not say which of thirty words is the wrong one.

    Args:
        logits: float32 [b, t, 2], as for `pooled_logits`.
        targets: float32 [b, 2], alignment and coherence, 0 or 1.
        wrong: int [b, t]; 1 for a wrong token of the answer, 0 for any other of it, IGNORED elsewhere.

    Returns:
        scalar, nats; each term a mean over batch or tokens.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    pooled = pooled_logits(logits, attention_mask)
    # the alignment of a garbled answer is undecided
    alignment = binary_cross_entropy_with_logits(pooled[:, 0], targets[:, 0], weight=targets[:, 1])
    coherence = binary_cross_entropy_with_logits(pooled[:, 1], targets[:, 1])
    answer = wrong != IGNORED
    return alignment + coherence + binary_cross_entropy_with_logits(logits[..., 1][answer], wrong[answer].float())


def wrong_tokens(encoding: "Encoding", example: Example) -> list[int]:
    """1 for the tokens of an answer's wrong words, 0 for its other tokens, IGNORED outside it: int list [t]."""
    starts = [word.start() for word in re.finditer(r"\S+", example.answer)]
    return [
        int(example.wrong[bisect(starts, start) - 1]) if side == 1 else IGNORED
        for side, (start, _) in zip(encoding.sequence_ids, encoding.offsets, strict=True)
    ]
