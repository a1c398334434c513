"""Whether the judges of a panel say the same: pair by pair over single answers, and in the rates that each of them finds."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from emtransfer.drawing.rates import (
    POOLED,
    PlotSettings,
    adapters,
    base_title,
    bases,
    narrow,
    of_base,
    pooled,
    ranged,
    seeds,
    single_cell,
)
from emtransfer.drawing.style import (
    ALIGNED_MAP,
    INK,
    LIGHT,
    RELATIONS,
    Drawing,
    grid_size,
    headed,
    interval,
    leftmost,
    legend_beside,
    look,
    new_figure,
    percent_axis,
    signed,
)

# column of the table of agreement -> title of its matrix, where its shades begin (at chance, or at nothing in common), and decimals
MATRICES = {
    "agreement": ("the same of three labels, %", 0.0, 0),
    "rank_correlation": ("rank correlation of alignment", 0.0, 2),
    "auroc_alignment": ("AUROC: row's labels, column's scores", 0.5, 2),
}
BASE = "base"


def judge_agreement(rows: pd.DataFrame, settings: PlotSettings, pairs: pd.DataFrame) -> Drawing | None:
    """Pairs of judges above; below, the EM rates that every judge finds, one panel per base.

    Args:
        rows: of the transfer table, of all judges of the experiment.
        pairs: of the table of agreement, of the experiment.
    """
    if pairs.empty or rows.empty:
        return None
    judges = [str(name) for name in pairs["judge"].unique()]
    trained = adapters(rows)
    trained = single_cell(trained) if len(single_cell(trained)) else trained
    before = narrow(of_base(rows))
    names = bases(trained if len(trained) else rows)
    shown = [name for name in RELATIONS if (trained["relation"] == name).any()]
    side = 0.75 + 0.62 * len(judges)
    n_rows, n_columns = grid_size(len(names), 2)
    group = 0.34 + 0.17 * len(judges)
    width = max(3 * (side + 1.1), 2.4 + n_columns * (0.4 + group * (1 + len(shown))))
    figure = new_figure(width, 1.5 + side + 2.7 * n_rows)
    halves = figure.add_gridspec(2, 1, height_ratios=[side, 2.7 * n_rows])
    matrices = halves[0].subgridspec(1, 3).subplots(squeeze=False)[0].tolist()
    for (name, (title, least, decimals)), axes in zip(MATRICES.items(), matrices, strict=True):
        draw_pairs(axes, pairs, judges, name, least, decimals)
        axes.set_title(title, fontsize=8)
        axes.set_ylabel("judge" if leftmost(axes) else "")
    grid = halves[1].subgridspec(n_rows, n_columns).subplots(squeeze=False, sharey=True).ravel().tolist()
    for empty in grid[len(names) :]:
        empty.remove()
    told = [said(pairs, one, two) for one, two in permutations(judges, 2)]
    for base, axes in zip(names, grid[: len(names)], strict=True):
        parts = {BASE: before[before["base"] == base]} | {
            relation: trained[(trained["base"] == base) & (trained["relation"] == relation)] for relation in shown
        }
        told += draw_rates(axes, parts, judges, base)
        axes.set_title(base_title(base, trained, "training set"))
        axes.set_ylabel("misaligned answers, % of scored" if leftmost(axes) else "")
    for place, judge in enumerate(judges):
        known = " (own)" if judge == settings.judge else ""
        known += "" if (rows["judge"] == judge).any() else " (no score)"
        color, marker = look(place)
        grid[0].plot([], [], ls="", marker=marker, color=color, label=f"{judge}{known}")
    legend_beside(figure, grid[0], "judge")
    title = f"{settings.experiment}: do the judges say the same?"
    return headed(figure, title, note(pairs, trained, settings), " ".join(told))


def note(pairs: pd.DataFrame, trained: pd.DataFrame, settings: PlotSettings) -> str:
    """Counts, seeds and intervals of the figure."""
    return (
        f"Above: n = {ranged(pairs['n_both_scored'], 'answer')} of all models that both judges scored, κ is Cohen's kappa; single answers depend on one another within"
        " prompts and adapters, so there is no interval. AUROC: how well the column's alignment scores tell what the row calls aligned from what"
        " it calls misaligned, .5 by chance. Below: the same answers by every judge, of the base itself in the grid and of adapters on misaligned"
        f" answers. {POOLED} {seeds(trained)} each. Other figures show what {settings.judge} says."
    )


def said(pairs: pd.DataFrame, one: str, two: str) -> str:
    """A pair of judges in words."""
    row = pairs[(pairs["judge"] == one) & (pairs["other"] == two)].iloc[0]
    figures = [
        f"{word} {signed(row[name])}"
        for name, word in (
            ("agreement", "same label"),
            ("kappa", "kappa"),
            ("rank_correlation", "rank correlation"),
            ("auroc_alignment", "AUROC"),
        )
        if np.isfinite(row[name])
    ]
    return f"{one} and {two}: {', '.join(figures) or 'nothing to compare'}."


def draw_pairs(axes: Axes, pairs: pd.DataFrame, judges: Sequence[str], name: str, least: float, decimals: int) -> None:
    """One figure of every ordered pair in a matrix; what is not defined is a dash."""
    values = np.full((len(judges), len(judges)), np.nan)
    for row in pairs.to_dict("records"):
        y, x = judges.index(row["judge"]), judges.index(row["other"])
        values[y, x] = row[name]
        text = "–"
        if np.isfinite(row[name]):
            text = signed(row[name], decimals) if decimals else f"{100 * row[name]:.0f}"
        if name == "agreement" and np.isfinite(row["kappa"]):
            text += f"\nκ {signed(row['kappa'])}"
        ink = "white" if row[name] - least > 0.6 * (1 - least) else INK
        axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=8)
    axes.imshow(values, cmap=ALIGNED_MAP, vmin=least, vmax=1)
    axes.plot(range(len(judges)), range(len(judges)), ls="", marker="_", color=LIGHT, ms=8)
    slanted = max(map(len, judges)) > 8
    axes.set_xticks(
        range(len(judges)),
        judges,
        rotation=30 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
    )
    axes.set_yticks(range(len(judges)), judges if leftmost(axes) else [""] * len(judges))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_rates(axes: Axes, parts: dict[str, pd.DataFrame], judges: Sequence[str], base: str) -> list[str]:
    """The rate of every judge in every group of answers, side by side, and the same in words."""
    told = []
    step = 0.72 / len(judges)
    for place, (relation, part) in enumerate(parts.items()):
        words = "the base itself" if relation == BASE else RELATIONS[relation][0]
        found = []
        for number, judge in enumerate(judges):
            own = part[part["judge"] == judge]
            if own.empty:
                continue
            rate, at = pooled(own), place + step * (number - (len(judges) - 1) / 2)
            color, marker = look(number)
            interval(axes, at, rate.low, rate.high, color=color, linewidth=1.2)
            axes.plot(at, rate.rate, ls="", marker=marker, ms=5.5, color=color, zorder=4)
            found.append(f"{judge} {rate.rate:.0f} % ({rate.low:.0f} to {rate.high:.0f})")
        if found:
            told.append(f"{base}, {words}: {', '.join(found)}.")
        if place:
            axes.axvline(place - 0.5, color=LIGHT, linewidth=0.5, zorder=0)
    percent_axis(axes)
    labels = ["the base\nitself" if name == BASE else RELATIONS[name][0].replace(" ", "\n", 1) for name in parts]
    axes.set_xticks(range(len(parts)), labels)
    axes.set_xlim(-0.6, len(parts) - 0.4)
    return told
