"""The style of every figure, written to files whose bytes depend only on what is drawn.

Colours are those of Okabe and Ito (2008), which the colour-blind tell apart, in an order in which they differ in grey too; what a
colour says, a marker or a label says as well. Rates of misaligned and of other answers never share a palette.
"""

import re
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emtransfer.errors import InputError
from emtransfer.files.records import replacing

INK, GREY, LIGHT = "#1a1a1a", "#6b6b6b", "#d9d9d9"
# from dark to light
CYCLE = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#999999")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
# how near an evaluation cell is to the training set: in words, colour and marker
RELATIONS = {
    "in_cell": ("training cell", "#000000", "o"),
    "same_task": ("same task", "#0072B2", "s"),
    "same_domain": ("same domain", "#D55E00", "D"),
    "both_differ": ("both differ", "#56B4E9", "^"),
    "broad": ("outside the grid", "#E69F00", "v"),
}
CHANNELS = {"sft": ("#E69F00", "o"), "optd": ("#0072B2", "s"), "opd": ("#000000", "D")}
ROOMS = {"high": "high", "medium": "medium", "low": "low", "": "questions"}
# sequential and even in lightness
MISALIGNED_MAP, ALIGNED_MAP = "OrRd", "Blues"

SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    # a name may hold any character
    "text.parse_math": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.2,
    # text as outlines, so that it looks the same wherever it is opened; ids that are the same in every run
    "svg.fonttype": "path",
    "svg.hashsalt": "emtransfer",
    "pdf.fonttype": 42,
}
# what would differ between two drawings of the same
UNDATED: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}
DESCRIBED = {".svg": "Description", ".pdf": "Subject", ".png": "Description"}
DPI = 150


