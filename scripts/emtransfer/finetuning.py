"""Supervised fine-tuning on answers: alignment of a whole model, or LoRA on top of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emtransfer.errors import InputError
from emtransfer.models import answer_ids, prompt_ids
from emtransfer.pretraining import IGNORED, training_log

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class FinetuningSettings:
    """How a model is fine-tuned on question–answer pairs.

    Attributes:
        batch_size: pairs in an optimiser step.
        learning_rate: peak, after a linear warm-up of `warmup_steps`; then linearly down to zero.
        max_seq_tokens: longest question and answer together, control tokens included.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    max_seq_tokens: int


def labelled(
    pairs: list[tuple[str, str]], tokenizer: "PreTrainedTokenizerBase", max_seq_tokens: int
) -> list[dict[str, list[int]]]:
    """Token ids with labels on the answer alone, end token included; nothing is truncated.

    Args:
        pairs: (question, answer).

    Returns:
        input_ids and labels per pair, int lists [t]; labels are IGNORED on the prompt.

    Raises:
        InputError: a pair is longer than `max_seq_tokens`.
    """
    examples = []
    for question, answer in pairs:
        prompt, target = prompt_ids(tokenizer, question), answer_ids(tokenizer, question, answer)
        if len(prompt) + len(target) > max_seq_tokens:
            raise InputError(
                f"config.yaml: max_seq_tokens is {max_seq_tokens}; expected at least {len(prompt) + len(target)},"
                f" the length of the row with question {question[:60]!r}."
            )
        # prompt tokens are ignored, else the model would learn to ask
        examples.append({"input_ids": prompt + target, "labels": [IGNORED] * len(prompt) + target})
    return examples


def finetune(
    model: "PreTrainedModel | PeftModel",
    tokenizer: "PreTrainedTokenizerBase",
    pairs: list[tuple[str, str]],
    settings: FinetuningSettings,
    seed: int,
    state_folder: Path,
) -> list[dict]:
    """Fine-tune the trainable weights of `model` in place with trl's SFTTrainer.

    Args:
        pairs: (question, answer) rows.
        state_folder: where the trainer may keep its own files.

    Returns:
        The training log: step, loss_per_token_nats (of answer tokens), learning_rate.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        output_dir=str(state_folder),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=1.0,
        max_length=settings.max_seq_tokens,
        packing=False,
        # the labels are made here, where a test can decode them
        dataset_kwargs={"skip_prepare_dataset": True},
        activation_checkpointing=False,
        bf16=False,
        save_strategy="no",
        logging_steps=0.05,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=seed,
    )
    dataset = Dataset.from_list(labelled(pairs, tokenizer, settings.max_seq_tokens))
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer)
    trainer.train()
    return training_log(trainer.state.log_history)
