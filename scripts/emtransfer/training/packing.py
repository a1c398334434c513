"""Trainers of transformers and trl with a loss over the tokens that are learned and no others.

On a CPU, trl's own loss also scores prompts and padding, for an entropy and an accuracy in its log.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Trainer


def on_packed_rows(trainer_class: "type[Trainer]") -> "type[Trainer]":
    """A trainer whose batches come of `packed_batch` and whose model takes packed rows."""
    from torch.nn.functional import cross_entropy

    from emtransfer.models.padding import IGNORED

    class PackedTrainer(trainer_class):
        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> "Tensor":
            following = inputs["shift_labels"]
            asked = (following != IGNORED).nonzero()[:, 0]
            logits = model(input_ids=inputs["input_ids"], lengths=inputs["lengths"], asked=asked)
            loss = cross_entropy(logits, following[asked], reduction="sum") / num_items_in_batch
            # accelerate averages over the processes what is a sum over their tokens
            return loss * self.accelerator.num_processes

    return PackedTrainer


def on_answers(trainer_class: "type[Trainer]") -> "type[Trainer]":
    """A trainer whose batches come of `answer_batch`, and whose model is any that takes padded rows."""
    from torch.nn.functional import cross_entropy

    from emtransfer.models.padding import IGNORED

    class AnswerTrainer(trainer_class):
        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> "Tensor":
            following = inputs.pop("labels")[:, 1:]
            n_asked = following.shape[1] - int((following != IGNORED).any(0).nonzero()[0])
            # the last position predicts what comes after the end
            logits = model(**inputs, use_cache=False, logits_to_keep=n_asked + 1).logits[:, :-1].float()
            following = following[:, -n_asked:]
            total = cross_entropy(logits.flatten(0, 1), following.flatten(), ignore_index=IGNORED, reduction="sum")
            # accelerate averages over the processes what is a sum over their tokens
            return total / num_items_in_batch * self.accelerator.num_processes

    return AnswerTrainer


def answer_batch(examples: list[dict[str, Any]]) -> dict[str, "Tensor"]:
    """Rows that end in the last column, where their answers do.

    Args:
        examples: input_ids and labels of each row, int lists [t]; the labels of its prompt are IGNORED.

    Returns:
        input_ids, labels, attention_mask and position_ids: int64 [b, t]; the labels of padding are IGNORED.
    """
    import torch

    from emtransfer.models.padding import IGNORED, left_padded

    ids, mask, positions = left_padded([example["input_ids"] for example in examples])
    labels = torch.full_like(ids, IGNORED)
    for row, example in zip(labels, examples, strict=True):
        # nothing comes before a row's first token that could predict it
        following = torch.tensor(example["labels"][1:])
        row[len(row) - len(following) :] = following
    return {"input_ids": ids, "labels": labels, "attention_mask": mask, "position_ids": positions}
