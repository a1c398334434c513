"""Weighted sums of rates, or of means, over replicates that all groups share, or within conditions that are held fixed.

A replicate is what a repetition would draw anew: a training cell, a task, a base, a seed. As in `statistics`, the variance has a part
from the choice of prompts and a part from the replicates, which also holds whatever varies within them and the noise of
single answers, and each part is widened by its own t quantile (Banerjee 1960). Differences between replicates that all groups
share cancel.

Axes: g groups, p prompts, r replicates; leading axes are a batch, which every function carries along.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from emtransfer.measuring.statistics import (
    cluster_counts,
    clustered_variance,
    effective_count,
    influences,
    largest_alpha,
    noise_variance,
    small_sample,
    squared_normal,
    squared_t,
)


class Part(NamedTuple):
    """A part of a variance, widened by a t quantile of its own; both fields have the shape of the batch.

    Attributes:
        variance: of the sum.
        n_clusters: that it is estimated from, the degrees of freedom plus one; unequal ones count as the fewer equal ones that tell
            as much.
    """

    variance: np.ndarray
    n_clusters: np.ndarray


class Combination(NamedTuple):
    """A weighted sum of rates, of their logits or of means; every field has the shape of the batch.

    Attributes:
        estimate: the sum.
        answer_variance: that of as many independent answers; 0 of means, of which nothing is known but what varies.
        prompts: over draws of prompts.
        replicates: over replicates, what varies within them, and answers.
        beyond: over replicates of other groups, and of other kinds beyond what is counted above; see `crossed`.
    """

    estimate: np.ndarray
    answer_variance: np.ndarray
    prompts: Part
    replicates: Part
    beyond: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts of the variance."""
        return self.prompts, self.replicates, *self.beyond


def combine_rates(
    events: np.ndarray, answers: np.ndarray, weights: np.ndarray, conditions: np.ndarray | None = None
) -> Combination:
    """Weighted sum of pooled rates.

    Args:
        events: [..., g, p, r], events among the scored answers of a replicate to a prompt.
        answers: [..., g, p, r], scored answers, 0 where there is none; at least 1 in every group.
        weights: [g].
        conditions: [r], the number of the condition that a replicate is of, where the conditions are held fixed and
            replicates are drawn within them, or nothing is if each has one; without it, replicates are drawn and every
            group has all of them.
    """
    rates = np.asarray(events).sum((-2, -1)) / np.asarray(answers).sum((-2, -1))
    return combine(events, answers, rates, np.broadcast_to(weights, rates.shape), weights, conditions)


def combine_logits(
    events: np.ndarray, answers: np.ndarray, weights: np.ndarray, conditions: np.ndarray | None = None
) -> Combination:
    """Weighted sum of the log-odds of pooled rates, half an event added to either side (Haldane 1956); arguments as of `combine_rates`."""
    rates = (np.asarray(events).sum((-2, -1)) + 0.5) / (np.asarray(answers).sum((-2, -1)) + 1)
    # the slope of the logit, by which the influence on a rate becomes that on its log-odds
    return combine(events, answers, np.log(rates / (1 - rates)), weights / (rates * (1 - rates)), weights, conditions)


def combine_means(
    totals: np.ndarray, answers: np.ndarray, weights: np.ndarray, conditions: np.ndarray | None = None
) -> Combination:
    """Weighted sum of means of a quantity of any size, of which every answer has a value.

    Args:
        totals: [..., g, p, r], the sum over the answers of a replicate to a prompt.
        answers, weights, conditions: as of `combine_rates`.
    """
    means = np.asarray(totals).sum((-2, -1)) / np.asarray(answers).sum((-2, -1))
    scales = np.broadcast_to(weights, means.shape)
    return combine(totals, answers, means, scales, weights, conditions, are_events=False)


