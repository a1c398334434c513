"""Heat maps: training cell by evaluation cell, the same pooled by task and by domain, and domain by task before and after."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from emtransfer.drawing.rates import (
    PlotSettings,
    Pooled,
    adapters,
    answers,
    bases,
    narrow,
    of_base,
    pooled,
    single_cell,
    sizes,
)
from emtransfer.drawing.style import ALIGNED_MAP, GREY, INK, MISALIGNED_MAP, Drawing, headed, ink_on, new_figure
from emtransfer.errors import counted

# columns beyond which a cell is too narrow for figures
READABLE = 16


def transfer_matrix(rows: pd.DataFrame, settings: PlotSettings) -> Drawing | None:
    """EM rate by training set and evaluation cell, ordered by task so that blocks show; one panel per base."""
    rows = narrow(rows)
    trained = adapters(rows)
    if trained.empty:
        return None
    names = [base for base in bases(rows) if (trained["base"] == base).any()]
    columns = ordered_cells(rows, settings)
    wide = len(columns) > READABLE
    parts = {base: matrix_rows(rows, trained, base, settings) for base in names}
    heights = [len(part) for part in parts.values()]
    cell = (0.19, 0.24) if wide else (0.68, 0.42)
    figure = new_figure(2.6 + cell[0] * len(columns), 1.7 + cell[1] * sum(heights) + 0.75 * len(names))
    grid = figure.subplots(len(names), 1, squeeze=False, height_ratios=[height + 1.2 for height in heights])
    for base, axes in zip(names, grid[:, 0], strict=True):
        draw_matrix(axes, parts[base], columns, wide)
        axes.set_title(f"base {base}", pad=22)
    figure.supylabel("fine-tuned on misaligned answers of", fontsize=9)
    color_bar(figure, grid[:, 0].tolist(), MISALIGNED_MAP, "misaligned answers, % of scored")
    best = outside(trained).sort_values("em_rate", ascending=False, kind="stable").head(1)
    title = f"{settings.experiment}: what fine-tuning on each cell does to every other"
    inside = "Small numbers are 95 % intervals. "
    if wide:
        inside = f"Rates and 95 % intervals of these cells, up to {widest(trained):.0f} points wide, are in the table. "
    own = of_base(rows[rows["base"].isin(names)])
    before = f"of the base itself, {answers(own)}" if len(own) else "the base itself was not measured"
    note = f"Columns by task, then domain. Outlined: cells that were trained on. {inside}{sizes(trained)}; {before}."
    return headed(figure, title, note, f"{strongest(best)} {counted(len(names), 'panel')}: {', '.join(names)}.")


def ordered_cells(rows: pd.DataFrame, settings: PlotSettings) -> list[tuple[str, str]]:
    """(task, domain) of every evaluation cell, in the order of the config."""
    found = {(str(task), str(domain)) for domain, task in zip(rows["eval_domain"], rows["eval_task"], strict=True)}
    tasks, domains = rank(settings.tasks), rank(settings.domains)
    return sorted(found, key=lambda cell: (tasks(cell[0]), domains(cell[1])))


def rank(names: Sequence[str]):  # type: ignore[no-untyped-def]
    """A sort key by place in a list; what is not in it comes last, by name."""
    places = {name: place for place, name in enumerate(names)}
    return lambda name: (places.get(name, len(places)), name)


def matrix_rows(
    rows: pd.DataFrame, trained: pd.DataFrame, base: str, settings: PlotSettings
) -> list[tuple[str, pd.DataFrame]]:
    """Label and table rows of the base if it was measured, of its adapters by task and domain of their training cell, and of unions."""
    tasks, domains = rank(settings.tasks), rank(settings.domains)
    own = trained[trained["base"] == base]
    keys = own.groupby("train_set")[["train_task", "train_domain"]].first()
    order = sorted(
        keys.index,
        key=lambda name: (tasks(keys.loc[name, "train_task"]), domains(keys.loc[name, "train_domain"]), name),
    )
    before = of_base(rows)
    before = before[before["base"] == base]
    return [
        *([("the base itself", before)] if len(before) else []),
        *((label(str(name), keys.loc[name]), own[own["train_set"] == name]) for name in order),
    ]


def label(train_set: str, cell: pd.Series) -> str:
    """A training set in words."""
    return f"{train_set} (union)" if "*" in (cell["train_domain"], cell["train_task"]) else train_set


def draw_matrix(axes: Axes, parts: list[tuple[str, pd.DataFrame]], columns: list[tuple[str, str]], wide: bool) -> None:
    """One panel of `transfer_matrix`."""
    places = {cell: place for place, cell in enumerate(columns)}
    values = np.full((len(parts), len(columns)), np.nan)
    for y, (_, part) in enumerate(parts):
        for row in part.itertuples():
            x = places[row.eval_task, row.eval_domain]
            values[y, x] = 100 * row.em_rate
            if not wide:
                write_rate(axes, x, y, 100 * row.em_rate, (100 * row.em_rate_low, 100 * row.em_rate_high))
            if row.relation == "in_cell":
                outline(axes, x, y)
    shade(axes, values, MISALIGNED_MAP)
    axes.set_yticks(range(len(parts)), [label for label, _ in parts])
    axes.set_xticks(
        range(len(columns)), [domain for _, domain in columns], rotation=90 if wide else 0, fontsize=6.5 if wide else 8
    )
    tasks = [task for task, _ in columns]
    # the base's is empty
    trained_on = [part["train_task"].iloc[0] for _, part in parts]
    for y in range(1, len(parts)):
        if not trained_on[y - 1]:
            axes.axhline(y - 0.5, color=INK, linewidth=1.2)
        elif trained_on[y] != trained_on[y - 1]:
            axes.axhline(y - 0.5, color=GREY, linewidth=0.8)
    for task in dict.fromkeys(tasks):
        first, last = tasks.index(task), len(tasks) - 1 - tasks[::-1].index(task)
        axes.text((first + last) / 2, -0.62, task, ha="center", va="bottom", fontsize=8, weight="bold", color=GREY)
        if first:
            axes.axvline(first - 0.5, color=GREY, linewidth=0.8)


def shade(axes: Axes, values: np.ndarray, palette: str) -> None:
    """Squares coloured by rates in percent; what is missing stays white."""
    axes.imshow(values, cmap=palette, vmin=0, vmax=100, aspect="auto", zorder=0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def write_rate(axes: Axes, x: float, y: float, rate: float, limits: tuple[float, float] | None = None) -> None:
    """A rate in its square, its interval below, in an ink that shows on the square's colour."""
    color = ink_on(rate)
    axes.text(x, y - (0.12 if limits else 0), f"{rate:.0f}", ha="center", va="center", color=color, fontsize=9)
    if limits:
        axes.text(x, y + 0.27, between(*limits), ha="center", va="center", color=color, fontsize=6)


