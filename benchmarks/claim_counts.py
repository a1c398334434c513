"""Simulated counts, how a verdict measures them, and the parts that worlds of several claims are drawn from."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from emtransfer.measuring.differences import contrast_rates, delta_interval, delta_p_value
from emtransfer.measuring.replicates import (
    Combination,
    combination_margin,
    combination_p_value,
    combine_rates,
    crossed,
)

DIFFERENCE = np.array([1.0, -1.0])


class Counts(NamedTuple):
    """Simulated counts.

    Attributes:
        events, answers: [n data sets, g groups, p prompts, a adapters]; of shifts, their totals in nats in the place of events.
    """

    events: np.ndarray
    answers: np.ndarray


class Result(NamedTuple):
    """Estimate, interval and p of every data set, each [n]."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


class World(NamedTuple):
    """A setting.

    Attributes:
        null: what is simulated.
        setting: its numbers.
        draw: (rng, number of data sets) -> counts.
        measure: counts -> estimate, interval and p, as the verdict has them.
        truth: of the contrast.
    """

    null: str
    setting: str
    draw: Callable[[np.random.Generator, int], Counts]
    measure: Callable[[Counts], Result]
    truth: float = 0.0


def onehot(labels: np.ndarray) -> np.ndarray:
    """[a adapters, r replicates] of their labels."""
    return (labels[:, None] == np.unique(labels)).astype(float)


def by_replicate(counts: Counts, labels: np.ndarray) -> Counts:
    """Counts of adapters summed by the replicate they belong to."""
    return Counts(counts.events @ onehot(labels), counts.answers @ onehot(labels))


def shared(counts: Counts, weights: np.ndarray = DIFFERENCE, conditions: np.ndarray | None = None) -> Result:
    """A sum over replicates that all groups share, or within conditions."""
    return of_sum(combine_rates(*counts, weights, conditions))


def of_sum(found: Combination) -> Result:
    margin = combination_margin(found)
    return Result(found.estimate, found.estimate - margin, found.estimate + margin, combination_p_value(found))


def own(counts: Counts) -> Result:
    """Two groups with their own replicates."""
    (events, others), (answers, other_answers) = (np.moveaxis(values, 1, 0) for values in counts)
    found = contrast_rates(events, answers, others, other_answers)
    return Result(found.model.rate - found.base.rate, *delta_interval(found), delta_p_value(found))


def widest(results: list[Result]) -> Result:
    """Of every data set, the result with the largest p."""
    index = np.argmax([result.p for result in results], axis=0)
    return Result(*(np.choose(index, [result[field] for result in results]) for field in range(4)))


def over_training_cells(
    counts: Counts,
    labels: dict[str, np.ndarray],
    combine: Callable[..., Combination] = combine_rates,
    weights: np.ndarray = DIFFERENCE,
) -> dict[str, Combination]:
    """A difference over training cells and, where there are several, over their tasks and their domains, which are crossed.

    Args:
        labels: cell, task and domain of every adapter, each [a].
        combine: of rates, or of means.
        weights: of the groups, [g].
    """
    sums = {name: combine(*by_replicate(counts, of), weights) for name, of in labels.items() if len(np.unique(of)) > 1}
    if {"task", "domain"} <= sums.keys():
        by_task, by_domain = sums["task"], sums["domain"]
        sums["task"] = crossed(by_task, by_domain, sums["cell"])
        sums["domain"] = crossed(by_domain, by_task, sums["cell"])
    return sums


def labels_of(cells: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of cell, task and domain, each [a], from [a, 2] domain and task."""
    return {
        "cell": np.unique(cells, axis=0, return_inverse=True)[1].ravel(),
        "task": cells[:, 1],
        "domain": cells[:, 0],
    }


def bernoulli(rng: np.random.Generator, logits: np.ndarray, samples: int = 1) -> np.ndarray:
    return rng.binomial(samples, expit(logits)).astype(float)


def grid(n_domains: int, n_tasks: int) -> np.ndarray:
    """[cells, 2] domain and task, on the diagonal first, so that two training cells share neither."""
    cells = np.array(list(product(range(n_domains), range(n_tasks))))
    return cells[np.argsort((cells[:, 0] - cells[:, 1]) % n_tasks, kind="stable")]


def two_conditions(logits: np.ndarray, rng: np.random.Generator, samples: int) -> Counts:
    """Adapters of two conditions from [n, 2, p, seeds] logits, side by side."""
    n, _, prompts, seeds = logits.shape
    events, answers = np.zeros((2, n, 2, prompts, 2 * seeds))
    drawn = bernoulli(rng, logits, samples)
    for side in (0, 1):
        columns = slice(side * seeds, (side + 1) * seeds)
        events[:, side, :, columns], answers[:, side, :, columns] = drawn[:, side], samples
    return Counts(events, answers)


def against_base(events: np.ndarray, base: np.ndarray, samples: int) -> Counts:
    """Counts of adapters [n, 1, p, seeds] and their base [n, 1, p, 1] side by side."""
    n, _, prompts, seeds = events.shape
    counted, answers = np.zeros((2, n, 2, prompts, seeds + 1))
    counted[:, :1, :, :seeds], answers[:, :1, :, :seeds] = events, samples
    counted[:, 1:, :, seeds:], answers[:, 1:, :, seeds:] = base, samples
    return Counts(counted, answers)
