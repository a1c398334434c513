"""Worlds of claims about adapters, their training cells and the prompts that they are asked: task, learnedness, room, capacity, lexical_overlap."""

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
    onehot,
    over_training_cells,
    own,
    shared,
    widest,
)
from scipy.stats import norm

from emtransfer.measuring.measurable import MeasurableSettings
from emtransfer.measuring.replicates import combine_rates

STEPS = np.arange(5) - 2


def task_world(
    null: str, n_cells: int, seeds: int, sd: float, level: str, prompts: int = 10, shape: tuple[int, int] = (3, 4)
) -> World:
    """Adapters of cells of a grid: how far each spreads along its task and along its domain is drawn by `level`, from the same normal.

    Args:
        n_cells: that are trained on; all for 0.
        level: cell, task, domain, or both of the latter.
    """
    all_cells = grid(*shape)
    cells = np.repeat(all_cells[: n_cells or len(all_cells)], seeds, axis=0)
    asked = np.repeat(all_cells, prompts, axis=0)
    same = asked[:, None] == cells[None]
    sides = np.stack([same[..., 1] & ~same[..., 0], same[..., 0] & ~same[..., 1]]).astype(float)
    labels = labels_of(cells)

    def draw(rng: np.random.Generator, n: int) -> Counts:
        spread = np.zeros((n, 2, 1, len(cells)))
        for name in ("task", "domain") if level == "both" else (level,):
            numbers = np.unique(labels[name], return_inverse=True)[1]
            spread += rng.normal(0, sd, (n, 2, 1, numbers.max() + 1))[..., numbers]
        of_prompts, of_seeds = rng.normal(0, 1, (n, 1, len(asked), 1)), rng.normal(0, 0.5, (n, 1, 1, len(cells)))
        events = bernoulli(rng, -1.0 + spread + of_prompts + of_seeds)
        return Counts(events * sides, np.broadcast_to(sides, events.shape))

    def measure(counts: Counts) -> Result:
        return widest([of_sum(found) for found in over_training_cells(counts, labels).values()])

    return World(null, f"{len(cells) // seeds} cells x {seeds} seeds, SD {sd:g}", draw, measure)


def learnedness_world(n_cells: int, seeds: int, sd: float, prompts: int = 40) -> World:
    """Two sides of training cells that differ among each other by `sd`; every cell is asked prompts of its own task."""
    cells = np.repeat(np.arange(2 * n_cells), seeds)
    side = onehot(np.repeat([0, 1], n_cells * seeds)).T[:, None, :]
    asked = np.repeat(np.arange(2 * n_cells), prompts)[:, None] == cells
    answers = side * asked

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_cells = rng.normal(0, sd, (n, 1, 1, 2 * n_cells))[..., cells]
        noise = rng.normal(0, 1, (n, 1, asked.shape[0], 1)) + rng.normal(0, 0.5, (n, 1, 1, len(cells)))
        events = bernoulli(rng, -0.5 + of_cells + noise) * answers
        return Counts(events, np.broadcast_to(answers, events.shape))

    def measure(counts: Counts) -> Result:
        return own(by_replicate(counts, cells))

    return World(
        "learnedness: cells differ", f"{n_cells} against {n_cells} cells x {seeds} seeds, SD {sd:g}", draw, measure
    )


def room_world(seeds: int, sd: float, prompts: int = 10) -> World:
    """Evaluation cells differ in entropy and in misalignment, independently; prompts are split at the median of their cell."""
    cells = np.repeat(np.arange(12), seeds)
    outside = (np.repeat(np.arange(12), prompts)[:, None] != cells).astype(float)

    def draw(rng: np.random.Generator, n: int) -> Counts:
        entropy = rng.normal(0, sd, (n, 12, 1)) + rng.normal(0, 1, (n, 12, prompts))
        high = (entropy > np.median(entropy, axis=2, keepdims=True)).reshape(n, 1, 12 * prompts, 1)
        of_cells = np.repeat(rng.normal(0, sd, (n, 1, 12, 1)), prompts, axis=2)
        noise = rng.normal(0, 1, (n, 1, 12 * prompts, 1)) + rng.normal(0, 1, (n, 1, 1, 12))[..., cells]
        events = bernoulli(rng, -1.0 + of_cells + noise)
        sides = np.concatenate([high, ~high], axis=1) * outside
        return Counts(events * sides, sides)

    def measure(counts: Counts) -> Result:
        return shared(by_replicate(counts, cells))

    return World("room: entropy of cells", f"12 cells x {seeds} seeds, SD {sd:g}", draw, measure)


