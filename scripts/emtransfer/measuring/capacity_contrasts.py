"""Contrasts of capacities: adapters of which more or fewer weights were trained, on the same cells and seeds, to the same loss."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emtransfer.errors import InputError
from emtransfer.measuring.adapter_contrasts import PLACES, of_trainings, trainings
from emtransfer.measuring.groups import Contrast, by, distinct, single_adapters, with_rows
from emtransfer.measuring.regression import slope_weights
from emtransfer.measuring.tabulation import Outcome
from emtransfer.measuring.trained_adapters import misaligned_adapters

# which training a row of counts is of, its seed last
KEY = ("experiment", "base", "train_set", "capacity", "seed")
PLACES_OUTSIDE = {place: relations for place, relations in PLACES.items() if place != "in_cell"}
# of a slope that says more than the difference of two
FEWEST_SIZES = 3


def read_sizes(path: Path) -> dict[tuple[str, ...], int]:
    """KEY of every adapter on misaligned answers from the base that reached its criterion -> the number of its trained weights.

    Args:
        path: CSV of tabulate_training.

    Raises:
        InputError: the file or a column is missing, `criterion_reached` is neither True nor False nor empty, a number of weights
            is no whole number above 0, or a training has two rows.
    """
    table = misaligned_adapters(path, *KEY, "trained_parameters", "criterion_reached")
    for value in table.criterion_reached[~table.criterion_reached.isin(("True", "False", ""))]:
        raise InputError(f"{path}: criterion_reached is {value}; expected True, False or nothing.")
    reached = table[(table.criterion_reached == "True") & (table.trained_parameters != "")]
    for value in reached.trained_parameters[~reached.trained_parameters.str.fullmatch("0*[1-9][0-9]*")]:
        raise InputError(f"{path}: trained_parameters is {value}; expected a whole number above 0.")
    for row in reached[reached.duplicated([*KEY])].itertuples():
        told = ", ".join(getattr(row, name) for name in KEY)
        raise InputError(f"{path}: two rows of {told}; expected one.")
    keys = reached[[*KEY]].itertuples(index=False, name=None)
    return dict(zip(keys, map(int, reached.trained_parameters), strict=True))


def capacity_contrasts(outcomes: list[Outcome], sizes: Mapping[tuple[str, ...], int]) -> Iterator[Contrast]:
    """Spread outside the training cell at each capacity against the smallest one, and its slope on the number of trained weights.

    Over the training cells and seeds that reached their criterion at every capacity of the contrast; a capacity at which none did is
    left out.

    Args:
        sizes: of `read_sizes`.
    """
    adapters = by(single_adapters(outcomes), lambda outcome: outcome.labels["capacity"] and not outcome.eval_context)
    adapters = by(adapters, lambda outcome: not outcome.labels["train_context"])
    trained = by_capacity(adapters)
    learned = by_capacity(with_rows(adapters, lambda outcome: [key in sizes for key in keys(outcome)]))
    weights = {name: size_of(members[0], sizes) for name, members in learned.items()}
    names = sorted(learned, key=lambda name: (weights[name], name))
    if len(names) < 2:
        return
    reached = {name: len(all_trainings(learned[name])) / len(all_trainings(trained[name])) for name in names}
    for place, relations in PLACES_OUTSIDE.items():
        form: dict[str, Any] = {"method": "replicates"}
        for name in names[1:]:
            sides = (name, names[0])
            groups = tuple(paired(learned, sides, relations).values())
            form["reached_share"] = min(reached[side] for side in sides)
            yield Contrast("capacity", f"{place}: {' - '.join(sides)}", groups, sides, **form)
        steps = sorted(set(weights.values()))
        if len(steps) >= FEWEST_SIZES:
            spread = paired(learned, names, relations)
            groups = tuple([one for name in names if weights[name] == step for one in spread[name]] for step in steps)
            labels = tuple(f"{step:,} weights" for step in steps)
            form |= {"weights": slope_weights(np.log10(steps)), "reached_share": min(reached.values())}
            yield Contrast("capacity", f"{place}: slope per tenfold of trained weights", groups, labels, **form)


def by_capacity(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    """The cells of every capacity."""
    return {
        name: by(outcomes, lambda outcome, name=name: outcome.labels["capacity"] == name)
        for name in distinct(outcome.labels["capacity"] for outcome in outcomes)
    }


def paired(
    capacities: Mapping[str, list[Outcome]], names: Sequence[str], relations: tuple[str, ...]
) -> dict[str, list[Outcome]]:
    """The cells of these capacities and relations, with the answers of the training cells and seeds that all of the capacities have."""
    shared = set.intersection(*(all_trainings(capacities[name]) for name in names))
    return {
        name: by(of_trainings(capacities[name], shared), lambda outcome: outcome.relation in relations)
        for name in names
    }


def all_trainings(outcomes: list[Outcome]) -> set[tuple[frozenset[tuple[str, str]], str]]:
    """The training cells and seed of every adapter among the cells."""
    return {key for outcome in outcomes for key in trainings(outcome)}


def size_of(outcome: Outcome, sizes: Mapping[tuple[str, ...], int]) -> int:
    """The number of trained weights of a condition, which is that of each of its seeds."""
    return sizes[keys(outcome)[0]]


def keys(outcome: Outcome) -> list[tuple[str, ...]]:
    """KEY of the training of every row of counts."""
    of_condition = tuple(outcome.labels[name] for name in KEY[:-1])
    return [(*of_condition, str(seed)) for seed in outcome.counts.index.get_level_values("seed")]
