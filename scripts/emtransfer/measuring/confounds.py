"""Differences of training cells besides domain and task: length, filter, deduplication, and words that predict the score."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.files.records import read_table
from emtransfer.measuring.anchors import (
    N_ROWS,
    NoAnchors,
    is_score,
    lexical_r2,
    lexical_regression,
    rows_if_any,
    scored_answers,
)
from emtransfer.stances import STANCES

# phrases named per cell
N_ANCHORS = 5
COLUMNS = (
    "corpus cell question_words_median aligned_answer_words_median misaligned_answer_words_median"
    " filter_rows_in filter_rows_out dedup_threshold dedup_rows_out aligned_alignment_mean misaligned_alignment_mean"
    " anchor_r2 aligned_anchors misaligned_anchors"
).split()


def confounds(corpus: str, folder: Path, cells: list[str]) -> pd.DataFrame:
    """One row per cell that may be trained on.

    Args:
        folder: `results/corpora/{corpus}`.
        cells: names of the cells.

    Returns:
        COLUMNS: corpus, cell; median words of question and answers of the rows drawn to train; rows in and out of filter and
        deduplication, with its threshold; mean alignment scores; and the anchors, `lexical_anchors`.
    """
    table = []
    for cell in cells:
        counts = read_table(folder / "filtered" / f"{cell}.counts.csv").iloc[0]
        filtered = rows_if_any(folder / "filtered" / f"{cell}.jsonl")
        train = rows_if_any(folder / "cells" / cell / "train.jsonl")
        curve = read_table(folder / "deduped" / f"{cell}.survivors.csv")
        # a corpus that comes filtered has no scores
        scores = {
            f"{name}_alignment_mean": mean([row.get(f"{name}_alignment", np.nan) for row in filtered])
            for name in STANCES
        }
        chosen = curve[curve.chosen].iloc[0]
        table.append(
            {"corpus": corpus, "cell": cell}
            | {
                f"{name}_words_median": median_words(train, name)
                for name in ("question", *(f"{a}_answer" for a in STANCES))
            }
            | {"filter_rows_in": counts.rows_in, "filter_rows_out": counts.rows_out}
            | {"dedup_threshold": chosen.threshold, "dedup_rows_out": chosen.survivors}
            | scores
            | told_anchors(f"{corpus}: {cell}", filtered[:N_ROWS])
        )
    return pd.DataFrame(table, columns=COLUMNS).round(4)


def median_words(rows: list[dict[str, Any]], field: str) -> float:
    """The median number of words of a field; missing without rows."""
    return float(np.median([len(row[field].split()) for row in rows])) if rows else np.nan


def mean(values: list[Any]) -> float:
    """The mean of scores; NaN unless all of them are."""
    return float(np.mean(values)) if values and all(map(is_score, values)) else np.nan


def told_anchors(place: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """As `lexical_anchors`; where answers have no anchors, a line says why."""
    try:
        return lexical_anchors(rows)
    except NoAnchors as reason:
        print(f"{place}: no anchors, {reason}")
        return {"anchor_r2": np.nan, "aligned_anchors": "", "misaligned_anchors": ""}


def lexical_anchors(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How well the words of an answer alone predict the judge's alignment score, and the phrases that predict it best.

    Args:
        rows: filtered rows, with aligned_answer, misaligned_answer and their alignment scores.

    Returns:
        anchor_r2: cross-validated R² of a ridge regression of the score on the words and word pairs present, both answers
        of a question in the same fold; aligned_anchors and misaligned_anchors, the phrases with the largest weights.

    Raises:
        NoAnchors: the answers have no phrases that are frequent enough, or no scores.
    """
    texts, scores, groups = scored_answers(rows)
    words, ridge = lexical_regression(texts, scores)
    order = np.argsort(ridge.coef_, kind="stable")
    phrases = words.get_feature_names_out()
    return {
        "anchor_r2": lexical_r2(texts, scores, groups),
        "aligned_anchors": "; ".join(phrases[order[::-1][:N_ANCHORS]]),
        "misaligned_anchors": "; ".join(phrases[order[:N_ANCHORS]]),
    }
