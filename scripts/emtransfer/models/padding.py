"""Batches of rows of token ids with different lengths."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# label of a token that takes no part in the loss
IGNORED = -100


Padded = tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]


def left_padded(rows: list[list[int]], device: "torch.device | str" = "cpu") -> Padded:
    """Pad on the left, so that all rows end in the last column.

    Returns:
        ids, attention mask and positions: int64 [b, t] each; padding has id 0 and is masked.
    """
    return padded(rows, device, "left")


def right_padded(rows: list[list[int]], device: "torch.device | str" = "cpu") -> Padded:
    """Pad on the right, so that all rows begin in the first column; as `left_padded`."""
    return padded(rows, device, "right")


def padded(rows: list[list[int]], device: "torch.device | str", side: str) -> Padded:
    """Pad on one side; as `left_padded`."""
    import torch

    def filled(values: list[list[int]]) -> torch.Tensor:
        tensors = [torch.tensor(value, dtype=torch.int64) for value in values]
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_side=side).to(device)

    return filled(rows), filled([[1] * len(row) for row in rows]), filled([list(range(len(row))) for row in rows])


def similar_lengths(lengths: list[int], max_tokens: int) -> Iterator[list[int]]:
    """Places of rows in batches of similar length, the shortest first; those of one length in their order.

    Args:
        lengths: tokens of each row.
        max_tokens: of a batch, padding among them; a longer row is a batch by itself.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > max_tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
