"""Fine-tuning to a criterion: until rows of the training cells that are not trained on have a given loss, instead of for a number of epochs.

What is compared (bases, tasks, numbers of trained weights) learns the same rows at different speeds, so after equally many steps a
difference in spread may be one in how well the cell itself was learned. The criterion is measured on held-out rows, since a model
with many trained weights learns the rows it sees by heart, and then fits them better than the cell. They are the same rows at every
measurement, so that no noise of batches is in it that would have to be smoothed away.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import MinLen

from emtransfer.models.padding import IGNORED, right_padded, similar_lengths
from emtransfer.settings import Absent, Name, Positive, Rate
from emtransfer.training.resuming import HELD_OUT

if TYPE_CHECKING:
    from torch import nn
    from transformers import TrainerCallback

# of a forward pass, padding included: whatever the vocabulary, its logits stay below 70 MB
BATCH_LOGITS = 16_384_000


@dataclass(frozen=True)
class UntilSettings:
    """Fine-tuning until a loss on held-out rows is reached, or epochs are over.

    Attributes:
        loss_per_token_nats: Training ends as soon as the mean loss per answer token on the held-out rows is at most this.
        by_task: Task -> that loss for training sets of this task alone, since tasks differ in the least loss that any model can reach.
        every_steps: Optimiser steps from one measurement of that loss to the next.
        held_out_rows: Rows, equally many from each training cell, that are measured and not trained on. They are the same for every base, seed and capacity.
    """

    loss_per_token_nats: Rate
    every_steps: Positive
    held_out_rows: Positive
    by_task: Annotated[dict[Name, Rate] | None, MinLen(1), Absent()] = None


class Criterion(NamedTuple):
    """What ends a training, and the (question, answer) rows that it is measured on."""

    settings: UntilSettings
    held_out: list[tuple[str, str]]


def ends_training(settings: UntilSettings, examples: list[dict[str, list[int]]]) -> "TrainerCallback":
    """A callback that measures the criterion every so many steps and after the last, logs it there, and ends the training once it is reached.

    Args:
        examples: input_ids and labels of the held-out rows, int lists [t].
    """
    from transformers import TrainerCallback

    class EndsTraining(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step % settings.every_steps and state.global_step < state.max_steps:
                return
            loss = mean_loss(model, examples)
            state.log_history.append({"step": state.global_step, HELD_OUT: loss})
            control.should_log = True
            if loss <= settings.loss_per_token_nats:
                control.should_training_stop = True
                # a training that went on from here would not stop before the next measurement
                control.should_save = False

    return EndsTraining()


def mean_loss(model: "nn.Module", examples: list[dict[str, list[int]]]) -> float:
    """Mean loss of a model, without dropout, over the answer tokens of all examples: nats per token.

    Args:
        model: a causal language model; is left as it was.
        examples: input_ids and labels, int lists [t]; labels are IGNORED where a token is not learned.
    """
    import torch
    from torch.nn.functional import cross_entropy

    was_training, device = model.training, next(model.parameters()).device
    most_tokens = max(1, BATCH_LOGITS // model.config.get_text_config().vocab_size)
    total, n_tokens = 0.0, 0
    model.eval()
    with torch.no_grad():
        for batch in similar_lengths([len(example["input_ids"]) for example in examples], most_tokens):
            ids, mask, positions = right_padded([examples[place]["input_ids"] for place in batch], device)
            logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
            for row, place in zip(logits, batch, strict=True):
                following = torch.tensor(examples[place]["labels"][1:], device=device)
                learned = (following != IGNORED).nonzero()[:, 0]
                total += cross_entropy(row[learned].float(), following[learned], reduction="none").double().sum().item()
                n_tokens += len(learned)
    model.train(was_training)
    return total / n_tokens
