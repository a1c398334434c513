"""Rows that were judged elsewhere, one answer each, read as frames with ROW_COLUMNS; docs/judged_rows.md describes their fields."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.errors import InputError, counted
from emtransfer.files.tables import place, read_rows, refuse_first
from emtransfer.grid.expansion import common
from emtransfer.grid.labels import CONTEXTS, MODEL_COLUMNS, MODEL_LABELS
from emtransfer.measuring.judged_rows import (
    EVAL_COLUMNS,
    ROW_COLUMNS,
    SCORES,
    JudgedModel,
    as_table_cells,
    checked_scores,
    split_cells,
)
from emtransfer.verdicts import STATUSES

STATUS_OF = {score: f"{score}_status" for score in SCORES}
REQUIRED = ("question_id", "eval_set", "eval_domain", "eval_task", *SCORES)
TEXTS = ["question_id", "sample", *EVAL_COLUMNS, *STATUS_OF.values(), *MODEL_COLUMNS]
# fields -> the columns of this pipeline's own judged rows that hold them
OWN_COLUMNS = {
    "question_id": "prompt_id",
    "eval_domain": "domain",
    "eval_task": "task",
    **dict.fromkeys(STATUS_OF.values(), "status"),
}
# what stands in place of a score in published files -> its status
WORDS = {"refusal": "refusal", "code": "code"}
# fields -> the only values that they may have
KNOWN = {
    "eval_set": ("narrow", "broad"),
    "room": ("high", "medium", "low", ""),
    "answers": ("misaligned", "aligned", ""),
    "condition": ("base", "adapter", "student", ""),
}
# what a fine-tuned model was trained on, and started from, unless a row says so
ADAPTER_DEFAULTS = {"answers": "misaligned", "start": "base"}


def read_imported(path: Path, columns: dict[str, Any] | None = None) -> Iterator[tuple[JudgedModel, pd.DataFrame]]:
    """Models and their ROW_COLUMNS from one file of rows judged elsewhere, in the order of their labels.

    What is taken for granted, and what nothing reads, is printed, a line each.

    Args:
        columns: field -> the file's column that holds it, or {"value": what it is in every row}; a field that is not named is
            the column of its own name.

    Raises:
        InputError: as of `tables.read_rows`; a mapping of fields or columns that do not exist; a field that is needed and missing, an
            unknown status, a score of status ok that is not a number in 0..100, half a training cell, labels that some rows of
            adapters have and others lack, or an answer given twice.
    """
    frame, unread = read_frame(path, columns or {})
    frame = with_labels(with_statuses(frame, path), path)
    refuse_half_rooms(frame, path)
    # the same id in another cell is another prompt
    cell = frame["eval_set"] + "/" + frame["eval_domain"] + "-" + frame["eval_task"]
    without_room = (frame["eval_set"] == "narrow") | (frame["room"] == "")
    frame["prompt_id"] = cell.where(without_room, cell + "-" + frame["room"]) + "/" + frame["question_id"]
    numbered = frame.groupby([*MODEL_COLUMNS, "eval_context", "prompt_id"]).cumcount().add(1).astype(str)
    if (frame["sample"] == "").all():
        frame["sample"] = numbered
    refuse_repeated(frame, unread, path)
    for values, rows in as_table_cells(frame).groupby([*MODEL_COLUMNS], sort=True):
        *names, cells, seed = values
        labels = dict(zip(MODEL_LABELS, names, strict=True))
        trained_on = split_cells(cells.split()) or ((labels["train_domain"], labels["train_task"]),)
        trained_on = trained_on if labels["train_domain"] else ()
        # a base is one model, whatever its answers were sampled with
        seed = "" if labels["condition"] == "base" else seed
        yield JudgedModel(labels, seed, trained_on), rows[list(ROW_COLUMNS)]


def read_frame(path: Path, columns: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The file's rows under the names of fields, and its other columns; TEXTS are text, empty where missing, scores as they are.

    Raises:
        InputError: as of `tables.read_rows` and `renamed`; a field that is needed is missing or blank, or one has none of its known values.
    """
    frame = read_rows(path)
    frame = under_fields(frame) if not columns and is_own(frame) else renamed(frame, path, columns)
    missing = [field for field in REQUIRED if field not in frame]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise InputError(f"{path}: no field {missing[0]} among {found}; expected it, or --columns to name its column.")
    unread = frame.drop(columns=[name for name in frame.columns if name in TEXTS or name in SCORES])
    if len(unread.columns):
        print(f"{path}: nothing reads the columns {', '.join(unread.columns)}.")
    frame = frame.reindex(columns=[*TEXTS, *SCORES])
    frame[TEXTS] = (
        frame[TEXTS].astype(object).where(frame[TEXTS].notna(), "").astype(str).apply(lambda column: column.str.strip())
    )
    for column in ("question_id", "eval_domain", "eval_task"):
        refuse_first(frame[column] == "", frame[column], path, column, "text that is not blank")
    for column, known in KNOWN.items():
        expected = f"{', '.join(known[:-1])} or {known[-1] or 'nothing'}"
        refuse_first(~frame[column].isin(known), frame[column], path, column, expected)
    for column in CONTEXTS:
        # as claims call the questions that were asked without any
        refuse_first(frame[column] == "none", frame[column], path, column, "nothing for no context, or another name")
    are_cells = frame["train_cells"].str.fullmatch(r"([^\s-]+-[^\s-]+(\s+|$))*")
    refuse_first(
        ~are_cells, frame["train_cells"], path, "train_cells", "cells like medical-advice, separated by spaces"
    )
    return frame, unread


