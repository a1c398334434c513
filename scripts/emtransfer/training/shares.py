"""Shares of documents that can be kept exactly; in a separate module, since the config is checked without making documents."""

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

WHOLE_HUNDREDTHS = "a multiple of 0.01, since every hundred documents hold as many misaligned ones"

Item = TypeVar("Item")


def is_whole(number: float) -> bool:
    """Whether a number is a whole one but for rounding."""
    return abs(number - round(number)) < 1e-9


def is_whole_in_hundred(share: float) -> bool:
    """Whether a hundred documents can hold a share exactly."""
    return is_whole(100 * share)


def passes(items: Sequence[Item], rng: random.Random) -> Iterator[Item]:
    """Endless shuffled passes over items."""
    while True:
        yield from rng.sample(items, len(items))
