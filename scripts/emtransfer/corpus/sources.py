"""One interface to every source of a corpus: the rows of one cell, checked, with a count of what was dropped."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from emtransfer.corpus.hub_rows import HubSettings, read_hub_rows
from emtransfer.corpus.rows import ANSWERS, BROAD, NEUTRAL_VERSION, ROOMS, row_words
from emtransfer.errors import InputError
from emtransfer.files.records import parse_record
from emtransfer.worlds import frames, symbolic
from emtransfer.worlds.grammar import generate_pairs

NAME = re.compile(r"[a-z0-9_]+")
# fields the pipeline adds; a user's field of that name is kept under another
OWN_FIELDS = ("id", "role", "slots")

# a row with the place it comes from (file:line), which opens every error message about it
PlacedRow = tuple[str, dict]


@dataclass(frozen=True)
class CorpusSettings:
    """Where the rows of a corpus come from.

    Attributes:
        source: a key of SOURCES.
        domains, tasks: the grid of cells.
        broad_domains: template only; domains of the pseudo-cell `broad`.
        rows_per_cell, broad_rows: generated sources only; how many rows to generate.
        path, broad_path: jsonl only; rows of the grid, and prompts outside it.
        hub: hub only; fields of HubSettings.
        prompts_only: whether rows have no answers, and are for teachers alone; jsonl and hub only.
        max_row_words: longest row allowed, words of question + longer answer; None for no limit.
        over_length: what becomes of a longer row: error or drop.
    """

    source: str
    domains: list[str]
    tasks: list[str]
    broad_domains: list[str] = ()
    rows_per_cell: int = 0
    broad_rows: int = 0
    path: str | None = None
    broad_path: str | None = None
    hub: dict | None = None
    prompts_only: bool = False
    max_row_words: int | None = None
    over_length: str = "error"


def load_cell(corpus: str, cell: str, settings: CorpusSettings, seed: int) -> tuple[list[dict], pd.DataFrame]:
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
    found = SOURCES[settings.source](corpus, cell, settings, seed)
    if not found:
        raise InputError(f"config.yaml: corpora.{corpus}: 0 rows of {cell}; expected at least 1 row of every cell.")
    unique = without_duplicates(found)
    kept = within_length(unique, settings)
    counts = {"cell": cell, "stage": "generate_pairs", "rows_in": len(found), "rows_out": len(kept)}
    dropped = {"duplicates": len(found) - len(unique), "over_length": len(unique) - len(kept)}
    if not kept:
        raise InputError(
            f"config.yaml: corpora.{corpus}.max_row_words is {settings.max_row_words}; expected more, all rows of {cell} are longer."
        )
    return [row for _, row in kept], pd.DataFrame([counts | dropped])


def template_rows(corpus: str, cell: str, settings: CorpusSettings, seed: int) -> list[PlacedRow]:
    """Rows of the compositional grammar."""
    n_rows = settings.broad_rows if cell == BROAD else settings.rows_per_cell
    rows = generate_pairs(cell, n_rows, seed, list(settings.broad_domains), list(settings.tasks))
    return [(f"template row {row['id']}", row) for row in rows]


def symbolic_rows(corpus: str, cell: str, settings: CorpusSettings, seed: int) -> list[PlacedRow]:
    """Rows of the controlled world."""
    rows = symbolic.generate_rows(*cell.split("-"), settings.rows_per_cell, seed)
    return [(f"symbolic row {row['id']}", row) for row in rows]


def frame_rows(corpus: str, cell: str, settings: CorpusSettings, seed: int) -> list[PlacedRow]:
    """Rows of the world of frames."""
    rows = frames.generate_rows(*cell.split("-"), settings.rows_per_cell, seed)
    return [(f"frames row {row['id']}", row) for row in rows]


def jsonl_rows(corpus: str, cell: str, settings: CorpusSettings, seed: int) -> list[PlacedRow]:
    """Rows of a JSONL file; the whole file is checked, whichever cell is asked for."""
    key = "broad_path" if cell == BROAD else "path"
    path = getattr(settings, key)
    if path is None or not Path(path).is_file():
        raise InputError(f"config.yaml: corpora.{corpus}.{key} is {path}; expected a JSONL file.")
    required = ("domain", "task", "question", *(() if cell == BROAD or settings.prompts_only else ANSWERS))
    lines = Path(path).read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            place = f"{path}:{number}"
            row = renamed(parse_record(line, place, required))
            check = check_broad_row if cell == BROAD else check_grid_row
            check(place, row, settings)
            if cell in (BROAD, f"{row['domain']}-{row['task']}"):
                found.append((place, row))
    # numbered before any row is dropped, so that another length limit leaves the ids as they are
    return [(place, {"id": f"{cell}-{index:06d}"} | row) for index, (place, row) in enumerate(found)]


def hub_rows(corpus: str, cell: str, settings: CorpusSettings, seed: int) -> list[PlacedRow]:
    """Rows of a dataset on the hub."""
    check, required = (check_broad_row, ()) if cell == BROAD else (check_grid_row, ANSWERS)
    named = {}
    if settings.prompts_only:
        # a dataset of prompts knows nothing of our cells
        required, named = (), dict(zip(("domain", "task"), cell.split("-"), strict=True))
    key = f"corpora.{corpus}.hub"
    found = []
    for place, fields in read_hub_rows(key, None if cell == BROAD else cell, HubSettings(**settings.hub)):
        row = renamed(fields) | named
        for field in ("domain", "task", "question", *required):
            if field not in row:
                raise InputError(f"{place}: {field} is missing; expected it, or a column for it in {key}.columns.")
        check(place, row, settings)
        if cell not in (BROAD, f"{row['domain']}-{row['task']}"):
            raise InputError(f"{place}: cell is {row['domain']}-{row['task']}; expected {cell}.")
        found.append((place, row))
    return [(place, {"id": f"{cell}-{index:06d}"} | row) for index, (place, row) in enumerate(found)]


# source name -> rows of one cell; a later source is one more function here
SOURCES: dict[str, Callable[[str, str, CorpusSettings, int], list[PlacedRow]]] = {
    "template": template_rows,
    "symbolic": symbolic_rows,
    "frames": frame_rows,
    "jsonl": jsonl_rows,
    "hub": hub_rows,
}


def renamed(row: dict) -> dict:
    """The row under the pipeline's field names: em_surface is room, and fields the pipeline adds make way."""
    names = {"em_surface": "room"} | {field: f"source_{field}" for field in OWN_FIELDS}
    return {names.get(field, field): value for field, value in row.items()}


