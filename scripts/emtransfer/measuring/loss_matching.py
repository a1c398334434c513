"""Contrasts of mixtures at equal loss, over training sets that the bases of both sides have learned equally well."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from emtransfer.measuring.groups import Contrast, by
from emtransfer.measuring.tabulation import Outcome
from emtransfer.measuring.trained_adapters import misaligned_adapters

# between the means of the two sides, per answer token
TOLERANCE_NATS = 0.1
HELD_OUT = "last_held_out_loss_per_token_nats"
KEY = ["experiment", "base", "train_set", "seed"]


def read_losses(path: Path) -> pd.Series:
    """The last loss of every adapter on misaligned answers from the base, without a capacity, in nats per answer token, by KEY (texts).

    On held-out rows where training went on until such a loss, else on the rows of the last steps.

    Raises:
        InputError: the file or a column is missing.
    """
    table = misaligned_adapters(path, *KEY, "capacity", "last_loss_per_token_nats")
    adapters = table[table.capacity == ""].set_index(KEY)
    losses = pd.to_numeric(adapters.last_loss_per_token_nats)
    if HELD_OUT in adapters:
        losses = pd.to_numeric(adapters[HELD_OUT]).fillna(losses)
    return losses.dropna()


def match_losses(contrast: Contrast, losses: pd.Series) -> Contrast | None:
    """A contrast of mixtures over the training sets whose mean losses on both sides differ by at most TOLERANCE_NATS.

    Args:
        losses: of `read_losses`.

    Returns:
        None for other claims, and where a loss of a side is not known.
    """
    if contrast.claim != "composition":
        return None
    sides = [mean_losses(group, losses) for group in contrast.groups]
    alike = {
        train_set
        for train_set in sides[0].keys() & sides[1].keys()
        if abs(sides[0][train_set] - sides[1][train_set]) <= TOLERANCE_NATS
    }
    groups = tuple(by(group, lambda outcome: outcome.labels["train_set"] in alike) for group in contrast.groups)
    return replace(contrast, groups=groups)


def mean_losses(outcomes: list[Outcome], losses: pd.Series) -> dict[str, float]:
    """Training set -> mean last loss of the adapters that the cells are of; without sets of which a loss is missing."""
    adapters: dict[str, set[tuple[str, ...]]] = {}
    for outcome in outcomes:
        labels = outcome.labels
        keys = {
            (labels["experiment"], labels["base"], labels["train_set"], str(seed))
            for seed in outcome.counts.index.unique("seed")
        }
        adapters.setdefault(labels["train_set"], set()).update(keys)
    return {name: losses[list(keys)].mean() for name, keys in adapters.items() if keys <= set(losses.index)}
