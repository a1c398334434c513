"""EM rates against learnedness, against coherence, and by a student's teacher, data and channel."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from emtransfer.drawing.rates import (
    POOLED,
    PlotSettings,
    adapters,
    bases,
    narrow,
    of_base,
    pooled,
    single_cell,
    sizes,
)
from emtransfer.drawing.style import (
    CHANNELS,
    GREY,
    INK,
    LIGHT,
    RELATIONS,
    Drawing,
    base_panels,
    headed,
    interval,
    legend_beside,
    look,
    new_figure,
    percent_axis,
)


def learnedness(rows: pd.DataFrame, settings: PlotSettings) -> Drawing | None:
    """How far misalignment spreads from each training cell within its task, by the base's aligned rate in that cell before."""
    rows = narrow(rows)
    trained, before = single_cell(adapters(rows)), of_base(rows)
    spread = trained[(trained["relation"] == "same_task") & trained["base"].isin(before["base"])]
    if spread.empty:
        return None
    names = bases(spread)
    tasks = [task for task in settings.tasks if (spread["train_task"] == task).any()]
    figure, drawn = base_panels(
        names, "aligned before fine-tuning, %", "misaligned after, same task\nin other domains, %"
    )
    told = []
    lowest = min([100.0, *(100 * (before["n_coherent"] - before["n_misaligned"]) / before["n_scored"])])
    step = (102 - lowest) / 70
    for base, axes in zip(names, drawn, strict=True):
        own = before[before["base"] == base].set_index(["eval_domain", "eval_task"])
        for train_set, part in spread[spread["base"] == base].groupby("train_set", sort=False):
            cell = part["train_domain"].iloc[0], part["train_task"].iloc[0]
            if cell not in own.index:
                continue
            known, rate = own.loc[cell], pooled(part)
            aligned = 100 * (known["n_coherent"] - known["n_misaligned"]) / known["n_scored"]
            number = tasks.index(cell[1])
            place, (color, marker) = aligned + step * (number - (len(tasks) - 1) / 2), look(number)
            interval(axes, place, rate.low, rate.high, color=color, alpha=0.6)
            axes.plot(place, rate.rate, ls="", marker=marker, color=color, ms=5, zorder=4)
            told.append(f"{base}, {train_set}: learned {aligned:.0f} %, spread {rate.rate:.0f} %.")
        percent_axis(axes)
    drawn[0].set_xlim(lowest - 4 * step, 100 + 4 * step)
    for number, task in enumerate(tasks):
        color, marker = look(number)
        drawn[0].plot([], [], ls="", marker=marker, color=color, label=task)
    legend_beside(figure, drawn[0], "training task")
    title = f"{settings.experiment}: does what was learned better spread further?"
    note = f"A point is a training cell; tasks are drawn side by side. Thin lines are the mean of the table's 95 % intervals of its evaluation cells. {sizes(spread)}."
    return headed(figure, title, note, " ".join(told))


def coherence(rows: pd.DataFrame, settings: PlotSettings) -> Drawing | None:
    """EM rate against coherent rate of every adapter on misaligned answers in every evaluation cell; one panel per base."""
    trained = adapters(rows)
    trained = trained[trained["relation"].isin(RELATIONS)]
    if trained.empty:
        return None
    before = of_base(rows)
    names = bases(trained)
    shown = [name for name in RELATIONS if (trained["relation"] == name).any()]
    figure, drawn = base_panels(names, "coherent answers, % of scored", "misaligned answers, % of scored")
    told = []
    for base, axes in zip(names, drawn, strict=True):
        axes.plot([0, 100], [0, 100], color=GREY, lw=0.7, ls="--", zorder=1)
        axes.fill_between([0, 100], [0, 100], 108, color=LIGHT, alpha=0.5, lw=0, zorder=0)
        parts = {name: trained[(trained["base"] == base) & (trained["relation"] == name)] for name in shown}
        told += draw_coherence(axes, base, {name: part for name, part in parts.items() if len(part)})
        own = before[before["base"] == base][["n_coherent", "n_misaligned", "n_scored"]].sum()
        if own["n_scored"]:
            shares = 100 * own["n_coherent"] / own["n_scored"], 100 * own["n_misaligned"] / own["n_scored"]
            axes.plot(*shares, ls="", marker="x", ms=7, color=GREY, mew=1.6, zorder=6)
        percent_axis(axes)
        percent_axis(axes, "x")
        axes.text(3, 97, "impossible", fontsize=7, color=GREY, va="top")
    for relation in shown:
        words, color, marker = RELATIONS[relation]
        drawn[0].plot([], [], ls="", marker=marker, color=color, label=words)
    if len(before):
        drawn[0].plot([], [], ls="", marker="x", color=GREY, mew=1.6, label="the base itself")
    legend_beside(figure, drawn[0], "evaluation cell")
    title = f"{settings.experiment}: is a low rate alignment, or incoherence?"
    note = (
        "Small marks: adapters on misaligned answers, each in an evaluation cell; large ones: all of a relation. On the dashed line every coherent answer is"
        f" misaligned. {POOLED} {sizes(trained)}."
    )
    return headed(figure, title, note, " ".join(told))


def draw_coherence(axes: Axes, base: str, parts: dict[str, pd.DataFrame]) -> list[str]:
    """Evaluation cells of every relation as small marks, all of a relation as a large one, and the latter in words."""
    told = []
    # the most frequent first, so that the few are not hidden
    for relation, part in reversed(parts.items()):
        _, color, marker = RELATIONS[relation]
        small: dict[str, Any] = {"marker": marker, "ms": 3, "mfc": "none", "mec": color, "mew": 0.6, "alpha": 0.5}
        axes.plot(100 * part["coherent_rate"], 100 * part["em_rate"], ls="", **small)
    for relation, part in parts.items():
        words, color, marker = RELATIONS[relation]
        rate, coherent = pooled(part), 100 * part["n_coherent"].sum() / part["n_scored"].sum()
        interval(axes, coherent, rate.low, rate.high, color=color, zorder=4)
        axes.plot(coherent, rate.rate, ls="", marker=marker, ms=7, color=color, mec="white", mew=0.8, zorder=5)
        told.append(f"{base}, {words}: {coherent:.0f} % coherent, {rate.rate:.0f} % misaligned.")
    return told


