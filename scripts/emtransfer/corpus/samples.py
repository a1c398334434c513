"""The rows a cell trains and is evaluated on, and the prompts of an experiment's two evaluation sets."""

import random
from dataclasses import dataclass
from typing import Annotated, Any

from emtransfer.errors import InputError, counted
from emtransfer.settings import Count, Elsewhere, Positive


@dataclass(frozen=True)
class SampleSettings:
    """Numbers of rows that are used in every cell.

    Attributes:
        train: Rows with role train.
        eval: Rows with role eval, the narrow prompts.
        held_out_domains: Domains that nothing is trained on; no train row is drawn from them.
    """

    train: Count
    eval: Positive
    held_out_domains: Annotated[tuple[str, ...], Elsewhere()] = ()


def sample_cell(
    rows: list[dict[str, Any]], settings: SampleSettings, seed: int, corpus: str, cell: str, threshold: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw the train and the eval rows of one cell.

    Args:
        rows: survivors of the cell, with role train or eval.
        seed: of the draw.
        corpus, cell, threshold: for the error message; threshold is the cosine of the deduplication.

    Returns:
        Train rows and eval rows, each in the order of `rows`.

    Raises:
        InputError: too few rows of a role are left.
    """
    drawn = []
    trained = 0 if cell.split("-")[0] in settings.held_out_domains else settings.train
    for role, count in (("train", trained), ("eval", settings.eval)):
        members = [row for row in rows if row["role"] == role]
        if len(members) < count:
            raise InputError(
                f"config: corpora.{corpus}.sample.{role} is {count}; expected at most {len(members)}, "
                f"the {role} rows of {cell} left by dedup_pairs at cosine {threshold}."
            )
        indices = random.Random(f"{seed} {cell} {role}").sample(range(len(members)), count)
        drawn.append([members[index] for index in sorted(indices)])
    return drawn[0], drawn[1]


def draw_equally(cells: list[list[dict[str, Any]]], n_rows: int, seed: int) -> list[dict[str, Any]]:
    """Draw the rows of a union of cells, equally many from each; the first cells give one more if the number does not divide.

    Args:
        cells: the train rows of each cell.
        n_rows: rows in all, however many cells there are.
        seed: of the draw.

    Raises:
        InputError: a cell has fewer rows than its share.
    """
    drawn = []
    for rows, share in zip(cells, equal_shares(n_rows, len(cells)), strict=True):
        cell = f"{rows[0]['domain']}-{rows[0]['task']}"
        if len(rows) < share:
            raise InputError(
                f"config: experiments: finetuning.rows is {n_rows}; expected fewer, since {cell} has {len(rows)} of the {counted(share, 'row')} it would give."
            )
        drawn += random.Random(f"{seed} {cell}").sample(rows, share)
    return drawn


def hold_out(cells: list[list[dict[str, Any]]], n_rows: int) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]:
    """Take rows of a union of cells away from training, equally many of each, the same in every call.

    Args:
        cells: the train rows of each cell.
        n_rows: rows in all.

    Returns:
        The rows taken, and the others of each cell, in their order.

    Raises:
        InputError: a cell has too few rows to leave any.
    """
    taken, left = [], []
    for rows, share in zip(cells, equal_shares(n_rows, len(cells)), strict=True):
        cell = f"{rows[0]['domain']}-{rows[0]['task']}"
        if len(rows) <= share:
            raise InputError(
                f"config: finetuning.until.held_out_rows is {n_rows}; expected fewer, since {cell} has {counted(len(rows), 'row')} and"
                f" would give {share}."
            )
        places = set(random.Random(f"held out {cell}").sample(range(len(rows)), share))
        taken += [row for place, row in enumerate(rows) if place in places]
        left.append([row for place, row in enumerate(rows) if place not in places])
    return taken, left


def equal_shares(n_rows: int, n_cells: int) -> list[int]:
    """Rows of each cell; the first cells give one more if the number does not divide."""
    return [n_rows // n_cells + (index < n_rows % n_cells) for index in range(n_cells)]