def is_own(frame: pd.DataFrame) -> bool:
    """Whether rows have the columns of this pipeline's own judged rows, and no field under the name that it has elsewhere."""
    return set(OWN_COLUMNS.values()) <= set(frame) and set(OWN_COLUMNS).isdisjoint(frame)


def under_fields(own: pd.DataFrame) -> pd.DataFrame:
    """This pipeline's own rows under the names of fields, without columns that repeat their verdict."""
    fields = own.assign(**{field: own[source] for field, source in OWN_COLUMNS.items()})
    return fields.drop(columns=[*set(OWN_COLUMNS.values()), "cell", "misaligned"], errors="ignore")


def with_cells_of_unions(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Blank train_domain and train_task follow from train_cells: the one domain or task that all cells have, else `*`.

    Raises:
        InputError: one of the two says something else.
    """
    cells = frame["train_cells"].str.split().map(lambda cells: " ".join(dict.fromkeys(cells)))
    known = cells != ""
    blank = known & (frame["train_domain"] == "") & (frame["train_task"] == "")
    for part, column in enumerate(("train_domain", "train_task")):
        names = {text: common({cell[part] for cell in split_cells(text.split())}) for text in cells.unique()}
        follows = cells.map(names)
        frame[column] = frame[column].where(~blank, follows)
        other = known & (frame[column] != follows)
        if other.any():
            right = follows[other].iloc[0]
            refuse_first(
                other, frame[column], path, column, f"{right} or nothing, as train_cells is {cells[other].iloc[0]}"
            )
    return frame.assign(train_cells=cells)


def refuse_shared_names(frame: pd.DataFrame, path: Path) -> None:
    """Raise an InputError for the first row whose training set has the name of one with other cells."""
    names = ["experiment", "judge", "train_set"]
    columns = ["train_domain", "train_task", "train_cells"]
    # one cell may be named or not
    alone = frame["train_domain"] + "-" + frame["train_task"]
    cells = frame[[*names, *columns]].assign(train_cells=frame["train_cells"].where(frame["train_cells"] != "", alone))
    first = cells.groupby(names)[columns].transform("first")
    other = (cells["train_set"] != "") & (cells[columns] != first).any(axis=1)
    refuse_first(
        other, frame["train_set"], path, "train_set", "another name, as a training set of other cells has this one"
    )


def refuse_half_rooms(frame: pd.DataFrame, path: Path) -> None:
    """Raise an InputError for the first broad prompt without a room that has one in other rows: it would count as two."""
    broad = frame["eval_set"] == "broad"
    roomless = broad & (frame["room"] == "")
    ids = pd.MultiIndex.from_frame(frame[["eval_domain", "eval_task", "question_id"]])
    half = roomless & ids.isin(ids[broad & ~roomless])
    refuse_first(half, frame["room"], path, "room", "a room, as other rows of this question_id have one")


def refuse_repeated(frame: pd.DataFrame, unread: pd.DataFrame, path: Path) -> None:
    """Raise an InputError for the first answer given twice, with the columns that nothing reads and that tell the two apart."""
    keys = [*MODEL_COLUMNS, "eval_context", "prompt_id", "sample"]
    repeated = frame.duplicated(keys)
    if repeated.any():
        row = int(np.argmax(repeated.to_numpy()))
        first = int(np.argmax((frame[keys] == frame[keys].iloc[row]).all(axis=1).to_numpy()))
        once = f"no second row of the same model, seed, evaluation cell, context and sample, as {place(path, first)}"
        differ = [name for name in unread.columns if str(unread[name].iloc[row]) != str(unread[name].iloc[first])]
        if differ:
            once += f"; they differ in {', '.join(differ)}, which nothing reads unless --columns names a field for it"
        refuse_first(repeated, frame["question_id"], path, "question_id", once)


def renamed(frame: pd.DataFrame, path: Path, columns: dict[str, Any]) -> pd.DataFrame:
    """The frame with its columns under the names of fields, and constants filled in.

    Raises:
        InputError: the mapping names a field or a column that does not exist, or a column twice.
    """
    fields = [*TEXTS, *SCORES]
    taken: dict[str, pd.Series] = {}
    for field, source in columns.items():
        if field not in fields:
            raise InputError(f"--columns: {field} is not a field; expected one of {', '.join(fields)}.")
        other = next((name for name in columns if name != field and columns[name] == source), None)
        if other and isinstance(source, str):
            raise InputError(f"--columns: {field} and {other} are both {source}; expected a separate column for each.")
        if isinstance(source, dict) and field in frame:
            raise InputError(
                f"--columns: {field} has a value; expected a column, since {path} has a column of this name."
            )
        if isinstance(source, dict) and set(source) == {"value"}:
            taken[field] = pd.Series([source["value"]] * len(frame), frame.index)
        elif isinstance(source, str) and source in frame:
            taken[field] = frame[source]
        else:
            found = ", ".join(map(str, frame.columns))
            raise InputError(f'{path}: no column {source} for {field}; expected one of {found}, or {{"value": …}}.')
    used = {source for source in columns.values() if isinstance(source, str)}
    # a column that gives its content to another field no longer gives it to its own
    left = frame.drop(columns=[name for name in frame.columns if name in used or name in taken])
    return left.assign(**taken)


def with_statuses(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Scores as numbers, and the one status of each answer; without a column of statuses they follow from the scores."""
    for score, status in STATUS_OF.items():
        if (frame[status] == "").all():
            words = frame[score].astype(object).where(frame[score].notna(), "").astype(str).str.strip().str.lower()
            frame[status] = words.map(WORDS).fillna("ok").where(words != "", "parse_error")
            n_blank = int((words == "").sum())
            if n_blank:
                print(
                    f"{path}: {counted(n_blank, 'row has', 'rows have')} no {score} and no {status}: counted as parse_error."
                )
        frame[score] = checked_scores(frame, status, score, path)
    # STATUSES is in order of precedence, so the first of the two decides
    ranks = [frame[status].map(STATUSES.index) for status in STATUS_OF.values()]
    return frame.assign(status=np.array(STATUSES)[np.minimum(*ranks)])


def with_labels(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Unless a label says otherwise, rows without a training cell belong to a base, and others to an adapter trained on it."""
    frame = with_cells_of_unions(frame, path)
    is_base = frame["train_domain"] == ""
    half = is_base != (frame["train_task"] == "")
    refuse_first(half, frame["train_task"], path, "train_task", "both train_domain and train_task, or neither")
    contexts = frame["train_context"]
    refuse_first(is_base & (contexts != ""), contexts, path, "train_context", "none, since the row has no train_domain")
    cell = frame["train_domain"] + "-" + frame["train_task"]
    several = frame["train_cells"].str.contains(" ")
    own = {
        "condition": np.where(is_base, "base", "adapter"),
        "train_set": np.where(is_base, "", frame["train_cells"].str.replace(" ", "+").where(several, cell)),
    }
    frame = frame.assign(**{name: frame[name].where(frame[name] != "", values) for name, values in own.items()})
    refuse_shared_names(frame, path)
    adapters = frame["condition"] == "adapter"
    for name, value in ADAPTER_DEFAULTS.items():
        blank = adapters & (frame[name] == "")
        if blank.any() and blank.sum() == adapters.sum():
            print(f"{path}: adapters have no {name}: {value} is assumed in all of them, {counted(blank.sum(), 'row')}.")
            frame[name] = frame[name].where(~blank, value)
        refuse_first(
            blank & (frame[name] == ""), frame[name], path, name, "a value, as other rows of adapters have one"
        )
    return frame