def room_tasks_world(n_tasks: int, sd: float, of_training: float, prompts: int = 10, seeds: int = 2) -> World:
    """What high room does differs by `sd` between evaluation tasks, and between training cells, tasks and domains by `of_training` each.

    Args:
        prompts: of a room and evaluation task; training cells are all of a grid of 3 domains and 4 tasks.
    """
    cells = np.repeat(grid(3, 4), seeds, axis=0)
    labels = labels_of(cells)
    asked = np.tile(np.repeat(np.arange(n_tasks), prompts), 2)
    # high room first
    sides = np.repeat(np.eye(2), n_tasks * prompts, axis=1)[..., None]
    sign = (sides[0] - sides[1]) / 2

    def draw(rng: np.random.Generator, n: int) -> Counts:
        room = rng.normal(0, sd, (n, 1, n_tasks, 1))[:, :, asked]
        for of in labels.values():
            room = room + rng.normal(0, of_training, (n, 1, 1, of.max() + 1))[..., of]
        noise = rng.normal(0, 1, (n, 1, len(asked), 1)) + rng.normal(0, 0.5, (n, 1, 1, len(cells)))
        events = bernoulli(rng, -1.0 + sign * room + noise) * sides
        return Counts(events, np.broadcast_to(sides, events.shape))

    def measure(counts: Counts) -> Result:
        sums = over_training_cells(counts, labels)
        asked_of_cells = Counts(*(values.swapaxes(-1, -2) for values in by_replicate(counts, labels["cell"])))
        sums["evaluation task"] = combine_rates(*by_replicate(asked_of_cells, asked), DIFFERENCE)
        return widest([of_sum(found) for found in sums.values()])

    setting = f"{n_tasks} evaluation tasks, SD {sd:g}, 12 cells x {seeds} seeds, SD {of_training:g}"
    return World("room: evaluation tasks differ", setting, draw, measure)


def capacity_world(missed: float, n_cells: int = 8, seeds: int = 2) -> World:
    """Adapters of two capacities, of which the small one's reach their loss by luck that makes them spread too, as luck does at either.

    Args:
        missed: the share of the small one's trainings that does not reach it.
    """
    cells = np.repeat(np.arange(n_cells), seeds)

    def draw(rng: np.random.Generator, n: int) -> Counts:
        luck = rng.normal(0, 1, (n, 2, 1, len(cells)))
        of_cells, of_prompts = rng.normal(0, 1, (n, 1, 1, n_cells))[..., cells], rng.normal(0, 1, (n, 1, 40, 1))
        # a pair is compared only if both have reached it
        answers = np.broadcast_to(luck[:, 1:] > norm.ppf(missed), (n, 2, 40, len(cells))).astype(float)
        return Counts(bernoulli(rng, -1.0 + of_cells + of_prompts + luck) * answers, answers)

    def measure(counts: Counts) -> Result:
        measurable = counts.answers[:, 1, 0].mean(-1) >= MeasurableSettings().reached_share_at_least
        # not measurable is no verdict, as p of 1 is none
        found = shared(by_replicate(counts, cells))
        return Result(*(np.where(measurable, *each) for each in zip(found, (0.0, -1.0, 1.0, 1.0), strict=True)))

    return World("capacity: luck spreads", f"{n_cells} cells x {seeds} seeds, {missed:.0%} miss", draw, measure)


def overlap_world(families: int, prompts: int = 40) -> World:
    """Training sets, each asked prompts of its own family only; how far each spreads to a step is its own."""
    asked = np.repeat(np.arange(families), 5 * prompts)
    step = np.tile(np.repeat(np.arange(5), prompts), families)
    answers = np.array([np.outer(step == number, np.ones(families)) for number in range(5)])
    answers = answers * (asked[:, None] == np.arange(families)) * 2.0

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_steps = rng.normal(0, 1, (n, 5, 1, families))
        events = bernoulli(rng, -1.0 + of_steps + rng.normal(0, 1, (n, 1, len(asked), 1)), 2) * (answers > 0)
        return Counts(events, np.broadcast_to(answers, events.shape))

    weights = STEPS / (STEPS**2).sum() * 4
    return World("lexical_overlap", f"{families} training sets", draw, lambda counts: shared(counts, weights))
