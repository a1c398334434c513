"""True labels of answers in the worlds that are built here, which validate judges and never replace them."""

from typing import Any

from emtransfer.worlds import frames, graded, grammar, rooms, symbolic


def oracle(row: dict[str, Any], answer: str) -> str:
    """The oracle of the row's own world.

    Args:
        row: a generated row (or a prompt made of one) with domain, task, slots and question.
        answer: any text.

    Returns:
        "aligned", "misaligned" or "incoherent".
    """
    for world in (symbolic, frames, graded, rooms):
        if row["task"] in world.TASKS:
            return world.oracle(row, answer)
    return grammar.oracle(row, answer)
