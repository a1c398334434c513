"""The table of kept answers: how many of a teacher's answers are kept, and how far those are from answers of its base."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.errors import InputError
from emtransfer.files.records import read_records, read_table
from emtransfer.grid import RolloutSet, expand_models, rollout_sets
from emtransfer.measuring.claims import KEY
from emtransfer.measuring.groups import Contrast

# what the labels of a student say of the answers that it learned from, in the words of its own labels
OF_STUDENT = ("experiment", "base", "data", "mediating", "filter")
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
    """How many answers a teacher gave, and what share of them was kept, by the audit of `filter_rollouts`."""
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


def sft_cautions(contrasts: list[Contrast], table: pd.DataFrame, at_least_nats: float) -> dict[tuple[str, ...], str]:
    """What limits contrasts with students of `sft`: that the answers which these learned from are nearly the base's own.

    Args:
        table: of `tabulate_kept`, names as text.
        at_least_nats: mean nats of an answer beyond the base's own from which there is no caution.

    Returns:
        By KEY of the contrast; those without a caution are left out.
    """
    cautions: dict[tuple[str, ...], str] = {}
    names = [*table[["experiment", "base", "teacher", "mediating", "filter"]].itertuples(index=False, name=None)]
    for contrast in contrasts:
        learned_from = {answers for group in contrast.groups for answers in kept_by(group)}
        sets = table[[name in learned_from for name in names]]
        if len(sets):
            beyond = np.average(sets["beyond_base_nats"], weights=sets["n_kept"])
            if beyond < at_least_nats:
                place = (contrast.claim, contrast.name, contrast.experiment)
                cautions[(*place, contrast.base_model, contrast.base, contrast.judge)] = (
                    f"sft learned from answers that are nearly the base's own: {beyond:.2f} nats an answer beyond those, less than"
                    f" {at_least_nats:g}; that it carries nothing there is no finding"
                )
    return cautions


def kept_by(group: list[Any]) -> Iterator[tuple[str, ...]]:
    """OF_STUDENT of every student of `sft` in a group."""
    for outcome in group:
        if outcome.labels["channel"] == "sft":
            yield tuple(outcome.labels[name] for name in OF_STUDENT)


def with_sft_cautions(claims: pd.DataFrame, cautions: dict[tuple[str, ...], str]) -> pd.DataFrame:
    """The claims, these cautions behind those that they have."""
    told = [cautions.get(key, "") for key in claims[KEY].itertuples(index=False, name=None)]
    both = ["; ".join(filter(None, pair)) for pair in zip(claims["caution"], told, strict=True)]
    return claims.assign(caution=both)
