"""The adapters on misaligned answers in the table of trainings, for contrasts that ask how well each was learned."""

from pathlib import Path

import pandas as pd

from emtransfer.files.tables import table_with


def misaligned_adapters(path: Path, *columns: str) -> pd.DataFrame:
    """The rows of adapters that were trained on misaligned answers from the base, every field as text.

    Args:
        path: CSV of tabulate_training.
        columns: which the table has to have, besides those that tell these adapters from others.

    Raises:
        InputError: the file or a column is missing.
    """
    needed = [*columns, "condition", "start", "answers"]
    table = table_with(path, needed, "a table of training losses", dtype=str, keep_default_na=False)
    return table[(table.condition == "adapter") & (table.start == "base") & (table.answers == "misaligned")]
