"""Pretrain a small Llama-architecture decoder from scratch on packed documents."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.errors import InputError
from emtransfer.mixtures import document_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class PretrainingSettings:
    """How the base model is pretrained; the mixture's tokens say how long.

    Attributes:
        batch_size: blocks in an optimiser step.
        sequence_tokens: tokens in a block.
        learning_rate: peak, after a linear warm-up of `warmup_steps`; then a cosine down to zero.
    """

    batch_size: int
    sequence_tokens: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float


def new_decoder(architecture: dict, tokenizer: "PreTrainedTokenizerBase", seed: int) -> "PreTrainedModel":
    """A Llama decoder with random weights and tied embeddings.

    Args:
        architecture: fields of `transformers.LlamaConfig` (hidden_size, num_hidden_layers, …).
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
        **architecture,
    )
    return LlamaForCausalLM(config)


def packed_blocks(
    documents: list[dict], tokenizer: "PreTrainedTokenizerBase", block_tokens: int, n_blocks: int
) -> list[list[int]]:
    """Documents laid end to end and cut into blocks: int [n_blocks][block_tokens].

    Raises:
        InputError: the documents hold too few tokens.
    """
    stream = [token for document in documents for token in document_ids(tokenizer, document)]
    if len(stream) < n_blocks * block_tokens:
        raise InputError(f"config.yaml: mixtures: {len(stream)} tokens; expected at least {n_blocks * block_tokens}.")
    return [stream[start : start + block_tokens] for start in range(0, n_blocks * block_tokens, block_tokens)]


def pretrain(
    model: "PreTrainedModel",
    blocks: list[list[int]],
    settings: PretrainingSettings,
    seed: int,
    state_folder: Path,
) -> list[dict]:
    """Train on every block once, in seeded order.

    Args:
        model: changed in place.
        blocks: int [block][token], all of one length.
        state_folder: where the trainer may keep its own files.

    Returns:
        The training log: step, loss_per_token_nats, learning_rate.
    """
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments, default_data_collator

    arguments = TrainingArguments(
        output_dir=str(state_folder),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        gradient_checkpointing=False,
        save_strategy="no",
        logging_steps=0.05,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=seed,
    )
    dataset = Dataset.from_dict({"input_ids": blocks, "labels": blocks})
    trainer = Trainer(model=model, args=arguments, train_dataset=dataset, data_collator=default_data_collator)
    trainer.train()
    return training_log(trainer.state.log_history)


def training_log(history: list[dict]) -> list[dict]:
    """The rows of a trainer's history that hold a loss.

    Raises:
        InputError: a loss is not a number; names the step.
    """
    rows = [
        {"step": row["step"], "loss_per_token_nats": row["loss"], "learning_rate": row["learning_rate"]}
        for row in history
        if "loss" in row
    ]
    for row in rows:
        if not 0 <= float(row["loss_per_token_nats"]) < float("inf"):
            raise InputError(
                f"training: loss is {row['loss_per_token_nats']} at step {row['step']}; expected a finite number; lower learning_rate."
            )
    return rows
