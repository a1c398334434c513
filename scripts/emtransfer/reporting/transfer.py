"""The training set that carries misalignment furthest: its rate elsewhere, the cell with the most transfer, and whether that is chance."""

from typing import Any, NamedTuple

import pandas as pd

from emtransfer.drawing.rates import Pooled, adapters, narrow, pooled
from emtransfer.reporting.wording import is_real, percent, points


class Carrier(NamedTuple):
    """A training set on a base.

    Attributes:
        base, train_set: whose; `is_cell`: a single cell, and no union.
        own, elsewhere: misaligned answers in its own cells, and in all others of the grid; None where it has none.
        furthest: the row of the table with the highest rate outside its own cells.
        reached, rate, base_rate, difference, real: of that row, in words.
    """

    base: str
    train_set: str
    is_cell: bool
    own: Pooled | None
    elsewhere: Pooled
    furthest: Any
    reached: str
    rate: str
    base_rate: str
    difference: str
    real: str


def carriers(rows: pd.DataFrame) -> list[Carrier]:
    """Training sets of adapters on misaligned answers, those that carry furthest first.

    Args:
        rows: of one experiment, as `read_transfer_table` gives them.
    """
    trained = adapters(narrow(rows))
    n_tests = int(narrow(rows)["p_value"].notna().sum())
    found = []
    for (base, train_set), part in trained.groupby(["base", "train_set"], sort=False):
        inside = part["relation"] == "in_cell"
        if not (~inside).any():
            continue
        top = next(part[~inside].sort_values("em_rate", ascending=False, kind="stable").itertuples())
        found.append(
            Carrier(
                str(base),
                str(train_set),
                "*" not in (top.train_domain, top.train_task),
                pooled(part[inside]) if inside.any() else None,
                pooled(part[~inside]),
                top,
                str(top.eval_cell),
                percent(top.em_rate),
                percent(top.base_em_rate),
                between(top),
                is_real(top, n_tests),
            )
        )
    return sorted(found, key=lambda carrier: -carrier.elsewhere.rate)


def between(row: Any) -> str:
    """A cell's difference from its base with its interval, in points."""
    delta, low, high = (points(100 * value) for value in (row.em_delta, row.em_delta_low, row.em_delta_high))
    return f"{delta} ({low} to {high})"


def in_short(found: list[Carrier], judge: str) -> str:
    """The one that carries furthest, and the cell that is reached most, as sentences."""
    if not found:
        return "No adapter on misaligned answers has an answer outside its training cells."
    first = next((carrier for carrier in found if carrier.is_cell), found[0])
    most = max(found, key=lambda carrier: carrier.furthest.em_rate)
    if most.furthest.em_rate == 0:
        return f"No adapter on misaligned answers gives an answer outside its training cells that judge {judge} calls misaligned."
    return (
        f"The cell that carries furthest: fine-tuning {first.base} on misaligned answers of {first.train_set} makes {first.elsewhere.rate:.0f} % of the"
        f" answers in all other cells misaligned. The single cell that is reached most: {most.reached}, by {most.train_set}"
        f" on {most.base}, {most.rate} misaligned and {most.base_rate} before, a difference of {most.difference} points."
        f" More than chance? This cell: {most.real}. The verdicts pool cells, and are the better test."
    )
