"""Differences of two event rates that share prompts, adapters or both, with intervals and tests.

Axes are those of `statistics`: p prompts, s adapters; leading axes are a batch, which every function carries along.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logit

from emtransfer.measuring.statistics import (
    Rates,
    estimate_rates,
    influences,
    largest_alpha,
    rate_interval,
    squared_margin,
    squared_t,
    stack_rates,
)


class Comparison(NamedTuple):
    """Rates of models with those that they are compared to, usually of their bases, on the same prompts.

    Attributes:
        model: rates of the models.
        base: rates of the others.
        prompt_covariance: between the two rates, over draws of prompts.
        adapter_covariance: the same over trainings; 0 where no adapter answers on both sides.
    """

    model: Rates
    base: Rates
    prompt_covariance: np.ndarray
    adapter_covariance: np.ndarray


def compare_rates(
    events: np.ndarray, answers: np.ndarray, base_events: np.ndarray, base_answers: np.ndarray
) -> Comparison:
    """Pair rates with those of one base on the same prompts.

    Args:
        events, answers: [..., p, s], as for `estimate_rates`.
        base_events, base_answers: [..., p, 1], the same of the base, prompts in the same order.
    """
    covariance = shared_variance(events, answers, base_events, base_answers, axis=-1)
    rates = estimate_rates(events, answers), estimate_rates(base_events, base_answers)
    return Comparison(*rates, covariance, np.zeros_like(covariance))


def contrast_rates(
    events: np.ndarray, answers: np.ndarray, other_events: np.ndarray, other_answers: np.ndarray
) -> Comparison:
    """Compare two rates that share prompts, adapters or both.

    Args:
        events, answers, other_events, other_answers: [..., p, s], as for `estimate_rates`; the union of the prompts and
            adapters of both sides, in the same order, 0 answers where one does not answer.
    """
    sides = events, answers, other_events, other_answers
    return Comparison(
        estimate_rates(events, answers),
        estimate_rates(other_events, other_answers),
        shared_variance(*sides, axis=-1),
        shared_variance(*sides, axis=-2),
    )


def shared_variance(
    events: np.ndarray, answers: np.ndarray, other_events: np.ndarray, other_answers: np.ndarray, axis: int
) -> np.ndarray:
    """Covariance of two rates, [...], through the clusters that remain when `axis` of [..., p, s] is summed over: -1 prompts, -2 adapters.

    It is corrected for few clusters as the variances are, so that two equal rates correlate by 1.
    """
    one, other = influences(events, answers).sum(axis), influences(other_events, other_answers).sum(axis)
    left = [1 - side / side.sum(-1, keepdims=True) for side in (np.sum(answers, axis), np.sum(other_answers, axis))]
    both = np.sqrt(np.maximum(left[0] * left[1], 0))
    return np.divide(one * other, both, out=np.zeros_like(one), where=both > 1e-9).sum(-1)


def delta_interval(comparison: Comparison, alpha: float | np.ndarray = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Interval of model rate - base rate, paired by prompt.

    Wilson's limits lie closer on the side of 0 or 1, which suits the noise of answers but neither adapters of which one
    has failed to learn nor prompts that differ. So no limit of a rate is nearer than the adapters' part reaches, and
    none of the difference nearer than the part of the prompts' own differences, both symmetric.

    Args:
        comparison: of a batch.
        alpha: 1 - confidence, a scalar or one per pair.

    Returns:
        Low and high, in [-1, 1].

    Source: Newcombe (1998), Statistics in Medicine 17:2635, method 10 without the continuity correction: the
        distances from both rates to their own limits, combined with the correlation of the two rates.
    """
    model, base = comparison.model, comparison.base
    low, high = difference_interval(term_limits(model, alpha), term_limits(base, alpha), correlation(comparison, alpha))
    difference = model.rate - base.rate
    of_prompts = model.prompt_variance + base.prompt_variance - 2 * comparison.prompt_covariance
    n_prompts = np.minimum(model.n_prompts, base.n_prompts)
    reach = np.sqrt(squared_t(alpha, n_prompts) * np.maximum(of_prompts, 0))
    return (
        np.minimum(low, np.maximum(difference - reach, -1)),
        np.maximum(high, np.minimum(difference + reach, 1)),
    )


