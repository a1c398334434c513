"""The size of a contrast: counts of its groups, and from them the effect with interval, p and parts of its variance."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from emtransfer.measuring.groups import Contrast, replicates, shared_replicates, trained
from emtransfer.measuring.regression import least_squares_slope
from emtransfer.measuring.replicates import combination_margin, combination_p_value, combine_logits, combine_rates
from emtransfer.measuring.statistics import (
    Comparison,
    contrast_rates,
    delta_interval,
    delta_p_value,
    log_odds_interval,
    stack,
)
from emtransfer.measuring.tabulation import Outcome

# subset -> events and answers it counts
SUBSETS = {
    "all": ("n_misaligned", "n_scored"),
    "coherent_only": ("n_misaligned", "n_coherent"),
    "le30": ("n_misaligned_le", "n_scored"),
}


class Effect(NamedTuple):
    """A measured contrast.

    Attributes:
        values: columns of EFFECTS from rate_a to n_answers_b that apply; p whatever the number of seeds.
        parts: variance and number of clusters of each part of the variance of the estimate, for its power.
    """

    values: dict[str, float]
    parts: list[tuple[float, Any]]


def measure(contrast: Contrast, subset: str = "all") -> Effect | None:
    """The effect, or None if a group has no answer to count."""
    return {"rates": measure_rates, "units": measure_units, "ols": measure_slope}[contrast.method](
        contrast, SUBSETS[subset]
    )


def measure_rates(contrast: Contrast, names: tuple[str, str]) -> Effect | None:
    """Two groups whose replicates are their own."""
    comparison = compare_groups(contrast.groups, names, contrast.cluster)
    if comparison is None:
        return None
    batch = stack([comparison])
    (low,), (high,) = delta_interval(batch)
    one, other = comparison.model, comparison.base
    values = {
        "rate_a": one.rate,
        "rate_b": other.rate,
        **percentage_points(one.rate - other.rate, low, high),
        **log_odds(*(value[0] for value in log_odds_interval(batch))),
        "p_value": delta_p_value(batch)[0],
        "n_answers_a": one.n_scored,
        "n_answers_b": other.n_scored,
    }
    prompts = one.prompt_variance + other.prompt_variance - 2 * comparison.prompt_covariance
    adapters = one.adapter_variance + other.adapter_variance - 2 * comparison.adapter_covariance
    # the base is no draw among adapters
    sizes = [side.n_adapters for side, group in zip((one, other), contrast.groups, strict=True) if trained([group])]
    return Effect(values, [(prompts, min(one.n_prompts, other.n_prompts)), (adapters, min(sizes))])


def compare_groups(
    groups: tuple[list[Outcome], ...], names: tuple[str, str] = SUBSETS["all"], cluster: str = "adapter"
) -> Comparison | None:
    """The rates of two groups of cells over shared prompts and adapters, or None if one has no answer to count."""
    (events, other_events), (answers, other_answers) = tally(groups, names, cluster)
    if not (answers.any() and other_answers.any()):
        return None
    return contrast_rates(events, answers, other_events, other_answers)


def measure_units(contrast: Contrast, names: tuple[str, str]) -> Effect | None:
    """Groups that share their replicates, over the replicates with answers in every one."""
    shared = shared_replicates(contrast.groups, contrast.cluster)
    events, answers = tally(contrast.groups, names, contrast.cluster, shared)
    n_scored = answers.sum((-2, -1))
    if not n_scored.all():
        return None
    weights = np.array(contrast.weights)
    rates, logits = (combine(events[None], answers[None], weights) for combine in (combine_rates, combine_logits))
    limits = [
        (found.estimate[0], *(found.estimate[0] + sign * combination_margin(found)[0] for sign in (-1, 1)))
        for found in (rates, logits)
    ]
    # rates lie in [0, 1], so their sum goes no further
    limits[0] = np.clip(limits[0], weights[weights < 0].sum(), weights[weights > 0].sum())
    two = dict(zip(("rate_a", "rate_b"), events.sum((-2, -1)) / n_scored, strict=True)) if len(n_scored) == 2 else {}
    values = {
        **two,
        **percentage_points(*limits[0]),
        **log_odds(*limits[1]),
        "p_value": combination_p_value(rates)[0],
        "n_answers_a": n_scored[weights > 0].sum(),
        "n_answers_b": n_scored[weights < 0].sum(),
    }
    return Effect(values, [(rates.prompt_variance[0], rates.n_prompts[0]), (rates.unit_variance[0], rates.n_units[0])])


def measure_slope(contrast: Contrast, names: tuple[str, str]) -> Effect | None:
    """The slope over groups, one point each, of their rate minus the base's on the same prompts."""
    totals = [
        np.array([[outcome.counts[name].sum() for name in names] for outcome in outcomes]).sum(0).astype(float)
        for outcomes in contrast.groups + contrast.references
    ]
    (events, base_events), (answers, base_answers) = np.array(totals).T.reshape(2, 2, len(contrast.groups))
    if not (answers.all() and base_answers.all()):
        return None
    change = events / answers - base_events / base_answers
    logits = [np.log((k + 0.5) / (n - k + 0.5)) for k, n in ((events, answers), (base_events, base_answers))]
    fits = [least_squares_slope(np.array(contrast.x), y) for y in (change, logits[0] - logits[1])]
    rate, odds = ((fit["slope"], fit["low"], fit["high"]) for fit in fits)
    values = {
        **percentage_points(*rate),
        **log_odds(*odds),
        "p_value": fits[0]["p_value"],
        "n_answers_a": answers.sum(),
        "n_answers_b": base_answers.sum(),
    }
    # the line takes two degrees of freedom, one more than a mean
    return Effect(values, [(fits[0]["error"] ** 2, len(change) - 1)])


def tally(
    groups: tuple[list[Outcome], ...], names: tuple[str, str], cluster: str, kept: set[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Count every group over the prompts and replicates of all.

    Args:
        names: columns of counts that hold events and answers.
        cluster: what a replicate is, as of Contrast.
        kept: the replicates to count; all without it.

    Returns:
        Events and answers, float64 [g groups, p prompts, u replicates], 0 where one does not answer.
    """
    frame = pd.concat(
        [
            outcome.counts[list(names)].assign(group=group, unit=replicates(outcome, cluster))
            for group, outcomes in enumerate(groups)
            for outcome in outcomes
        ]
    ).reset_index("prompt_id")
    frame = frame if kept is None else frame[frame.unit.isin(kept)]
    prompts, prompt_ids = pd.factorize(frame.prompt_id, sort=True)
    units, unit_names = pd.factorize(frame.unit, sort=True)
    counted = np.zeros((2, len(groups), len(prompt_ids), len(unit_names)))
    for total, name in zip(counted, names, strict=True):
        np.add.at(total, (frame.group.to_numpy(), prompts, units), frame[name].to_numpy())
    return counted[0], counted[1]


def percentage_points(estimate: float, low: float, high: float) -> dict[str, float]:
    return {"estimate_pp": 100 * estimate, "low_pp": 100 * low, "high_pp": 100 * high}


def log_odds(estimate: float, low: float, high: float) -> dict[str, float]:
    return {"log_odds_ratio": estimate, "log_odds_low": low, "log_odds_high": high}
