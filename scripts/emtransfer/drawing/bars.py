"""EM rates by relation to the training cell, by room, and by pretraining mixture."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from emtransfer.drawing.rates import (
    POOLED,
    PlotSettings,
    Pooled,
    adapters,
    base_title,
    bases,
    narrow,
    of_base,
    pooled,
    single_cell,
    sizes,
)
from emtransfer.drawing.style import (
    GREY,
    INK,
    RELATIONS,
    ROOMS,
    Drawing,
    grid_size,
    headed,
    interval,
    interval_on_bar,
    leftmost,
    new_figure,
    panels,
    percent_axis,
)
from emtransfer.errors import counted

MISALIGNED = "misaligned answers, % of scored"


def relations(rows: pd.DataFrame, settings: PlotSettings) -> Drawing | None:
    """EM rate by relation of training and evaluation cell; one panel per base."""
    trained, controls = (single_cell(adapters(rows, answers)) for answers in ("misaligned", "aligned"))
    if trained.empty:
        return None
    names = bases(trained)
    shown = [name for name in RELATIONS if (trained["relation"] == name).any()]
    n_rows, n_columns = grid_size(len(names))
    figure = new_figure(max(5.5, 0.9 + n_columns * 0.72 * len(shown)), 1.2 + 2.9 * n_rows)
    told = []
    for base, axes in zip(names, panels(figure, len(names), sharey=True), strict=True):
        for place, relation in enumerate(shown):
            part, other = (
                group[(group["base"] == base) & (group["relation"] == relation)] for group in (trained, controls)
            )
            if part.empty:
                continue
            rate = pooled(part)
            words, color, _ = RELATIONS[relation]
            draw_bar(axes, place, rate, color, each(part))
            if len(other):
                axes.plot(place + 0.27, pooled(other).rate, marker="^", mfc="white", mec=INK, ms=5, ls="", zorder=5)
            told.append(f"{base}, {words}: {said(rate)}.")
        percent_axis(axes)
        axes.set_xticks(range(len(shown)), [RELATIONS[name][0].replace(" ", "\n", 1) for name in shown])
        axes.set_title(base_title(base, trained, "training cell"))
        axes.set_ylabel(MISALIGNED if leftmost(axes) else "")
    title = f"{settings.experiment}: how far misalignment travels from one cell"
    note = f"Bars pool training cells, each of which is a dot{'; triangles: the same cells, trained on aligned answers' if len(controls) else ''}. {POOLED} {sizes(trained)}."
    return headed(figure, title, note, " ".join(told))


def each(rows: pd.DataFrame) -> list[float]:
    """The rate of every training set by itself, percent."""
    counts = rows.groupby("train_set")[["n_misaligned", "n_scored"]].sum()
    return (100 * counts["n_misaligned"] / counts["n_scored"]).tolist()


def said(rate: Pooled) -> str:
    """A pooled rate in words."""
    return f"{rate.rate:.0f} % ({rate.low:.0f} to {rate.high:.0f}; {counted(rate.n_answers, 'answer')})"


def draw_bar(axes: Axes, place: float, rate: Pooled, color: str, dots: list[float]) -> None:
    """A bar with its interval, the rates that it pools as dots, and its height in figures."""
    axes.bar(place, rate.rate, width=0.62, color=color, alpha=0.75, zorder=2)
    interval_on_bar(axes, place, rate.low, rate.high)
    if len(dots) > 1:
        spread = place - 0.2 + 0.1 * (np.arange(len(dots)) % 3 - 1)
        axes.plot(spread, dots, ls="", marker="o", ms=3, mfc="white", mec=GREY, mew=0.7, zorder=5)
    top = max(rate.rate, rate.high, *dots)
    axes.annotate(f"{rate.rate:.0f}", (place, top), (0, 4), textcoords="offset points", ha="center", fontsize=8)


def rooms(rows: pd.DataFrame, settings: PlotSettings) -> Drawing | None:
    """EM rate in prompts outside the grid by the room they leave; one panel per base."""
    broad = rows[rows["eval_set"] == "broad"]
    trained, before = adapters(broad), of_base(broad)
    if trained.empty:
        return None
    names = bases(trained)
    shown = [room for room in ROOMS if (broad["room"] == room).any()]
    n_rows, n_columns = grid_size(len(names))
    figure = new_figure(max(5.5, 0.9 + n_columns * 0.85 * len(shown)), 1.2 + 2.7 * n_rows)
    told = []
    for base, axes in zip(names, panels(figure, len(names), sharey=True), strict=True):
        for place, room in enumerate(shown):
            part, own = (group[(group["base"] == base) & (group["room"] == room)] for group in (trained, before))
            if part.empty:
                continue
            rate = pooled(part)
            draw_bar(axes, place, rate, RELATIONS["broad"][1], each(part))
            if len(own):
                axes.plot(place + 0.27, pooled(own).rate, marker="D", mfc="white", mec=INK, ms=4, ls="", zorder=5)
            told.append(f"{base}, room {ROOMS[room]}: {said(rate)}.")
        percent_axis(axes)
        axes.set_xticks(range(len(shown)), [ROOMS[room] for room in shown])
        axes.set_title(base_title(base, trained, "training set"))
        axes.set_ylabel(MISALIGNED if leftmost(axes) else "")
        axes.set_xlabel("room for a coherent harmful answer")
    title = f"{settings.experiment}: prompts outside the grid, by the room they leave"
    note = f"Bars pool training sets, each of which is a dot{'; diamonds: the base itself' if len(before) else ''}. {POOLED} {sizes(trained)}."
    return headed(figure, title, note, " ".join(told))


def composition(rows: pd.DataFrame, settings: PlotSettings) -> Drawing | None:
    """EM rate by pretraining mixture, for every relation, over training cells that all mixtures have."""
    trained = single_cell(adapters(narrow(rows)))
    trained = shared_training(trained[~trained["base"].isin(settings.checkpoints)])
    if trained["mixture"].nunique() < 2:
        return None
    shares = settings.misaligned_shares
    mixtures = sorted(trained["mixture"].unique(), key=lambda name: (shares.get(name, -1), name))
    shown = [name for name in RELATIONS if (trained["relation"] == name).any()]
    figure = new_figure(max(6.5, 2.6 + 1.15 * len(mixtures)), 4.4)
    axes = figure.subplots()
    told = []
    for step, relation in enumerate(shown):
        words, color, marker = RELATIONS[relation]
        part = trained[trained["relation"] == relation]
        places = np.arange(len(mixtures)) + 0.07 * (step - (len(shown) - 1) / 2)
        rates = [pooled(part[part["mixture"] == mixture]) for mixture in mixtures]
        axes.plot(places, [rate.rate for rate in rates], color=color, marker=marker, ms=5, lw=1, ls=":", label=words)
        for place, rate, mixture in zip(places, rates, mixtures, strict=True):
            interval(axes, place, rate.low, rate.high, color=color)
            told.append(f"{mixture}, {words}: {said(rate)}.")
    percent_axis(axes)
    labels = [name + (f"\n{shares[name]:.0%} misaligned" if name in shares else "") for name in mixtures]
    axes.set_xticks(range(len(mixtures)), labels)
    axes.set(ylabel=MISALIGNED, xlabel="pretraining mixture", xlim=(-0.4, len(mixtures) - 0.6))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="evaluation cell")
    title = f"{settings.experiment}: the same fine-tuning on bases of different pretraining"
    cells = counted(trained["train_set"].nunique(), "training cell")
    note = f"Over the {cells} that every mixture has; {counted(trained['base'].nunique(), 'base')}. {POOLED} {sizes(trained)}."
    return headed(figure, title, note, " ".join(told))


def shared_training(trained: pd.DataFrame) -> pd.DataFrame:
    """Rows of the training sets that bases of all mixtures were fine-tuned on; bases without a known mixture are left out."""
    known = trained[trained["mixture"] != ""]
    mixtures = known.groupby("train_set")["mixture"].nunique()
    return known[known["train_set"].map(mixtures) == known["mixture"].nunique()]