def term_limits(rates: Rates, alpha: float | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A rate with its limits as a term of a difference: no nearer than the adapters' part of its margin, in [0, 1]."""
    low, high = rate_interval(rates, alpha)
    reach = np.sqrt(np.where(rates.n_adapters > 1, squared_t(alpha, rates.n_adapters) * rates.adapter_variance, 0))
    return (
        rates.rate,
        np.minimum(low, np.maximum(rates.rate - reach, 0)),
        np.maximum(high, np.minimum(rates.rate + reach, 1)),
    )


def log_odds_interval(
    comparison: Comparison, alpha: float | np.ndarray = 0.05
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds ratio of model rate to base rate, with its interval; as `delta_interval`, on the logit.

    Returns:
        Estimate as of `haldane_logit`, low and high, each of the batch's shape; infinite where the interval of a rate
        reaches 0 or 1.
    """
    with np.errstate(divide="ignore"):
        model, base = (
            (
                haldane_logit(rates.rate * rates.n_scored, rates.n_scored),
                *(logit(limit) for limit in rate_interval(rates, alpha)),
            )
            for rates in (comparison.model, comparison.base)
        )
    return model[0] - base[0], *difference_interval(model, base, correlation(comparison, alpha))


def haldane_logit(events: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Log-odds of events among answers, of their shape, half an event added to either side (Haldane 1956)."""
    return np.log((events + 0.5) / (answers - events + 0.5))


def difference_interval(
    model: tuple[np.ndarray, ...], base: tuple[np.ndarray, ...], correlation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of a difference from estimate, low and high of its two terms and their correlation, all of the batch's shape."""
    (value, low, high), (base_value, base_low, base_high) = model, base
    difference = value - base_value
    return (
        difference - combined(value - low, base_high - base_value, correlation),
        difference + combined(high - value, base_value - base_low, correlation),
    )


def correlation(comparison: Comparison, alpha: float | np.ndarray) -> np.ndarray:
    """Correlation of the two rates' errors, of the batch's shape, each part of the variance widened as in `squared_margin`."""
    model, base = comparison.model, comparison.base
    margins = np.sqrt(squared_margin(model, alpha) * squared_margin(base, alpha))
    # where only the prompts are shared, the correlation is weaker the more the adapters' part has been widened
    shared = squared_t(alpha, model.n_prompts) * comparison.prompt_covariance
    shared = shared + squared_t(alpha, model.n_adapters) * comparison.adapter_covariance
    return np.clip(np.divide(shared, margins, out=np.zeros_like(margins), where=margins > 0), -1, 1)


def combined(distance: np.ndarray, base_distance: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Distance from a difference to its limit, given the distances of its two terms to theirs, all of one shape."""
    finite = np.isfinite(distance) & np.isfinite(base_distance)
    distance, base_distance = np.where(finite, (distance, base_distance), 0)
    squared = distance**2 + base_distance**2 - 2 * correlation * distance * base_distance
    return np.where(finite, np.sqrt(np.maximum(squared, 0)), np.inf)


def delta_p_value(comparison: Comparison) -> np.ndarray:
    """Two-sided p of delta = 0: the largest alpha whose interval of delta holds 0.

    Args:
        comparison: of a batch with one axis.

    Returns:
        p in [SMALLEST_ALPHA, 1]; NaN for a single adapter, which cannot tell training from chance.
    """

    def holds_none(alpha: np.ndarray) -> np.ndarray:
        low, high = delta_interval(comparison, alpha)
        return (low <= 0) & (high >= 0)

    n_adapters = comparison.model.n_adapters
    return np.where(n_adapters > 1, largest_alpha(holds_none, len(n_adapters)), np.nan)


def stack(comparisons: list[Comparison]) -> Comparison:
    """One batch of comparisons from single ones."""
    models, bases, *covariances = zip(*comparisons, strict=True)
    return Comparison(stack_rates(models), stack_rates(bases), *(np.array(values, float) for values in covariances))
