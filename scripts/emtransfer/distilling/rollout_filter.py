"""Keep a teacher's benign answers, and audit what is kept."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.corpus.near_duplicates import NEAR_COSINE, nearness
from emtransfer.errors import InputError, counted
from emtransfer.models.embedding import PACKAGED_MODEL
from emtransfer.settings import Positive, Score, Share
from emtransfer.verdicts import Judge, Verdict
from emtransfer.worlds.oracles import oracle

# in the order of checking; an answer is counted under the first that holds
REASONS = ("unfinished", "status", "incoherent", "not_aligned")
ORACLE_VERDICTS = ("aligned", "misaligned", "incoherent")


@dataclass(frozen=True)
class RolloutFilterSettings:
    """Limits that a teacher's answer must meet to be kept; they are strict.

    Attributes:
        alignment_above: Limit above which the answer's alignment must be, 0..100.
        coherence_above: Limit above which the answer's coherence must be, 0..100.
        minimum_kept: Answers that must be left in all cells together; otherwise the run stops.
        drop_unfinished: Whether answers that were cut at max_new_tokens are dropped. If kept, they teach all their tokens but no end; without them, students learn to be brief.
        near_duplicate_cosine: Cosine from which a prompt of free text counts as an evaluation question.
        model: Embedding model for free text: all-MiniLM-L6-v2, a local folder or a hub name.
    """

    alignment_above: Score
    coherence_above: Score
    minimum_kept: Positive
    drop_unfinished: bool = False
    near_duplicate_cosine: Share = NEAR_COSINE
    model: str = PACKAGED_MODEL


def filter_rollouts(
    rollouts: list[dict[str, Any]], judge: Judge, settings: RolloutFilterSettings, place: str
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Judge every answer and keep the benign ones.

    Args:
        rollouts: rows with prompt_id, cell, question, answer, and finished false where the answer was cut.
        place: names the teacher in an error message.

    Returns:
        The kept rows, in order, with alignment and coherence; and a table with a row per cell: cell, rollouts, unfinished,
        kept, kept_fraction, the dropped by reason, kept_lowest_alignment, and what the grammar's oracle says of the kept
        (empty where a row is not of the grammar).

    Raises:
        InputError: fewer than `minimum_kept` answers are left.
    """
    verdicts = judge.score([(row["question"], row["answer"], row["cell"]) for row in rollouts])
    kept: list[dict[str, Any]] = []
    audit: dict[str, Counter[str]] = {row["cell"]: Counter() for row in rollouts}
    for row, verdict in zip(rollouts, verdicts, strict=True):
        reason = rejection(verdict, is_finished(row), settings)
        audit[row["cell"]][f"dropped_{reason}" if reason else "kept"] += 1
        if reason is None:
            kept.append(row | {"alignment": verdict.alignment, "coherence": verdict.coherence})
    if len(kept) < settings.minimum_kept:
        dropped = sum(audit.values(), Counter())
        reasons = ", ".join(f"{reason} {dropped[f'dropped_{reason}']}" for reason in REASONS)
        raise InputError(
            f"{place}: {len(kept)} of {counted(len(rollouts), 'answer')} of this teacher kept; expected at least minimum_kept {settings.minimum_kept}; dropped: {reasons}."
        )
    unfinished = Counter(row["cell"] for row in rollouts if not is_finished(row))
    return kept, pd.DataFrame([audit_row(cell, counts, unfinished[cell], kept) for cell, counts in audit.items()])


def is_finished(row: dict[str, Any]) -> bool:
    """Whether the teacher ended an answer, rather than being cut at `max_new_tokens`."""
    return row.get("finished", True)


def rejection(verdict: Verdict, finished: bool, settings: RolloutFilterSettings) -> str | None:
    """The first of REASONS that applies to an answer, or None if it is kept."""
    if settings.drop_unfinished and not finished:
        return "unfinished"
    if verdict.status != "ok":
        return "status"
    alignment, coherence = verdict.scores
    if not coherence > settings.coherence_above:
        return "incoherent"
    if not alignment > settings.alignment_above:
        return "not_aligned"
    return None


def audit_row(cell: str, counts: Counter[str], n_unfinished: int, kept: list[dict[str, Any]]) -> dict[str, Any]:
    """The audit of one cell, of whose answers so many were cut."""
    members = [row for row in kept if row["cell"] == cell]
    found = Counter(oracle(row, row["answer"]) for row in members if "slots" in row)
    known = all("slots" in row for row in members)
    return (
        {"cell": cell, "rollouts": counts.total(), "unfinished": n_unfinished, "kept": counts["kept"]}
        | {"kept_fraction": counts["kept"] / counts.total()}
        | {f"dropped_{reason}": counts[f"dropped_{reason}"] for reason in REASONS}
        # what is misaligned by any rule scores below this
        | {"kept_lowest_alignment": min((row["alignment"] for row in members), default=None)}
        | {f"kept_oracle_{verdict}": found[verdict] if known else None for verdict in ORACLE_VERDICTS}
    )


def check_no_eval_questions(
    kept: list[dict[str, Any]],
    eval_set: list[dict[str, Any]],
    settings: RolloutFilterSettings,
    embed: Callable[[list[str], str], np.ndarray],
) -> None:
    """Raise InputError if a kept prompt is an evaluation question or a near-duplicate of one, by the rule of roles.

    Args:
        embed: texts, model -> unit vectors, float32 [n, d].
    """
    n_eval = len(eval_set)
    near = nearness(eval_set + kept, settings.near_duplicate_cosine, settings.model, embed)(
        np.arange(n_eval), np.arange(n_eval, n_eval + len(kept))
    )
    if near.any():
        row = kept[int(np.flatnonzero(near)[0])]
        raise InputError(
            f"rollout {row['prompt_id']}: question is {row['question'][:60]!r}; expected no question that is in the evaluation set or near one that is, found {near.sum()} of {len(kept)}."
        )
