"""Worlds in which a contrast has a known truth, most of them none: what benchmarks/claims.py simulates.

Nothing in a world is what the statistics assume: effects of training cells, tasks, domains, seeds and prompts lie on the logit,
adapters fail to learn, refusals go with the outcome. Every world draws anew what its claim speaks of.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from emtransfer.measuring.claims import MeasurableSettings
from emtransfer.measuring.differences import contrast_rates, delta_interval, delta_p_value
from emtransfer.measuring.regression import clustered_slope
from emtransfer.measuring.replicates import (
    Combination,
    combination_margin,
    combination_p_value,
    combine_rates,
    crossed,
)

DIFFERENCE = np.array([1.0, -1.0])
STEPS = np.arange(5) - 2
# of [teacher a, teacher b] x [data c, data d]
FACTORIAL = {"main effect": np.array([0.5, 0.5, -0.5, -0.5]), "interaction": np.array([1.0, -1.0, -1.0, 1.0])}


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


def worlds() -> Iterator[World]:
    """All settings."""
    for n_cells, seeds, sd in [*product([12], [2, 3, 5], [0.0, 1.0, 2.0]), *product([2, 4], [3, 10], [1.0, 2.0])]:
        yield task_world("task: spread per training cell", n_cells, seeds, sd, "cell")
    for level, sd in product(("task", "domain"), (1.0, 2.0)):
        yield task_world(f"task: spread per training {level}", 12, 3, sd, level)
    for n_domains, n_tasks, sd in ((3, 4, 1.5), (8, 8, 1.5)):
        yield task_world("task: spread per task and per domain", 0, 1, sd, "both", 3, (n_domains, n_tasks))
    for sd in (4.0, 8.0):
        yield task_world("task: spread per domain, saturated", 12, 1, sd, "domain")
    for seeds, sd in product((2, 5), (0.6, 1.5)):
        yield learnedness_world(3, seeds, sd)
    for sd in (1.0, 2.0):
        yield room_world(3, sd)
    for n_tasks, sd, of_training in ((4, 1.0, 0.0), (4, 2.0, 0.0), (4, 1.0, 0.7), (8, 1.0, 0.7)):
        yield room_tasks_world(n_tasks, sd, of_training)
    for seeds, rate in product((2, 5, 10), (0.05, 0.3)):
        yield composition_world(seeds, rate)
    for unequal in (4, 8):
        yield unequal_world(unequal)
    for pretrainings, lengths in ((3, 3), (5, 3), (10, 3), (5, 1)):
        yield inference_world(pretrainings, lengths)
    for seeds, share in product((3, 5, 10), (0.1, 0.2)):
        yield failing_world(seeds, share)
    for seeds, share in product((3, 5, 10), (0.1, 0.2)):
        yield failing_delta_world(seeds, share)
    for prompts, samples in ((4, 60), (8, 20), (40, 3)):
        yield skewed_effect_world(prompts, samples)
    for prompts, seeds in ((8, 10), (4, 5), (8, 3), (40, 3)):
        yield delta_world(prompts, seeds)
    for kind in ("bimodal", "heavy-tailed"):
        for prompts, samples in ((4, 50), (8, 50), (40, 1)):
            yield prompts_world(kind, prompts, samples)
    for seeds in (3, 10):
        yield refusal_world(seeds)
    for name, seeds in product(FACTORIAL, (2, 3, 10)):
        yield factorial_world(name, seeds)
    for n_domains, n_tasks in ((3, 2), (3, 4)):
        yield teacher_world(n_domains, n_tasks)
    for n_sets, n_bases in ((3, 1), (3, 2), (4, 3)):
        yield channel_world(n_sets, n_bases)
    for missed in (0.0, 0.1, 0.2, 0.5):
        yield capacity_world(missed)
    for families in (4, 8):
        yield overlap_world(families)
    for seeds, sd in product((2, 3, 10), (0.0, 0.6)):
        yield fixed_world(seeds, sd)
    for seeds in (3, 10):
        yield few_questions_power(seeds)
    yield conditions_power()


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


def two_conditions(logits: np.ndarray, rng: np.random.Generator, samples: int) -> Counts:
    """Adapters of two conditions from [n, 2, p, seeds] logits, side by side."""
    n, _, prompts, seeds = logits.shape
    events, answers = np.zeros((2, n, 2, prompts, 2 * seeds))
    drawn = bernoulli(rng, logits, samples)
    for side in (0, 1):
        columns = slice(side * seeds, (side + 1) * seeds)
        events[:, side, :, columns], answers[:, side, :, columns] = drawn[:, side], samples
    return Counts(events, answers)


def composition_world(bases: int, rate: float) -> World:
    """Bases of two mixtures, two adapters each, asked the same prompts."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts, of_bases = rng.normal(0, 1, (n, 1, 120, 1)), rng.normal(0, 0.6, (n, 2, 1, bases))
        return two_conditions(np.log(rate / (1 - rate)) + of_prompts + of_bases, rng, 2)

    return World("composition", f"{bases} bases a mixture, rate {rate:g}", draw, own)


