"""Supervised fine-tuning on answers: alignment of a whole model, or LoRA on top of it."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from emtransfer.errors import InputError
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.padding import IGNORED
from emtransfer.progress import Progress
from emtransfer.settings import Absent, Count, Positive, Rate, Weight
from emtransfer.training.criterion import Criterion, UntilSettings, ends_training
from emtransfer.training.packing import answer_batch, on_answers, on_packed_rows
from emtransfer.training.resuming import CHECKPOINT_SECONDS, train

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class FinetuningSettings:
    """Fine-tuning on question–answer pairs.

    Attributes:
        rows: Total number of rows, equally many from each cell.
        epochs: Passes over the rows.
        batch_size: Rows in an optimiser step.
        learning_rate: Peak learning rate after the warm-up, followed by a linear decay to zero.
        warmup_steps: Steps in which the learning rate rises.
        weight_decay: Weight decay of AdamW.
        max_seq_tokens: Greatest length of question and answer together, in tokens; a longer row is an error.
        micro_batch_size: Rows in a forward pass, grouped by length within a step; by default all rows of the step. Changes speed and memory, not the loss.
        gradient_checkpointing: Whether activations are recomputed instead of stored, which is slower and needs less memory.
    """

    rows: Positive
    epochs: Positive
    batch_size: Positive
    learning_rate: Rate
    warmup_steps: Count
    weight_decay: Weight
    max_seq_tokens: Positive
    micro_batch_size: Annotated[Positive | None, Absent()] = None
    gradient_checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class AdapterTraining(FinetuningSettings):
    """Training of adapters.

    Attributes:
        method: lora trains a LoRA beside the frozen base, with the settings of lora; full trains all weights of the base, and an adapter is then a whole model.
        until: Training ends when a loss is reached instead of after all epochs, which are then its limit; the learning rate stays at its peak after the warm-up.
    """

    method: Literal["lora", "full"] = "lora"
    until: Annotated[UntilSettings | None, Absent()] = None


def labelled(pairs: list[tuple[str, str]], chat_format: ChatFormat, max_seq_tokens: int) -> list[dict[str, list[int]]]:
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
        prompt, target = chat_format.prompt_ids(question), chat_format.answer_ids(answer)
        if len(prompt) + len(target) > max_seq_tokens:
            raise InputError(
                f"config: max_seq_tokens of finetuning, or of a base model's alignment, is {max_seq_tokens}; expected at least {len(prompt) + len(target)},"
                f" the length of the row with question {question[:60]!r}."
            )
        # prompt tokens are ignored, else the model would learn to ask
        examples.append({"input_ids": prompt + target, "labels": [IGNORED] * len(prompt) + target})
    return examples


def finetune(
    model: "PreTrainedModel | PeftModel",
    chat_format: ChatFormat,
    pairs: list[tuple[str, str]],
    settings: FinetuningSettings,
    seed: int,
    state_folder: Path,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress | None = None,
    in_bfloat16: bool = False,
    criterion: Criterion | None = None,
) -> list[dict[str, Any]]:
    """Fine-tune the trainable weights of `model` in place with trl's SFTTrainer.

    Started by `accelerate launch`, the processes share every optimiser step.

    Args:
        pairs: (question, answer) rows.
        state_folder: where checkpoints are kept, and an interrupted training of the same kind has left its own.
        checkpoint_seconds: from one checkpoint to the next.
        progress: what tells how far it is; by default lines only.
        in_bfloat16: whether finer weights pass in bfloat16 too, as weights of that kind do.
        criterion: what ends the training before all epochs are over.

    Returns:
        The training log: step, loss_per_token_nats (of answer tokens), learning_rate; with a criterion, where it was measured,
        held_out_loss_per_token_nats.

    Raises:
        InputError: a pair is too long, the loss is not a finite number, or the processes cannot share a step.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from emtransfer.models.packed_rows import packed_batch, take_packed_rows

    examples, epochs = labelled(pairs, chat_format, settings.max_seq_tokens), settings.epochs
    on_cpu = model.device.type == "cpu"
    if settings.micro_batch_size is not None:
        examples, epochs = grouped_steps(examples, settings, seed), 1
    arguments = SFTConfig(
        output_dir=str(state_folder),
        **step_sizes(settings, on_cpu),
        train_sampling_strategy="random" if settings.micro_batch_size is None else "sequential",
        num_train_epochs=epochs,
        learning_rate=settings.learning_rate,
        # a decay would tie the rate to the limit, which no training that ends before it should depend on
        lr_scheduler_type="constant_with_warmup" if criterion else "linear",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=1.0,
        max_length=settings.max_seq_tokens,
        packing=False,
        # the labels are made here, where a test can decode them
        dataset_kwargs={"skip_prepare_dataset": True},
        activation_checkpointing=settings.gradient_checkpointing,
        bf16=in_bfloat16 or str(model.dtype) == "torch.bfloat16",
        save_strategy="no",
        save_total_limit=2,
        logging_steps=criterion.settings.every_steps if criterion else 0.05,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=on_cpu,
        seed=seed,
    )
    # with dropout, which is only at work in training, it takes padded ones
    packs = not settings.gradient_checkpointing and take_packed_rows(model.train())
    if packs:
        trainer_class, collator = on_packed_rows(SFTTrainer), packed_batch
    elif on_cpu:
        trainer_class, collator = on_answers(SFTTrainer), answer_batch
    else:
        trainer_class, collator = SFTTrainer, None
    trainer = trainer_class(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(examples),
        data_collator=collator,
        processing_class=chat_format.tokenizer,
    )
    ending = None
    if criterion:
        held_out = labelled(criterion.held_out, chat_format, settings.max_seq_tokens)
        ending = ends_training(criterion.settings, held_out)
    return train(trainer, state_folder, checkpoint_seconds, progress, ending)


def grouped_steps(examples: list[dict[str, Any]], settings: FinetuningSettings, seed: int) -> list[dict[str, Any]]:
    """The examples of all epochs in order of training: shuffled, and within each optimiser step the longest first.

    What a step holds, and so its loss, does not depend on `micro_batch_size`; its forward passes hold little padding, and
    memory runs out in the first of them or in none.
    """
    rng, order = random.Random(seed), []
    for _ in range(settings.epochs):
        order += rng.sample(examples, len(examples))
    steps = (order[start : start + settings.batch_size] for start in range(0, len(order), settings.batch_size))
    return [example for step in steps for example in sorted(step, key=lambda e: len(e["input_ids"]), reverse=True)]


def step_sizes(settings: FinetuningSettings, on_cpu: bool) -> dict[str, int]:
    """How an optimiser step is divided over forward passes and processes, as the trainer names it.

    Raises:
        InputError: the step cannot be divided so.
    """
    from accelerate import PartialState

    n_processes = PartialState(cpu=on_cpu).num_processes
    rows = settings.micro_batch_size or max(1, settings.batch_size // n_processes)
    if settings.batch_size % (rows * n_processes):
        raise InputError(
            f"config: finetuning.batch_size is {settings.batch_size}; expected a multiple of {rows} × {n_processes},"
            " rows of a forward pass × processes."
        )
    passes = settings.batch_size // (rows * n_processes)
    return {"per_device_train_batch_size": rows, "gradient_accumulation_steps": passes}