def combine_own_means(totals: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> Combination:
    """The same over replicates of which every group has its own, each group with a part of the variance and a t quantile of its own.

    The replicates of the first group are `replicates`, those of the others `beyond`. A single replicate adds nothing, as nothing tells
    how much it varies.
    """
    answers = np.asarray(answers)
    influence = weights[:, None, None] * influences(totals, answers)
    means = np.asarray(totals).sum((-2, -1)) / answers.sum((-2, -1))
    of_prompts = answers.sum((-3, -1))
    noise = noise_variance(influence, answers).sum(-1)
    prompts = Part(
        np.maximum(clustered_variance(influence.sum((-3, -1)), of_prompts) - noise, 0), effective_count(of_prompts)
    )
    by_group, of_replicates = np.moveaxis(influence.sum(-2), -2, 0), np.moveaxis(answers.sum(-2), -2, 0)
    first, *others = (
        Part(clustered_variance(own, of), effective_count(of)) for own, of in zip(by_group, of_replicates, strict=True)
    )
    estimate = (means * weights).sum(-1)
    return Combination(estimate, np.zeros(estimate.shape), prompts, first, tuple(others))


def combine(
    events: np.ndarray,
    answers: np.ndarray,
    values: np.ndarray,
    scales: np.ndarray,
    weights: np.ndarray,
    conditions: np.ndarray | None = None,
    are_events: bool = True,
) -> Combination:
    """Weighted sum of the values of groups.

    Args:
        values: [..., g], rates, log-odds or means.
        scales: [..., g], change of the sum per change of the pooled rate or mean.
        are_events: whether `events` are counts among the answers, which are whole numbers and vary as such even where none is seen to.
    """
    answers = np.asarray(answers)
    influence = scales[..., None, None] * influences(events, answers)
    n_scored = answers.sum((-2, -1))
    by_replicate = influence.sum((-3, -2))
    n_prompts, n_replicates = effective_count(answers.sum((-3, -1))), cluster_counts(answers.sum(-3))[1]
    # the events of a replicate are a whole number, so those that agree may still differ by rounding, variance 1/12
    rounding = are_events * (scales**2 * n_replicates[..., None] / (12 * n_scored**2)).sum(-1)
    if conditions is None:
        noise = noise_variance(influence.sum(-3), answers.sum(-3))
        # of its answers in every group, each of which counts alike
        shares = (answers.sum(-2) / n_scored[..., None]).mean(-2)
        variance, n_effective = clustered_variance(by_replicate, shares), effective_count(shares)
        variance = np.maximum(variance, rounding)
    elif len(np.unique(conditions)) < len(conditions):
        # a replicate answers in one group or in all; where in one, a prompt's part is taken off in each group by itself
        in_all = (answers.sum(-2) > 0).sum(-2).max() > 1
        by_group = (influence.sum(-3), answers.sum(-3)) if in_all else (influence, answers)
        noise = noise_variance(*by_group)
        noise = noise if in_all else noise.sum(-1)
        variance, n_effective = fixed_variance(by_replicate, conditions)
        variance = np.maximum(variance, rounding)
    else:
        # nothing but the prompts of these models is drawn
        noise = variance = np.zeros(by_replicate.shape[:-1])
        n_effective = n_prompts
    by_prompt = influence.sum((-3, -1))
    prompt_variance = np.maximum(clustered_variance(by_prompt, answers.sum((-3, -1))) - noise, 0)
    estimate = (values * weights).sum(-1)
    independent = np.zeros(estimate.shape)
    if are_events:
        # with half an event added to either side, since zero events are no certainty
        rates = (np.asarray(events).sum((-2, -1)) + 0.5) / (n_scored + 1)
        independent = (scales**2 * rates * (1 - rates) / n_scored).sum(-1)
    return Combination(estimate, independent, Part(prompt_variance, n_prompts), Part(variance, n_effective))


def fixed_variance(influence: np.ndarray, conditions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of a sum over replicates within conditions that are held fixed; the base, which is one model, adds none.

    Args:
        influence: [..., r], of every replicate on the sum.
        conditions: [r].

    Returns:
        Variance, and its degrees of freedom (Satterthwaite 1946) plus one.
    """
    parts, degrees = [], []
    for condition in np.unique(conditions):
        own = influence[..., conditions == condition]
        n = own.shape[-1]
        if n > 1:
            parts.append(small_sample(n) * ((own - own.mean(-1, keepdims=True)) ** 2).sum(-1))
            degrees.append(n - 1)
    variances, df = np.stack(parts, axis=-1), np.array(degrees)
    total, squares = variances.sum(-1), (variances**2 / df).sum(-1)
    # where nothing varies, the degrees of freedom of all conditions count
    return total, 1 + np.divide(total**2, squares, out=np.full(total.shape, float(df.sum())), where=squares > 0)


def crossed(one: Combination, other: Combination, nested: Combination) -> Combination:
    """A sum whose replicates are of `one` and of `other` kind at once, as training cells are of tasks and of domains.

    What varies by the one kind is counted with all that is nested in it, to which comes what varies by the other beyond that. Of groups
    with replicates of their own, those of the first are of two kinds.

    Args:
        one, other: the sum over replicates of either kind.
        nested: the same over what is of both, the cells.

    Source: two-way clustering of Cameron, Gelbach & Miller (2011), each part at its own degrees of freedom.
    """
    beyond = np.maximum(other.replicates.variance - nested.replicates.variance, 0)
    return one._replace(beyond=(*one.beyond, Part(beyond, other.replicates.n_clusters)))


def combination_margin(combination: Combination, alpha: float | np.ndarray = 0.05) -> np.ndarray:
    """Half the width of the interval at confidence 1 - alpha, of the batch's shape."""
    clustered = sum(squared_t(alpha, part.n_clusters) * part.variance for part in combination.parts)
    # clusters only ever add variance to that of as many independent answers, so less than that is chance
    return np.sqrt(np.maximum(clustered, squared_normal(alpha) * combination.answer_variance))


def combination_p_value(combination: Combination) -> np.ndarray:
    """Two-sided p of a sum of 0: the largest alpha whose interval holds 0.

    Args:
        combination: of a batch with one axis, of at least two replicates.

    Returns:
        p of every sum, in [SMALLEST_ALPHA, 1].
    """
    distance = np.abs(combination.estimate)
    return largest_alpha(lambda alpha: combination_margin(combination, alpha) >= distance, len(distance))


def detectable_difference(parts: list[Part], level: float, power: float) -> float:
    """The smallest difference found with probability `power`.

    Args:
        parts: of the variance of a single sum; each counts with the sum of its t quantiles for level and power, as in a
            one-sample t test.
    """
    squared = 0.0
    for part in parts:
        df = max(float(part.n_clusters) - 1, 1)
        quantile = stats.t.isf(level / 2, df) + stats.t.isf(1 - power, df)
        squared += quantile**2 * max(float(part.variance), 0)
    return float(np.sqrt(squared))
