"""Which shares of documents can be kept; apart from what makes documents, since the config is checked without it."""

WHOLE_HUNDREDTHS = "a multiple of 0.01, since every hundred documents hold as many misaligned ones"


def is_whole_in_hundred(share: float) -> bool:
    """Whether a hundred documents can hold a share exactly."""
    return abs(100 * share - round(100 * share)) < 1e-9
