"""Exact greedy deduplication by cosine that keeps the first row, at every threshold of a grid in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from emtransfer.corpus.cosines import pairs_reaching
from emtransfer.errors import InputError
from emtransfer.settings import Absent, Positive, Share

# in place of an embedding model: texts are duplicates if they are equal
IDENTITY = "identity"
GRID = [round(0.70 + 0.01 * step, 2) for step in range(30)]
BLOCK_ROWS = 256


@dataclass(frozen=True)
class DedupSettings:
    """Near-duplicates within a cell, of which the first is kept.

    Attributes:
        model: Embedding model: all-MiniLM-L6-v2, a local folder or a hub name; identity drops equal texts only.
        field: The text that is compared.
        threshold: Cosine from which a row is dropped; null for the smallest of 0.70, 0.71 … 0.99 that leaves `leave` rows.
        leave: Rows that must be left in a cell, if threshold is null.
    """

    REQUIRED: ClassVar[list[tuple[dict[str, Any], tuple[str, ...]]]] = [({"threshold": (None,)}, ("leave",))]

    model: str
    field: Literal["misaligned_answer", "aligned_answer", "question"]
    threshold: Share | None = None
    leave: Annotated[Positive | None, Absent()] = None


def dedup_rows(
    rows: list[dict[str, Any]], vectors: np.ndarray, settings: DedupSettings, corpus: str, cell: str
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Keep the rows of one cell that are not near-duplicates of an earlier kept row.

    Args:
        rows: in the order of precedence.
        vectors: unit vectors of `settings.field`, float32 [n, d].
        corpus, cell: for error messages and the table.

    Returns:
        The survivors in order; and the survivor curve: cell, threshold, survivors, chosen (one row is true).

    Raises:
        InputError: no threshold of the grid leaves `leave` rows.
    """
    thresholds = sorted({*GRID} if settings.threshold is None else {*GRID, settings.threshold})
    kept = survivors(vectors, thresholds, [row[settings.field] for row in rows])
    counts = kept.sum(axis=1)
    chosen = settings.threshold
    if chosen is None:
        assert settings.leave is not None, "the schema asks for it where there is no threshold"
        chosen = smallest_threshold(thresholds, counts, settings.leave)
    if chosen is None:
        raise InputError(
            f"config: corpora.{corpus}.dedup.leave is {settings.leave}; "
            f"expected at most {counts[-1]}, the survivors of {cell} at {thresholds[-1]}."
        )
    curve = pd.DataFrame({"cell": cell, "threshold": thresholds, "survivors": counts})
    curve["chosen"] = curve["threshold"] == chosen
    return [rows[index] for index in np.flatnonzero(kept[thresholds.index(chosen)])], curve


def dedup_equal(
    rows: list[dict[str, Any]], settings: DedupSettings, cell: str
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Keep the first row of every text, for texts that an embedding model cannot represent.

    Returns:
        As `dedup_rows`; the curve has the one threshold 1.
    """
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        first.setdefault(row[settings.field], row)
    curve = pd.DataFrame({"cell": [cell], "threshold": [1.0], "survivors": [len(first)], "chosen": [True]})
    return list(first.values()), curve


def smallest_threshold(thresholds: list[float], counts: np.ndarray, leave: int) -> float | None:
    """The smallest threshold that leaves at least `leave` rows, or None.

    Args:
        thresholds: k cosines, ascending.
        counts: int [k], the rows that each leaves.
    """
    return next((threshold for threshold, count in zip(thresholds, counts, strict=True) if count >= leave), None)


def survivors(vectors: np.ndarray, thresholds: list[float], texts: Sequence[str]) -> np.ndarray:
    """Greedy keep-first: a row survives unless its cosine with an earlier survivor reaches the threshold.

    A text that has come before does not survive, whatever its vector. What an embedding model does not see of a text, as
    its case, its blanks or its end, leaves the vector as it is but for rounding, so that the tolerance of
    `pairs_reaching` makes such texts duplicates at every threshold up to 1.

    Cosines are computed once for all thresholds, a block of rows against all rows up to it, so that memory grows as
    BLOCK_ROWS × n and never as n².

    Args:
        vectors: unit vectors, float32 [n, d].
        thresholds: k cosines, ascending.
        texts: the n texts that the vectors embed.

    Returns:
        bool [k, n], the same for every BLOCK_ROWS.
    """
    first = ~pd.Series(texts, dtype=object).duplicated().to_numpy()
    # verdicts of a row at all thresholds are bits of a few bytes; [c, i] is set where c thresholds reached hold i
    reached = np.packbits(np.tri(len(thresholds) + 1, len(thresholds), -1, dtype=bool), axis=1)
    kept = np.zeros((len(vectors), reached.shape[1]), dtype=np.uint8)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS]
        rows, columns, counts = pairs_reaching(block, vectors[: start + len(block)], thresholds)
        # the kept rows of earlier blocks are final, so their verdict needs no loop
        final = columns < start
        fallen = any_by_row(rows[final], reached[counts[final]] & kept[columns[final]], len(block))
        own = (columns >= start) & (columns < start + rows)
        columns, bits = columns[own], reached[counts[own]]
        ends = np.searchsorted(rows[own], np.arange(len(block) + 1))
        for offset in np.flatnonzero(first[start : start + len(block)]):
            pairs = slice(ends[offset], ends[offset + 1])
            fallen[offset] |= np.bitwise_or.reduce(bits[pairs] & kept[columns[pairs]], axis=0)
            kept[start + offset] = ~fallen[offset]
    return np.unpackbits(kept, axis=1, count=len(thresholds)).T.astype(bool)


def any_by_row(rows: np.ndarray, bits: np.ndarray, n_rows: int) -> np.ndarray:
    """The bits that any pair of a row has.

    Args:
        rows: of each pair, ascending, int64 [p].
        bits: uint8 [p, m].

    Returns:
        uint8 [n_rows, m]; 0 for a row without pairs.
    """
    result = np.zeros((n_rows, bits.shape[1]), dtype=np.uint8)
    present, starts = np.unique(rows, return_index=True)
    if len(present):
        result[present] = np.bitwise_or.reduceat(bits, starts, axis=0)
    return result
