"""Weighted sums of rates whose replicates, seeds or training sets, are shared by all groups.

As in `statistics`, the variance has a part from the choice of prompts and a part from the units, which also holds the
noise of single answers, and each part is widened by its own t quantile (Banerjee 1960). Differences between units that
all groups share cancel.

Axes: g groups, p prompts, u units; leading axes are a batch, which every function carries along.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import elementwise

from emtransfer.measuring.statistics import (
    SMALLEST_ALPHA,
    cluster_counts,
    crossed_variances,
    influences,
    squared_normal,
    squared_t,
)


class Combination(NamedTuple):
    """A weighted sum of rates or of their logits; every field has the shape of the batch.

    Attributes:
        estimate: the sum.
        prompt_variance: over draws of prompts.
        unit_variance: over units and answers.
        answer_variance: that of as many independent answers.
        n_prompts, n_units: with at least one scored answer.
    """

    estimate: np.ndarray
    prompt_variance: np.ndarray
    unit_variance: np.ndarray
    answer_variance: np.ndarray
    n_prompts: np.ndarray
    n_units: np.ndarray


def combine_rates(events: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> Combination:
    """Sum pooled rates with weights.

    Args:
        events: [..., g, p, u], events among the scored answers of a unit to a prompt.
        answers: [..., g, p, u], scored answers, 0 where there is none; at least 1 in every group.
        weights: [g].
    """
    rates = np.asarray(events).sum((-2, -1)) / np.asarray(answers).sum((-2, -1))
    return combine(events, answers, rates, np.broadcast_to(weights, rates.shape), weights)


def combine_logits(events: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> Combination:
    """Sum the log-odds of pooled rates with weights, half an event added to either side (Haldane 1956)."""
    rates = (np.asarray(events).sum((-2, -1)) + 0.5) / (np.asarray(answers).sum((-2, -1)) + 1)
    # the slope of the logit, by which the influence on a rate becomes that on its log-odds
    return combine(events, answers, np.log(rates / (1 - rates)), weights / (rates * (1 - rates)), weights)


def combine(
    events: np.ndarray, answers: np.ndarray, values: np.ndarray, scales: np.ndarray, weights: np.ndarray
) -> Combination:
    """Sum values of groups with weights.

    Args:
        values: [..., g], rates or log-odds.
        scales: [..., g], change of the sum per change of the pooled rate.
    """
    influence = (scales[..., None, None] * influences(events, answers)).sum(-3)
    answered = np.asarray(answers).sum(-3)
    prompt_variance, unit_variance = crossed_variances(influence, answered)
    n_prompts, n_units = cluster_counts(answered)
    # the events of a unit are a whole number, so units that agree may still differ by rounding, variance 1/12
    n_scored = np.asarray(answers).sum((-2, -1))
    rounding = (scales**2 * n_units[..., None] / (12 * n_scored**2)).sum(-1)
    rates = np.asarray(events).sum((-2, -1)) / n_scored
    independent = (scales**2 * rates * (1 - rates) / n_scored).sum(-1)
    estimate = (values * weights).sum(-1)
    unit_variance = np.maximum(unit_variance, rounding)
    return Combination(estimate, prompt_variance, unit_variance, independent, n_prompts, n_units)


def combination_margin(combination: Combination, alpha: float | np.ndarray = 0.05) -> np.ndarray:
    """Half the width of the interval at confidence 1 - alpha."""
    units = squared_t(alpha, combination.n_units) * combination.unit_variance
    clustered = units + squared_t(alpha, combination.n_prompts) * combination.prompt_variance
    # clusters only ever add variance to that of as many independent answers, so less than that is chance
    return np.sqrt(np.maximum(clustered, squared_normal(alpha) * combination.answer_variance))


def combination_p_value(combination: Combination) -> np.ndarray:
    """Two-sided p of a sum of 0: the alpha whose interval just reaches 0.

    Args:
        combination: of a batch with one axis.

    Returns:
        p in [SMALLEST_ALPHA, 1]; NaN for a single unit.
    """
    distance = np.abs(combination.estimate)

    def beyond(log_alpha: np.ndarray, index: np.ndarray) -> np.ndarray:
        chosen = Combination(*(values[index] for values in combination))
        return distance[index] - combination_margin(chosen, np.exp(log_alpha))

    index = np.arange(len(distance))
    tightest, widest = np.full(len(distance), np.log(SMALLEST_ALPHA)), np.full(len(distance), np.log1p(-1e-9))
    with np.errstate(invalid="ignore"):  # scipy's step formula takes roots of what it then rejects
        found = elementwise.find_root(beyond, (tightest, widest), args=(index,))
    # without a root, either every interval leaves 0 out or none does
    rootless = np.where(beyond(tightest, index) > 0, SMALLEST_ALPHA, 1.0)
    return np.where(combination.n_units > 1, np.where(found.success, np.exp(found.x), rootless), np.nan)


def detectable_difference(parts: list[tuple[float, int]], level: float, power: float) -> float:
    """The smallest difference found with probability `power`, at most 1.

    Args:
        parts: variance and number of clusters of each part; it counts with the sum of its t quantiles for level and
            power, as in a one-sample t test.
    """
    degrees = [max(n_clusters - 1, 1) for _, n_clusters in parts]
    quantiles = [stats.t.isf(level / 2, df) + stats.t.isf(1 - power, df) for df in degrees]
    squared = sum(
        quantile**2 * max(float(variance), 0) for quantile, (variance, _) in zip(quantiles, parts, strict=True)
    )
    return min(float(np.sqrt(squared)), 1.0)