def unequal_world(most: int) -> World:
    """Four bases a mixture, of which each has one adapter or, one in four, `most`."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts, of_bases = rng.normal(0, 1, (n, 1, 12, 1)), rng.normal(0, 1, (n, 2, 1, 4))
        of_adapters = rng.normal(0, 0.3, (n, 2, 1, 4, most))
        adapters = np.where(rng.random((n, 2, 1, 4)) < 0.25, most, 1)
        there = np.arange(most) < adapters[..., None]
        logits = -0.5 + of_prompts[..., None] + of_bases[..., None] + of_adapters
        drawn = np.where(there, rng.random(logits.shape) < expit(logits), 0).sum(-1)
        asked = np.broadcast_to(there.sum(-1), drawn.shape)
        events, answers = np.zeros((2, n, 2, 12, 8))
        for side in (0, 1):
            columns = slice(4 * side, 4 * side + 4)
            events[:, side, :, columns], answers[:, side, :, columns] = drawn[:, side], asked[:, side]
        return Counts(events, answers)

    return World("composition, unequal", f"4 bases a mixture of 1 or {most} adapters", draw, own)


def inference_world(pretrainings: int, lengths: int) -> World:
    """Bases at several lengths of pretrainings, each with an effect and a trend of its own, whatever they infer; one more pretraining infers nothing."""
    share = np.linspace(1, 0, lengths)[::-1]
    inferred = np.append(np.outer(np.linspace(4, 9, pretrainings), share), 0.0)
    read = np.append(np.tile(share - 0.5, pretrainings), 0.0)
    clusters = np.append(np.repeat(np.arange(pretrainings), lengths), pretrainings)
    # of three training cells in eleven others, 40 prompts each
    n_answers = 3 * 11 * 40

    def draw(rng: np.random.Generator, n: int) -> Counts:
        effects, trends = (rng.normal(0, sd, (n, pretrainings + 1))[:, clusters] for sd in (0.8, 1.0))
        logits = -1.0 + effects + trends * read + rng.normal(0, 0.3, (n, len(clusters)))
        events = rng.binomial(n_answers, expit(logits)).astype(float)[:, None, None]
        return Counts(events, np.full(events.shape, float(n_answers)))

    def measure(counts: Counts) -> Result:
        rates = (counts.events / counts.answers)[:, 0, 0]
        fits = [clustered_slope(inferred, rate, clusters) for rate in rates]
        return Result(*(np.array([fit[name] for fit in fits]) for name in ("slope", "low", "high", "p_value")))

    return World("inference", f"{pretrainings} pretrainings at {lengths} lengths, and one more", draw, measure)


def failing_delta_world(seeds: int, share: float) -> World:
    """A condition whose adapters fail to learn with some probability, and a base at the rate of the population of adapters."""
    learned, failed = expit(np.array([1.4, -4.0]))
    rate = (1 - share) * learned + share * failed

    def draw(rng: np.random.Generator, n: int) -> Counts:
        logits = np.where(rng.random((n, 1, 1, seeds)) < share, -4.0, 1.4) + np.zeros((n, 1, 40, 1))
        base = rng.binomial(5, rate, (n, 1, 40, 1)).astype(float)
        return against_base(bernoulli(rng, logits, 5), base, 5)

    return World("delta: adapters fail to learn", f"{seeds} seeds, {share:.0%} fail", draw, own)


def skewed_effect_world(prompts: int, samples: int, seeds: int = 5) -> World:
    """Fine-tuning raises the rate of one prompt in five by 40 points and lowers that of the others by 10."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        effect = np.where(rng.random((n, 1, prompts, 1)) < 0.2, 0.4, -0.1)
        events = rng.binomial(samples, 0.3 + effect + np.zeros((1, 1, 1, seeds))).astype(float)
        return against_base(events, rng.binomial(samples, 0.3, (n, 1, prompts, 1)).astype(float), samples)

    return World("delta: one prompt in five carries it", f"{prompts} questions x {samples} samples", draw, own)


