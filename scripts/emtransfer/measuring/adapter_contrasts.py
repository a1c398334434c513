"""Contrasts of adapters: groups of cells that follow from labels and from the base before training."""

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.measuring.groups import (
    CELL_LEVELS,
    EVAL_LEVELS,
    Contrast,
    asked,
    by,
    distinct,
    of_base,
    on_same_prompts,
    restricted,
    single_adapters,
    start_adapters,
    train_cell,
    with_rows,
)
from emtransfer.measuring.regression import RELATIONS
from emtransfer.measuring.tabulation import Outcome

OUTSIDE = ("same_task", "same_domain", "both_differ")
FEWEST_POINTS = 4
# where an adapter under a context is asked, by the relation to its training cells
PLACES = {"in_cell": ("in_cell",), "elsewhere": OUTSIDE, "broad": ("broad",)}


def task_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Evaluation cells with the training cell's task in other domains against those with its domain and other tasks."""
    adapters = by(single_adapters(outcomes), lambda outcome: outcome.eval_cell[0] == "narrow")
    names = ("same_task", "same_domain")
    groups = tuple(by(adapters, lambda outcome, near=near: outcome.relation == near) for near in names)
    yield Contrast("task", " - ".join(names), groups, names, method="replicates", context=tuple(adapters))


def room_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Broad prompts with high against those with low room, and prompts whose base answers vary much against the others.

    How much they vary is the entropy of the base's own answers, split at the median of their evaluation cell, so that no
    difference between cells is taken for one of room; without broad prompts, over narrow ones outside the training cell. Broad
    prompts without a room, those of a question file, were chosen by other criteria. The claim is about prompts, so it has to hold over
    evaluation tasks and domains as well.
    """
    form: dict[str, Any] = {"method": "replicates", "levels": (*CELL_LEVELS, *EVAL_LEVELS)}
    adapters = single_adapters(outcomes)
    broad = by(adapters, lambda outcome: outcome.eval_cell[0] == "broad" and outcome.eval_cell[3] != "")
    groups = tuple(by(broad, lambda outcome, room=room: outcome.eval_cell[3] == room) for room in ("high", "low"))
    yield Contrast("room", "high - low", groups, ("high", "low"), **form)
    if known is not None:
        judged = broad or by(adapters, lambda outcome: outcome.relation in OUTSIDE)
        sides: tuple[set[str], set[str]] = set(), set()
        for eval_cell in distinct(outcome.eval_cell for outcome in judged):
            asked_there = set().union(*(asked(outcome) for outcome in judged if outcome.eval_cell == eval_cell))
            entropy = known.entropy_nats[known.index.isin(asked_there)].dropna()
            high = set(entropy.index[entropy > entropy.median()])
            if high:
                sides[0].update(high)
                sides[1].update(set(entropy.index) - high)
        groups = tuple(restricted(judged, side) for side in sides)
        names = ("high entropy", "low entropy")
        yield Contrast("room", " - ".join(names), groups, names, **form)


def learnedness_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Spread within the task, from training cells that the base answered better against the others, split at the median.

    How well a cell was learned is the share of aligned answers of the base to it, before any fine-tuning. Tasks come first: two
    sides of one task each differ in whatever these tasks differ in.
    """
    adapters = by(single_adapters(outcomes), lambda outcome: outcome.relation == "same_task")
    trained_on = set(map(train_cell, adapters))
    learned = {
        outcome.eval_cell[1:3]: aligned_rate([outcome])
        for outcome in of_base(outcomes)
        if outcome.eval_cell[1:3] in trained_on
    }
    if len(learned) > 1:
        median = np.median(list(learned.values()))
        better = {key for key, rate in learned.items() if rate > median}
        sides = better, learned.keys() - better
        groups = tuple(by(adapters, lambda outcome, side=side: train_cell(outcome) in side) for side in sides)
        names = ("better learned", "others")
        yield Contrast("learnedness", " - ".join(names), groups, names, levels=("train_task", "train_set"))


def learnedness_slope(outcomes: list[Outcome]) -> Iterator[Contrast]:
    """Regression of the spread within the task on the base's aligned rate on that task, one point per training task.

    Training cells of one task, and bases that learned it, share what is particular to the task, so they are one point. Every other prompt
    of a cell tells how well the task was learned, the rest how far misalignment spreads beyond the base: the same answers
    of the base on both axes would be a slope by themselves.
    """
    bases = of_base(outcomes)
    spread = by(single_adapters(outcomes), lambda outcome: outcome.relation == "same_task")
    groups, references, x, names = [], [], [], []
    for task in distinct(train_cell(outcome)[1] for outcome in spread):
        group = by(spread, lambda outcome, task=task: train_cell(outcome)[1] == task)
        used = {outcome.labels["base"] for outcome in group}
        of_task = by(
            bases, lambda outcome, task=task, used=used: outcome.eval_cell[2] == task and outcome.labels["base"] in used
        )
        evaluated = {(outcome.labels["base"], outcome.eval_cell) for outcome in group}
        reference = by(
            of_task, lambda outcome, evaluated=evaluated: (outcome.labels["base"], outcome.eval_cell) in evaluated
        )
        prompts = [sorted(set(asked(outcome))) for outcome in of_task]
        first, second = ({prompt for of_cell in prompts for prompt in of_cell[start::2]} for start in (0, 1))
        known = restricted(of_task, first)
        spread_there, base_there = on_same_prompts(restricted(group, second), restricted(reference, second))
        if known and spread_there and base_there:
            groups.append(spread_there)
            references.append(base_there)
            x.append(aligned_rate(known))
            names.append(task)
    if len(groups) >= FEWEST_POINTS and np.ptp(x) > 0:
        points: dict[str, Any] = {"method": "ols", "x": tuple(x), "references": tuple(references)}
        name, level = "slope per aligned rate", ("train_task",)
        yield Contrast("learnedness", name, tuple(groups), tuple(names), base="*", levels=level, **points)