def between(low: float, high: float) -> str:
    """An interval of rates in percent."""
    return f"{low:.0f}–{high:.0f}"


def outline(axes: Axes, x: float, y: float) -> None:
    """Mark a square as one that was trained on; white beneath the line, so that it shows on a dark square."""
    for color, width in (("white", 3.0), (INK, 1.4)):
        axes.add_patch(
            Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, edgecolor=color, linewidth=width, zorder=4)
        )


def color_bar(figure: Figure, axes: Sequence[Axes], palette: str, label: str) -> None:
    """The scale of a palette from 0 to 100 beside some panels."""
    scale = ScalarMappable(Normalize(0, 100), matplotlib.colormaps[palette])
    bar = figure.colorbar(scale, ax=list(axes), fraction=0.03, pad=0.01, aspect=30, shrink=0.9)
    bar.set_label(label, fontsize=8)
    bar.outline.set_visible(False)


def outside(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of evaluation cells that were not trained on."""
    return rows[rows["relation"] != "in_cell"]


def strongest(best: pd.DataFrame) -> str:
    """In words, the row with the highest rate; nothing if there is none."""
    return " ".join(
        f"Most outside the training cell: {row.em_rate:.0%} misaligned in {row.eval_cell} after fine-tuning"
        f" {row.base} on {row.train_set}."
        for row in best.itertuples()
    )


def pooled_matrix(rows: pd.DataFrame, settings: PlotSettings) -> Drawing | None:
    """EM rate by task and by domain of training and evaluation, pooled over the other; a row of two panels per base."""
    trained = single_cell(adapters(narrow(rows)))
    if trained.empty:
        return None
    names = bases(trained)
    axes_of = {"task": settings.tasks, "domain": settings.domains}
    parts = {base: trained[trained["base"] == base] for base in names}
    heights = [max(own[f"train_{kind}"].nunique() for kind in axes_of) for own in parts.values()]
    widths = [max(4, trained[f"eval_{kind}"].nunique()) for kind in axes_of]
    figure = new_figure(3.8 + 0.62 * sum(widths), 1.3 + sum(1.15 + 0.42 * height for height in heights))
    grid = figure.subplots(
        len(names), 2, squeeze=False, width_ratios=widths, height_ratios=[height + 0.6 for height in heights]
    )
    for (base, own), panels in zip(parts.items(), grid, strict=True):
        for (kind, values), axes in zip(axes_of.items(), panels, strict=True):
            cells = pooled_cells(own, kind)
            draw_pooled(axes, cells, present(values, cells, 0), present(values, cells, 1))
            axes.set_title(f"base {base}, by {kind}")
            axes.set(xlabel=f"evaluation {kind}", ylabel=f"training {kind}")
    color_bar(figure, grid.ravel().tolist(), MISALIGNED_MAP, "misaligned answers, % of scored")
    title = f"{settings.experiment}: misalignment by task and by domain"
    note = (
        "Pooled over domains on the left, over tasks on the right, the training cells themselves included. Small numbers are"
        " 95 % intervals: over training cells and evaluation cells where several of both are pooled, else the mean of the"
        f" table's own. {sizes(trained)}; {counted(trained['train_set'].nunique(), 'training cell')}."
    )
    told = [
        f"Base {base}: trained on a {kind} and evaluated on the same, {pooled(same).rate:.0f} %; on another, {pooled(other).rate:.0f} %."
        for base in names
        for kind in axes_of
        for same, other in [split(trained[trained["base"] == base], kind)]
        if len(same) and len(other)
    ]
    return headed(figure, title, note, " ".join(told))


def pooled_cells(rows: pd.DataFrame, kind: str) -> dict[tuple[str, str], Pooled]:
    """(training, evaluation) task or domain -> its pooled rate."""
    groups = rows.groupby([f"train_{kind}", f"eval_{kind}"], sort=False)
    return {(str(trained), str(evaluated)): pooled(group) for (trained, evaluated), group in groups}


def present(values: Sequence[str], cells: dict[tuple[str, str], Pooled], side: int) -> list[str]:
    """Those of the config's values, in its order, that rows or columns have."""
    found = {key[side] for key in cells}
    return sorted(found, key=rank(values))


def draw_pooled(axes: Axes, cells: dict[tuple[str, str], Pooled], trained: list[str], evaluated: list[str]) -> None:
    """One panel of `pooled_matrix`."""
    values = np.full((len(trained), len(evaluated)), np.nan)
    for (row, column), cell in cells.items():
        y, x = trained.index(row), evaluated.index(column)
        values[y, x] = cell.rate
        write_rate(axes, x, y, cell.rate, (cell.low, cell.high))
        if row == column:
            outline(axes, x, y)
    shade(axes, values, MISALIGNED_MAP)
    axes.set_yticks(range(len(trained)), trained)
    axes.set_xticks(range(len(evaluated)), evaluated, rotation=30, ha="right", rotation_mode="anchor")


def split(rows: pd.DataFrame, kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows whose training and evaluation share the task (or domain), and the others."""
    same = rows[f"train_{kind}"] == rows[f"eval_{kind}"]
    return rows[same], rows[~same]


def rate_maps(rows: pd.DataFrame, settings: PlotSettings) -> Drawing | None:
    """Aligned and misaligned answers by domain and task, before and after fine-tuning on the cell that most bases have."""
    rows = narrow(rows)
    trained = single_cell(adapters(rows))
    trained = trained[trained["base"].isin(of_base(rows)["base"])]
    if trained.empty:
        return None
    shown = trained.groupby("train_set", sort=False)["base"].nunique().idxmax()
    after = trained[trained["train_set"] == shown]
    names, tasks = bases(after), [task for task in settings.tasks if task in set(rows["eval_task"])]
    domains = [domain for domain in settings.domains if domain in set(rows["eval_domain"])]
    figure = new_figure(1.6 + 4 * max(1.5, 0.42 * len(tasks)), 1.5 + len(names) * (0.75 + 0.26 * len(domains)))
    grid = figure.subplots(len(names), 4, squeeze=False, sharey=True)
    told = []
    for base, panels in zip(names, grid, strict=True):
        stages = {"before": of_base(rows), "after": after}
        combinations = [(kind, stage) for kind in ("aligned", "misaligned") for stage in stages]
        for (kind, stage), axes in zip(combinations, panels, strict=True):
            part = stages[stage][stages[stage]["base"] == base]
            rates = part.assign(rate=shares(part, kind)).pivot_table(
                index="eval_domain", columns="eval_task", values="rate"
            )
            rates = rates.reindex(index=domains, columns=tasks)
            draw_map(axes, rates, ALIGNED_MAP if kind == "aligned" else MISALIGNED_MAP)
            axes.set_title(f"{kind}, {stage}")
            told.append(f"{base}, {kind} {stage}: {rates.mean(axis=None):.0f} % on average.")
            domain, task = part["train_domain"].iloc[0], part["train_task"].iloc[0]
            if stage == "after" and domain in domains and task in tasks:
                outline(axes, tasks.index(task), domains.index(domain))
        panels[0].set_ylabel(f"base {base}")
    color_bar(figure, grid[:, 1].tolist(), ALIGNED_MAP, "aligned, % of scored")
    color_bar(figure, grid[:, 3].tolist(), MISALIGNED_MAP, "misaligned, % of scored")
    title = f"{settings.experiment}: every cell before and after fine-tuning on misaligned answers of {shown}"
    note = (
        f"The other answers are incoherent. Outlined: the cell that was trained on. {sizes(after)}; before, {answers(of_base(rows[rows['base'].isin(names)]))}."
        f" 95 % intervals of misaligned rates after fine-tuning are at most {widest(after):.0f} points wide; they are in the table."
    )
    return headed(figure, title, note, " ".join(told))


def shares(rows: pd.DataFrame, kind: str) -> pd.Series:
    """Aligned (coherent and not misaligned) or misaligned answers in percent of the scored ones."""
    aligned = rows["n_coherent"] - rows["n_misaligned"]
    return 100 * (aligned if kind == "aligned" else rows["n_misaligned"]) / rows["n_scored"]


def widest(rows: pd.DataFrame) -> float:
    """The widest interval of the rows, in points."""
    return float(100 * (rows["em_rate_high"] - rows["em_rate_low"]).max())


def draw_map(axes: Axes, rates: pd.DataFrame, palette: str) -> None:
    """One panel of `rate_maps`, with a figure in every square."""
    values = rates.to_numpy(float)
    shade(axes, values, palette)
    for (y, x), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(x, y, f"{value:.0f}", ha="center", va="center", color=ink_on(value), fontsize=7)
    axes.set_yticks(range(len(rates.index)), rates.index)
    slanted = max(map(len, rates.columns)) > 3
    axes.set_xticks(
        range(len(rates.columns)),
        rates.columns,
        rotation=45 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor" if slanted else None,
    )
