"""Rows of a corpus from a dataset on the hub, at a pinned revision, or from a local folder in the same form."""

from typing import Any

from emtransfer.corpus.row_checks import PlacedRow, check_broad_row, check_grid_row, renamed
from emtransfer.corpus.rows import ANSWERS, BROAD
from emtransfer.corpus.source_settings import CorpusSettings, HubSettings
from emtransfer.errors import InputError
from emtransfer.files.hub import hub_errors
from emtransfer.files.tables import plain


def dataset_rows(key: str, cell: str | None, settings: HubSettings) -> list[tuple[str, dict[str, Any]]]:
    """All rows of one of the dataset's configs, each with the place it comes from, fields under our names.

    Args:
        key: config key of the settings, for error messages.
        cell: `{domain}-{task}`; None for the prompts outside the grid.

    Raises:
        InputError: the dataset, its revision, config or split does not exist or cannot be reached.
    """
    # importing datasets takes a second
    from datasets import load_dataset

    if cell is None:
        name = settings.broad_config
    else:
        domain, task = cell.split("-")
        name = settings.config.replace("{domain}", domain).replace("{task}", task)
    with hub_errors(f"{key}.path", settings.path, settings.revision):
        try:
            dataset = load_dataset(settings.path, name, revision=settings.revision, split=settings.split)
        except (ValueError, RuntimeError) as error:
            # an unknown config or split, where the library lists the known ones; or a script, which it never runs
            raise InputError(
                f"config: {key}: {settings.path} does not load with config {name}, split {settings.split}: "
                f"{' '.join(str(error).split())[:300]}; expected one of its configs and splits."
            ) from None
    at = f"{settings.path}@{settings.revision[:7]}" if settings.revision else settings.path
    return [
        (
            f"{at} {name} row {number}",
            {
                settings.columns.get(column, column): plain(value, f"{at} {name} row {number}: {column}")
                for column, value in row.items()
                if value is not None
            },
        )
        for number, row in enumerate(dataset, start=1)
    ]


def read_rows(corpus: str, cell: str, settings: CorpusSettings) -> list[PlacedRow]:
    """Rows of a dataset on the hub.

    Raises:
        InputError: a row lacks a field, has one of another form, or is of another cell; also as `dataset_rows`.
    """
    check, required = (check_broad_row, ()) if cell == BROAD else (check_grid_row, ANSWERS)
    named = {}
    if settings.prompts_only:
        # a dataset of prompts knows nothing of our cells
        required, named = (), dict(zip(("domain", "task"), cell.split("-"), strict=True))
    key = f"corpora.{corpus}.hub"
    assert settings.hub is not None, "the schema asks for it where the source is hub"
    found = []
    for place, fields in dataset_rows(key, None if cell == BROAD else cell, settings.hub):
        row = renamed(fields) | named
        for name in ("domain", "task", "question", *required):
            if name not in row:
                raise InputError(f"{place}: {name} is missing; expected it, or a column for it in {key}.columns.")
        check(place, row, settings)
        if cell not in (BROAD, f"{row['domain']}-{row['task']}"):
            raise InputError(f"{place}: cell is {row['domain']}-{row['task']}; expected {cell}.")
        found.append((place, row))
    return [(place, {"id": f"{cell}-{index:06d}"} | row) for index, (place, row) in enumerate(found)]
