"""Cautions on claims with students of `sft`, by how far the answers that these learned from are from those of the base."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.measuring.claims import KEY
from emtransfer.measuring.groups import Contrast

# what the labels of a student say of the answers that it learned from, in the words of its own labels
OF_STUDENT = ("experiment", "base", "data", "mediating", "filter")


def sft_cautions(contrasts: list[Contrast], table: pd.DataFrame, at_least_nats: float) -> dict[tuple[str, ...], str]:
    """What limits contrasts with students of `sft`: that the answers which these learned from are nearly the base's own.

    Args:
        table: of `kept_answers.tabulate_kept`, names as text.
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
