"""Judged answers in the form that the table counts: one frame with ROW_COLUMNS per model, one row per answer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.errors import InputError
from emtransfer.files.records import read_records
from emtransfer.files.tables import refuse_first
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import Model, identity
from emtransfer.grid.sections import run_experiments
from emtransfer.verdicts import STATUSES

SCORES = ("alignment", "coherence")
EVAL_COLUMNS = ("eval_set", "eval_domain", "eval_task", "room", "eval_context")
ROW_COLUMNS = (*EVAL_COLUMNS, "prompt_id", "status", *SCORES)


@dataclass(frozen=True)
class JudgedModel:
    """The model whose answers a frame of judged rows holds.

    Attributes:
        labels: experiment, judge and the LABELS of the grid; an empty string does not apply.
        seed: of training, as text; of a base, empty.
        train_cells: (domain, task) of every cell of the training set; `*` is every domain or task.
    """

    labels: dict[str, str]
    seed: str
    train_cells: tuple[tuple[str, str], ...]


def judged_models(folder: Path, config: dict[str, Any]) -> Iterator[tuple[JudgedModel, pd.DataFrame]]:
    """Every model that the config asks for with its judged rows, judge by judge, read from `{folder}/{experiment}/judged`.

    Raises:
        InputError: as of `read_judged` and `run_experiments`; an experiment has no judge.
    """
    for experiment in run_experiments(config):
        judges = config.get("judges", {}).get(experiment)
        if not judges:
            raise InputError(f"--settings: judges has no {experiment}; expected a list of its judges, its own first.")
        for model in expand_models(config, experiment):
            path = folder / experiment / "judged" / f"{model.path}.jsonl"
            for judge in judges:
                yield as_judged(model, experiment, judge), read_judged(path, judge)


def as_judged(model: Model, experiment: str, judge: str) -> JudgedModel:
    """A model of the grid under the labels of the table."""
    seed = "" if model.seed is None else str(model.seed)
    return JudgedModel(identity(experiment, judge, model), seed, split_cells(model.train_cells))


def split_cells(cells: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Domain and task of cells `{domain}-{task}`."""
    return tuple((domain, task) for domain, task in (cell.split("-") for cell in cells))


def read_judged(path: Path, judge: str | None = None) -> pd.DataFrame:
    """Judged rows of one model of this pipeline, with ROW_COLUMNS.

    Args:
        judge: whose verdicts; by default those of the experiment's own judge, which come first in the file.

    Raises:
        InputError: a field is missing, a status unknown, a score of status ok that is no number in 0..100, or the judge has no
            rows.
    """
    rows = read_records(path, required=("prompt_id", "eval_set", "domain", "task", "status"))
    # rows that name no judge are of the only one
    wanted = judge or rows[0].get("judge")
    own = [row for row in rows if row.get("judge", wanted) == wanted]
    if not own:
        others = ", ".join(dict.fromkeys(row["judge"] for row in rows))
        raise InputError(f"{path}: no row of judge {judge}; expected one beside those of {others}.")
    fields = {"domain": "eval_domain", "task": "eval_task"}
    frame = pd.DataFrame.from_records(own).rename(columns=fields).reindex(columns=list(ROW_COLUMNS))
    for score in SCORES:
        frame[score] = checked_scores(frame, "status", score, path)
    return as_table_cells(frame)


def as_table_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows under the cells of the table: broad ones by task and room, narrow ones by domain and task, all by context."""
    broad = frame["eval_set"] == "broad"
    return frame.assign(
        eval_domain=frame["eval_domain"].where(~broad, "*"),
        room=frame["room"].where(broad & frame["room"].notna(), ""),
        # rows of answers without a system prompt need not say so
        eval_context=frame["eval_context"].where(frame["eval_context"].notna(), ""),
    )


def checked_scores(frame: pd.DataFrame, status: str, score: str, path: Path) -> pd.Series:
    """The scores as numbers, missing where their status is not ok.

    Raises:
        InputError: an unknown status, or a score of status ok that is no number in 0..100; names file and line.
    """
    refuse_first(~frame[status].isin(STATUSES), frame[status], path, status, f"one of {', '.join(STATUSES)}")
    ok = frame[status] == "ok"
    numbers = frame[score].map(as_number).astype(float)
    refuse_first(ok & ~numbers.between(0, 100), frame[score], path, score, "a number in 0..100 where the status is ok")
    return numbers.where(ok)


def as_number(value: Any) -> float:
    """A score as a number, missing where it is none; true and false are none."""
    try:
        # Python alone takes 1_0 for a number
        return np.nan if isinstance(value, bool | np.bool_) or "_" in str(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan
