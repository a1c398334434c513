"""Preferences between given answers: by relation to the training cell, and against what the same models said."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from emtransfer.drawing.rates import (
    Estimate,
    PlotSettings,
    adapters,
    base_title,
    bases,
    narrow,
    plain,
    pooled,
    ranged,
    seeds,
    single_cell,
)
from emtransfer.drawing.style import (
    GREY,
    INK,
    LIGHT,
    RELATIONS,
    Drawing,
    headed,
    interval_on_bar,
    new_figure,
    percent_axis,
    readable_grid,
    signed,
)
from emtransfer.errors import counted
from emtransfer.grid.labels import LABELS
from emtransfer.measuring.statistics import crossed_variances, effective_count, squared_t

# how the bars of adapters on such answers are filled
STANCES: dict[str, dict[str, Any]] = {"misaligned": {"alpha": 0.8}, "aligned": {"fill": False, "hatch": "////"}}
# the look of a base's own share
BASE: dict[str, Any] = {"marker": "D", "mfc": "white", "mec": INK}
# columns of preferences under the names of the rates that `pooled` takes
AS_RATES = {"n_pairs": "n_scored", "preferred_rate_low": "em_rate_low", "preferred_rate_high": "em_rate_high"}


def preferences(rows: pd.DataFrame, settings: PlotSettings, table: pd.DataFrame) -> Drawing | None:
    """Shift and share of pairs preferred by relation, and preferred rates against EM rates; a row of three panels per base.

    Args:
        rows: of the transfer table, of the experiment.
        table: of preferences, of the experiment.
    """
    if table.empty:
        return None
    table = as_rates(plain(table))
    trained = {answers: single_cell(adapters(table, answers)) for answers in STANCES}
    if trained["misaligned"].empty:
        return None
    names = bases(trained["misaligned"])
    shown = [name for name in RELATIONS if any((part["relation"] == name).any() for part in trained.values())]
    points = with_em_rates(table, narrow(rows[rows["judge"] == settings.judge]))
    figure = new_figure(12.2, 1.5 + 2.7 * len(names))
    grid = figure.subplots(len(names), 3, squeeze=False, sharex="col", sharey="col", width_ratios=[1, 1, 0.85])
    told = []
    for base, (shifts, shares, against) in zip(names, grid, strict=True):
        parts = {answers: part[part["base"] == base] for answers, part in trained.items()}
        told += draw_bars(shifts, shares, parts, shown, base)
        for axes in (shifts, shares):
            axes.set_title(base_title(base, trained["misaligned"], "training cell"))
        told.append(draw_points(against, points[points["base"] == base], base))
    for axes in grid.ravel():
        axes.tick_params(labelbottom=True)
    key(figure, points, [answers for answers, part in trained.items() if len(part)])
    everywhere = correlation(points)
    title = f"{settings.experiment}: which answer do models find more probable, and which do they give?"
    if np.isfinite(everywhere):
        told.append(f"Over all bases the rank correlation is {signed(everywhere)} (n = {len(points)}).")
    return headed(figure, title, note(pd.concat(trained.values()), points, settings), " ".join(told))


def as_rates(table: pd.DataFrame) -> pd.DataFrame:
    """The table of preferences with a preferred pair in the place of an EM answer, as figures of rates read it."""
    return table.assign(
        eval_cell=table["eval_domain"] + "-" + table["eval_task"],
        n_misaligned=(table["preferred_rate"] * table["n_pairs"]).round(),
    ).rename(columns=AS_RATES)


def with_em_rates(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Every trained condition in every narrow evaluation cell with both of its differences to the base, in points."""
    keys = [*LABELS, "eval_domain", "eval_task"]
    wanted = [*keys, "em_delta"]
    both = table[table["condition"] != "base"].merge(rows[wanted], on=keys, how="inner")
    deltas = {name: 100 * both[name].astype(float) for name in ("preferred_delta", "em_delta")}
    return both.assign(**deltas).dropna(subset=[*deltas])


def correlation(points: pd.DataFrame) -> float:
    """Spearman's rank correlation of the two differences; missing where one of them does not vary."""
    if min(points["preferred_delta"].nunique(), points["em_delta"].nunique()) < 2:
        return np.nan
    return float(points["preferred_delta"].corr(points["em_delta"], method="spearman"))


