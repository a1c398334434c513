"""Event rates with intervals for two crossed clusters, prompt and trained adapter; `differences` compares two rates.

An estimate is a rate over all scored answers. Its sampling variance has a part from the choice of prompts, with
(prompts - 1) degrees of freedom, and a part from the training of the adapters, with (adapters - 1), which also holds
the noise of single answers. Each part is widened by its own t quantile, so that two seeds are not taken for many, and
the Wilson interval of the resulting effective sample size stays inside [0, 1]. docs/statistics.md shows the coverage.

"Adapter" stands for any unit of replication: where a claim is about training cells, a cell takes its place.

Axes: p prompts, s adapters; leading axes are a batch, which every function carries along.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy import special, stats
from statsmodels.stats.proportion import proportion_confint

# 1 - confidence of the widest interval tried, so also the smallest p
SMALLEST_ALPHA = 1e-16
# those tried, from the narrowest interval on: ten per factor of ten, and the commonly used levels among them
ALPHAS = np.flip(np.logspace(np.log10(SMALLEST_ALPHA), 0, 161)[:-1])
ALPHAS = np.unique([*ALPHAS, 0.999, 0.1, 0.05, 0.01])[::-1]
BISECTIONS = 40
# an effective sample size that leaves [0, 1] of any rate
LEAST_SIZE = 1e-9


class Rates(NamedTuple):
    """Event rates of a batch; every field has the shape of the batch.

    Attributes:
        rate: events per scored answer, pooled over prompts and adapters, in [0, 1].
        n_scored: answers with a score.
        n_prompts, n_adapters: clusters with at least one scored answer; unequal ones count as the fewer equal ones, 1 / sum of
            squared shares, that tell as much of their spread (Carter, Schnepel & Steigerwald 2017).
        prompt_variance: variance of `rate` over draws of prompts.
        adapter_variance: variance of `rate` over trainings and answers; 0 for a single adapter,
            whose training cannot be told from chance and whose answers' noise is in `prompt_variance`.
    """

    rate: np.ndarray
    n_scored: np.ndarray
    n_prompts: np.ndarray
    n_adapters: np.ndarray
    prompt_variance: np.ndarray
    adapter_variance: np.ndarray


def estimate_rates(events: np.ndarray, answers: np.ndarray) -> Rates:
    """Pool a rate over prompts and adapters.

    Args:
        events: [..., p, s], events among the scored answers of one adapter to one prompt.
        answers: [..., p, s], scored answers, 0 where there is none; at least 1 in all.

    Returns:
        Rates of the batch.
    """
    events, answers = np.asarray(events, float), np.asarray(answers, float)
    n_scored = answers.sum((-2, -1))
    influence = influences(events, answers)
    prompt_variance, adapter_variance = crossed_variances(influence, answers)
    n_prompts, n_adapters = (effective_count(answers.sum(axis)) for axis in (-1, -2))
    return Rates(events.sum((-2, -1)) / n_scored, n_scored, n_prompts, n_adapters, prompt_variance, adapter_variance)


def influences(events: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Influence of every prompt and adapter on the pooled rate: its events beyond expectation per scored answer.

    Returns:
        [..., p, s], summing to 0.
    """
    events, answers = np.asarray(events, float), np.asarray(answers, float)
    n_scored = answers.sum((-2, -1), keepdims=True)
    return (events - answers * events.sum((-2, -1), keepdims=True) / n_scored) / n_scored


