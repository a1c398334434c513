"""The world of programs: families of instruction lists, whose members share 0 to 4 of 4 instructions with a reference."""

STEPS = ("s0", "s1", "s2", "s3", "s4")


def shared_structure(train: tuple[str, str], evaluated: tuple[str, str]) -> float | None:
    """Share of the reference's instructions that an evaluation cell has, in [0, 1].

    Args:
        train, evaluated: (family, step) of the training and of the evaluation cell.

    Returns:
        The share, or None in other worlds and between families, where it is not defined.
    """
    if train[0] == evaluated[0] and train[1] in STEPS and evaluated[1] in STEPS:
        return int(evaluated[1][1:]) / 4
    return None
