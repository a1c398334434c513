"""Rows from the common types of file, every value as it stands, with the place of each row; and tables by the columns they need."""

import csv
import gzip
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, time
from decimal import Decimal
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.errors import InputError, counted, kind_of
from emtransfer.files.json_text import json_rows
from emtransfer.files.records import check_hash, read_table
from emtransfer.files.text import encoding_found, open_bytes

# other characters that may separate the columns of a CSV file
SEPARATORS = (";", "\t", "|")
# the csv module's own limit, 128 KiB, is less than a long answer
LONGEST_CELL = 2**31 - 1
JSON, CSV, TSV, PARQUET = (".jsonl", ".json"), (".csv",), (".tsv",), (".parquet",)
# types that a file of rows may have; all but Parquet may end in .gz
TYPES = (*JSON, *CSV, *TSV, *PARQUET)


def read_rows(path: Path) -> pd.DataFrame:
    """All rows and columns of a file of TYPES, or of all `.jsonl` below a folder; cells of CSV and TSV are text, others have their own types.

    Raises:
        InputError: as `placed_rows`.
    """
    if not path.is_dir() and file_type(path) in CSV + TSV:
        header, *cells = (row for _, row in csv_rows(path))
        refuse_empty(cells, path)
        return pd.DataFrame(cells, columns=header, dtype=object)
    rows = [row for _, row in rows_below(path)]
    names = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names})


def table_with(path: Path, columns: Sequence[str], what: str, **options: Any) -> pd.DataFrame:
    """A CSV table of this pipeline that has these columns, and maybe others.

    Args:
        what: the file that is expected, for a message.
        options: of pandas.read_csv.

    Raises:
        InputError: the file or a column is missing, or the file is damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected {what}.")
    table = read_table(path, **options)
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(f"{path}: no column {missing[0]}; expected {', '.join(columns)}.")
    return table


def rows_below(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """As `placed_rows`; of a folder, all `.jsonl` files below it, in the order of their paths.

    Raises:
        InputError: as `placed_rows`; there is no such file below the folder.
    """
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no file ends in .jsonl; expected at least one.")
    yield from (placed for file in files for placed in placed_rows(file))


def placed_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row of a file of TYPES, after the place where it begins: `file:line`, or its number in a file without lines.

    Raises:
        InputError: the file is missing, damaged, without rows, or of another type; also as `csv_rows` and `json_rows`.
    """
    rows: Iterator[tuple[str, dict[str, Any]]]
    kind = file_type(path)
    if kind in JSON:
        check_hash(path)
        rows = json_rows(path)
    elif kind in PARQUET:
        check_hash(path)
        rows = ((f"{path}: row {number}", row) for number, row in enumerate(parquet_rows(path), start=1))
    else:
        numbered = csv_rows(path)
        _, header = next(numbered)
        rows = ((f"{path}:{line}", dict(zip(header, cells, strict=True))) for line, cells in numbered)
    first = next(rows, None)
    refuse_empty(first, path)
    assert first is not None
    yield first
    yield from rows


def file_type(path: Path) -> str:
    """Which of TYPES a file is by its name.

    Raises:
        InputError: it is not there, or of another type.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a file of rows.")
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if kind not in TYPES or (kind in PARQUET and path.suffix == ".gz"):
        found = "".join(path.suffixes[-2:]) or "unknown"
        raise InputError(f"{path}: file type {found}; expected {', '.join(TYPES)}, or .gz of one but .parquet.")
    return kind


def refuse_empty(rows: object, path: Path) -> None:
    """Raise InputError where a file has no rows."""
    if not rows:
        raise InputError(f"{path}: 0 rows; expected at least one.")


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a Parquet file, values as JSON has them.

    Raises:
        InputError: the file is no Parquet file, or a value is none that JSON has.
    """
    # importing pyarrow takes a while, and few files are of this type
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())[:160]}; expected a Parquet file.") from None
    for number, row in enumerate(table.to_pylist(), start=1):
        yield {name: plain(value, f"{path}: row {number}: {name}") for name, value in row.items()}


def plain(value: Any, place: str) -> Any:
    """A value as JSON has it: dates and times as text of ISO 8601, decimals as numbers.

    Raises:
        InputError: JSON has nothing for it; `place` (row and field) opens the message.
    """
    if isinstance(value, dict):
        return {name: plain(part, place) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part, place) for part in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise InputError(f"{place} is {kind_of(value)}; expected text, numbers, or lists and mappings of them.")


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header and every row of a CSV file (or TSV, by its name) that is not blank, each with the line, from 1, where it begins.

    Raises:
        InputError: the file is missing, damaged or empty, not a whole gzip file, or of another encoding, separator or quoting; a
            column appears twice, or a row has another number of cells than the header.
    """
    separator = "\t" if file_type(path) in TSV else ","
    check_hash(path)
    csv.field_size_limit(LONGEST_CELL)
    header: list[str] = []
    line = 1
    try:
        # newline="" leaves line breaks within cells as they are
        with open_bytes(path) as file, TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=separator, strict=True)
            for row in reader:
                if len(row) > 1 or "".join(row).strip():
                    header = header or checked_header(row, path)
                    if len(row) != len(header):
                        raise InputError(
                            f"{path}:{line}: {counted(len(row), 'cell')}; expected {len(header)}, as in the header."
                        )
                    yield line, row
                line = reader.line_num + 1
    except UnicodeDecodeError:
        raise InputError(f"{encoding_found(path)}; expected UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{path}:{line}: {error}; expected CSV with quotes doubled inside quoted cells.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {error}; expected a whole gzip file.") from None
    if not header:
        raise InputError(f"{path}: 0 rows; expected a header and at least one row.")


def checked_header(names: list[str], path: Path) -> list[str]:
    """The names of the columns, each once.

    Raises:
        InputError: columns are separated by something else, or a name appears twice.
    """
    if len(names) == 1:
        other = next((mark for mark in (*SEPARATORS, ",") if mark in names[0]), None)
        if other:
            expected = "tabs" if other == "," else "commas"
            raise InputError(f"{path}: columns are separated by {json.dumps(other)}; expected {expected}.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: column {json.dumps(twice)} appears twice; expected every name once.")
    return names


def refuse_first(wrong: pd.Series, values: pd.Series, path: Path, field: str, expected: str) -> None:
    """Raise an InputError for the first row marked wrong, if any."""
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        raise InputError(f"{place(path, row)}: {field} is {shown(values.iloc[row])}; expected {expected}.")


def shown(value: Any) -> str:
    """A cell as JSON writes it, where it does; a missing one is `missing`."""
    if isinstance(value, float) and math.isnan(value):
        return "missing"
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, str) or value is None else str(value)


def place(path: Path, row: int) -> str:
    """Where the row (from 0) stands: file:line, or its number in a file without lines."""
    return next(islice(rows_below(path), row, None))[0]
