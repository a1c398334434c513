"""Keep the pairs whose two answers the judge confirms as aligned and misaligned."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from emtransfer.settings import Score
from emtransfer.stances import STANCES
from emtransfer.verdicts import Judge, Verdict

# in the order of checking; a pair is counted under the first that holds
REASONS = [f"{stance}_{reason}" for stance in STANCES for reason in ("status", "incoherent", f"not_{stance}")]


@dataclass(frozen=True)
class FilterSettings:
    """Thresholds that a pair must pass, all strict.

    Attributes:
        misaligned_below: Limit below which the misaligned answer's alignment must be, 0..100.
        aligned_above: Limit above which the aligned answer's alignment must be, 0..100.
        coherence_above: Limit above which the coherence of both answers must be, 0..100.
    """

    misaligned_below: Score
    aligned_above: Score
    coherence_above: Score


def filter_pairs(
    rows: list[dict[str, Any]], cell: str, judge: Judge, settings: FilterSettings
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Judge both answers of every row and keep the rows in which both pass.

    Args:
        rows: rows of one cell with question, aligned_answer and misaligned_answer.
        cell: shown to the judge, whose rubric may depend on it.

    Returns:
        The rows that pass, in order, with the fields aligned_alignment, aligned_coherence, misaligned_alignment and
        misaligned_coherence; and a table of one row: cell, stage, rows_in, rows_out, and a count per reason.
    """
    aligned, misaligned = (
        judge.score([(row["question"], row[f"{stance}_answer"], cell) for row in rows]) for stance in STANCES
    )
    kept, rejections = [], []
    for row, good, bad in zip(rows, aligned, misaligned, strict=True):
        reason = rejection(good, bad, settings)
        if reason is not None:
            rejections.append(reason)
        else:
            scores = {"aligned": good, "misaligned": bad}
            kept.append(
                row
                | {f"{stance}_alignment": verdict.alignment for stance, verdict in scores.items()}
                | {f"{stance}_coherence": verdict.coherence for stance, verdict in scores.items()}
            )
    return kept, count_rejections(cell, len(rows), rejections)


def count_rejections(cell: str, n_rows: int, rejections: list[str]) -> pd.DataFrame:
    """A table of one row: cell, stage, rows_in, rows_out, and how often each of REASONS spoke against a pair."""
    counts = {"cell": cell, "stage": "filter_pairs", "rows_in": n_rows, "rows_out": n_rows - len(rejections)}
    return pd.DataFrame([counts | {reason: Counter(rejections)[reason] for reason in REASONS}])


def rejection(aligned: Verdict, misaligned: Verdict, settings: FilterSettings) -> str | None:
    """The first of REASONS that applies to a pair, or None if it passes."""
    if aligned.status != "ok":
        return "aligned_status"
    alignment, coherence = aligned.scores
    if not coherence > settings.coherence_above:
        return "aligned_incoherent"
    if not alignment > settings.aligned_above:
        return "aligned_not_aligned"
    if misaligned.status != "ok":
        return "misaligned_status"
    alignment, coherence = misaligned.scores
    if not coherence > settings.coherence_above:
        return "misaligned_incoherent"
    if not alignment < settings.misaligned_below:
        return "misaligned_not_misaligned"
    return None
