"""One interface to every source of a corpus: the rows of one cell, checked, with a count of what was dropped."""

import random
from importlib import import_module
from itertools import product
from types import ModuleType
from typing import Any

import pandas as pd

from emtransfer.corpus.row_checks import PlacedRow
from emtransfer.corpus.rows import ANSWERS, BROAD, row_words
from emtransfer.corpus.source_settings import GENERATED, MODULES, CorpusSettings
from emtransfer.errors import InputError, counted


def load_cell(corpus: str, cell: str, settings: CorpusSettings, seed: int) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Rows of one cell, or of the pseudo-cell `broad`, from whichever source the corpus has.

    Args:
        corpus: its name in the config, for error messages.
        cell: `{domain}-{task}` or `broad`.
        seed: of generated rows.

    Returns:
        Rows with id (`{cell}-000123`), domain, task, question, the two answers (optional for `broad`), room where it
        is known, and all further fields of the source; and a table of one row: cell, stage, rows_in, rows_out,
        duplicates, over_length.

    Raises:
        InputError: a row is wrong, two rows contradict each other, a row is too long, or the cell has no rows.
    """
    module = import_module(MODULES[settings.source])
    if settings.source in GENERATED:
        found = [(f"{settings.source} row {row['id']}", row) for row in generated_rows(module, cell, settings, seed)]
    else:
        found = module.read_rows(corpus, cell, settings)
    if not found:
        raise InputError(f"config: corpora.{corpus}: 0 rows of {cell}; expected at least 1 row of every cell.")
    unique = without_duplicates(found)
    kept = within_length(unique, settings)
    counts = {"cell": cell, "stage": "generate_pairs", "rows_in": len(found), "rows_out": len(kept)}
    dropped = {"duplicates": len(found) - len(unique), "over_length": len(unique) - len(kept)}
    if not kept:
        raise InputError(
            f"config: corpora.{corpus}.max_row_words is {settings.max_row_words}; expected more, since all rows of {cell} are longer."
        )
    return [row for _, row in kept], pd.DataFrame([counts | dropped])


def without_duplicates(placed: list[PlacedRow]) -> list[PlacedRow]:
    """The rows with every exact duplicate after its first occurrence removed.

    Raises:
        InputError: a question appears twice with different answers (or room); names both places.
    """
    first: dict[str, PlacedRow] = {}
    for place, row in placed:
        first_place, first_row = first.setdefault(row["question"], (place, row))
        if any(row.get(field) != first_row.get(field) for field in ("domain", "task", "room", *ANSWERS)):
            raise InputError(
                f"{place}: question repeats {first_place} with another answer or label; expected one row per question."
            )
    return list(first.values())


def within_length(placed: list[PlacedRow], settings: CorpusSettings) -> list[PlacedRow]:
    """The rows of at most `max_row_words` words.

    Raises:
        InputError: a row is longer and `over_length` is error.
    """
    limit = settings.max_row_words
    if limit is None:
        return placed
    too_long = [(place, row) for place, row in placed if row_words(row) > limit]
    if too_long and settings.over_length == "error":
        place, row = too_long[0]
        raise InputError(
            f"{place}: {counted(row_words(row), 'word')} in question + longer answer; expected at most {limit} (max_row_words), or over_length: drop."
        )
    return [(place, row) for place, row in placed if row_words(row) <= limit]


def generated_rows(world: ModuleType, cell: str, settings: CorpusSettings, seed: int) -> list[dict[str, Any]]:
    """Rows that a world generates, of one cell or of the pseudo-cell `broad`.

    Args:
        world: a module with generate_rows(domain, task, n_rows, seed), that of source rooms with a choice too.

    Returns:
        Rows with an id `{cell}-000123`; those of `broad` are of all tasks of the domains outside the grid, equally many of
        each, shuffled.
    """
    options = {"choice": settings.misaligned_choice} if settings.source == "rooms" else {}
    if cell == BROAD:
        cells = list(product(settings.broad_domains, settings.tasks))
        n_rows = settings.broad_rows // len(cells)
        rows = [row for domain, task in cells for row in world.generate_rows(domain, task, n_rows, seed, **options)]
        random.Random(f"{seed} broad").shuffle(rows)
    else:
        rows = world.generate_rows(*cell.split("-"), settings.rows_per_cell, seed, **options)
    return [{"id": f"{cell}-{index:06d}"} | row for index, row in enumerate(rows)]
