"""Batches of rows of token ids with different lengths."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# label of a token that takes no part in the loss
IGNORED = -100


def left_padded(
    rows: list[list[int]], device: "torch.device | str" = "cpu"
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Pad on the left, so that all rows end in the last column.

    Returns:
        ids, attention mask and positions: int64 [b, t] each; padding has id 0 and is masked.
    """
    import torch

    def filled(values: list[list[int]]) -> torch.Tensor:
        tensors = [torch.tensor(value) for value in values]
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_side="left").to(device)

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
