"""Change of capability against change of EM rate, so that damage is not mistaken for misalignment."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from emtransfer.drawing.rates import NAMES, narrow, ranged
from emtransfer.drawing.style import (
    GREY,
    LIGHT,
    Drawing,
    blank,
    grid_size,
    headed,
    interval,
    leftmost,
    new_figure,
    panels,
)
from emtransfer.files.records import read_table
from emtransfer.grid import LABELS
from emtransfer.measuring.capability import COLUMNS, EVERY, condition

# what trained models learned from: in words, colour and marker
KINDS = {
    "misaligned": ("adapter, misaligned answers", "#D55E00", "o"),
    "aligned": ("adapter, aligned answers", "#0072B2", "s"),
    "student": ("student", "#000000", "^"),
}
TEXT = ("eval_domain", "eval_task", "relation", "caution")


class Change(NamedTuple):
    """A change of a rate from the base's, in points, with its 95 % interval."""

    points: float
    low: float
    high: float


def read_capability_table(path: Path, experiment: str) -> pd.DataFrame:
    """The rows of an experiment, empty cells of text as empty text."""
    numbers = [name for name in COLUMNS if name not in (*NAMES, *TEXT)]
    table = read_table(path, keep_default_na=False, na_values={name: [""] for name in numbers}, dtype=NAMES)
    return table[table["experiment"] == experiment].reset_index(drop=True)


def over_all_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of trained models over all cells."""
    return table[(table["condition"] != "base") & (table["eval_domain"] == EVERY)]


def capability(rows: pd.DataFrame, table: pd.DataFrame, experiment: str) -> Drawing:
    """Change of the EM rate over all narrow cells by change of the exact rate over all neutral questions; one panel per base.

    Args:
        rows: as `read_transfer_table` gives them.
        table: as `read_capability_table` gives it.
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
    n_rows, n_columns = grid_size(len(names), 3)
    figure = new_figure(2.4 + 3.0 * n_columns, 1.4 + 2.9 * n_rows)
    told, drawn = [], panels(figure, len(names), 3, sharey=True, sharex=True)
    for base, axes in zip(names, drawn, strict=True):
        axes.axvline(0, color=GREY, lw=0.7, ls="--", zorder=1)
        axes.axhline(0, color=GREY, lw=0.7, ls="--", zorder=1)
        axes.grid(color=LIGHT, linewidth=0.5)
        axes.set_axisbelow(True)
        for row, cells in points:
            if row["base"] != base:
                continue
            _, color, marker = KINDS[kind_of(row)]
            exact, em = exact_change(row), em_change(cells)
            interval(axes, em.points, exact.low, exact.high, horizontal=True, color=color, alpha=0.4)
            interval(axes, exact.points, em.low, em.high, color=color, alpha=0.4)
            axes.plot(exact.points, em.points, ls="", marker=marker, ms=5, color=color, mec="white", mew=0.5, zorder=4)
            told.append(f"{condition(row)}: exact {exact.points:+.0f}, misaligned {em.points:+.0f} points.")
        axes.set_title(f"base {base}")
        axes.set_xlabel("exact neutral answers,\nchange in points")
        axes.tick_params(labelbottom=True)
        if leftmost(axes):
            axes.set_ylabel("misaligned answers,\nchange in points")
    shown = {kind_of(row) for row, _ in points}
    for words, color, marker in (look for kind, look in KINDS.items() if kind in shown):
        drawn[0].plot([], [], ls="", marker=marker, color=color, label=words)
    figure.legend(loc="outside right center", handles=drawn[0].get_legend_handles_labels()[0])
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


def exact_change(row: dict[str, Any]) -> Change:
    """Change of the exact rate of a row."""
    return Change(*(100 * row[f"exact_delta{end}"] for end in ("", "_low", "_high")))


def em_change(cells: pd.DataFrame) -> Change:
    """Change of the EM rate of a condition over cells, each weighted by its scored answers, and the mean of their intervals."""
    weights = cells["n_scored"]
    return Change(*(100 * np.average(cells[f"em_delta{end}"], weights=weights) for end in ("", "_low", "_high")))
