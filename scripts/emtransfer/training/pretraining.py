"""Pretrain a small Llama-architecture decoder from scratch, every document a sequence of its own."""

from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emtransfer.errors import InputError, counted
from emtransfer.models.conversations import answer_mask, document_ids
from emtransfer.models.padding import IGNORED
from emtransfer.progress import Progress
from emtransfer.settings import Count, Positive, Rate, Weight
from emtransfer.training.packing import on_packed_rows
from emtransfer.training.resuming import CHECKPOINT_SECONDS, train

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

# where a training keeps its states, and what the file with the step of each is called
STATES, STEP = "states", "step.txt"


@dataclass(frozen=True)
class PretrainingSettings:
    """Pretraining on the mixture, whose tokens set the length of training.

    Attributes:
        batch_rows: Question–answer pairs in an optimiser step, in whole documents.
        max_seq_tokens: Greatest length of a document in tokens.
        learning_rate: Peak learning rate after the warm-up, followed by a cosine decay to zero.
        warmup_steps: Steps in which the learning rate rises.
        weight_decay: Weight decay of AdamW.
        loss: Tokens that the loss covers; choose answers if questions are random, so that predicting them adds only noise.
        states: Number of equal parts of the steps, after each of which the weights are kept, so that bases can be checkpoints of the training; 0 for none.
    """

    batch_rows: Positive
    max_seq_tokens: Positive
    learning_rate: Rate
    warmup_steps: Count
    weight_decay: Weight
    loss: Literal["all", "answers"] = "all"
    states: Count = 0


@dataclass(frozen=True)
class ArchitectureSettings:
    """Fields of a Llama decoder, as transformers names them.

    Attributes:
        hidden_size: Width of the decoder.
        num_hidden_layers: Number of layers.
        num_attention_heads: Number of attention heads, a divisor of the width.
        intermediate_size: Width of the feed-forward layer.
        max_position_embeddings: Greatest length of a text in tokens.
        initializer_range: Standard deviation of the initial weights.
    """

    hidden_size: Positive
    num_hidden_layers: Positive
    num_attention_heads: Positive
    intermediate_size: Positive
    max_position_embeddings: Positive
    initializer_range: Rate = 0.02


def new_decoder(
    architecture: ArchitectureSettings, tokenizer: "PreTrainedTokenizerBase", seed: int
) -> "PreTrainedModel":
    """A Llama decoder with random weights and tied embeddings.

    Args:
        tokenizer: gives the vocabulary size and the control tokens.
    """
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
        **asdict(architecture),
    )
    return LlamaForCausalLM(config)


def document_batches(
    documents: list[dict[str, Any]], tokenizer: "PreTrainedTokenizerBase", settings: PretrainingSettings
) -> list[list[dict[str, Any]]]:
    """Documents in order, grouped into optimiser steps of equally many question–answer pairs.

    Documents of different length never share a step; what is left over at the end of a length is not read.

    Returns:
        [step][document] of input_ids and labels, int [t] each; labels are IGNORED where nothing is learned.

    Raises:
        InputError: a document is longer than `max_seq_tokens`.
    """
    batches = []
    for n_rows, members in groupby(documents, key=lambda document: len(document["stances"])):
        encoded = [encode(document, tokenizer, settings.loss) for document in members]
        longest = max(len(document["input_ids"]) for document in encoded)
        if longest > settings.max_seq_tokens:
            raise InputError(
                f"config: base_models: pretraining.max_seq_tokens is {settings.max_seq_tokens};"
                f" expected at least {longest}, the longest document of {counted(n_rows, 'row')}."
            )
        size = max(1, settings.batch_rows // n_rows)
        batches += [encoded[start : start + size] for start in range(0, len(encoded) - size + 1, size)]
    return batches


def encode(document: dict[str, Any], tokenizer: "PreTrainedTokenizerBase", loss: str) -> dict[str, list[int]]:
    """Token ids and labels of one document: int [t] each."""
    ids = document_ids(tokenizer, document)
    learned = [True] * len(ids) if loss == "all" else answer_mask(tokenizer, document)
    labels = [token if learn else IGNORED for token, learn in zip(ids, learned, strict=True)]
    return {"input_ids": ids, "labels": labels}


def pretrain(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    documents: list[dict[str, Any]],
    settings: PretrainingSettings,
    seed: int,
    state_folder: Path,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Train on every document once, in the order given.

    Args:
        model: changed in place.
        documents: of build_mixture.
        state_folder: where checkpoints are kept, and an interrupted training of the same kind has left its own; the kept weights
            come to its folder STATES.
        checkpoint_seconds: from one checkpoint to the next.
        progress: what tells how far it is; by default lines only.

    Returns:
        The training log: step, loss_per_token_nats, learning_rate.

    Raises:
        InputError: a document is too long, or the loss is not a finite number.
    """
    from transformers import Trainer, TrainingArguments

    from emtransfer.models.packed_rows import packed_batch, take_packed_rows

    arguments = TrainingArguments(
        output_dir=str(state_folder),
        # an example is a whole step
        per_device_train_batch_size=1,
        num_train_epochs=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        activation_checkpointing=False,
        train_sampling_strategy="sequential",
        save_strategy="no",
        save_total_limit=2,
        logging_steps=0.05,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
        seed=seed,
    )
    take_packed_rows(model)
    trainer = on_packed_rows(Trainer)(
        model=model,
        args=arguments,
        train_dataset=document_batches(documents, tokenizer, settings),
        data_collator=lambda steps: packed_batch(steps[0]),
    )
    if settings.states:
        trainer.add_callback(kept_states(state_folder / STATES, settings.states))
    return train(trainer, state_folder, checkpoint_seconds, progress)


def kept_states(folder: Path, n_states: int) -> "TrainerCallback":
    """A callback that keeps the weights at the first step by which each part of all steps is done, but not those of the end.

    Args:
        folder: where each state has a folder of its own, named by its number, with the model and its step.
    """
    from transformers import TrainerCallback

    class KeptStates(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            before, done = ((state.global_step - back) * n_states // state.max_steps for back in (1, 0))
            for number in range(before + 1, min(done + 1, n_states)):
                kwargs["model"].save_pretrained(folder / str(number))
                (folder / str(number) / STEP).write_text(f"{state.global_step}\n", encoding="utf-8")

    return KeptStates()
