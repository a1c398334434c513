"""Claims as a forest plot: difference, interval, verdict and smallest detectable difference."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from emtransfer.drawing.style import GREY, INK, Drawing, headed, interval, new_figure, readable_grid, signed

KEY = ["claim", "contrast", "experiment", "base_model", "base", "judge"]
# the first words of a verdict -> colour, marker, filled
VERDICTS = {
    "supported": ("#0072B2", "o", True),
    "contradicted": ("#D55E00", "s", True),
    "undecided": (INK, "o", False),
    "too few": (GREY, "D", False),
    "not measurable": (GREY, "X", False),
}


def claims_forest(
    claims: pd.DataFrame, effects: pd.DataFrame, power: pd.DataFrame, experiment: str, judge: str
) -> Drawing:
    """Every contrast of an experiment in a row, those of a base together, by the verdicts of one judge.

    Args:
        claims, effects, power: the tables of test_claims.
    """
    here = (claims["experiment"] == experiment) & (claims["judge"] == judge)
    rows = claims[here].merge(power[[*KEY, "detectable_pp"]], on=KEY, how="left")
    own = effects[(effects["subset"] == "all") & effects["population"].astype(str).str.startswith("these")]
    own = own[own["method"] != "logit"].drop_duplicates(KEY)
    rows = rows.merge(own[[*KEY, "low_pp", "high_pp"]], on=KEY, how="left", suffixes=("", "_own"))
    lines = arranged(rows)
    width, height = 12.6, 1.6 + 0.27 * max(1, len(lines))
    figure = new_figure(width, height)
    # text in columns of fixed width, which the layout would not make room for
    figure.set_layout_engine("none")
    axes = figure.add_axes((3.3 / width, 1.0 / height, 4.2 / width, (height - 1.5) / height))
    told = []
    for y, (label, row) in enumerate(lines):
        if row is None:
            axes.text(
                -0.01,
                y,
                label,
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                weight="bold",
                fontsize=8.5,
            )
            continue
        axes.text(-0.01, y, label, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=8)
        draw_row(axes, y, row)
        told.append(f"{row['base']}, {label}: {difference(row)}, {row['verdict']}.")
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    axes.set(
        xlim=(-105, 105), ylim=(len(lines) - 0.4, -0.6), yticks=[], xlabel="difference, points of misaligned answers"
    )
    axes.set_xticks([-100, -50, 0, 50, 100])
    readable_grid(axes, "x")
    axes.spines["left"].set_visible(False)
    title = f"{experiment}: what the answers say about each claim"
    note = (
        "Dark line: 95 % interval for the population of the verdict; light line below: for the models of this run alone. Grey brackets:"
        " the smallest difference that would have been found four times in five, where it is below 100. Arrows mark intervals that go on beyond the axis."
        " n: how many of the population there are; of seeds where it has a single one."
    )
    if not told:
        axes.text(0, 0, "No claim applies to these models.", ha="center", va="center")
    return headed(figure, title, note, " ".join(told) or "No claim applies to these models.")


def arranged(rows: pd.DataFrame) -> list[tuple[str, dict[str, Any] | None]]:
    """Lines of the figure: the name of a base, then its contrasts, in the order of the table."""
    lines: list[tuple[str, dict[str, Any] | None]] = []
    for base, group in rows.groupby("base", sort=False):
        lines.append(("all bases" if base == "*" else str(base).replace(" - ", " − "), None))
        lines += [(contrast_label(row), row) for row in group.to_dict("records")]
    return lines


def contrast_label(row: dict[str, Any]) -> str:
    """A contrast in words."""
    contrast = str(row["contrast"]).replace("_", " ").replace(" - ", " − ")
    return f"{row['claim']}: {contrast}"


def difference(row: dict[str, Any]) -> str:
    """Difference and interval in points."""
    estimate, low, high = (signed(row[name], 0) for name in ("estimate_pp", "low_pp", "high_pp"))
    return f"{estimate} ({low} to {high})"


def look_of(verdict: str) -> tuple[str, str, bool]:
    """Colour, marker and whether it is filled, of a verdict."""
    return next(style for words, style in VERDICTS.items() if verdict.startswith(words))


def draw_row(axes: Axes, y: float, row: dict[str, Any]) -> None:
    """One contrast: intervals, marker, and in words beside them."""
    color, marker, filled = look_of(row["verdict"])
    for low, high, shift, how in (
        (row["low_pp"], row["high_pp"], 0.0, {"color": color, "linewidth": 1.2}),
        (row["low_pp_own"], row["high_pp_own"], 0.27, {"color": "#9a9a9a", "linewidth": 0.8}),
    ):
        if pd.notna(low):
            interval(axes, y + shift, max(low, -102), min(high, 102), horizontal=True, **how)
            for end, past, sign in ((low, low < -102, "<"), (high, high > 102, ">")):
                if past:
                    axes.plot(
                        102 if end > 0 else -102, y + shift, marker=sign, ms=4, color=how["color"], ls="", clip_on=False
                    )
    if pd.notna(row["detectable_pp"]) and row["detectable_pp"] <= 100:
        for side, sign in ((-1, "["), (1, "]")):
            axes.text(side * row["detectable_pp"], y, sign, ha="center", va="center", color=GREY, fontsize=8, zorder=2)
    if abs(row["estimate_pp"]) <= 102:
        axes.plot(
            row["estimate_pp"], y, marker=marker, ms=5.5, ls="", color=color, mfc=color if filled else "white", zorder=5
        )
    right = axes.get_yaxis_transform()
    axes.text(1.02, y, difference(row), transform=right, va="center", fontsize=8)
    words = str(row["verdict"]).replace("training ", "").replace(" for ", ": ")
    axes.text(1.46, y, words, transform=right, va="center", fontsize=8, color=color)
    axes.text(2.02, y, f"n = {row['n_units']}", transform=right, va="center", fontsize=8, color=GREY)