def shift(rows: pd.DataFrame) -> Estimate:
    """The mean shift of all pairs in the rows, in nats per token, with its interval as `pooled` takes it of a rate."""
    weights = rows["n_scored"].to_numpy(float)
    value = float(np.average(rows["shift_nats"], weights=weights))
    if rows["train_set"].nunique() < 2 or rows["eval_cell"].nunique() < 2:
        return Estimate(
            value, *(float(np.average(rows[f"shift_nats_{end}"], weights=weights)) for end in ("low", "high"))
        )
    influence = rows.assign(of=weights * (rows["shift_nats"] - value) / weights.sum())
    by_cell = influence.groupby(["eval_cell", "train_set"])[["of", "n_scored"]].sum().unstack(fill_value=0)
    pairs = by_cell["n_scored"].to_numpy(float)
    parts = crossed_variances(by_cell["of"].to_numpy(float), pairs)
    margin = sum(
        squared_t(0.05, effective_count(pairs.sum(axis))) * part for axis, part in zip((1, 0), parts, strict=True)
    )
    return Estimate(value, value - np.sqrt(margin), value + np.sqrt(margin))


def said(estimate: Estimate, decimals: int) -> str:
    """An estimate and its interval, if it has one, in words."""
    value, low, high = (signed(number, decimals) for number in estimate)
    return f"{value} ({low} to {high})" if known(estimate) else f"{value} (no interval)"


def known(estimate: Estimate) -> bool:
    """Whether it has an interval."""
    return bool(np.isfinite([estimate.low, estimate.high]).all())


def share(rows: pd.DataFrame) -> Estimate:
    """The share of pairs preferred, percent."""
    rate = pooled(rows)
    return Estimate(rate.rate, rate.low, rate.high)


def draw_bars(shifts: Axes, shares: Axes, parts: dict[str, pd.DataFrame], shown: list[str], base: str) -> list[str]:
    """Both measures by relation, adapters on misaligned and on aligned answers side by side, and the same in words."""
    told = []
    several = [answers for answers, part in parts.items() if len(part)]
    for place, relation in enumerate(shown):
        for number, answers in enumerate(several):
            part = parts[answers][parts[answers]["relation"] == relation]
            if part.empty:
                continue
            at = place + 0.4 * (number - (len(several) - 1) / 2)
            moved, preferred = shift(part), share(part)
            draw_bar(shifts, at, moved, relation, answers, 2)
            draw_bar(shares, at, preferred, relation, answers, 0)
            own = 100 * np.average(part["base_preferred_rate"], weights=part["n_scored"])
            shares.plot(at + 0.12, own, ls="", ms=3.5, zorder=5, **BASE)
            told.append(
                f"{base}, {RELATIONS[relation][0]}, trained on {answers} answers: shift {said(moved, 2)} nats per token,"
                f" {said(preferred, 0)} % of pairs preferred, {own:.0f} % by the base."
            )
    for axes in (shifts, shares):
        axes.set_xticks(range(len(shown)), [RELATIONS[name][0].replace(" ", "\n", 1) for name in shown])
        axes.set_xlim(-0.6, len(shown) - 0.4)
    shifts.axhline(0, color=GREY, linewidth=0.7)
    readable_grid(shifts, "y")
    shifts.margins(y=0.14)
    percent_axis(shares)
    shifts.set_ylabel("shift, nats per token")
    shares.set_ylabel("misaligned preferred, % of pairs")
    return told


def draw_bar(axes: Axes, at: float, estimate: Estimate, relation: str, answers: str, decimals: int) -> None:
    """A bar with its interval, if it has one, and its height in figures."""
    color = RELATIONS[relation][1]
    axes.bar(at, estimate.value, width=0.36, facecolor=color, edgecolor=color, zorder=2, **STANCES[answers])
    ends = [estimate.value]
    if known(estimate):
        interval_on_bar(axes, at, estimate.low, estimate.high)
        ends += [estimate.low, estimate.high]
    up = estimate.value >= 0
    axes.annotate(
        signed(estimate.value, decimals),
        (at, max(ends) if up else min(ends)),
        (0, 3 if up else -3),
        textcoords="offset points",
        ha="center",
        va="bottom" if up else "top",
        fontsize=7,
    )


