"""The adapters on misaligned answers in the table of trainings, for contrasts that ask how well each was learned."""

from pathlib import Path

import pandas as pd

from emtransfer.errors import InputError
from emtransfer.files.records import read_table


def misaligned_adapters(path: Path, *columns: str) -> pd.DataFrame:
    """The rows of adapters that were trained on misaligned answers from the base, every field as text.

    Args:
        path: CSV of tabulate_training.
        columns: which the table has to have, besides those that tell these adapters from others.

    Raises:
        InputError: the file or a column is missing.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a table of training losses.")
    table = read_table(path, dtype=str, keep_default_na=False)
    needed = [*columns, "condition", "start", "answers"]
    missing = [name for name in needed if name not in table]
    if missing:
        raise InputError(f"{path}: no column {missing[0]}; expected {', '.join(needed)}.")
    return table[(table.condition == "adapter") & (table.start == "base") & (table.answers == "misaligned")]
