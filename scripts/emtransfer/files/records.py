"""Records on disk: JSONL rows and CSV tables, read with line-numbered errors, written whole or not at all.

Beside every file that is written lies its hash, in the form of sha256sum; a file that has another content than its hash says is
never read. A file without a hash, such as one of the user's own, is read as it is.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtransfer.errors import InputError
from emtransfer.files.json_text import json_rows
from emtransfer.files.text import is_blank

if TYPE_CHECKING:
    import pandas as pd

# a spreadsheet takes a cell that begins like this for a formula
FORMULA = ("=", "+", "-", "@", "\t", "\n")


def read_records(path: str | Path, required: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Read a JSONL file of objects.

    Args:
        path: JSONL file, UTF-8; blank lines are skipped.
        required: fields that must be present and, where they are text, not blank.

    Returns:
        One dict per row, in file order.

    Raises:
        InputError: the file is missing, empty or damaged, or a line is no object or lacks a field; names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a JSONL file.")
    check_hash(path)
    rows = []
    for place, row in json_rows(path):
        check_fields(row, place, required)
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: 0 rows; expected at least one JSON object per line.")
    return rows


def check_fields(row: dict[str, Any], place: str, required: Iterable[str]) -> None:
    """Raise InputError for the first required field that is missing or, where it is text, blank; `place` opens the message."""
    for field in required:
        value = row.get(field)
        if value is None or (isinstance(value, str) and is_blank(value)):
            raise InputError(f"{place}: {field} is {json.dumps(value)}; expected text that is not blank.")


def read_table(path: str | Path, **options: Any) -> "pd.DataFrame":
    """Read a CSV table.

    Args:
        options: of pandas.read_csv.

    Raises:
        InputError: the file is damaged.
    """
    # a job that reads and writes rows alone need not wait for it
    import pandas as pd

    check_hash(path)
    return pd.read_csv(path, **options)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it onto `path`, with its hash, only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    yield temporary
    hash_file = hash_path(path)
    hash_file.write_text(f"{file_sha256(temporary)}  {path.name}\n", encoding="utf-8")
    os.replace(temporary, path)


def hash_path(path: Path) -> Path:
    """Where the hash of a file is kept."""
    return path.with_name(path.name + ".sha256")


def file_sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_hash(path: str | Path) -> None:
    """Raise InputError if a file has another content than was written; one without a recorded hash passes."""
    hash_file = hash_path(Path(path))
    if not hash_file.is_file():
        return
    recorded, found = hash_file.read_text(encoding="utf-8").split(" ")[0], file_sha256(path)
    if found != recorded:
        raise InputError(
            f"{path}: content is {found[:12]}; expected {recorded[:12]} as when it was written; delete it, so that it is made again."
        )


def write_records(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSONL, keys in row order, text as UTF-8; whole or not at all."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_table(path: str | Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV with shortest-roundtrip floats; missing values are empty; whole or not at all.

    Text is written so that no reader takes it for anything else, see `inert`.
    """
    import pandas as pd

    for name in table.columns:
        values = table[name].tolist()
        written = list(map(inert, values))
        if written != values:
            table = table.assign(**{name: pd.Series(written, table.index, dtype=object)})
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def inert(value: object) -> object:
    """A cell of a table: text that a spreadsheet would take for a formula gets an apostrophe in front; others stay.

    Line breaks are those of Unix, since a carriage return, which is not put in quotes, ends a row for some readers.
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(FORMULA) else text


def clean(text: str) -> str:
    """The text with halves of surrogate pairs, which UTF-8 cannot hold, replaced by question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
