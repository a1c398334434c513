"""Judged answers, one row each, as the table counts them: this pipeline's own files, and rows judged elsewhere.

Both become a frame with ROW_COLUMNS; docs/judged_rows.md describes the fields of rows judged elsewhere.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.errors import InputError
from emtransfer.files.records import read_records, read_table
from emtransfer.grid import LABELS, expand_models
from emtransfer.verdicts import STATUSES

SCORES = ("alignment", "coherence")
EVAL_COLUMNS = ("eval_set", "eval_domain", "eval_task", "room")
ROW_COLUMNS = (*EVAL_COLUMNS, "prompt_id", "status", *SCORES)
SCORE_STATUSES = tuple(f"{score}_status" for score in SCORES)
IMPORTED_REQUIRED = ("question_id", "sample", "eval_set", "eval_domain", "eval_task", *SCORE_STATUSES)
IMPORTED_LABELS = ("experiment", *LABELS, "judge")


@dataclass(frozen=True)
class JudgedModel:
    """Whose answers a frame of judged rows holds.

    Attributes:
        labels: experiment, judge and the LABELS of the grid; an empty string does not apply.
        seed: of training, as text; of a base, empty.
        train_cells: (domain, task) of every cell of the training set; `*` is every domain or task.
    """

    labels: dict[str, str]
    seed: str
    train_cells: tuple[tuple[str, str], ...]


def judged_models(folder: Path, config: dict[str, Any]) -> Iterator[tuple[JudgedModel, pd.DataFrame]]:
    """Every model that the config asks for, with its judged rows, read from `{folder}/{experiment}/judged`."""
    for experiment in config["run"]:
        shared = {"experiment": experiment, "judge": config["judges"][experiment]}
        for model in expand_models(config, experiment):
            cells = tuple((domain, task) for domain, task in (cell.split("-") for cell in model.train_cells))
            seed = "" if model.seed is None else str(model.seed)
            rows = read_judged(folder / experiment / "judged" / f"{model.path}.jsonl")
            yield JudgedModel(shared | model.labels, seed, cells), rows


def read_judged(path: Path) -> pd.DataFrame:
    """Judged rows of one model of this pipeline, with ROW_COLUMNS.

    Raises:
        InputError: a field is missing, a status unknown, or a score of status ok no number in 0..100.
    """
    rows = read_records(path, required=("prompt_id", "eval_set", "domain", "task", "status"))
    fields = {"domain": "eval_domain", "task": "eval_task"}
    frame = pd.DataFrame.from_records(rows).rename(columns=fields).reindex(columns=list(ROW_COLUMNS))
    for score in SCORES:
        frame[score] = checked_scores(frame, "status", score, path)
    return as_table_cells(frame)


def read_imported(path: Path) -> Iterator[tuple[JudgedModel, pd.DataFrame]]:
    """Models and their ROW_COLUMNS from one file of rows judged elsewhere, in the order of their labels.

    Raises:
        InputError: as `read_judged`; also an unknown file type, half a training cell, or an answer given twice.
    """
    frame = read_frame(path)
    for score, status in zip(SCORES, SCORE_STATUSES, strict=True):
        frame[score] = checked_scores(frame, status, score, path)
    # STATUSES is in order of precedence, so the first of the two decides
    ranks = [frame[status].map(STATUSES.index) for status in SCORE_STATUSES]
    frame["status"] = np.array(STATUSES)[np.minimum(*ranks)]
    frame["prompt_id"] = frame["question_id"]
    frame = with_default_labels(frame, path)
    model_columns = [*IMPORTED_LABELS, "seed"]
    repeated = frame.duplicated([*model_columns, *EVAL_COLUMNS, "question_id", "sample"])
    once = "no second row of the same model, seed, evaluation cell and sample"
    refuse_first(repeated, frame["question_id"], path, "question_id", once)
    for values, rows in as_table_cells(frame).groupby(model_columns, sort=True):
        *labels, seed = values
        labels = dict(zip(IMPORTED_LABELS, labels, strict=True))
        trained_on = ((labels["train_domain"], labels["train_task"]),) if labels["train_domain"] else ()
        # a base is one model, whatever its answers were sampled with
        seed = "" if labels["condition"] == "base" else seed
        yield JudgedModel(labels, seed, trained_on), rows[list(ROW_COLUMNS)]


def read_frame(path: Path) -> pd.DataFrame:
    """The file's rows; labels and identifiers are text, empty where missing, scores as they are."""
    text = [*IMPORTED_REQUIRED, *IMPORTED_LABELS, "seed", "room"]
    if path.suffix == ".jsonl":
        frame = pd.DataFrame.from_records(read_records(path))
    elif not path.is_file():
        raise InputError(f"{path}: no such file; expected judged rows.")
    elif path.name.endswith((".csv", ".csv.gz")):
        frame = read_table(path, dtype=dict.fromkeys(text, str), keep_default_na=False)
    elif path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    else:
        raise InputError(f"{path}: file type {path.suffix}; expected .jsonl, .csv, .csv.gz or .parquet.")
    missing = [column for column in (*IMPORTED_REQUIRED, *SCORES) if column not in frame]
    if missing:
        raise InputError(f"{path}: no field {missing[0]}; expected {', '.join((*IMPORTED_REQUIRED, *SCORES))}.")
    frame = frame.reindex(columns=[*text, *SCORES])
    frame[text] = frame[text].astype(object).where(frame[text].notna(), "").astype(str)
    for column in ("question_id", "eval_domain", "eval_task"):
        refuse_first(frame[column] == "", frame[column], path, column, "text that is not blank")
    refuse_first(~frame["eval_set"].isin(["narrow", "broad"]), frame["eval_set"], path, "eval_set", "narrow or broad")
    return frame


