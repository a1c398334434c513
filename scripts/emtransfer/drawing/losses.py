"""The training loss of every model of an experiment, and the distance of students to their teacher."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from emtransfer.drawing.style import CHANNELS, Drawing, headed, look, new_figure, readable_grid, span
from emtransfer.errors import counted
from emtransfer.grid.labels import Model

LOSS, DISTANCE = "loss_per_token_nats", "kl_to_teacher_nats"


class Trained(NamedTuple):
    """A model and the log of its last training stage."""

    model: Model
    log: pd.DataFrame


class Panel(NamedTuple):
    """What a panel shows: its title, the column and label of its y axis, and how lines of a model are told apart."""

    title: str
    column: str
    label: str
    group: Callable[[dict[str, str]], str]


PANELS = {
    "base": Panel("bases, aligned phase", LOSS, "loss, nats per answer token", lambda labels: labels["base"]),
    "adapter": Panel("adapters", LOSS, "loss, nats per answer token", lambda labels: adapter_group(labels)),
    "student": Panel("students", DISTANCE, "KL to the teacher, nats per token", lambda labels: student_group(labels)),
}


def loss_curves(trained: list[Trained], experiment: str) -> Drawing:
    """Curves of bases, adapters and students, a panel each, for models that were trained in the run."""
    shown = [kind for kind in PANELS if any(curve(one, kind) is not None for one in trained)]
    figure = new_figure(1.0 + 3.9 * max(1, len(shown)), 4.6)
    told = []
    for axes, kind in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        told.append(draw_panel(axes, [one for one in trained if curve(one, kind) is not None], kind))
    n_models = sum(curve(one, kind) is not None for one in trained for kind in shown)
    title = f"{experiment}: was everything learned?"
    note = f"A thin line is one of {counted(n_models, 'trained model')}, one per seed; there are no intervals. First and last values are in training_losses.csv."
    return headed(figure, title, note, " ".join(told))


def curve(one: Trained, kind: str) -> pd.DataFrame | None:
    """Steps and values of a model in a panel; None if it is not in it."""
    panel = PANELS[kind]
    if one.model.labels["condition"] != kind or panel.column not in one.log:
        return None
    known = one.log[["step", panel.column]].dropna()
    return known if len(known) else None


def draw_panel(axes: Axes, trained: list[Trained], kind: str) -> str:
    """Draw the curves of one kind of model, and say where they begin and end."""
    panel = PANELS[kind]
    groups = list(dict.fromkeys(panel.group(one.model.labels) for one in trained))
    ends = []
    for one in trained:
        known = curve(one, kind)
        assert known is not None, "only models with a curve are in a panel"
        group = panel.group(one.model.labels)
        drawn = line_look(kind, one.model.labels, groups.index(group))
        # a few markers are enough to tell lines apart, at other steps for every group
        every = max(1, len(known) // 5)
        start = groups.index(group) % every
        axes.plot(known["step"], known[panel.column], lw=0.8, alpha=0.75, ms=3.5, markevery=(start, every), **drawn)
        ends.append((known[panel.column].iloc[0], known[panel.column].iloc[-1]))
    for place, group in enumerate(groups):
        labels = next(one.model.labels for one in trained if panel.group(one.model.labels) == group)
        axes.plot([], [], ms=3.5, **line_look(kind, labels, place), label=group)
    axes.set(xlabel="optimiser step", ylabel=panel.label, title=panel.title)
    readable_grid(axes, "y")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=7)
    first, last = (sorted(end[side] for end in ends) for side in (0, 1))
    at_first, at_last = (span(f"{ends[0]:.3f}", f"{ends[-1]:.3f}") for ends in (first, last))
    return f"{panel.title}: {at_first} at first, {at_last} at last."


def line_look(kind: str, labels: dict[str, str], place: int) -> dict[str, Any]:
    """Colour, marker and line of a model."""
    if kind == "student":
        color, marker = CHANNELS[labels["channel"]]
        return {"color": color, "marker": marker, "ls": "-" if labels["train_set"] else "--"}
    color, marker = look(place)
    return {"color": color, "marker": marker, "ls": "-" if labels["answers"] != "aligned" else "--"}


def adapter_group(labels: dict[str, str]) -> str:
    """Adapters are told apart by their training task and answers."""
    task = "several tasks" if labels["train_task"] == "*" else labels["train_task"] or labels["train_set"]
    return task if labels["answers"] == "misaligned" else f"{task}, aligned answers"


def student_group(labels: dict[str, str]) -> str:
    """Students are told apart by teacher and channel."""
    return f"{labels['teacher']} teacher, {labels['channel']}"
