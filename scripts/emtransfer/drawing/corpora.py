"""Rows of a corpus after each stage, and survivors of deduplication by threshold."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from emtransfer.drawing.style import INK, Drawing, headed, legend_beside, look, new_figure, readable_grid, span
from emtransfer.errors import counted

STAGES = ("written", "for training", "pass the filter", "not alike")


@dataclass(frozen=True)
class CellCounts:
    """Rows of a cell after every stage.

    Attributes:
        domain, task: of the cell.
        written, trained, filtered: rows that the source gave, those with role train, and those of them that pass the filter.
        survivors: threshold, survivors, chosen: of deduplication.
    """

    domain: str
    task: str
    written: int
    trained: int
    filtered: int
    survivors: pd.DataFrame

    @property
    def stages(self) -> tuple[int, int, int, int]:
        """Rows after each of STAGES."""
        left = self.survivors[self.survivors["chosen"]]["survivors"]
        return self.written, self.trained, self.filtered, int(left.iloc[0])


def survivors(cells: list[CellCounts], corpus: str) -> Drawing:
    """Rows left of every cell after each stage and, where thresholds were tried, by threshold."""
    curves = any(len(cell.survivors) > 1 for cell in cells)
    figure = new_figure(7.0 + 4.0 * curves, 4.2)
    axes = figure.subplots(1, 1 + curves, squeeze=False)[0]
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    draw_stages(axes[0], cells, tasks)
    if curves:
        draw_curves(axes[1], cells, tasks)
    for number, task in enumerate(tasks):
        color, marker = look(number)
        axes[0].plot([], [], color=color, marker=marker, ms=4, label=task)
    legend_beside(figure, axes[0], "task")
    ends = [cell.stages for cell in cells]
    told = " ".join(
        f"{stage}: {span(f'{min(end[place] for end in ends):,}', f'{max(end[place] for end in ends):,}')} rows a cell."
        for place, stage in enumerate(STAGES)
    )
    title = f"corpus {corpus}: rows that are left of every cell"
    note = (
        f"A line is one of {counted(len(cells), 'cell')}. These are counts of one corpus, of a single seed, and not estimates, so there are no intervals."
        + (" Rings: the threshold that was used, the smallest that leaves enough." if curves else "")
    )
    return headed(figure, title, note, told)


def draw_stages(axes: Axes, cells: list[CellCounts], tasks: list[str]) -> None:
    """Rows of every cell after each stage."""
    for cell in cells:
        color, marker = look(tasks.index(cell.task))
        axes.plot(cell.stages, color=color, marker=marker, ms=3.5, lw=0.8, alpha=0.7)
    axes.set_xticks(range(len(STAGES)), STAGES)
    axes.set(ylabel="rows of a cell", title="by stage")
    axes.set_ylim(0, 1.06 * max(max(cell.stages) for cell in cells))
    axes.margins(x=0.08)
    readable_grid(axes, "y")


def draw_curves(axes: Axes, cells: list[CellCounts], tasks: list[str]) -> None:
    """Survivors by threshold of similarity."""
    for cell in cells:
        (color, marker), table = look(tasks.index(cell.task)), cell.survivors
        axes.plot(table["threshold"], table["survivors"], color=color, marker=marker, ms=3.5, lw=0.9, alpha=0.8)
        used = table[table["chosen"]]
        axes.plot(used["threshold"], used["survivors"], ls="", marker="o", ms=6, mfc="none", mec=INK, mew=1)
    axes.set(xlabel="cosine at which two answers are alike", ylabel="rows that survive", title="by threshold")
    axes.set_ylim(bottom=0)
    readable_grid(axes, "y")
