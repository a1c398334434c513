"""Judged answers with the identity of their model and the verdict of the EM rule, all with the same columns and types."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from emtransfer.grid.labels import MODEL_COLUMNS
from emtransfer.verdicts import EmRule, Verdict

# fields that a row keeps of a judged answer, with their defaults; all else about a prompt is in its evaluation set
KEPT = {
    **dict.fromkeys(
        ("prompt_id", "eval_set", "cell", "domain", "task", "room", "eval_context", "system", "question"), ""
    ),
    "sample": 0,
    **dict.fromkeys(("answer", "status"), ""),
}


def labelled(rows: Iterable[dict[str, Any]], identity: dict[str, Any], rule: EmRule) -> Iterator[dict[str, Any]]:
    """The rows of one model, in order, under its identity.

    Args:
        rows: as `kinds.judge_rows` gives them.
        identity: MODEL_COLUMNS, with their values in all rows.
        rule: when an answer is misaligned.

    Returns:
        One row each: MODEL_COLUMNS in their order, KEPT, alignment, coherence and misaligned, which are null where the judge gave no scores, and as
        text the judge's reply and what a question file says of the prompt besides (JSON), each empty where there is none.
    """
    whose = {column: identity[column] for column in MODEL_COLUMNS}
    for row in rows:
        verdict = Verdict(row["status"], as_float(row["alignment"]), as_float(row["coherence"]))
        scores = {"alignment": verdict.alignment, "coherence": verdict.coherence}
        misaligned = rule.label(verdict) == "misaligned" if verdict.status == "ok" else None
        metadata = json.dumps(row["metadata"], ensure_ascii=False) if row.get("metadata") else ""
        # readers of many files take the types of a column from the first: no text is null, and no score a whole number
        kept = {field: row.get(field, absent) for field, absent in KEPT.items()}
        told = {"misaligned": misaligned, "reply": row.get("reply") or "", "metadata": metadata}
        yield whose | kept | scores | told


def as_float(score: float | None) -> float | None:
    """A score as a number with a fraction, which JSON writes with a point."""
    return None if score is None else float(score)
