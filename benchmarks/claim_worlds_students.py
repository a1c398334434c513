"""Worlds of claims about students: data, teacher and channel."""

import numpy as np
from claim_counts import (
    DIFFERENCE,
    Counts,
    Result,
    World,
    bernoulli,
    by_replicate,
    grid,
    labels_of,
    of_sum,
    own,
    shared,
    widest,
)

from emtransfer.measuring.replicates import combine_rates, crossed

# of [teacher a, teacher b] x [data c, data d]
FACTORIAL = {"main effect": np.array([0.5, 0.5, -0.5, -0.5]), "interaction": np.array([1.0, -1.0, -1.0, 1.0])}


def factorial_world(name: str, seeds: int) -> World:
    """Students of four conditions, one per seed; differences between seeds are shared by all conditions."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts, of_seeds = rng.normal(0, 1, (n, 1, 120, 1)), rng.normal(0, 0.6, (n, 1, 1, seeds))
        own_seeds = rng.normal(0, 0.6, (n, 4, 1, seeds))
        events = bernoulli(rng, -1.5 + of_prompts + of_seeds + own_seeds)
        return Counts(events, np.ones(events.shape))

    return World(f"factorial, {name}", f"{seeds} seeds", draw, lambda counts: shared(counts, FACTORIAL[name]))


def teacher_world(n_domains: int, n_tasks: int, seeds: int = 3) -> World:
    """Students of teachers of all cells of a grid, which vary by task, domain and cell, against students of the base at the same rate."""
    cells = grid(n_domains, n_tasks)
    labels, base = labels_of(cells), -1 - np.arange(seeds)
    side = np.repeat(np.eye(2), (len(cells), seeds), axis=1)[:, None]
    # each student of the base stands for itself
    replicates = [np.append(of, base) for of in labels.values()]

    def draw(rng: np.random.Generator, n: int) -> Counts:
        taught = sum(rng.normal(0, 1, (n, 1, 1, of.max() + 1))[..., of] for of in labels.values())
        students = np.concatenate([taught, np.zeros((n, 1, 1, seeds))], axis=-1)
        # symmetric around 0, so that both rates are one half
        logits = rng.normal(0, 1, (n, 1, 120, 1)) + students + rng.normal(0, 0.3, students.shape)
        events = bernoulli(rng, logits) * side
        return Counts(events, np.broadcast_to(side, events.shape))

    def measure(counts: Counts) -> Result:
        return widest([own(by_replicate(counts, of)) for of in replicates])

    return World("teacher", f"teachers of {n_tasks} tasks x {n_domains} domains", draw, measure)


def channel_world(n_sets: int, n_bases: int) -> World:
    """Two channels that differ by training set, by base and by teacher, of all teachers that these give, one student each."""
    labels = dict(zip(("set", "base"), np.divmod(np.arange(n_sets * n_bases), n_bases), strict=True))
    labels |= {"teacher": np.arange(n_sets * n_bases)}
    # of a single base the claim is about its teachers alone, whatever holds for others
    sds = {"set": 1.0, "base": 0.5 if n_bases > 1 else 0.0, "teacher": 0.5}

    def draw(rng: np.random.Generator, n: int) -> Counts:
        logits = rng.normal(0, 1, (n, 1, 120, 1)) + rng.normal(0, 1, (n, 1, 1, n_sets))[..., labels["set"]]
        for name, of in labels.items():
            logits = logits + rng.normal(0, sds[name], (n, 2, 1, of.max() + 1))[..., of]
        events = bernoulli(rng, logits - 0.5)
        return Counts(events, np.ones_like(events))

    def measure(counts: Counts) -> Result:
        sums = {name: combine_rates(*by_replicate(counts, of), DIFFERENCE) for name, of in labels.items() if of.max()}
        if n_bases > 1:
            by_set, by_base = sums["set"], sums["base"]
            sums["set"] = crossed(by_set, by_base, sums["teacher"])
            sums["base"] = crossed(by_base, by_set, sums["teacher"])
        return widest([of_sum(found) for found in sums.values()])

    return World("channel", f"{n_sets} training sets x {n_bases} base{'s' * (n_bases > 1)}", draw, measure)
