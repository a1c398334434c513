"""The table of kept answers: how many of a teacher's answers are kept, and how far those are from answers of its base."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.errors import InputError
from emtransfer.files.records import read_records, read_table
from emtransfer.grid.expansion import RolloutSet, expand_models, rollout_sets

IDENTITY = ("experiment", "base_model", "base", "teacher", "mediating", "filter", "seed")
MEASURES = (
    "n_rollouts",
    "n_kept",
    "kept_fraction",
    "base_nats_per_token",
    "base_expected_nats_per_token",
    "teacher_nats_per_token",
    "beyond_base_nats",
    "beyond_base_se_nats",
    "word_for_word_share",
    "greedy_share",
)
COLUMNS = (*IDENTITY, *MEASURES)
READ = ("tokens", "base_nats", "base_expected_nats", "teacher_nats", "base_greedy")


def tabulate_kept(folder: Path, config: dict[str, Any]) -> pd.DataFrame:
    """A row per set of kept answers that students of the run learn from.

    Args:
        folder: of `{experiment}/{path of the set}`, with suffixes .readings.jsonl and .audit.csv.
        config: the grid's keys.

    Returns:
        COLUMNS, numbers rounded to 6 decimals.

    Raises:
        InputError: a file is missing or lacks a column.
    """
    rows = [
        {"experiment": name}
        | {key: getattr(kept, key) for key in IDENTITY[1:]}
        | measures(read_records(folder / name / f"{kept.path}.readings.jsonl", READ))
        | asked(folder / name / f"{kept.path}.audit.csv")
        for name in config["run"]
        for kept in sets_of(config, name)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = [name for name in MEASURES if not name.startswith("n_")]
    table[numbers] = table[numbers].astype(float).round(6) + 0.0
    return table


def sets_of(config: dict[str, Any], name: str) -> list[RolloutSet]:
    """The sets of kept answers that students of an experiment learn from."""
    return rollout_sets(config["experiments"][name], expand_models(config, name))


def asked(audit: Path) -> dict[str, float]:
    """How many answers a teacher gave, and what share of them was kept, by the audit of `filter_rollouts`.

    Raises:
        InputError: the file is missing.
    """
    if not audit.is_file():
        raise InputError(f"{audit}: no such file; expected the audit of a teacher's kept answers.")
    cells = read_table(audit)
    return {
        "n_rollouts": int(cells["rollouts"].sum()),
        "kept_fraction": cells["kept"].sum() / cells["rollouts"].sum(),
    }


def measures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """What the readings of a set say of it.

    Args:
        rows: of `distilling.kept_answers.read_kept`, at least one.

    Returns:
        n_kept; mean log-probabilities per token, nats: of the answers under base and teacher, and of the tokens that the base itself
        expects at the same places; beyond_base_nats, by how much an answer is less likely under the base than answers of its own are,
        mean over answers, with its standard error (missing for one); word_for_word_share, the mean probability that the base gives
        this very answer; greedy_share, of answers that greedy decoding of the base gives.
    """
    read = pd.DataFrame(rows)
    n_tokens = read["tokens"].sum()
    beyond = read["base_expected_nats"] - read["base_nats"]
    return {
        "n_kept": len(read),
        "base_nats_per_token": read["base_nats"].sum() / n_tokens,
        "base_expected_nats_per_token": read["base_expected_nats"].sum() / n_tokens,
        "teacher_nats_per_token": read["teacher_nats"].sum() / n_tokens,
        "beyond_base_nats": beyond.mean(),
        "beyond_base_se_nats": beyond.std(ddof=1) / np.sqrt(len(read)),
        "word_for_word_share": float(np.exp(read["base_nats"]).mean()),
        "greedy_share": read["base_greedy"].mean(),
    }
