"""Rows that others wrote, in any of four file types: every cell as it stands, and the place where each row stands."""

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.errors import InputError
from emtransfer.files.records import check_hash, read_records

# what else may stand between the columns of a CSV file
SEPARATORS = (";", "\t", "|")
# the csv module's own limit, 128 KiB, is less than a long answer
LONGEST_CELL = 2**31 - 1


def read_rows(path: Path) -> pd.DataFrame:
    """All rows and columns of a .jsonl, .csv, .csv.gz or .parquet file; cells of CSV are text, others have their own types.

    Raises:
        InputError: the file is missing, damaged, without rows, or of another type; also as `csv_rows`.
    """
    if path.suffix == ".jsonl":
        rows = read_records(path)
        names = dict.fromkeys(name for row in rows for name in row)
        return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names})
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a table of rows.")
    check_hash(path)
    if path.name.endswith((".csv", ".csv.gz")):
        header, *cells = (row for _, row in csv_rows(path))
        frame = pd.DataFrame(cells, columns=header, dtype=object)
    elif path.suffix == ".parquet":
        try:
            frame = pd.read_parquet(path).astype(object).rename(columns=str)
        except (ValueError, OSError) as error:
            raise InputError(f"{path}: {' '.join(str(error).split())[:160]}; expected a Parquet file.") from None
    else:
        raise InputError(f"{path}: file type {path.suffix}; expected .jsonl, .csv, .csv.gz or .parquet.")
    if frame.empty:
        raise InputError(f"{path}: 0 rows; expected at least one.")
    return frame


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header and every row of a CSV file that is not blank, each with the line, from 1, in which it begins.

    Raises:
        InputError: the file is empty, no whole gzip file, or of another encoding, separator or quoting; a column comes
            twice, or a row has another number of cells than the header.
    """
    csv.field_size_limit(LONGEST_CELL)
    header: list[str] = []
    line = 1
    try:
        # newline="" leaves line breaks within cells as they are
        with open_bytes(path) as file, TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            for row in reader:
                if len(row) > 1 or "".join(row).strip():
                    header = header or checked_header(row, path)
                    if len(row) != len(header):
                        raise InputError(f"{path}:{line}: {len(row)} cells; expected {len(header)}, as in the header.")
                    yield line, row
                line = reader.line_num + 1
    except UnicodeDecodeError:
        raise InputError(f"{encoding_found(path)}; expected UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{path}:{line}: {error}; expected CSV, quotes doubled within quotes.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {error}; expected a whole gzip file.") from None
    if not header:
        raise InputError(f"{path}: 0 rows; expected a header and at least one row.")


def checked_header(names: list[str], path: Path) -> list[str]:
    """The names of the columns, each once."""
    other = next((mark for mark in SEPARATORS if len(names) == 1 and mark in names[0]), None)
    if other:
        raise InputError(f"{path}: columns are separated by {json.dumps(other)}; expected commas.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: column {json.dumps(twice)} comes twice; expected every name once.")
    return names


def open_bytes(path: Path) -> gzip.GzipFile | BufferedReader:
    """The file's bytes, unpacked where it is a .gz."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def encoding_found(path: Path) -> str:
    """The place of the first bytes that are not UTF-8, and what they look like."""
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return f"{path}: encoding is UTF-16"
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"{path}:{number}: byte 0x{line[error.start]:02x}, as in Latin-1 or Windows-1252"
    return f"{path}: not UTF-8"


def refuse_first(wrong: pd.Series, values: pd.Series, path: Path, field: str, expected: str) -> None:
    """Raise an InputError for the first row marked wrong, if any."""
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        raise InputError(f"{place(path, row)}: {field} is {shown(values.iloc[row])}; expected {expected}.")


def shown(value: Any) -> str:
    """A cell as JSON writes it, where it does."""
    return json.dumps(value) if isinstance(value, str | bool) or value is None else str(value)


def place(path: Path, row: int) -> str:
    """Where the row (from 0) stands: file:line, or its number in a file without lines."""
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").split("\n")
        return f"{path}:{[number for number, line in enumerate(lines, start=1) if line.strip()][row]}"
    if path.suffix == ".parquet":
        return f"{path}: row {row + 1}"
    # after the header
    return f"{path}:{next(islice(csv_rows(path), row + 1, None))[0]}"
