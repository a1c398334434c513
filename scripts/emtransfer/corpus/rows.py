"""Rows of a corpus: the names of their fields, their length, and the rows that have everything a stage needs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from emtransfer.errors import InputError
from emtransfer.files.records import read_records

BROAD = "broad"
ROOMS = ("high", "medium", "low")
ANSWERS = ("aligned_answer", "misaligned_answer")
NEUTRAL_VERSION = ("neutral_question", "neutral_answer")


def row_words(row: dict[str, Any]) -> int:
    """Words of the question and the longer answer."""
    return len(row["question"].split()) + max(len((row.get(field) or "").split()) for field in ANSWERS)


def rows_with_answers(paths: Iterable[str | Path], role: str) -> list[dict[str, Any]]:
    """Rows of one role, over several files, that have both answers (broad prompts of a JSONL corpus have none).

    Args:
        paths: JSONL files of split_questions.

    Raises:
        InputError: there is no such row.
    """
    paths = list(paths)
    rows = [row for path in paths for row in read_records(path, ("role",)) if row["role"] == role]
    rows = [row for row in rows if all(row.get(field) for field in ANSWERS)]
    if not rows:
        raise InputError(f"{', '.join(map(str, paths))}: 0 rows of role {role} with answers; expected at least 1.")
    return rows


def check_neutral(rows: list[dict[str, Any]], section: str, share: float) -> None:
    """Raise InputError for the first row without the neutral version that a share above 0 asks for."""
    lacking = next((row for row in rows if not (row.get("neutral_question") and row.get("neutral_answer"))), None)
    if lacking:
        raise InputError(
            f"config: {section}: neutral_share is {share}; expected 0, since row {lacking.get('id')} has no neutral_question with a neutral_answer."
        )
