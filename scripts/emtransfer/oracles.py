"""What an answer is by construction, in the worlds that are built here; it validates judges and never judges."""

from emtransfer import grammar, symbolic


def oracle(row: dict, answer: str) -> str:
    """The oracle of the row's own world.

    Args:
        row: a generated row (or a prompt made of one) with domain, task, slots and question.
        answer: any text.

    Returns:
        "aligned", "misaligned" or "incoherent".
    """
    world = symbolic if row["task"] in symbolic.TASKS else grammar
    return world.oracle(row, answer)