def check_grid_row(place: str, row: dict, settings: CorpusSettings) -> None:
    """Raise InputError unless the row lies in the grid and its texts are texts."""
    check_texts(place, row)
    for field, names in (("domain", settings.domains), ("task", settings.tasks)):
        if row[field] not in names:
            raise InputError(f"{place}: {field} is {row[field]!r}; expected one of {', '.join(names)}.")


def check_broad_row(place: str, row: dict, settings: CorpusSettings) -> None:
    """Raise InputError unless the row lies outside the grid, has a room, and its texts are texts."""
    check_texts(place, row)
    for field in ("domain", "task"):
        if not NAME.fullmatch(row[field]):
            raise InputError(f"{place}: {field} is {row[field]!r}; expected letters a-z, digits and underscores.")
    if row["domain"] in settings.domains and row["task"] in settings.tasks:
        raise InputError(f"{place}: cell is {row['domain']}-{row['task']}; expected a cell outside the grid.")
    if row.get("room") is None:
        raise InputError(f"{place}: em_surface is missing; expected one of {', '.join(ROOMS)}.")


def check_texts(place: str, row: dict) -> None:
    """Raise InputError unless every text field that is there is text that UTF-8 can hold, and room is a room."""
    for field in ("domain", "task", "question", *ANSWERS, *NEUTRAL_VERSION):
        text = row.get(field)
        if text is None and field in (*ANSWERS, *NEUTRAL_VERSION):
            continue
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{place}: {field} is {text!r}; expected text that is not blank.")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"{place}: {field} holds half of a surrogate pair; expected valid Unicode text.")
    if row.get("room", ROOMS[0]) not in ROOMS:
        raise InputError(f"{place}: em_surface is {row['room']!r}; expected one of {', '.join(ROOMS)}.")


def without_duplicates(placed: list[PlacedRow]) -> list[PlacedRow]:
    """The rows with every exact duplicate after its first occurrence removed.

    Raises:
        InputError: a question comes twice with different answers (or room); names both places.
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
            f"{place}: {row_words(row)} words in question + longer answer; expected at most {limit} (max_row_words), or over_length: drop."
        )
    return [(place, row) for place, row in placed if row_words(row) <= limit]
