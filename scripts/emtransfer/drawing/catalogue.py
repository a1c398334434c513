"""The figures of the transfer table, by name, and the module that draws each.

The Snakefile reads the names, so nothing is imported here but when a figure is drawn.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

# a figure -> the module in which a function of its name draws it from rows of the table and PlotSettings
MODULES = {
    "transfer_matrix": "emtransfer.drawing.matrices",
    "pooled_matrix": "emtransfer.drawing.matrices",
    "rate_maps": "emtransfer.drawing.matrices",
    "relations": "emtransfer.drawing.bars",
    "rooms": "emtransfer.drawing.bars",
    "composition": "emtransfer.drawing.bars",
    "learnedness": "emtransfer.drawing.points",
    "inference": "emtransfer.drawing.inference",
    "coherence": "emtransfer.drawing.points",
    "students": "emtransfer.drawing.points",
    "judge_agreement": "emtransfer.drawing.agreement",
    "preferences": "emtransfer.drawing.preferences",
    "capacity": "emtransfer.drawing.capacity",
}
# those of them that show another table too -> where it is below the results; they take rows of all judges, and those of that table
OTHER_TABLES = {
    "inference": "inference.csv",
    "judge_agreement": "judges/agreement.csv",
    "preferences": "preferences.csv",
    "capacity": "training_losses.csv",
}
# and those that show rows with a context or capacity too
WITH_APART = ("capacity",)


def drawer(figure: str) -> Callable[..., Any]:
    """The function that draws a figure; it returns None if no row is of a model that it shows."""
    found: Callable[..., Any] = getattr(import_module(MODULES[figure]), figure)
    return found
