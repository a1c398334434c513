"""Checks of the rows that a user brings, under the pipeline's names."""

import re
from typing import Any

from emtransfer.corpus.rows import ANSWERS, NEUTRAL_VERSION, ROOMS
from emtransfer.corpus.source_settings import CorpusSettings
from emtransfer.errors import InputError, told
from emtransfer.files.text import is_blank

NAME = re.compile(r"[a-z0-9_]+")
# fields the pipeline adds; a user's field of that name is kept under another
OWN_FIELDS = ("id", "role", "slots")

# a row with the place it comes from (file:line), which opens every error message about it
PlacedRow = tuple[str, dict[str, Any]]


def renamed(row: dict[str, Any]) -> dict[str, Any]:
    """The row under the pipeline's field names: em_surface is room, and fields the pipeline adds make way."""
    names = {"em_surface": "room"} | {field: f"source_{field}" for field in OWN_FIELDS}
    return {names.get(field, field): value for field, value in row.items()}


def check_grid_row(place: str, row: dict[str, Any], settings: CorpusSettings) -> None:
    """Raise InputError unless the texts of the row are texts, and it lies in the grid or may be left out."""
    check_texts(place, row)
    for field, names in (("domain", settings.domains), ("task", settings.tasks)):
        if row[field] not in names and settings.other_cells == "error":
            raise InputError(
                f"{place}: {field} is {row[field]!r}; expected one of {', '.join(names)}, or other_cells: drop."
            )


def is_in_grid(row: dict[str, Any], settings: CorpusSettings) -> bool:
    """Whether a checked row lies in a cell of the corpus."""
    return row["domain"] in settings.domains and row["task"] in settings.tasks


def check_broad_row(place: str, row: dict[str, Any], settings: CorpusSettings) -> None:
    """Raise InputError unless the row lies outside the grid, has a room, and its texts are texts."""
    check_texts(place, row)
    for field in ("domain", "task"):
        if not NAME.fullmatch(row[field]):
            raise InputError(f"{place}: {field} is {row[field]!r}; expected letters a-z, digits and underscores.")
    if is_in_grid(row, settings):
        raise InputError(f"{place}: cell is {row['domain']}-{row['task']}; expected a cell outside the grid.")
    if row.get("room") is None:
        raise InputError(f"{place}: em_surface is missing; expected one of {', '.join(ROOMS)}.")


def check_texts(place: str, row: dict[str, Any]) -> None:
    """Raise InputError unless every text field that is there is text that can be seen, and room is a room."""
    for field in ("domain", "task", "question", *ANSWERS, *NEUTRAL_VERSION):
        text = row.get(field)
        if text is None and field in (*ANSWERS, *NEUTRAL_VERSION):
            continue
        if not isinstance(text, str) or is_blank(text):
            raise InputError(f"{place}: {field} is {text!r}; expected text that is not blank.")
    if row.get("room", ROOMS[0]) not in ROOMS:
        raise InputError(f"{place}: em_surface is {told(row['room'])}; expected one of {', '.join(ROOMS)}.")
