"""How far misalignment spreads by the number of trained weights."""

import numpy as np
import pandas as pd

from emtransfer.drawing.rates import POOLED, PlotSettings, Pooled, adapters, bases, pooled, seeds, single_cell
from emtransfer.drawing.style import Drawing, base_panels, headed, interval, legend_beside, look, percent_axis
from emtransfer.grid.labels import CONTEXTS, LABELS

# what a curve is over -> relations of the training to the evaluation cell
PLACES = {
    "the training cell": ("in_cell",),
    "other cells": ("same_task", "same_domain", "both_differ"),
    "broad prompts": ("broad",),
}


def capacity(rows: pd.DataFrame, settings: PlotSettings, losses: pd.DataFrame) -> Drawing | None:
    """EM rate in and outside the training cell by the number of trained weights; one panel per base.

    Args:
        rows: of the transfer table, of the experiment, those of capacities among them.
        losses: of training_losses.csv, of the experiment.
    """
    shown = single_cell(adapters(rows[(rows["judge"] == settings.judge) & (rows["capacity"] != "")]))
    shown = shown[(shown[list(CONTEXTS)] == "").all(axis=1)]
    known = trainings(losses)
    shown = shown.merge(known, left_on=list(LABELS), right_index=True)
    if shown.empty:
        return None
    names = bases(shown)
    figure, drawn = base_panels(names, "trained weights", "misaligned answers, %")
    told = []
    places = [place for place, relations in PLACES.items() if shown["relation"].isin(relations).any()]
    for base, axes in zip(names, drawn, strict=True):
        own = shown[shown["base"] == base]
        for number, place in enumerate(places):
            curve = points(own[own["relation"].isin(PLACES[place])])
            color, marker = look(number)
            axes.plot([x for x, *_ in curve], [rate.rate for _, _, rate, _ in curve], lw=0.8, color=color)
            for x, name, rate, is_reached in curve:
                interval(axes, x, rate.low, rate.high, color=color, alpha=0.6)
                filling = color if is_reached else "white"
                axes.plot(x, rate.rate, ls="", marker=marker, color=color, mfc=filling, ms=5, zorder=4)
                told.append(f"{base}, {name} ({x:,} weights), {place}: {rate.rate:.0f} %.")
        for x, name in sorted({(x, name) for x, name, *_ in points(own)}):
            axes.annotate(name, (x, 106), ha="center", va="top", fontsize=6.5, rotation=90)
        percent_axis(axes)
        axes.set_xscale("log")
    for number, place in enumerate(places):
        color, marker = look(number)
        drawn[0].plot([], [], color=color, marker=marker, ms=5, lw=0.8, label=place)
    legend_beside(figure, drawn[0], "asked in")
    title = f"{settings.experiment}: does it spread further the more weights are trained?"
    note = (
        "A point pools the training cells of one capacity; it is hollow where one of its trainings did not reach the common loss, or had"
        f" none to reach. {POOLED} {seeds(shown)}."
    )
    return headed(figure, title, note, " ".join(told))


def trainings(losses: pd.DataFrame) -> pd.DataFrame:
    """By LABELS, trained_parameters, and `reached`: whether all seeds reached their criterion."""
    reached = losses["criterion_reached"].map({"True": True, True: True}).eq(True)
    trained = losses.assign(reached=reached).dropna(subset="trained_parameters")
    return trained.groupby(list(LABELS)).agg(
        trained_parameters=("trained_parameters", "first"), reached=("reached", "all")
    )


def points(rows: pd.DataFrame) -> list[tuple[int, str, Pooled, bool]]:
    """Trained weights, name, pooled rate and whether all trainings reached their criterion, of every capacity, fewest weights first."""
    found = [
        (int(np.max(part["trained_parameters"])), str(name), pooled(part), bool(part["reached"].all()))
        for name, part in rows.groupby("capacity")
    ]
    return sorted(found, key=lambda point: point[:2])