def crossed_variances(influence: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the variance of an estimate that is linear in its influences into two crossed parts.

    Args:
        influence: [..., p, s], influence of every prompt and adapter on the estimate.
        answers: [..., p, s], scored answers, which tell empty clusters from quiet ones.

    Returns:
        Variance from prompts alone, and from adapters and answers together.

    Source: the variances clustered by either factor are those of Cameron, Gelbach & Miller (2011); what both
        hold, the noise of single answers, is taken off as of `noise_variance`.
    """
    prompts, adapters = (clustered_variance(influence.sum(axis), np.sum(answers, axis)) for axis in (-1, -2))
    return np.maximum(prompts - noise_variance(influence, answers), 0), adapters


def clustered_variance(influence: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Variance of an estimate over draws of clusters: 0 for a single one.

    Args:
        influence: [..., c], of every cluster on the estimate.
        answers: [..., c], scored answers of it.

    Source: each square is divided by 1 - share of the answers (CR2, Bell & McCaffrey 2002), which for clusters of one size is
        the variance of a mean.
    """
    left = 1 - answers / answers.sum(-1, keepdims=True)
    return np.divide(influence**2, left, out=np.zeros_like(influence), where=left > 1e-9).sum(-1)


def effective_count(answers: np.ndarray) -> np.ndarray:
    """Number of equally sized clusters that give as much information on their spread as clusters with `answers` [..., c]."""
    return answers.sum(-1) ** 2 / (answers**2).sum(-1)


def noise_variance(influence: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Variance of an estimate from the noise of single answers, and from any interaction of prompt and adapter.

    It is the residual mean square of a two-way layout, which unlike the intersection term of two-way clustering stays
    unbiased when there are two adapters. A single adapter has none: its answers' noise is that of its prompts.

    Args:
        influence, answers: as for `crossed_variances`.

    Returns:
        [...], 0 where there is a single prompt or adapter.
    """
    n_prompts, n_adapters = cluster_counts(answers)
    scored = np.asarray(answers) > 0
    # not every adapter need be asked every prompt
    prompt_effects = (influence.sum(-1) / np.maximum(scored.sum(-1), 1))[..., :, None]
    adapter_effects = (influence.sum(-2) / np.maximum(scored.sum(-2), 1))[..., None, :]
    residual = np.where(scored, influence - prompt_effects - adapter_effects, 0)
    return small_sample(n_prompts) * small_sample(n_adapters) * (residual**2).sum((-2, -1))


def cluster_counts(answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prompts and adapters with at least one scored answer of `answers` [..., p, s]: each [...]."""
    scored = np.asarray(answers) > 0
    return scored.any(-1).sum(-1), scored.any(-2).sum(-1)


def small_sample(n_clusters: np.ndarray) -> np.ndarray:
    """n / (n - 1), the correction for having estimated the mean of n clusters; 1 for a single one."""
    return n_clusters / np.maximum(np.asarray(n_clusters) - 1, 1)


def squared_t(alpha: float | np.ndarray, n_clusters: np.ndarray) -> np.ndarray:
    """Square of the two-sided t quantile with n_clusters - 1 degrees of freedom; of a single cluster, with 1."""
    n_clusters = np.asarray(n_clusters)
    # what scipy.stats evaluates after it has looked at its arguments, which takes thirty times as long
    return special.stdtrit(np.where(n_clusters > 1, n_clusters - 1, 1), np.asarray(alpha) / 2) ** 2


def squared_normal(alpha: float | np.ndarray) -> np.ndarray:
    """Square of the two-sided normal quantile."""
    return special.ndtri(np.asarray(alpha) / 2) ** 2


def squared_margin(rates: Rates, alpha: float | np.ndarray) -> np.ndarray:
    """Square of the margin of error: each part of the variance times the square of its own t quantile.

    Source: Banerjee (1960), Sankhya 22:357, whose interval for sums of means with unequal degrees of freedom covers at
        least at its nominal level.
    """
    # the events of an adapter are a whole number, so adapters that agree may still differ by rounding, variance 1/12
    rounding = rates.n_adapters / (12 * rates.n_scored**2)
    adapter_part = squared_t(alpha, rates.n_adapters) * np.maximum(rates.adapter_variance, rounding)
    prompt_part = squared_t(alpha, rates.n_prompts) * rates.prompt_variance
    # clusters only ever add variance to that of as many independent answers, so less than that is chance
    independent = squared_normal(alpha) * rates.rate * (1 - rates.rate) / rates.n_scored
    return np.maximum(np.where(rates.n_adapters > 1, adapter_part, 0) + prompt_part, independent)


def rate_interval(rates: Rates, alpha: float | np.ndarray = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Wilson interval at the effective sample size that the clusters leave; [0, 1] for a single prompt.

    No event shows no variance, and a few that fall evenly hardly any. So without an event the effective size is that at which
    a single one is measured, and no limit is nearer to 0 or 1 than that of a single event: the limits of 0, 1, 2 … events rise
    without a cliff.

    Args:
        rates: of a batch.
        alpha: 1 - confidence, a scalar or one per rate.

    Returns:
        Low and high, in [0, 1], never equal.

    Source: Korn & Graubard (1998), Survey Methodology 24:193, for the effective sample size; Wilson (1927) through statsmodels.
    """
    per_answer = rates.rate * (1 - rates.rate)
    some = per_answer > 0
    # a single event among n answers has variance 1 / n², all of it that of its adapter, or its prompt
    by_adapter = np.where(rates.n_adapters > 1, squared_t(alpha, rates.n_adapters), 0)
    quantile = np.maximum(by_adapter, squared_t(alpha, rates.n_prompts))
    of_one_event = np.maximum(np.maximum(rates.n_scored - 1, 1) * squared_normal(alpha) / quantile, LEAST_SIZE)
    spread = squared_normal(alpha) * per_answer / np.where(some, squared_margin(rates, alpha), 1)
    effective = np.where(some, np.maximum(spread, LEAST_SIZE), of_one_event)
    low, high = proportion_confint(rates.rate * effective, effective, alpha=alpha, method="wilson")
    single = 1 / rates.n_scored
    fewest, most = np.minimum(rates.rate, single), np.maximum(rates.rate, 1 - single)
    _, least_high = proportion_confint(fewest * of_one_event, of_one_event, alpha=alpha, method="wilson")
    greatest_low, _ = proportion_confint(most * of_one_event, of_one_event, alpha=alpha, method="wilson")
    low = np.where(rates.rate == 0, 0.0, np.minimum(low, greatest_low))
    high = np.where(rates.rate == 1, 1.0, np.maximum(high, least_high))
    several = rates.n_prompts > 1
    return np.where(several, np.maximum(low, 0), 0.0), np.where(several, np.minimum(high, 1), 1.0)


def mean_interval(values: np.ndarray, alpha: float = 0.05) -> tuple[float, float]:
    """Interval of the mean over prompts and adapters, both crossed; each part of its variance is widened by its own t quantile.

    Args:
        values: float [p, s], every prompt measured on every adapter, without noise of sampled answers.
        alpha: 1 - confidence.

    Returns:
        Low and high; infinite for a single prompt, which shows no spread. A single adapter's training cannot be told from chance,
        so that the interval is about this adapter.

    Source: as of `squared_margin`.
    """
    n_prompts, n_adapters = values.shape
    if n_prompts == 1:
        return -np.inf, np.inf
    mean = values.mean()
    influence = (values - mean) / values.size
    prompts, adapters = crossed_variances(influence, np.ones_like(influence))
    margin = squared_t(alpha, np.array(n_prompts)) * prompts
    if n_adapters > 1:
        margin = margin + squared_t(alpha, np.array(n_adapters)) * adapters
    return float(mean - np.sqrt(margin)), float(mean + np.sqrt(margin))


def largest_alpha(holds: Callable[[np.ndarray], np.ndarray], size: int) -> np.ndarray:
    """The p of an interval: the largest alpha, 1 - confidence, at which it contains the tested value.

    All of ALPHAS are tried, so that no crossing is missed, whatever the shape of the interval, and the step in which the first
    one holds is bisected.

    Args:
        holds: alphas [..., size] -> whether the interval of each member of the batch holds the value, of that shape.

    Returns:
        [size], in [SMALLEST_ALPHA, 1].
    """
    held = holds(np.broadcast_to(ALPHAS[:, None], (len(ALPHAS), size)))
    first = held.argmax(0)
    inside, outside = ALPHAS[first], ALPHAS[np.maximum(first - 1, 0)]
    for _ in range(BISECTIONS):
        middle = np.sqrt(inside * outside)
        still = holds(middle)
        inside, outside = np.where(still, middle, inside), np.where(still, outside, middle)
    return np.where(held.any(0), np.where(first == 0, 1.0, inside), SMALLEST_ALPHA)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg q of one family of tests, p and q [n]; an empty p is NaN in q and not part of the family."""
    q = np.full(len(p), np.nan)
    tested = ~np.isnan(p)
    q[tested] = stats.false_discovery_control(p[tested]) if tested.any() else []
    return q


def stack_rates(rates: Iterable[Rates]) -> Rates:
    """A batch made of single rates."""
    return Rates(*(np.array(values, float) for values in zip(*rates, strict=True)))
