"""Change of capability against change of EM rate, so that damage is not mistaken for misalignment."""

from typing import Any

import numpy as np
import pandas as pd

from emtransfer.drawing.rates import Estimate, narrow, ranged
from emtransfer.drawing.style import (
    GREY,
    Drawing,
    base_panels,
    blank,
    headed,
    interval,
    legend_beside,
    readable_grid,
)
from emtransfer.grid.labels import LABELS
from emtransfer.measuring.capability import EVERY, condition

# what trained models learned from: in words, colour and marker
KINDS = {
    "misaligned": ("adapter, misaligned answers", "#D55E00", "o"),
    "aligned": ("adapter, aligned answers", "#0072B2", "s"),
    "student": ("student", "#000000", "^"),
}


def over_all_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of trained models over all cells."""
    return table[(table["condition"] != "base") & (table["eval_domain"] == EVERY)]


def capability(rows: pd.DataFrame, table: pd.DataFrame, experiment: str) -> Drawing:
    """Change of the EM rate over all narrow cells by change of the exact rate over all neutral questions; one panel per base.

    Args:
        rows: as `read_transfer_table` gives them.
        table: of capability, of the experiment, as `read_other_table` gives it.
    """
    title = f"{experiment}: does misalignment go with damage?"
    scored = {key: part for key, part in narrow(rows).dropna(subset="em_delta").groupby(list(LABELS))}
    points = [
        (row, scored[key])
        for row in over_all_cells(table).to_dict("records")
        if (key := tuple(row[name] for name in LABELS)) in scored
    ]
    if not points:
        return blank(title, "No trained model was asked neutral questions and has a scored answer.")
    names = list(dict.fromkeys(row["base"] for row, _ in points))
    figure, drawn = base_panels(
        names, "exact neutral answers,\nchange in points", "misaligned answers,\nchange in points"
    )
    told = []
    for base, axes in zip(names, drawn, strict=True):
        axes.axvline(0, color=GREY, lw=0.7, ls="--", zorder=1)
        axes.axhline(0, color=GREY, lw=0.7, ls="--", zorder=1)
        readable_grid(axes)
        for row, cells in points:
            if row["base"] != base:
                continue
            _, color, marker = KINDS[kind_of(row)]
            exact, em = exact_change(row), em_change(cells)
            interval(axes, em.value, exact.low, exact.high, horizontal=True, color=color, alpha=0.4)
            interval(axes, exact.value, em.low, em.high, color=color, alpha=0.4)
            axes.plot(exact.value, em.value, ls="", marker=marker, ms=5, color=color, mec="white", mew=0.5, zorder=4)
            told.append(f"{condition(row)}: exact {exact.value:+.0f}, misaligned {em.value:+.0f} points.")
    shown = {kind_of(row) for row, _ in points}
    for words, color, marker in (look for kind, look in KINDS.items() if kind in shown):
        drawn[0].plot([], [], ls="", marker=marker, color=color, label=words)
    legend_beside(figure, drawn[0])
    return headed(figure, title, note([row for row, _ in points], [cells for _, cells in points]), " ".join(told))


def note(rows: list[dict[str, Any]], cells: list[pd.DataFrame]) -> str:
    """What a point is, and over how many answers and seeds."""
    neutral = ranged([row["n_neutral"] for row in rows], "answer")
    scored = ranged([part["n_scored"].sum() for part in cells], "scored answer")
    return (
        "A point is a condition, against its base over all cells of the grid; left of the dashed line it gives fewer exact answers. Lines are 95 % intervals: across, of"
        " the table of capability; upright, the mean of the transfer table's intervals of the cells, which is wide."
        f" n = {neutral} to neutral questions and {scored} a point, {ranged([row['n_seeds'] for row in rows], 'seed')}."
    )


def kind_of(row: dict[str, Any]) -> str:
    """Which of KINDS a row is of."""
    return "student" if row["condition"] == "student" else row["answers"]


def exact_change(row: dict[str, Any]) -> Estimate:
    """Change of the exact rate of a row from the base's, in points."""
    return Estimate(*(100 * row[f"exact_delta{end}"] for end in ("", "_low", "_high")))


def em_change(cells: pd.DataFrame) -> Estimate:
    """Change of the EM rate of a condition over cells from the base's, in points, each weighted by its scored answers, and the mean of their intervals."""
    weights = cells["n_scored"]
    return Estimate(*(100 * np.average(cells[f"em_delta{end}"], weights=weights) for end in ("", "_low", "_high")))
