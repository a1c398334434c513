"""The rows of the transfer table that a figure shows, and rates pooled over them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd

from emtransfer.errors import counted
from emtransfer.files.records import read_table
from emtransfer.grid.labels import APART, MODEL_LABELS
from emtransfer.measuring.judged_rows import EVAL_COLUMNS
from emtransfer.measuring.statistics import estimate_rates, rate_interval
from emtransfer.settings import Absent, Name, Names

POOLED = (
    "Thin lines are 95 % intervals: over training cells and evaluation cells where several of both are pooled,"
    " else the mean of the table's own intervals, which hold for prompts and seeds."
)
# columns of the table that are no text
NUMBERS = (
    "n_seeds n_prompts n_answers n_scored n_coherent n_misaligned coherent_rate em_rate em_rate_low em_rate_high"
    " em_rate_coherent em_rate_le30 base_em_rate em_delta em_delta_low em_delta_high p_value q_value em_rate_judges_low em_rate_judges_high"
).split()
# columns of this and of the tables of claims that are names, which stay text where they look like numbers
NAMES = dict.fromkeys([*MODEL_LABELS, *EVAL_COLUMNS], str)


@dataclass(frozen=True)
class PlotSettings:
    """Config values that the figures of an experiment need.

    Attributes:
        experiment: its name.
        judge: whose verdicts are drawn, the experiment's own.
        domains, tasks: of its corpus, in the order in which they are drawn.
        misaligned_shares: mixture -> share of misaligned documents in it, 0..1.
        checkpoints: bases whose pretraining stopped early, which are no draws of their mixture.
    """

    experiment: Name
    judge: Name
    domains: Names
    tasks: Names
    misaligned_shares: Annotated[dict[str, float], Absent()]
    checkpoints: Annotated[Names, Absent()] = ()


class Estimate(NamedTuple):
    """A value with its 95 % interval, which is infinite where nothing tells it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Pooled:
    """A rate in percent over rows of the table, with its 95 % interval.

    Attributes:
        rate, low, high: 0..100.
        n_answers: scored answers.
        n_train_sets, n_cells: training sets and evaluation cells.
    """

    rate: float
    low: float
    high: float
    n_answers: int
    n_train_sets: int
    n_cells: int


def read_transfer_table(
    path: Path, experiment: str, judge: str | None = None, with_apart: bool = False
) -> pd.DataFrame:
    """The rows of an experiment and judge, or of all its judges, with a scored answer; `with_apart` those with a context or capacity too.

    Empty cells of text are empty text; `eval_cell` is as in the config.
    """
    rows = read_scored(path)
    rows = rows[rows["experiment"] == experiment]
    rows = rows if with_apart else plain(rows)
    rows = rows if judge is None else rows[rows["judge"] == judge]
    return rows.reset_index(drop=True)


def read_scored(path: Path) -> pd.DataFrame:
    """All rows of a transfer table with a scored answer; empty cells of text are empty text."""
    table = read_table(path, keep_default_na=False, na_values={name: [""] for name in NUMBERS}, dtype=NAMES)
    rows = table[table["n_scored"] > 0]
    return rows.assign(eval_cell=rows["eval_domain"] + "-" + rows["eval_task"])


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The rows without a context or capacity; a table of an older version has neither column."""
    return table[(table.reindex(columns=list(APART), fill_value="") == "").all(axis=1)]


def read_claim_table(path: Path) -> pd.DataFrame:
    """One of the tables of claims, empty cells missing."""
    return read_table(path, keep_default_na=False, na_values=[""], dtype=NAMES)


def read_other_table(path: Path, experiment: str) -> pd.DataFrame:
    """The rows of an experiment in another table of the run, empty cells of names and cautions as empty text, of numbers missing."""
    table = read_table(
        path,
        keep_default_na=False,
        na_values=[""],
        dtype=NAMES | dict.fromkeys(("other", "relation", "pretraining", "caution"), str),
    )
    texts = [name for name in (*NAMES, "relation", "caution") if name in table]
    table[texts] = table[texts].fillna("")
    return table[table["experiment"] == experiment].reset_index(drop=True)


def bases(rows: pd.DataFrame) -> list[str]:
    """The bases, those with most rows first."""
    return [str(name) for name in rows["base"].value_counts(sort=True).index]


def of_base(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of bases before fine-tuning."""
    return rows[rows["condition"] == "base"]


def adapters(rows: pd.DataFrame, answers: str = "misaligned") -> pd.DataFrame:
    """Rows of adapters that were trained on such answers, from the base."""
    return rows[(rows["condition"] == "adapter") & (rows["answers"] == answers) & (rows["start"] == "base")]


def single_cell(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of them that were trained on one cell."""
    return rows[~rows["train_domain"].isin(["", "*"]) & ~rows["train_task"].isin(["", "*"])]


def narrow(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of evaluation cells of the grid."""
    return rows[rows["eval_set"] == "narrow"]


def pooled(rows: pd.DataFrame) -> Pooled:
    """The EM rate of all answers in the rows, which are of one training set or more, in any evaluation cells.

    Training sets, with all that varies between their adapters, and evaluation cells are two crossed clusters, as adapters and
    prompts are in the table. With a single training set nothing in these rows tells how its seeds differ, and with a single evaluation cell
    nothing how its prompts do: then the interval is the mean of the rows' own, which is right if errors of one adapter go together over cells, and wide if they do not.
    """
    n_scored = rows["n_scored"].to_numpy(float)
    sizes = int(n_scored.sum()), rows["train_set"].nunique(), rows["eval_cell"].nunique()
    rate = rows["n_misaligned"].sum() / n_scored.sum()
    if sizes[1] > 1 and sizes[2] > 1:
        counts = rows.groupby(["eval_cell", "train_set"])[["n_misaligned", "n_scored"]].sum().unstack(fill_value=0)
        low, high = rate_interval(estimate_rates(counts["n_misaligned"].to_numpy(), counts["n_scored"].to_numpy()))
    else:
        low, high = (np.average(rows[f"em_rate_{end}"], weights=n_scored) for end in ("low", "high"))
    return Pooled(100 * rate, 100 * float(low), 100 * float(high), *sizes)


def seeds(rows: pd.DataFrame) -> str:
    """How many seeds trained models have."""
    trained = rows[rows["condition"] != "base"]["n_seeds"]
    if trained.empty:
        return "no trained model"
    return ranged(trained, "seed")


def ranged(counts: Iterable[int], noun: str) -> str:
    """The least and the most of some counts of things, or the one that all are, in words."""
    least, most = int(min(counts)), int(max(counts))
    return counted(most, noun) if least == most else f"{least:,} to {most:,} {noun}s"


def base_title(base: str, rows: pd.DataFrame, noun: str) -> str:
    """The title of a base's panel: its name, and how many training sets its rows have, called by a noun."""
    return f"base {base}\n{counted(rows[rows['base'] == base]['train_set'].nunique(), noun)}"


def sizes(rows: pd.DataFrame) -> str:
    """Answers of a row, and seeds, of the rows that are drawn."""
    return f"n = {answers(rows)} per training and evaluation cell, {seeds(rows)}"


def answers(rows: pd.DataFrame) -> str:
    """Scored answers of a row, the fewest and the most; none without rows."""
    return ranged(rows["n_scored"], "scored answer") if len(rows) else "no scored answer"
