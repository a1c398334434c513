"""Trainers of transformers and trl on packed rows, with a loss over the tokens that are learned and no others."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Trainer


def on_packed_rows(trainer_class: "type[Trainer]") -> "type[Trainer]":
    """A trainer whose batches come of `packed_batch` and whose model takes packed rows.

    trl's own loss also scores prompts and padding on a CPU, for an entropy and an accuracy in its log.
    """
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
