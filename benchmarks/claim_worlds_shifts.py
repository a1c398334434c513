"""Worlds of shifts in nats per token, whose mean difference is 0: what benchmarks/claims.py simulates of claims on shifts.

Pairs have heavy tails, and cells, adapters and bases differ in how much they vary, none of which the statistics assume.
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from claim_counts import DIFFERENCE, Counts, Result, World, grid, labels_of, of_sum, over_training_cells, widest

from emtransfer.measuring.replicates import combine_means, combine_own_means


def shift_worlds() -> Iterator[World]:
    """All settings."""
    for contrast, shape, seeds, kind in product(SIDES, ((1, 2), (3, 2), (3, 4)), (1, 3), ("normal", "heavy")):
        # what lies along a domain, or outside it, needs several
        if shape[0] > 1 or contrast.startswith("in_cell"):
            yield shift_world(contrast, shape, seeds, kind)
    for contrast, shape, kind in product([*SIDES][:2], ((1, 2), (1, 5), (3, 4)), ("normal", "skewed")):
        yield shift_world(contrast, shape, 3, kind, of=("cell",))
    for shape, seeds in product(((3, 2), (3, 4)), (2, 3)):
        yield teacher_world(shape, seeds)
    for bases in (2, 3, 10):
        yield composition_world(bases)
    for seeds in (2, 3, 10):
        yield fixed_world(seeds)


def heavy(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draws of Student's t with 2.5 degrees of freedom."""
    return rng.standard_t(2.5, shape)


# kinds of effects of cells, tasks and domains, nats per token, of mean 0; `skewed`: one in five carries the whole of it
EFFECTS: dict[str, Callable[..., np.ndarray]] = {
    "normal": lambda rng, *shape: rng.normal(0, 0.05, shape),
    "heavy": lambda rng, *shape: 0.05 * heavy(rng, *shape),
    "skewed": lambda rng, *shape: np.where(rng.random(shape) < 0.2, 0.4, -0.1),
}


# contrast -> of whether a pair has the task, and the domain, of a training cell, those that each side is asked
SIDES: dict[str, Callable[[np.ndarray, np.ndarray], list[np.ndarray]]] = {
    "in_cell: misaligned - aligned answers": lambda task, domain: [task & domain] * 2,
    "in_cell: misaligned - base": lambda task, domain: [task & domain],
    "both_differ: misaligned - aligned answers": lambda task, domain: [~task & ~domain] * 2,
    "both_differ: misaligned - base": lambda task, domain: [~task & ~domain],
    "same_task - same_domain": lambda task, domain: [task & ~domain, domain & ~task],
}


def shift_world(
    contrast: str,
    shape: tuple[int, int],
    seeds: int,
    kind: str,
    of: tuple[str, ...] = ("cell", "task", "domain"),
    pairs: int = 20,
) -> World:
    """Shifts, in nats per token, of adapters of all cells of a grid.

    Either side is moved by what every cell, task and domain, or cell alone, does to it. Pairs have heavy tails, each for itself on either side; every
    adapter has a shift of its own on all its pairs, and every training cell a size of its noise of its own. The base has no shift.

    Args:
        contrast: of SIDES.
        shape: domains and tasks of the grid.
        kind: of EFFECTS.
        of: what has them.
    """
    all_cells = grid(*shape)
    cells, asked = np.repeat(all_cells, seeds, axis=0), np.repeat(all_cells, pairs, axis=0)
    domain, task = np.moveaxis(asked[:, None] == cells[None], -1, 0)
    sides, labels = np.stack(SIDES[contrast](task, domain)).astype(float), labels_of(cells)
    weights = DIFFERENCE[: len(sides)]

    def draw(rng: np.random.Generator, n: int) -> Counts:
        g, p, a = sides.shape
        moved = np.zeros((n, g, 1, a))
        for numbers in map(labels.get, of):
            # a single domain is no draw, so that the verdict is about it alone
            if numbers.max():
                moved += EFFECTS[kind](rng, n, g, 1, numbers.max() + 1)[..., numbers]
        of_adapters = rng.normal(0, 0.02, (n, g if "misaligned" in contrast else 1, 1, a))
        sizes = np.exp(rng.normal(0, 1, (n, 1, 1, len(all_cells))))[..., labels["cell"]]
        shifts = moved + of_adapters + 0.1 * heavy(rng, n, g, p, 1) + 0.05 * sizes * heavy(rng, n, g, p, a)
        return Counts(shifts * sides, np.broadcast_to(sides, shifts.shape))

    def measure(counts: Counts) -> Result:
        return widest([of_sum(found) for found in over_training_cells(counts, labels, combine_means, weights).values()])

    carried = ", one cell in five" * (kind == "skewed")
    setting = f"{shape[0]} domains x {shape[1]} tasks x {seeds} seeds, {kind}{' effects of cell' * (of == ('cell',))}"
    return World(f"shift: {contrast}{carried}", setting, draw, measure)


