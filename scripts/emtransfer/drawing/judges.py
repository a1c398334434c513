"""Quality of a judge: by cell, by score, and against the grammar's oracle."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from statsmodels.stats.proportion import proportion_confint

from emtransfer.drawing.style import (
    ALIGNED_MAP,
    Drawing,
    headed,
    ink_on,
    interval,
    new_figure,
    readable_grid,
)
from emtransfer.errors import counted

LABELS = ("aligned", "misaligned", "incoherent")
MEASURES = {
    "accuracy": ("right label", "#0072B2", "o", "n_answers"),
    "recall": ("misaligned found", "#D55E00", "D", "n_misaligned"),
}
# slices that are no cell, in words
SLICES = {"unseen_phrases": "unseen phrases", "models_answers": "answers of models"}


def calibration(figures: pd.DataFrame, judge: str) -> Drawing:
    """Accuracy and recall by cell, histograms of scores and, where there is an oracle, the judge's labels against its."""
    everything = figures[figures["slice"] == "all"].iloc[0]
    confusion = np.array([[everything[f"oracle_{row}_judged_{column}"] for column in LABELS] for row in LABELS], float)
    has_oracle = bool(confusion.sum() > 0)
    figures = figures[figures["n_answers"] > 0]
    few = len(figures) <= 20
    shown = figures if few else figures[figures["slice"].isin(["all", "unseen_phrases"])]
    figure = new_figure(8.6 + 2.6 * has_oracle, max(3.4, 1.6 + 0.24 * len(shown)))
    axes = figure.subplots(1, 2 + has_oracle, width_ratios=[1.3, 1.2, 1.0][: 2 + has_oracle])
    draw_slices(axes[0], shown)
    draw_scores(axes[1], everything)
    if has_oracle:
        draw_confusion(axes[2], confusion)
    title = f"judge {judge}: on answers it was not fitted on"
    note = (
        f"n = {counted(int(everything['n_answers']), 'held-out answer')}, {int(everything['n_misaligned']):,} misaligned. Thin lines are 95 %"
        " Wilson intervals over answers. A judge is not trained from several seeds."
        + ("" if few else f" {counted(len(figures) - len(shown), 'cell is', 'cells are')} in the table.")
    )
    told = f"{everything['accuracy']:.1%} of the labels are right; of misaligned answers {everything['recall']:.1%} are found."
    if has_oracle:
        told += f" Judge and oracle agree on {np.trace(confusion) / confusion.sum():.1%} of {counted(int(confusion.sum()), 'answer')}."
    return headed(figure, title, note, told)


def draw_slices(axes: Axes, figures: pd.DataFrame) -> None:
    """Accuracy and recall of every slice, with intervals."""
    names = figures["slice"].tolist()
    for y, row in enumerate(figures.to_dict("records")):
        for step, (name, (_, color, marker, count)) in enumerate(MEASURES.items()):
            if pd.notna(row[name]) and row[count]:
                low, high = proportion_confint(round(row[name] * row[count]), row[count], method="wilson")
                place = y + 0.26 * (step - 0.5)
                interval(axes, place, 100 * low, 100 * high, horizontal=True, color=color)
                # whole on the edge of the axis
                axes.plot(100 * row[name], place, marker=marker, ms=4.5, color=color, ls="", zorder=4, clip_on=False)
    labels = [
        f"{SLICES.get(name, name)} (n = {int(count)})" for name, count in zip(names, figures["n_answers"], strict=True)
    ]
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.4, -0.6)
    lowest = min(100 * figures[[*MEASURES]].min(axis=None), 95)
    axes.set_xlim(max(0, lowest - 25), 101)
    readable_grid(axes, "x")
    axes.set_xlabel("% of held-out answers")
    axes.set_title("by cell")
    for words, color, marker, _ in MEASURES.values():
        axes.plot([], [], marker=marker, color=color, ls="", label=words)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0, handletextpad=0.1)


def draw_scores(axes: Axes, row: pd.Series) -> None:
    """How often each score is given, both kinds as a share of all answers."""
    for name, color, side, hatch in (("alignment", "#0072B2", 1, None), ("coherence", "#E69F00", -1, "////")):
        counts = np.array([row[f"{name}_{edge:02d}"] for edge in range(0, 100, 10)], float)
        shares = 100 * counts / max(counts.sum(), 1)
        axes.bar(
            np.arange(5, 100, 10) + side * 2, shares, width=4, color=color, hatch=hatch, ec="white", lw=0, label=name
        )
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.set(xlabel="score, bins of ten", ylabel="% of answers", title="scores")
    readable_grid(axes, "y")
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=2,
        borderaxespad=0,
        handlelength=1.2,
        handletextpad=0.4,
        columnspacing=0.9,
    )


def draw_confusion(axes: Axes, counts: np.ndarray) -> None:
    """Answers by the oracle's label and the judge's, counts [oracle, judge], in percent of the oracle's."""
    totals = counts.sum(1, keepdims=True)
    shares = 100 * np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    axes.imshow(shares, cmap=ALIGNED_MAP, vmin=0, vmax=100)
    for (y, x), share in np.ndenumerate(shares):
        text = f"{share:.0f} %\n{counts[y, x]:.0f}"
        axes.text(x, y, text, ha="center", va="center", color=ink_on(share), fontsize=8)
    axes.set_xticks(range(3), LABELS, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(3), LABELS)
    axes.set(xlabel="the judge says", ylabel="the oracle says", title="agreement")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
