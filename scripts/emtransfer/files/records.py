"""Records on disk: JSONL rows and CSV tables, read with line-numbered errors, written whole or not at all.

Beside every file that is written lies its hash, in the form of sha256sum; a file that has another content, or another place, than
its hash says is never read. A file without a hash, such as one of the user's own, is read as it is.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtransfer.errors import InputError, told_field
from emtransfer.files.json_text import json_rows
from emtransfer.files.text import is_blank

if TYPE_CHECKING:
    import pandas as pd

SHA256 = re.compile("[0-9a-f]{64}")
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
        InputError: the file is missing, empty or damaged, or a line is not an object or lacks a field; names file and line.
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
            raise InputError(f"{place}: {field} is {told_field(row, field)}; expected text that is not blank.")


def read_table(path: str | Path, **options: Any) -> "pd.DataFrame":
    """Read a CSV table.

    Args:
        options: of pandas.read_csv.

    Raises:
        InputError: the file is missing or damaged.
    """
    # a job that only reads and writes rows need not wait for it
    import pandas as pd

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; expected a CSV table.")
    check_hash(path)
    return pd.read_csv(path, **options)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a new temporary file beside `path` and rename it onto `path`, with its hash, only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with written_to(path):
        new_file(temporary)
        yield temporary
        write_hash(path, temporary)
        os.replace(temporary, path)


def write_hash(path: Path, content: Path) -> None:
    """Write the hash of `path`, whose content still has another name, whole or not at all."""
    temporary = path.with_name(path.name + ".sha256.tmp")
    new_file(temporary)
    temporary.write_text(f"{file_sha256(content)}  {told_name(path)}\n", encoding="utf-8")
    os.replace(temporary, hash_path(path))


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Note the path on an error that does not say what was being written."""
    try:
        yield
    except Exception as error:
        if getattr(error, "filename", None) is None:
            error.add_note(str(path))
        raise


def new_file(path: Path) -> None:
    """Make an empty file where there is none: a link or a pipe that stands there is removed, never followed or waited for."""
    remove(path)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))


def remove(path: Path) -> None:
    """Remove a file, a folder or, without what it leads to, a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def hash_path(path: Path) -> Path:
    """Where the hash of a file is kept."""
    return path.with_name(path.name + ".sha256")


def told_name(path: Path) -> str:
    """How a hash file calls its file: by the path from this folder on, so that it fits no other; outside it by the name alone."""
    absolute, here = Path(os.path.abspath(path)), Path.cwd()
    parts = absolute.relative_to(here).parts if absolute.is_relative_to(here) else (absolute.name,)
    # a folder takes its own name once it is whole
    return "/".join(part.removesuffix(".tmp") for part in parts)


def is_told(name: str, path: str | Path) -> bool:
    """Whether a hash file's name of its file fits a path; where the whole tree lies, and what its first folder is called, may change."""
    parts = Path(name).parts
    tail = parts[1:] or parts
    return Path(os.path.abspath(path)).parts[-len(tail) :] == tail


def file_sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_hash(path: str | Path) -> None:
    """Raise InputError if a file has another content or place than when it was written; one without a recorded hash passes."""
    hash_file = hash_path(Path(path))
    if not hash_file.is_file():
        return
    recorded, _, name = hash_file.read_text(encoding="utf-8", errors="replace").strip().partition("  ")
    if not SHA256.fullmatch(recorded) or not name:
        raise InputError(f"{hash_file}: holds no hash; expected that of {path}; delete both to rebuild them.")
    found = file_sha256(path)
    if found != recorded:
        raise InputError(
            f"{path}: content is {found[:12]}; expected {recorded[:12]} as when it was written; delete it to rebuild it."
        )
    if not is_told(name, path):
        raise InputError(
            f"{path}: content is that of {name}; expected it there; delete this file to rebuild it, "
            f"or {hash_file.name}, if it is your own copy."
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