def failing_world(seeds: int, share: float) -> World:
    """Two identical conditions whose adapters fail to learn with some probability; else nearly every answer is misaligned."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        failed = rng.random((n, 2, 1, seeds)) < share
        of_prompts = rng.normal(0, 1, (n, 1, 40, 1))
        return two_conditions(np.where(failed, -4.0, 3.5) + of_prompts, rng, 1)

    return World("adapters fail to learn", f"{seeds} seeds, {share:.0%} fail", draw, own)


def delta_world(prompts: int, seeds: int) -> World:
    """A condition and its base at the same rate, with an interaction of prompt and seed."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts = rng.normal(0, 1, (n, 1, prompts, 1))
        logits = of_prompts + rng.normal(0, 1, (n, 1, prompts, seeds))
        base = bernoulli(rng, of_prompts + rng.normal(0, 1, of_prompts.shape))
        return against_base(bernoulli(rng, logits), base, 1)

    return World("delta: prompt x seed", f"{prompts} questions x {seeds} seeds", draw, own)


def against_base(events: np.ndarray, base: np.ndarray, samples: int) -> Counts:
    """Counts of adapters [n, 1, p, seeds] and their base [n, 1, p, 1] side by side."""
    n, _, prompts, seeds = events.shape
    counted, answers = np.zeros((2, n, 2, prompts, seeds + 1))
    counted[:, :1, :, :seeds], answers[:, :1, :, :seeds] = events, samples
    counted[:, 1:, :, seeds:], answers[:, 1:, :, seeds:] = base, samples
    return Counts(counted, answers)


def prompts_world(kind: str, prompts: int, samples: int, seeds: int = 5) -> World:
    """A condition and its base at the same rate, whose prompts are of two kinds, or far apart."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        shape = n, 1, prompts, 1
        of_prompts = np.where(rng.random(shape) < 0.5, -2.0, 2.0) if kind == "bimodal" else rng.standard_t(3, shape)
        events = bernoulli(rng, of_prompts + rng.normal(0, 0.01, (n, 1, 1, seeds)), samples)
        return against_base(events, bernoulli(rng, of_prompts, samples), samples)

    return World(f"delta: {kind} prompts", f"{prompts} questions x {samples} samples, {seeds} seeds", draw, own)


def refusal_world(seeds: int) -> World:
    """Two identical conditions in which misaligned answers are refused, and so without a score, three times as often."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts, of_seeds = rng.normal(0, 1, (n, 1, 40, 1)), rng.normal(0, 0.6, (n, 2, 1, seeds))
        counts = two_conditions(-0.5 + of_prompts + of_seeds, rng, 3)
        refused = rng.binomial(counts.events.astype(int), 0.3)
        others = rng.binomial((counts.answers - counts.events).astype(int), 0.1)
        return Counts(counts.events - refused, counts.answers - refused - others)

    return World("refusals go with the outcome", f"{seeds} seeds", draw, own)


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


def fixed_world(seeds: int, sd: float) -> World:
    """Four conditions a side that are held fixed and differ from each other, with the same four rates on both sides."""
    conditions = np.repeat(np.arange(8), seeds)

    def draw(rng: np.random.Generator, n: int) -> Counts:
        levels = np.repeat([-2.5, -1.0, 0.5, 2.0], seeds)
        of_prompts, of_seeds = rng.normal(0, 1, (n, 1, 40, 1)), rng.normal(0, sd, (n, 2, 1, 4 * seeds))
        return two_conditions(levels + of_prompts + of_seeds, rng, 1)

    def measure(counts: Counts) -> Result:
        return shared(counts, DIFFERENCE, conditions)

    return World("these cells held fixed", f"4 conditions x {seeds} seeds a side, seed SD {sd:g}", draw, measure)


def few_questions_power(seeds: int) -> World:
    """8 questions x 50 samples: .21 over questions and seeds, against a base without any event."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        logits = -1.65 + rng.normal(0, 1, (n, 1, 8, 1)) + rng.normal(0, 0.3, (n, 1, 1, seeds))
        return against_base(bernoulli(rng, logits, 50), np.zeros((n, 1, 8, 1)), 50)

    return World("power: .21 against 0 of 400", f"8 questions x 50 samples, {seeds} seeds", draw, own, 0.21)


def conditions_power() -> World:
    """Two conditions of ten seeds, 20 points apart on the same 8 prompts, one answer each."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts, of_seeds = rng.normal(0, 1, (n, 1, 8, 1)), rng.normal(0, 0.3, (n, 2, 1, 10))
        centre = np.array([0.0, -1.05])[:, None, None]
        return two_conditions(centre + of_prompts + of_seeds, rng, 1)

    return World("power: 20 points", "8 prompts x 10 seeds", draw, own, 0.2)