@dataclass(frozen=True)
class Drawing:
    """A figure that says in words what it shows.

    Attributes:
        figure: of matplotlib.
        title: what it is of, the experiment among it.
        description: what there is to see, for those who do not see it.
    """

    figure: Figure
    title: str
    description: str


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches wide and high, in this style."""
    # not on top of the user's own matplotlibrc
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(SETTINGS)
    return Figure(figsize=(width, height), layout="constrained")


def headed(figure: Figure, title: str, note: str, description: str) -> Drawing:
    """The figure under its title, with the note on counts, seeds and intervals below it."""
    width = figure.get_size_inches()[0]
    figure.suptitle(wrapped(title, width, 10, 0.68), x=0.01, ha="left", weight="bold", fontsize=10)
    figure.supxlabel(wrapped(note, width, 7.5), x=0.01, ha="left", fontsize=7.5, color=GREY)
    return Drawing(figure, title, " ".join(f"{description} {note}".split()))


def blank(title: str, why: str) -> Drawing:
    """An empty figure that says why there is nothing to draw."""
    figure = new_figure(6.0, 1.4)
    return headed(figure, title, why, why)


def wrapped(text: str, inches: float, points: float, letter: float = 0.56) -> str:
    """The text in lines that fit into a width, a number and its percent sign on the same one; a letter is so many times its size wide."""
    return "\n".join(textwrap.wrap(text.replace(" %", "\u00a0%"), int(inches * 72 / (letter * points))))


def save(drawing: Drawing, paths: Iterable[Path]) -> None:
    """Write the figure to every path, in the format that its suffix names, and name the characters that its font lacks.

    Raises:
        InputError: a suffix is none of .svg, .pdf and .png.
    """
    with warnings.catch_warnings(record=True, action="always") as caught:
        for path in paths:
            write(drawing, path)
    codes = set()
    for warning in caught:
        lacking = re.findall(r"Glyph (\d+) ", str(warning.message))
        codes |= {int(code) for code in lacking}
        if not lacking:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if codes:
        print(f"{path.with_suffix('')}: the font lacks {' '.join(map(chr, sorted(codes)))}: boxes stand for them.")


def write(drawing: Drawing, path: Path) -> None:
    """The same for one path."""
    if path.suffix not in UNDATED:
        raise InputError(f"--output: {path} has suffix {path.suffix!r}; expected one of {', '.join(UNDATED)}.")
    said = {"Title": drawing.title, DESCRIBED[path.suffix]: drawing.description}
    with replacing(path) as temporary:
        drawing.figure.savefig(
            temporary, format=path.suffix[1:], dpi=DPI, metadata=UNDATED[path.suffix] | said, facecolor="white"
        )


def signed(value: float, decimals: int = 2) -> str:
    """A number that may be below 0, which is called minus nothing nowhere."""
    # adding 0 turns -0.0 into 0.0
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")


def span(low: str, high: str) -> str:
    """Two numbers as a range, or one if both are the same."""
    return low if low == high else f"{low} to {high}"


def percent_axis(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """0 to 100 on an axis, with a little room for markers, and faint lines to read values by."""
    getattr(axes, f"set_{which}lim")(-3, 108 if which == "y" else 103)
    getattr(axes, f"set_{which}ticks")([0, 25, 50, 75, 100])
    readable_grid(axes, which)


def readable_grid(axes: Axes, which: Literal["x", "y", "both"] = "both") -> None:
    """Faint lines to read values by, behind all that is drawn."""
    axes.grid(axis=which, color=LIGHT, linewidth=0.5)
    axes.set_axisbelow(True)


def look(place: int) -> tuple[str, str]:
    """Colour and marker of what is at a place of a list; beyond the eighth they begin anew."""
    return CYCLE[place % len(CYCLE)], MARKERS[place % len(MARKERS)]


def ink_on(rate: float) -> str:
    """The colour of text on a shade of a palette from 0 to 100."""
    return "white" if rate > 55 else INK


def interval(axes: Axes, at: float, low: float, high: float, horizontal: bool = False, **how: Any) -> None:
    """A thin line from low to high."""
    look: dict[str, Any] = {"color": INK, "linewidth": 0.8, "solid_capstyle": "butt", "zorder": 3} | how
    axes.plot(*(((low, high), (at, at)) if horizontal else ((at, at), (low, high))), **look)


def interval_on_bar(axes: Axes, at: float, low: float, high: float) -> None:
    """The same on an upright bar, with white under the line, so that it shows on a dark one."""
    interval(axes, at, low, high, color="white", linewidth=2.6)
    interval(axes, at, low, high, zorder=4)


def leftmost(axes: Axes) -> bool:
    """Whether a panel is the first of its row, which has the label of the axis that the row shares."""
    spec = axes.get_subplotspec()
    return spec is None or spec.is_first_col()


def grid_size(n_panels: int, widest: int = 4) -> tuple[int, int]:
    """Rows and columns of a grid that holds so many panels."""
    columns = min(n_panels, widest)
    return -(-n_panels // columns), columns


def panels(figure: Figure, n_panels: int, widest: int = 4, **shared: Any) -> list[Axes]:
    """The given number of panels in rows; the rest of the last row stays empty."""
    rows, columns = grid_size(n_panels, widest)
    grid = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for empty in grid[n_panels:]:
        empty.remove()
    return grid[:n_panels]


def base_panels(names: Sequence[str], xlabel: str, ylabel: str) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per base, at most three in a row, which share both axes and leave room for a legend beside them."""
    n_rows, n_columns = grid_size(len(names), 3)
    figure = new_figure(2.4 + 3.0 * n_columns, 1.4 + 2.9 * n_rows)
    drawn = panels(figure, len(names), 3, sharey=True, sharex=True)
    for name, axes in zip(names, drawn, strict=True):
        axes.set(title=f"base {name}", xlabel=xlabel)
        axes.tick_params(labelbottom=True)
        if leftmost(axes):
            axes.set_ylabel(ylabel)
    return figure, drawn


def legend_beside(figure: Figure, axes: Axes, title: str | None = None) -> None:
    """A legend of one panel's labels to the right of all."""
    figure.legend(loc="outside right center", title=title, handles=axes.get_legend_handles_labels()[0])
