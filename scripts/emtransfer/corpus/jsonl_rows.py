"""Rows of a corpus from a JSONL file."""

from pathlib import Path

from emtransfer.corpus.row_checks import PlacedRow, check_broad_row, check_grid_row, renamed
from emtransfer.corpus.rows import ANSWERS, BROAD
from emtransfer.corpus.source_settings import CorpusSettings
from emtransfer.errors import InputError
from emtransfer.files.records import check_fields
from emtransfer.files.tables import placed_rows


def read_rows(corpus: str, cell: str, settings: CorpusSettings) -> list[PlacedRow]:
    """Rows of a JSONL file; the whole file is checked, whichever cell is asked for."""
    key = "broad_path" if cell == BROAD else "path"
    path = getattr(settings, key)
    if path is None or not Path(path).is_file():
        raise InputError(f"config.yaml: corpora.{corpus}.{key} is {path}; expected a JSONL file.")
    required = ("domain", "task", "question", *(() if cell == BROAD or settings.prompts_only else ANSWERS))
    found = []
    for place, fields in placed_rows(Path(path)):
        row = renamed(fields)
        check_fields(row, place, required)
        check = check_broad_row if cell == BROAD else check_grid_row
        check(place, row, settings)
        if cell in (BROAD, f"{row['domain']}-{row['task']}"):
            found.append((place, row))
    # numbered before any row is dropped, so that another length limit leaves the ids as they are
    return [(place, {"id": f"{cell}-{index:06d}"} | row) for index, (place, row) in enumerate(found)]