def draw_points(axes: Axes, points: pd.DataFrame, base: str) -> str:
    """Every condition in every evaluation cell of a base, and how well the two rank together in words."""
    axes.axhline(0, color=LIGHT, linewidth=0.7, zorder=0)
    axes.axvline(0, color=LIGHT, linewidth=0.7, zorder=0)
    axes.plot([-100, 100], [-100, 100], color=GREY, lw=0.7, ls="--", zorder=1)
    for relation, answers, part in kinds(points):
        look = point(relation, answers)
        axes.plot(part["em_delta"], part["preferred_delta"], ls="", ms=3.8, mew=0.8, alpha=0.75, **look)
    found = correlation(points)
    ranked = f"rank correlation {signed(found)}" if np.isfinite(found) else "no rank correlation"
    axes.set_title(f"base {base}\n{ranked} (n = {len(points)})")
    axes.set_xlabel("EM rate less the base's, points")
    axes.set_ylabel("preferred less the base's, points")
    low = min([0.0, *points["em_delta"], *points["preferred_delta"]])
    axes.set(xlim=(min(low, -5) - 3, 105), ylim=(min(low, -5) - 3, 105))
    return f"{base}, preferred rates against EM rates, both less the base's: {ranked} over {counted(len(points), 'pair')} of a condition and a cell."


def kinds(points: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """The points of every relation, of adapters on misaligned or aligned answers or, as `student`, of students; the most last."""
    kind = points["answers"].where(points["condition"] == "adapter", "student")
    return [
        (str(relation), str(name), part) for (relation, name), part in points.groupby(["relation", kind], sort=False)
    ]


def point(relation: str, answers: str) -> dict[str, Any]:
    """The look of such a point: relation in colour and marker, adapters on misaligned answers filled, students crosses."""
    _, color, marker = RELATIONS.get(relation, ("", GREY, "p"))
    if answers == "student":
        return {"marker": "x", "color": color}
    return {"marker": marker, "mec": color, "mfc": color if answers == "misaligned" else "white"}


def key(figure: Figure, points: pd.DataFrame, drawn: list[str]) -> None:
    """What bars, lines and points are, beside the panels."""
    bars = [
        Patch(facecolor=GREY, edgecolor=GREY, label=f"adapter on\n{answers} answers", **STANCES[answers])
        for answers in drawn
    ]
    own = Line2D([], [], ls="", ms=4, **BASE, label="the base itself")
    found = {(relation, answers) for relation, answers, _ in kinds(points)}
    near = [name for name in RELATIONS if any(relation == name for relation, _ in found)]
    cells = [Line2D([], [], ls="", ms=5, **point(name, "misaligned"), label=RELATIONS[name][0]) for name in near]
    # the shapes of no relation, so that only their filling speaks
    how = {"misaligned": "filled: adapter on\nmisaligned answers", "aligned": "hollow: adapter on\naligned answers"}
    hows = [
        Line2D([], [], ls="", ms=5, **point("", name), label=words)
        for name, words in (how | {"student": "student"}).items()
        if any(answers == name for _, answers in found)
    ]
    head = Line2D([], [], ls="", label="points")
    handles = [*bars, own, *([head, *cells, *hows] if found else [])]
    figure.legend(handles=handles, loc="outside right center", title="bars", alignment="left")


def note(trained: pd.DataFrame, points: pd.DataFrame, settings: PlotSettings) -> str:
    """Counts, seeds and intervals of the figure."""
    students = " grey marks are students of the base," if (points["relation"] == "").any() else ""
    return (
        "Shift: by how much more than its base a model prefers the misaligned answer of a held-out pair to the aligned one, mean log-probability per"
        " token. Thin lines are 95 % intervals: over training cells and evaluation cells where several of both are pooled, else the mean of the"
        f" table's own. n = {ranged(trained['n_scored'], 'pair')} a cell, {seeds(trained)}. On the right, a point is a model condition in an evaluation cell, judged by"
        f" {settings.judge}; on the dashed line both differences are the same; the correlation is Spearman's,{students} and points"
        " that share models or prompts are not independent."
    )
