"""Rows of a corpus from one file, or from two: one with the aligned answers and one with the misaligned."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emtransfer.corpus.columns import ANSWER, mapped, refuse_known_form
from emtransfer.corpus.row_checks import PlacedRow, check_broad_row, check_grid_row, is_in_grid, renamed
from emtransfer.corpus.rows import ANSWERS, BROAD
from emtransfer.corpus.source_settings import Constant, CorpusSettings
from emtransfer.errors import InputError, counted, told
from emtransfer.files.records import check_fields
from emtransfer.files.tables import placed_rows


def read_rows(corpus: str, cell: str, settings: CorpusSettings) -> list[PlacedRow]:
    """Rows of a cell; all rows of the files are checked, whichever cell is asked for."""
    found = [
        (place, row)
        for place, row in checked_rows(corpus, cell == BROAD, settings)
        if cell in (BROAD, f"{row['domain']}-{row['task']}")
    ]
    # numbered before any row is dropped, so that another length limit leaves the ids as they are
    return [(place, {"id": f"{cell}-{index:06d}"} | row) for index, (place, row) in enumerate(found)]


def checked_rows(corpus: str, broad: bool, settings: CorpusSettings) -> Iterator[PlacedRow]:
    """Every row of the grid, or of the prompts outside it, under the pipeline's names; those of other cells are left out where they may be.

    Raises:
        InputError: a file is missing or damaged, or a row is wrong; names file and row.
    """
    required = ("domain", "task", "question", *(() if broad or settings.prompts_only else ANSWERS))
    check = check_broad_row if broad else check_grid_row
    if broad:
        placed = named_rows(corpus, "broad_path", settings.broad_path, settings.broad_columns)
    else:
        placed = named_rows(corpus, "path", settings.path, settings.columns)
        if settings.misaligned_path is not None:
            bad = named_rows(corpus, "misaligned_path", settings.misaligned_path, settings.columns)
            placed = joined(placed, bad, settings.misaligned_path)
    for place, fields in placed:
        row = renamed(fields)
        check_fields(row, place, required)
        check(place, row, settings)
        if broad or is_in_grid(row, settings):
            yield place, row


def named_rows(corpus: str, key: str, path: str | None, columns: Mapping[str, str | Constant]) -> Iterator[PlacedRow]:
    """Rows of one file under the names of fields.

    Raises:
        InputError: the file is missing or damaged, or a row has nothing at a path of `columns`.
    """
    if path is None or not Path(path).is_file():
        raise InputError(f"config: corpora.{corpus}.{key} is {path or 'missing'}; expected a file of rows.")
    for place, row in placed_rows(Path(path)):
        if not columns:
            refuse_known_form(row, place, corpus)
        yield place, mapped(row, columns, place)


def joined(aligned: Iterator[PlacedRow], misaligned: Iterator[PlacedRow], path: str) -> Iterator[PlacedRow]:
    """The rows of the aligned answers, each with the misaligned answer to the same question of the same cell.

    Raises:
        InputError: a question is in only one of the files, or has two misaligned answers.
    """
    others: dict[tuple[Any, ...], tuple[str, Any]] = {}
    for place, row in misaligned:
        answer = row.get(ANSWER, row.get(ANSWERS[1]))
        before, first = others.setdefault(question_of(row), (place, answer))
        if first != answer:
            raise InputError(
                f"{place}: question repeats {before} with another answer; expected one answer per question."
            )
    unread = set(others)
    for place, row in aligned:
        key = question_of(row)
        if key not in others:
            raise InputError(f"{place}: question is {told(row.get('question'))}; expected it in {path} too.")
        unread.discard(key)
        own = {name: value for name, value in row.items() if name != ANSWER}
        yield place, own | {ANSWERS[0]: row.get(ANSWER, row.get(ANSWERS[0])), ANSWERS[1]: others[key][1]}
    if unread:
        place = next(place for key, (place, _) in others.items() if key in unread)
        raise InputError(
            f"{place}: the first of {counted(len(unread), 'question')} without an aligned answer; expected them in both files."
        )


def question_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """The key of a question."""
    return tuple(str(row.get(field)) for field in ("domain", "task", "question"))