def with_default_labels(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Rows without a training cell are of a base, others of an adapter trained on it, where no label says otherwise."""
    is_base = frame["train_domain"] == ""
    half = is_base != (frame["train_task"] == "")
    refuse_first(half, frame["train_task"], path, "train_task", "both train_domain and train_task, or neither")
    defaults = {
        "condition": np.where(is_base, "base", "adapter"),
        "train_set": np.where(is_base, "", frame["train_domain"] + "-" + frame["train_task"]),
    }
    return frame.assign(**{name: frame[name].where(frame[name] != "", values) for name, values in defaults.items()})


def as_table_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows under the cells of the table: broad ones by task and room, narrow ones by domain and task."""
    broad = frame["eval_set"] == "broad"
    return frame.assign(
        eval_domain=frame["eval_domain"].where(~broad, "*"), room=frame["room"].fillna("").where(broad, "")
    )


def checked_scores(frame: pd.DataFrame, status: str, score: str, path: Path) -> pd.Series:
    """The scores as numbers, missing where their status is not ok.

    Raises:
        InputError: an unknown status, or a score of status ok that is no number in 0..100; names file and line.
    """
    refuse_first(~frame[status].isin(STATUSES), frame[status], path, status, f"one of {', '.join(STATUSES)}")
    ok = frame[status] == "ok"
    numbers = pd.to_numeric(frame[score], errors="coerce")
    refuse_first(ok & ~numbers.between(0, 100), frame[score], path, score, "a number in 0..100 where the status is ok")
    return numbers.where(ok)


def refuse_first(wrong: pd.Series, values: pd.Series, path: Path, field: str, expected: str) -> None:
    """Raise an InputError for the first row marked wrong, if any."""
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        value = values.iloc[row]
        shown = json.dumps(value) if isinstance(value, str) else value
        raise InputError(f"{place(path, row)}: {field} is {shown}; expected {expected}.")


def place(path: Path, row: int) -> str:
    """Where the row (from 0) stands: file:line, or its number in a file without lines."""
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").split("\n")
        return f"{path}:{[number for number, line in enumerate(lines, start=1) if line.strip()][row]}"
    return f"{path}: row {row + 1}" if path.suffix == ".parquet" else f"{path}:{row + 2}"
