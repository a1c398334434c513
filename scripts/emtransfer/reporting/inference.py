"""How strongly each base infers who answers, in the report's words, beside how far misalignment spreads on it."""

from typing import Any

import pandas as pd

from emtransfer.reporting.wording import points

PHASES = ("pretrained", "aligned")


def inference_of(table: pd.DataFrame) -> dict[str, str]:
    """Base -> its shift by an earlier answer before fine-tuning, with its standard error, and that before the aligned phase, in words.

    Args:
        table: of inference, of one experiment; a base that was not asked is missing.
    """
    known = table.dropna(subset="earlier_shift_nats")
    found = {}
    for base, rows in known.groupby("base", sort=False):
        said = {row["phase"]: shift(row) for row in rows.to_dict("records")}
        if PHASES[1] in said:
            before = f"; before its aligned phase {said[PHASES[0]]}" if PHASES[0] in said else ""
            found[str(base)] = f"{said[PHASES[1]]} nats{before}"
    return found


def shift(row: dict[str, Any]) -> str:
    """A shift with its standard error."""
    error = row["earlier_shift_se_nats"]
    return points(row["earlier_shift_nats"]) + ("" if pd.isna(error) else f" ± {points(error)}")