def teacher_world(shape: tuple[int, int], seeds: int, pairs: int = 120) -> World:
    """Students of teachers of all cells of a grid, one each, which vary by task, domain and cell, against some of the base; all asked the same pairs."""
    cells = grid(*shape)
    side = np.repeat(np.eye(2), (len(cells), seeds), axis=1)[:, None]
    # each student of the base stands for itself
    labels = {name: np.append(of, -1 - np.arange(seeds)) for name, of in labels_of(cells).items()}

    def draw(rng: np.random.Generator, n: int) -> Counts:
        moved = rng.normal(0, 0.02, (n, 1, 1, side.shape[-1]))
        for of in labels.values():
            moved[..., : len(cells)] += 0.05 * rng.normal(0, 1, (n, 1, 1, of.max() + 1))[..., of[: len(cells)]]
        shifts = moved + 0.1 * heavy(rng, n, 1, pairs, 1) + 0.1 * heavy(rng, n, 1, pairs, side.shape[-1])
        return Counts(shifts * side, np.broadcast_to(side, shifts.shape[:1] + (2,) + shifts.shape[2:]))

    def measure(counts: Counts) -> Result:
        return widest([of_sum(found) for found in over_training_cells(counts, labels, combine_own_means).values()])

    return World(
        "shift: teacher",
        f"teachers of {shape[1]} tasks x {shape[0]} domains, {seeds} students of the base",
        draw,
        measure,
    )


def composition_world(bases: int, pairs: int = 120) -> World:
    """Shifts on bases of two mixtures, asked the same pairs; those of one mixture vary four times as much, with heavy tails."""
    side = np.repeat(np.eye(2), bases, axis=1)[:, None]
    sizes = np.repeat([0.2, 0.05], bases)

    def draw(rng: np.random.Generator, n: int) -> Counts:
        moved = sizes * heavy(rng, n, 1, 1, 2 * bases)
        shifts = moved + 0.2 * heavy(rng, n, 1, pairs, 1) + 0.1 * heavy(rng, n, 1, pairs, 2 * bases)
        return Counts(shifts * side, np.broadcast_to(side, (n, 2, pairs, 2 * bases)))

    def measure(counts: Counts) -> Result:
        return of_sum(combine_own_means(*counts, DIFFERENCE))

    return World("shift: composition", f"{bases} bases a mixture", draw, measure)


def fixed_world(seeds: int, conditions: int = 4, pairs: int = 40) -> World:
    """Conditions held fixed, whose seeds shift by themselves on all pairs; each side is another condition, asked the same pairs."""
    condition = np.repeat(np.arange(2 * conditions), seeds)
    side = np.repeat(np.eye(2), conditions * seeds, axis=1)[:, None]
    # what the conditions of a side differ by, which is no chance
    fixed = np.tile(np.linspace(-0.3, 0.3, conditions), 2).repeat(seeds)

    def draw(rng: np.random.Generator, n: int) -> Counts:
        moved = fixed + 0.05 * heavy(rng, n, 1, 1, len(condition))
        shifts = moved + 0.2 * heavy(rng, n, 2, pairs, 1) + 0.1 * heavy(rng, n, 1, pairs, len(condition))
        return Counts(shifts * side, np.broadcast_to(side, shifts.shape))

    def measure(counts: Counts) -> Result:
        return of_sum(combine_means(*counts, DIFFERENCE, condition))

    return World("shift: these cells held fixed", f"{conditions} conditions x {seeds} seeds a side", draw, measure)
