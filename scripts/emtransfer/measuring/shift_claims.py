"""The claims on shifts: by how many nats per token the preference of one side has moved further than that of the other.

The contrasts are those of preferred pairs, with the mean shift of a group in the place of its rate. A shift is a difference to the
base on the same pair, so what makes one pair harder than another has left it, and the base itself has none. It is not bounded, and no
answer is sampled: nothing is known of its variance but what replicates and pairs show.
"""

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.measuring.claims import (
    KEY,
    LEVEL,
    POWER,
    cluster_sizes,
    identity,
    is_primary,
    rounded,
    verdicts,
    with_q_values,
)
from emtransfer.measuring.effects import (
    Effect,
    by_seed,
    fixed_effect,
    gather,
    like_these,
    of_populations,
    over_replicates,
    parts_of,
)
from emtransfer.measuring.groups import Contrast, trained
from emtransfer.measuring.measurable import MeasurableSettings, unmeasurable
from emtransfer.measuring.preferences import SHIFT
from emtransfer.measuring.replicates import (
    Combination,
    combination_margin,
    combination_p_value,
    combine_means,
    combine_own_means,
    detectable_difference,
)

# totals and answers of a group
COUNTED = (SHIFT, "n_scored")
COLUMNS = [
    *KEY,
    "verdict",
    "narrower_verdict",
    "not_measurable_because",
    "primary",
    "population",
    "n_units",
    "estimate_nats",
    "low_nats",
    "high_nats",
    "p_value",
    "q_value",
    "narrower_low_nats",
    "narrower_high_nats",
    "detectable_nats",
    "n_prompts",
    "n_seeds",
    "n_train_sets",
    "sentence",
]


def shift_claims(
    contrasts: list[Contrast],
    measurable: MeasurableSettings | None = None,
    primary_claims: Mapping[str, Container[str]] | None = None,
) -> pd.DataFrame:
    """The verdict on every contrast, by its shift.

    A shift has no floor that hides a small effect, so no rate in the training cell is asked for.

    Args:
        contrasts: of `preferences.preference_contrasts`, no slope over points among them.
        measurable: its defaults without it; here it limits the capacities that reached their loss.
        primary_claims: by experiment, the claims that it was made to test, where it names any.

    Returns:
        COLUMNS, one row per contrast; their q are those of `claims`, in families of shifts alone.
    """
    limits = measurable or MeasurableSettings()
    rows = [
        identity(contrast)
        | {"subset": "all", "population": effect.population, "n_units": effect.n_units}
        | {"of": contrast, "rank": rank, "level": effect.level, "parts": effect.parts}
        | {"not_measurable_because": unmeasurable(contrast, {}, limits)}
        | effect.values
        for contrast in contrasts
        for rank, effect in enumerate(measure_shift(contrast))
    ]
    rows = with_q_values([row | {"primary": is_primary(row, primary_claims or {})} for row in rows])
    # the last of a contrast's rows is about its own models
    own = {id(row["of"]): row for row in rows}
    claims = [
        row
        | cluster_sizes(row["of"])
        | verdicts(row, own[id(row["of"])], "estimate_nats")
        | {f"narrower_{end}_nats": own[id(row["of"])][f"{end}_nats"] for end in ("low", "high")}
        | {"detectable_nats": detectable_difference(row["parts"], LEVEL, POWER) if row["level"] else np.nan}
        for row in rows
        if row["rank"] == 0
    ]
    return rounded(pd.DataFrame(claims, columns=COLUMNS))


def measure_shift(contrast: Contrast) -> list[Effect]:
    """The difference of shifts for each population, in the order of `effects.measure`; a group of the base alone is left out, since it has none."""
    drawn = [number for number, group in enumerate(contrast.groups) if trained([group])]
    of_trained = replace(
        contrast,
        groups=tuple(contrast.groups[number] for number in drawn),
        weights=tuple(contrast.weights[number] for number in drawn),
        method=contrast.method if len(drawn) > 1 else "replicates",
    )
    return of_populations(of_trained, gather(of_trained, COUNTED), COUNTED, at_level, of_these_models, unit="nats")


def at_level(
    contrast: Contrast, rows: pd.DataFrame, names: tuple[str, str], level: str, counts: dict[str, int]
) -> Effect:
    """The difference over the replicates of a level, which the groups share or each has its own of; what these are crossed with counts of the first."""
    combine = combine_means if contrast.method == "replicates" else combine_own_means
    found = over_replicates(contrast, rows, names, level, counts, combine)
    return Effect(level, like_these(level), counts[level], values_of(found), parts_of(found))


def of_these_models(contrast: Contrast, rows: pd.DataFrame, names: tuple[str, str]) -> Effect:
    """The difference with conditions held fixed, over their seeds and pairs."""
    totals, answers, conditions = by_seed(contrast, rows, names)
    found = combine_means(totals, answers, np.array(contrast.weights), conditions)
    return fixed_effect(contrast, values_of(found), found)


def values_of(found: Combination) -> dict[str, Any]:
    """Columns of a sum of means, a batch of one."""
    estimate, margin = found.estimate[0], combination_margin(found)[0]
    ends = {"estimate_nats": estimate, "low_nats": estimate - margin, "high_nats": estimate + margin}
    return ends | {"p_value": combination_p_value(found)[0]}
