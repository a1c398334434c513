"""Which cosines reach a threshold: the one comparison behind deduplication, roles and the audit of rollouts.

A float32 matrix product rounds a cosine otherwise in another block size, shape or library. So the product decides only
what its rounding cannot change; the few cosines nearer to a threshold are computed again, each by itself, in float64.
"""

import numpy as np

# How far below a threshold a cosine still reaches it. A number in float32 is off by at most 2⁻²⁴ of itself, so a unit vector
# by at most 2⁻²⁴, and a cosine of two by 2⁻²³; as much again for the division that made the vectors unit vectors.
TOLERANCE = 2.0**-22
# cosines that are computed again at a time: 2 × 512 vectors of 384 in float64 are 3 MiB
AGAIN_AT_A_TIME = 512


def pairs_reaching(
    left: np.ndarray, right: np.ndarray, thresholds: list[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs whose cosine reaches a threshold, and how many it reaches; one within TOLERANCE below reaches it too.

    So a cosine that is the threshold but for float32 reaches it, and that of equal vectors reaches 1.

    Args:
        left, right: unit vectors, float32 [n, d] and [m, d].
        thresholds: k cosines, ascending.

    Returns:
        Row of `left`, row of `right` and thresholds reached, 1..k, of the p pairs that reach one, int64 [p] each, in the
        order of rows: the verdict on the cosine in float64, whatever the other pairs of the call are.
    """
    limits = np.asarray(thresholds, dtype=np.float64) - TOLERANCE
    margin = product_rounding(left.shape[1])
    cosines = left @ right.T
    # most pairs are far below every threshold
    places = np.flatnonzero(cosines >= np.float32(limits[0] - 2 * margin))
    # ten times as fast as np.nonzero of a matrix
    rows, columns = np.divmod(places, max(len(right), 1))
    near = cosines[rows, columns]
    least, most = (np.searchsorted(limits + sign * margin, near, side="right") for sign in (1, -1))
    unsure = np.flatnonzero(least != most)
    for start in range(0, len(unsure), AGAIN_AT_A_TIME):
        part = unsure[start : start + AGAIN_AT_A_TIME]
        exact = exact_cosines(left[rows[part]], right[columns[part]])
        least[part] = np.searchsorted(limits, exact, side="right")
    reaching = least > 0
    return rows[reaching], columns[reaching], least[reaching]


def product_rounding(dimensions: int) -> float:
    """How far a float32 dot product of unit vectors may be from their cosine.

    Whatever the order of its additions, a dot product of d terms is off by at most d · 2⁻²⁴ times both lengths. So is
    one of a vector with itself, by which it was made a unit vector; with two such lengths that is d · 2⁻²⁴ again.

    Source: Higham 2002, Accuracy and Stability of Numerical Algorithms, 2nd edition, equation 3.5.
    """
    # two more for what these bounds leave out: the divisions, and products of roundings
    return (dimensions + 2) * 2.0**-23


def exact_cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The cosine of each row of `left` [n, d] with the same row of `right`, in float64 [n]."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    squares = np.einsum("nd,nd->n", left, left) * np.einsum("nd,nd->n", right, right)
    return np.einsum("nd,nd->n", left, right) / np.sqrt(squares)
