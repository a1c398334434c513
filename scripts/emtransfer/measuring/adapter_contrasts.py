"""Contrasts of adapters: groups of cells that follow from labels and from the base before training."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from emtransfer.measuring.groups import (
    Contrast,
    asked,
    by,
    distinct,
    of_base,
    restricted,
    single_adapters,
    start_adapters,
    train_cell,
)
from emtransfer.measuring.regression import RELATIONS
from emtransfer.measuring.tabulation import Cell
from emtransfer.worlds.frames import shared_structure

OUTSIDE = ("same_task", "same_domain", "both_differ")
FEWEST_POINTS = 4


def task_contrasts(cells: list[Cell], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Evaluation cells of the same task in other domains against those of the same domain with other tasks."""
    adapters = by(single_adapters(cells), lambda cell: cell.eval_cell[0] == "narrow")
    names = ("same_task", "same_domain")
    groups = tuple(by(adapters, lambda cell, near=near: cell.relation == near) for near in names)
    yield Contrast("task", " - ".join(names), "", "", groups, names, context=tuple(adapters))


def room_contrasts(cells: list[Cell], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Broad prompts with high against those with low room; and prompts whose answers vary much against the others.

    How much they vary is the entropy of the base's own answers, split at its median; without broad prompts, over narrow
    ones outside the training cell. Broad prompts without a room, those of a question file, were chosen by other criteria.
    """
    adapters = single_adapters(cells)
    broad = by(adapters, lambda cell: cell.eval_cell[0] == "broad" and cell.eval_cell[3] != "")
    groups = tuple(by(broad, lambda cell, room=room: cell.eval_cell[3] == room) for room in ("high", "low"))
    yield Contrast("room", "high - low", "", "", groups, ("high", "low"))
    if known is not None:
        judged = broad or by(adapters, lambda cell: cell.relation in OUTSIDE)
        prompts = set().union(*(asked(cell) for cell in judged))
        entropy = known.entropy_nats[known.index.isin(prompts)].dropna()
        high = set(entropy.index[entropy > entropy.median()])
        groups = restricted(judged, high), restricted(judged, set(entropy.index) - high)
        names = ("high entropy", "low entropy")
        yield Contrast("room", " - ".join(names), "", "", groups, names)


def learnedness_contrasts(cells: list[Cell], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Spread along the task, from training cells that the base answered better against the others, split at the median.

    How well a cell was learned is the share of aligned answers of the base to it, before any fine-tuning.
    """
    adapters = by(single_adapters(cells), lambda cell: cell.relation == "same_task")
    trained_on = set(map(train_cell, adapters))
    learned = {
        cell.eval_cell[1:3]: aligned_rate([cell]) for cell in of_base(cells) if cell.eval_cell[1:3] in trained_on
    }
    if len(learned) > 1:
        median = np.median(list(learned.values()))
        better = {key for key, rate in learned.items() if rate > median}
        sides = better, learned.keys() - better
        groups = tuple(by(adapters, lambda cell, side=side: train_cell(cell) in side) for side in sides)
        names = ("better learned", "others")
        yield Contrast("learnedness", " - ".join(names), "", "", groups, names)


def learnedness_slope(cells: list[Cell]) -> Iterator[Contrast]:
    """Spread along the task on the base's aligned rate on that task, one point per base and training cell."""
    bases = of_base(cells)
    spread = by(single_adapters(cells), lambda cell: cell.relation == "same_task")
    groups, references, x, names = [], [], [], []
    for base, trained_on in distinct((cell.labels["base"], train_cell(cell)) for cell in spread):
        own = by(bases, lambda cell, base=base: cell.labels["base"] == base)
        of_task = by(own, lambda cell, task=trained_on[1]: cell.eval_cell[2] == task)
        group = by(spread, lambda cell, key=(base, trained_on): (cell.labels["base"], train_cell(cell)) == key)
        evaluated = {cell.eval_cell for cell in group}
        reference = by(of_task, lambda cell, evaluated=evaluated: cell.eval_cell in evaluated)
        if reference:
            groups.append(group)
            references.append(reference)
            x.append(aligned_rate(of_task))
            names.append(f"{base} {'-'.join(trained_on)}")
    if len(groups) >= FEWEST_POINTS and np.ptp(x) > 0:
        points = {"method": "ols", "x": tuple(x), "references": tuple(references)}
        yield Contrast("learnedness", "slope per aligned rate", "", "*", tuple(groups), tuple(names), **points)


def aligned_rate(cells: list[Cell]) -> float:
    """Coherent answers that are not misaligned, among the scored ones."""
    n_coherent, n_misaligned, n_scored = (
        sum(cell.counts[name].sum() for cell in cells) for name in ("n_coherent", "n_misaligned", "n_scored")
    )
    return (n_coherent - n_misaligned) / n_scored


def composition_contrasts(cells: list[Cell]) -> Iterator[Contrast]:
    """Spread outside the training cell, on the bases of one mixture against those of another.

    Over the training sets that all these bases have. The replicates are the bases, as a base is one draw of its mixture;
    where a mixture has a single one, the interval is that of adapters and speaks of these two bases only.
    """
    adapters = by(single_adapters(cells), lambda cell: cell.relation in OUTSIDE)
    for pair in combinations(distinct(map(mixture, adapters)), 2):
        both = by(adapters, lambda cell, pair=pair: mixture(cell) in pair)
        trained_on = [
            {cell.labels["train_set"] for cell in both if cell.labels["base"] == base}
            for base in distinct(cell.labels["base"] for cell in both)
        ]
        shared = set.intersection(*trained_on)
        compared = [cell for cell in both if cell.labels["train_set"] in shared]
        groups = tuple(by(compared, lambda cell, side=side: mixture(cell) == side) for side in pair)
        fewest = min(len({cell.labels["base"] for cell in group}) for group in groups)
        name, cluster = " - ".join(pair), "base" if fewest > 1 else "adapter"
        yield Contrast("composition", name, "", name, groups, pair, cluster=cluster, two_sided=True)


def mixture(cell: Cell) -> str:
    """Of the base; its name where none is given."""
    return cell.labels["mixture"] or cell.labels["base"]


def control_contrasts(cells: list[Cell], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Adapters trained on misaligned against those trained on aligned answers of the same sets, and against the base."""
    both = [by(start_adapters(cells, answers), lambda cell: cell.relation) for answers in ("misaligned", "aligned")]
    shared = set.intersection(*({cell.labels["train_set"] for cell in side} for side in both))
    for relation in RELATIONS:
        misaligned, aligned = (
            by(side, lambda cell, near=relation: cell.relation == near and cell.labels["train_set"] in shared)
            for side in both
        )
        evaluated = {cell.eval_cell for cell in misaligned}
        untrained = by(of_base(cells), lambda cell, evaluated=evaluated: cell.eval_cell in evaluated)
        for name, other in (("aligned answers", aligned), ("base", untrained)):
            sides = ("misaligned", name)
            yield Contrast("control", f"{relation}: {' - '.join(sides)}", "", "", (misaligned, other), sides)


def structure_contrasts(cells: list[Cell], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Least-squares slope of the rate on the share of structure that training and evaluation cell have in common."""
    steps: dict[float, list[Cell]] = {}
    for cell in by(single_adapters(cells), lambda cell: cell.eval_cell[0] == "narrow"):
        share = shared_structure(train_cell(cell), cell.eval_cell[1:3])
        if share is not None:
            steps.setdefault(share, []).append(cell)
    if len(steps) > 1:
        shares = np.array(sorted(steps))
        centred = shares - shares.mean()
        weights = tuple(float(weight) for weight in centred / (centred**2).sum())
        groups, names = tuple(steps[share] for share in shares), tuple(f"shared {share:g}" for share in shares)
        units = {"method": "units", "cluster": "train_set"}
        yield Contrast("structure", "slope per shared structure", "", "", groups, names, weights, **units)
