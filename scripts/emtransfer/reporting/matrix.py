"""The transfer matrix as a table whose every number leads to the answers behind it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from emtransfer.drawing.rates import adapters, bases, narrow
from emtransfer.grid.labels import Model
from emtransfer.reporting.answer_links import sample_link
from emtransfer.reporting.examples import model_of
from emtransfer.reporting.wording import percent


class Rate(NamedTuple):
    """A cell of the matrix: its rate in words, the address of its first answer, and whether it was trained on."""

    rate: str
    link: str
    is_own: bool


class Matrix(NamedTuple):
    """Rates of a base, and of the adapters on its misaligned answers.

    Attributes:
        base: its name.
        cells: evaluation cells, in the order of the columns.
        rows: whose rates, and one per cell; None where nothing was scored.
    """

    base: str
    cells: list[str]
    rows: list[tuple[str, list[Rate | None]]]


def matrices(rows: pd.DataFrame, models: list[Model], prompts: Mapping[str, str]) -> list[Matrix]:
    """A matrix per base.

    Args:
        rows: of one experiment, as `read_transfer_table` gives them.
        models: of the experiment.
        prompts: evaluation cell -> its first prompt; without one, a number leads nowhere.
    """
    grid = narrow(rows)
    found = []
    for base in bases(grid):
        here = grid[grid["base"] == base]
        shown = pd.concat([here[here["condition"] == "base"], adapters(here)])
        cells = list(dict.fromkeys(shown["eval_cell"]))
        whose = shown["train_set"].where(shown["condition"] != "base", "Before fine-tuning")
        told = []
        for name, part in shown.groupby(whose, sort=False):
            by_cell = {row.eval_cell: as_rate(row, models, prompts) for row in part.itertuples()}
            told.append((str(name), [by_cell.get(cell) for cell in cells]))
        found.append(Matrix(base, cells, told))
    return found


def as_rate(row: Any, models: list[Model], prompts: Mapping[str, str]) -> Rate:
    """A row of the table as a number of the matrix."""
    prompt = prompts.get(row.eval_cell)
    link = sample_link(row.experiment, model_of(row, models).path, prompt) if prompt else ""
    return Rate(percent(row.em_rate), link, row.relation == "in_cell")


def first_prompts(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Evaluation cell of the grid -> the first of its prompts."""
    found: dict[str, str] = {}
    for row in rows:
        if row["eval_set"] == "narrow":
            found.setdefault(f"{row['domain']}-{row['task']}", str(row["prompt_id"]))
    return found
