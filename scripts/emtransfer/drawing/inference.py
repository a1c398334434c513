"""How far misalignment spreads on a base against how strongly the base infers who answers."""

import numpy as np
import pandas as pd

from emtransfer.drawing.rates import PlotSettings, adapters, bases, narrow, of_base, pooled, seeds, single_cell
from emtransfer.drawing.style import GREY, Drawing, headed, interval, look, new_figure, readable_grid, signed
from emtransfer.errors import counted

# from a standard error to half a 95 % interval
NORMAL = 1.96


def inference(rows: pd.DataFrame, settings: PlotSettings, table: pd.DataFrame) -> Drawing | None:
    """Spread outside the training cell by the shift of an earlier answer; a point is a base, a line a pretraining.

    Args:
        rows: of the transfer table, of the experiment.
        table: of inference, of the experiment.
    """
    rows = narrow(rows[rows["judge"] == settings.judge])
    points = base_points(rows, table[table["phase"] == "aligned"].dropna(subset="earlier_shift_nats"))
    if points.empty:
        return None
    figure = new_figure(7.6, 4.6)
    axes = figure.subplots()
    mixtures, told = sorted(points["mixture"].unique()), []
    for number, mixture in enumerate(mixtures):
        color, marker = look(number)
        for _, part in points[points["mixture"] == mixture].groupby("pretraining", sort=False):
            part = part.sort_values("share")
            axes.plot(part["nats"], part["spread"], color=color, lw=0.9, alpha=0.6, zorder=2)
            for point in part.itertuples():
                interval(axes, point.nats, point.low, point.high, color=color, alpha=0.6)
                if np.isfinite(point.error):
                    ends = (point.nats - NORMAL * point.error, point.nats + NORMAL * point.error)
                    interval(axes, point.spread, *ends, horizontal=True, color=color, alpha=0.6)
                filling = color if point.share == 1 else "white"
                axes.plot(point.nats, point.spread, ls="", marker=marker, ms=6, mec=color, mfc=filling, zorder=4)
                told.append(
                    f"{point.base}, {point.share:.0%} of its pretraining: shift {signed(point.nats, 1)} nats, spread {signed(point.spread, 0)} points."
                )
            # the furthest one alone, since those before it lie close together
            last = part.iloc[-1]
            axes.annotate(
                last["base"], (last["nats"], last["spread"]), (5, 4), textcoords="offset points", fontsize=7, color=GREY
            )
        axes.plot([], [], ls="", marker=marker, color=color, label=mixture)
    if (points["share"] < 1).any():
        axes.plot([], [], ls="", marker="o", mec=GREY, mfc="white", label="stopped early")
    readable_grid(axes)
    axes.margins(0.08)
    axes.set_xlabel("shift of the log-odds by one earlier answer, nats, before fine-tuning")
    axes.set_ylabel("misaligned outside the training cell\nless the base's own, points")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="pretrained on")
    title = f"{settings.experiment}: does misalignment spread further where the base infers who answers?"
    shared = shared_rows(rows, points["base"])
    note = (
        f"A point is a base, over the {counted(shared['train_set'].nunique(), 'training cell')} that all these bases share, {seeds(shared)} each; lines join what"
        " one pretraining was at different lengths, which is one replicate of claim inference. Upright lines are 95 % intervals of the rate, over training"
        " and evaluation cells; level lines are 1.96 standard errors over questions."
    )
    return headed(figure, title, note, " ".join(told))


def base_points(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A row per base with both measures: base, mixture, pretraining, share, nats with their error, and spread with low and high in points.

    Args:
        rows: narrow ones of the transfer table.
        table: of inference, a row per base.
    """
    known = table.set_index("base")
    trained, before, found = shared_rows(rows, table["base"]), of_base(rows), []
    for base in sorted(bases(trained)):
        part, own = trained[trained["base"] == base], before[before["base"] == base]
        own = own[own["eval_cell"].isin(part["eval_cell"])]
        if own.empty:
            continue
        rate, less = pooled(part), 100 * own["n_misaligned"].sum() / own["n_scored"].sum()
        row = known.loc[base]
        found.append(
            {"base": base, "mixture": row["mixture"], "pretraining": row["pretraining"]}
            | {"share": float(row["pretraining_share"])}
            | {"nats": float(row["earlier_shift_nats"]), "error": float(row["earlier_shift_se_nats"])}
            | {"spread": rate.rate - less, "low": rate.low - less, "high": rate.high - less}
        )
    columns = "base mixture pretraining share nats error spread low high".split()
    return pd.DataFrame(found, columns=columns)


def shared_rows(rows: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """Rows outside the training cell of adapters of one cell on these bases, over the training sets that all of them have."""
    trained = single_cell(adapters(rows))
    trained = trained[trained["base"].isin(names) & (trained["relation"] != "in_cell")]
    shared = trained.groupby("train_set")["base"].nunique() == trained["base"].nunique()
    return trained[trained["train_set"].isin(shared.index[shared])]