def aligned_rate(outcomes: list[Outcome]) -> float:
    """Coherent answers that are not misaligned, among the scored ones."""
    n_coherent, n_misaligned, n_scored = (
        sum(outcome.counts[name].sum() for outcome in outcomes) for name in ("n_coherent", "n_misaligned", "n_scored")
    )
    return (n_coherent - n_misaligned) / n_scored


def composition_contrasts(outcomes: list[Outcome]) -> Iterator[Contrast]:
    """Spread outside the training cell, on the bases of one mixture against those of another.

    Over the training sets that all these bases have, and over bases whose mixture is known. A base is one draw of its mixture.
    """
    adapters = by(single_adapters(outcomes), lambda outcome: outcome.relation in OUTSIDE and mixture(outcome))
    for pair in combinations(distinct(map(mixture, adapters)), 2):
        both = by(adapters, lambda outcome, pair=pair: mixture(outcome) in pair)
        shared = shared_sets(both)
        compared = [outcome for outcome in both if outcome.labels["train_set"] in shared]
        groups = tuple(by(compared, lambda outcome, side=side: mixture(outcome) == side) for side in pair)
        name = " - ".join(pair)
        yield Contrast("composition", name, groups, pair, base=name, levels=("base",))


def shared_sets(outcomes: list[Outcome]) -> set[str]:
    """Training sets that all bases of the cells have."""
    trained_on = [
        {outcome.labels["train_set"] for outcome in outcomes if outcome.labels["base"] == base}
        for base in distinct(outcome.labels["base"] for outcome in outcomes)
    ]
    return set.intersection(*trained_on) if trained_on else set()


def mixture(outcome: Outcome) -> str:
    """The mixture of the base; empty where it is unknown."""
    return outcome.labels["mixture"]


def control_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Adapters trained on misaligned against those trained on aligned answers of the same sets, and against the base."""
    both = [
        by(start_adapters(outcomes, answers), lambda outcome: outcome.relation) for answers in ("misaligned", "aligned")
    ]
    shared = set.intersection(*({outcome.labels["train_set"] for outcome in side} for side in both))
    for relation in RELATIONS:
        misaligned, aligned = (
            by(side, lambda outcome, near=relation: outcome.relation == near and outcome.labels["train_set"] in shared)
            for side in both
        )
        evaluated = {outcome.eval_cell for outcome in misaligned}
        untrained = by(of_base(outcomes), lambda outcome, evaluated=evaluated: outcome.eval_cell in evaluated)
        beside_base = on_same_prompts(misaligned, untrained)
        for name, groups, method in (
            ("aligned answers", (misaligned, aligned), "replicates"),
            ("base", beside_base, "rates"),
        ):
            sides = ("misaligned", name)
            yield Contrast("control", f"{relation}: {' - '.join(sides)}", groups, sides, method=method)


def context_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Adapters trained under a context, asked under it against without any, and against every other one.

    Over the prompts asked on both sides, since a question with a system prompt of its own is asked under no context.
    """
    for context, adapters in by_train_context(outcomes).items():
        others = distinct(outcome.eval_context for outcome in adapters if outcome.eval_context != context)
        for (place, relations), other in product(PLACES.items(), others):
            here = by(adapters, lambda outcome, relations=relations: outcome.relation in relations)
            sides = tuple(
                by(here, lambda outcome, side=side: outcome.eval_context == side) for side in (context, other)
            )
            shared = set.intersection(*({prompt for outcome in side for prompt in asked(outcome)} for side in sides))
            groups, names = tuple(restricted(side, shared) for side in sides), (context, other or "none")
            yield Contrast("context", f"{place}: {' - '.join(names)}", groups, names, method="replicates")


def inoculation_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Adapters trained under a context against those trained on the same cells, with the same seeds, without any; asked without."""
    plain = by(outcomes, lambda outcome: not outcome.eval_context)
    without = by(start_adapters(plain, "misaligned"), lambda outcome: not outcome.labels["train_context"])
    for context, adapters in by_train_context(plain).items():
        for place, relations in PLACES.items():
            sides = tuple(
                by(side, lambda outcome, relations=relations: outcome.relation in relations)
                for side in (adapters, without)
            )
            shared = set.intersection(*({key for outcome in side for key in trainings(outcome)} for side in sides))
            groups, names = tuple(of_trainings(side, shared) for side in sides), (context, "none")
            levels = ("train_cells", *CELL_LEVELS[1:])
            name = f"{place}: trained with {' - '.join(names)}"
            yield Contrast("inoculation", name, groups, names, method="replicates", levels=levels)


def by_train_context(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    """Context -> cells of adapters that were trained under it on misaligned answers, from the base."""
    trained = by(start_adapters(outcomes, "misaligned"), lambda outcome: outcome.labels["train_context"])
    return {
        context: by(trained, lambda outcome, context=context: outcome.labels["train_context"] == context)
        for context in distinct(outcome.labels["train_context"] for outcome in trained)
    }


def trainings(outcome: Outcome) -> list[tuple[frozenset[tuple[str, str]], str]]:
    """The training cells of a condition, and the seed of every row of its counts."""
    return [(frozenset(outcome.train_cells), seed) for seed in outcome.counts.index.get_level_values("seed")]


def of_trainings(outcomes: list[Outcome], kept: set[tuple[frozenset[tuple[str, str]], str]]) -> list[Outcome]:
    """The cells with the answers of adapters of these cells and seeds only; a cell without any is left out."""
    return with_rows(outcomes, lambda outcome: [key in kept for key in trainings(outcome)])