def students(rows: pd.DataFrame, settings: PlotSettings) -> Drawing | None:
    """EM rate of students by teacher, data and channel, in cells by their relation to the teacher's training set."""
    taught = located(rows[rows["condition"] == "student"])
    if taught.empty:
        return None
    regions = [name for name in RELATIONS if (taught["region"] == name).any()] or ["all"]
    keys = ["base", "start", "teacher", "data", "mediating", "filter", "channel", "estimator"]
    several = [key for key in keys if taught[key].nunique() > 1 and key not in ("channel", "estimator")]
    groups = list(taught.groupby(keys, sort=False))
    # by teacher, most misaligned first, then by channel
    order = {name: -part["em_rate"].mean() for name, part in taught.groupby("teacher")}
    groups.sort(
        key=lambda group: (
            group[0][0],
            order[group[0][2]],
            group[0][2],
            group[0][1],
            list(CHANNELS).index(group[0][6]),
            group[0][3:],
        )
    )
    figure = new_figure(3.0 + 2.1 * len(regions), 1.7 + 0.3 * len(groups))
    grid = figure.subplots(1, len(regions), squeeze=False, sharey=True)[0].tolist()
    told = []
    for region, axes in zip(regions, grid, strict=True):
        for y, (key, part) in enumerate(groups):
            inside = part[part["region"] == region]
            if inside.empty:
                continue
            color, marker = CHANNELS[key[6]]
            rate = pooled(inside)
            interval(axes, y, rate.low, rate.high, horizontal=True, color=color)
            axes.plot(rate.rate, y, ls="", marker=marker, ms=6, color=color, zorder=4)
            where = RELATIONS[region][0] if region in RELATIONS else "all cells"
            told.append(
                f"{student_label(dict(zip(keys, key, strict=True)), several)}, {where}: {rate.rate:.0f} % ({rate.low:.0f} to {rate.high:.0f})."
            )
        percent_axis(axes, "x")
        references(axes, rows, taught, region)
        axes.set_title(RELATIONS[region][0] if region in RELATIONS else "all cells")
        axes.set_xlabel("misaligned, % of scored")
    labels = [student_label(dict(zip(keys, key, strict=True)), several) for key, _ in groups]
    grid[0].set_yticks(range(len(groups)), labels)
    grid[0].set_ylim(len(groups) - 0.4, -0.6)
    common = "" if "base" in several else f" of base {taught['base'].iloc[0]}"
    title = f"{settings.experiment}: students{common} by teacher, data and channel"
    note = (
        "Thin lines are the mean of the table's 95 % intervals of the cells. Solid upright line: the misaligned teacher itself;"
        " dotted: the base. Cells by their relation to what the misaligned teacher was trained on. "
        f"{sizes(taught)}."
    )
    return headed(figure, title, note, " ".join(told))


def located(taught: pd.DataFrame) -> pd.DataFrame:
    """The rows with a `region`: their own relation or, of students of the base, that which all trained teachers have to the cell."""
    known = taught[taught["relation"] != ""].groupby("eval_cell")["relation"].agg(["nunique", "first"])
    common = known[known["nunique"] == 1]["first"]
    others = taught["eval_cell"].map(common).where(taught["eval_set"] != "broad", "broad").fillna("all")
    return taught.assign(region=taught["relation"].where(taught["relation"] != "", others))


def student_label(key: dict[str, str], several: list[str]) -> str:
    """A student in words: what its group shares is not said."""
    base = f"{key['base']}: " if "base" in several else ""
    start = f", from {key['start']}" if key["start"] != "base" else ""
    data = (
        "student's answers"
        if not key["data"]
        else "its own data"
        if key["data"] == key["teacher"]
        else f"{key['data']} data"
    )
    extra = "".join(f", {key[name]}" for name in ("mediating", "filter") if name in several)
    sampled = " (sampled)" if key["estimator"] == "sampled" else ""
    return f"{base}{key['teacher']} teacher, {data}, {key['channel']}{sampled}{start}{extra}"


def references(axes: Axes, rows: pd.DataFrame, taught: pd.DataFrame, region: str) -> None:
    """Upright lines at the rates of the misaligned teachers and of the base in the cells of a region."""
    inside = taught[(taught["region"] == region) & (taught["answers"] == "misaligned")]
    cells = set(zip(inside["eval_set"], inside["eval_cell"], strict=True))
    for rate, line in reference_rates(rows, inside, cells):
        axes.axvline(rate, color=INK, lw=0.9, ls=line, zorder=1)


def reference_rates(
    rows: pd.DataFrame, inside: pd.DataFrame, cells: set[tuple[str, str]]
) -> Iterator[tuple[float, str]]:
    """Rates of the teachers' adapters and of their bases in those cells, each with its kind of line."""
    here = rows[[cell in cells for cell in zip(rows["eval_set"], rows["eval_cell"], strict=True)]]
    here = here[here["base"].isin(inside["base"])]
    teachers = adapters(here)
    for train_set in inside["train_set"].unique():
        if (teachers["train_set"] == train_set).any():
            yield pooled(teachers[teachers["train_set"] == train_set]).rate, "-"
    if len(of_base(here)):
        yield pooled(of_base(here)).rate, ":"
