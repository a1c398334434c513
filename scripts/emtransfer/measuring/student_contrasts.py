"""Contrasts of students that differ only in the factor of the claim; students of one seed are one replicate."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, pairwise, product
from typing import Any

import pandas as pd

from emtransfer.measuring.groups import TEACHER_LEVELS, Contrast, by, distinct, start_adapters
from emtransfer.measuring.tabulation import Outcome

FACTORS = ("start", "teacher", "data", "mediating", "filter", "channel", "estimator")
BY_SEED: dict[str, Any] = {"method": "replicates", "levels": ("seed",)}
# pairs of channels, the one that should transmit more first
CHANNELS = (("optd", "opd"), ("optd", "sft"), ("opd", "sft"))


def teacher_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Students of teachers trained on misaligned answers against those of the base.

    Each on its own data; and with `optd`, which can teach from any answers, over all data that both have.
    """
    students = narrow_students(outcomes)
    own = by(
        students,
        lambda outcome: outcome.labels["data"] == outcome.labels["teacher"] or outcome.labels["channel"] == "opd",
    )
    for setting, alike in alike_but_for(own, "teacher", "data"):
        yield against_base(setting, alike)
    for setting, alike in alike_but_for(by_channel(students, "optd"), "teacher", "data"):
        sides = by(alike, trained_teacher), by(alike, lambda outcome: not trained_teacher(outcome))
        shared = set.intersection(*({outcome.labels["data"] for outcome in side} for side in sides))
        if len(shared) > 1:
            both = by(alike, lambda outcome, shared=shared: outcome.labels["data"] in shared)
            contrast = against_base(setting, both)
            yield replace(contrast, name=f"{contrast.name} over data")


def against_base(setting: str, students: list[Outcome]) -> Contrast:
    """Students of misaligned teachers against those of the base; a contrast with a single teacher has its name."""
    teachers = misaligned_teachers(students)
    groups = having(students, answers="misaligned"), by(students, lambda outcome: not trained_teacher(outcome))
    sides = teachers[0] if len(teachers) == 1 else "misaligned teachers", "base"
    return Contrast("teacher", f"{setting}: {' - '.join(sides)}", groups, sides, levels=TEACHER_LEVELS)


def trained_teacher(outcome: Outcome) -> bool:
    """Whether the teacher is an adapter, not the base."""
    return bool(outcome.labels["train_set"])


def data_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Students that learn from one set of answers against those that learn from another.

    Where each learns from what its own teacher was trained to answer, the teachers differ and not only the data, so they are not compared.
    """
    students = narrow_students(outcomes)
    for setting, alike in alike_but_for(by_channel(students, "sft"), "teacher", "data"):
        of_data = grouped(alike, "data")
        for pair in combinations(distinct(of_data), 2):
            groups = tuple(of_data[data] for data in pair)
            if not all(learns_from_own_teacher(outcome) for group in groups for outcome in group):
                yield Contrast("data", f"{setting}: {' - '.join(pair)}", groups, pair, **BY_SEED)
    for setting, alike in alike_but_for(by_channel(students, "optd"), "teacher", "data"):
        cells = grouped(alike, "teacher", "data")
        teachers, data = map(distinct, zip(*cells, strict=True))
        for pair in combinations(data, 2):
            yield from over_teachers(setting, cells, pair)
        for a, b in combinations(teachers, 2):
            for c, d in combinations([name for name in data if {(a, name), (b, name)} <= cells.keys()], 2):
                corners = ((a, c), (a, d), (b, c), (b, d))
                groups = tuple(cells[corner] for corner in corners)
                name, names = f"{setting}: ({a} - {b}) x ({c} - {d})", tuple(map("/".join, corners))
                signs = (1.0, -1.0, -1.0, 1.0)
                yield Contrast("data", name, groups, names, weights=signs, **BY_SEED)


def learns_from_own_teacher(outcome: Outcome) -> bool:
    """Whether a student learns from the answers of the adapter that is its teacher."""
    return trained_teacher(outcome) and outcome.labels["data"] == outcome.labels["teacher"]


def over_teachers(setting: str, cells: dict[Any, list[Outcome]], pair: tuple[str, str]) -> Iterator[Contrast]:
    """One set of data against another, averaged with equal weights over the teachers that have both."""
    had = [{teacher for teacher, own in cells if own == data} for data in pair]
    shared = sorted(had[0] & had[1])
    if len(shared) > 1:
        corners = list(product(pair, shared))
        groups = tuple(cells[teacher, data] for data, teacher in corners)
        weights = tuple((1.0 if data == pair[0] else -1.0) / len(shared) for data, _ in corners)
        name, names = f"{setting}: {' - '.join(pair)} over teacher", tuple(map("/".join, corners))
        yield Contrast("data", name, groups, names, weights=weights, **BY_SEED)


def realignment_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """The misaligned adapter that a student started from against the student of a teacher that is not misaligned."""
    students = narrow_students(outcomes)
    train_sets = {
        outcome.labels["teacher"]: outcome.labels["train_set"]
        for outcome in students
        if outcome.labels["answers"] == "misaligned"
    }
    adapters = by(start_adapters(outcomes, "misaligned"), lambda outcome: outcome.eval_cell[0] == "narrow")
    led = by(
        students, lambda outcome: outcome.labels["answers"] != "misaligned" and outcome.labels["start"] in train_sets
    )
    for setting, group in alike_but_for(led, shown=("teacher", "data")):
        start = group[0].labels["start"]
        before = having(adapters, train_set=train_sets[start])
        yield Contrast("realignment", f"{setting}: before - after", (before, group), ("before", "after"), **BY_SEED)


def filter_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Students trained on answers that passed one filter against those of the next, filters in the order of their names."""
    for setting, alike in alike_but_for(narrow_students(outcomes), "filter", shown=("teacher", "data")):
        for pair in pairwise(distinct(outcome.labels["filter"] for outcome in alike)):
            groups = tuple(having(alike, filter=name) for name in pair)
            yield Contrast("filter", f"{setting}: {' - '.join(pair)}", groups, pair, **BY_SEED)


def mediating_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Students taught on mediating prompts called near against those on prompts called far."""
    for setting, alike in alike_but_for(narrow_students(outcomes), "mediating", shown=("teacher", "data")):
        pair = ("near", "far")
        groups = tuple(having(alike, mediating=name) for name in pair)
        yield Contrast("mediating", f"{setting}: {' - '.join(pair)}", groups, pair, **BY_SEED)


def channel_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Students of one channel against those of another, of the same teachers on the same mediating prompts; teachers are the replicates.

    Teachers were trained on misaligned answers. `sft` and `optd` learn from the teacher's own kept answers, which are those to the
    prompts that `opd` has; any other data would differ by who wrote them too.
    """
    own = by(
        having(narrow_students(outcomes), answers="misaligned"),
        lambda outcome: outcome.labels["data"] == outcome.labels["teacher"] or outcome.labels["channel"] == "opd",
    )
    for setting, alike in alike_but_for(own, "teacher", "data", "channel", "estimator"):
        channels = distinct(channel_of(outcome.labels) for outcome in alike)
        for names in product(channels, repeat=2):
            if tuple(name.partition("-")[0] for name in names) in CHANNELS:
                sides = [
                    by(alike, lambda outcome, channel=channel: channel_of(outcome.labels) == channel)
                    for channel in names
                ]
                shared = set.intersection(*(set(map(taught_by, side)) for side in sides))
                groups = tuple(by(side, lambda outcome, shared=shared: taught_by(outcome) in shared) for side in sides)
                name = ": ".join(filter(None, (setting, " - ".join(names))))
                yield Contrast("channel", name, groups, names, method="replicates", levels=TEACHER_LEVELS)


def channel_over_bases(outcomes: list[Outcome]) -> Iterator[Contrast]:
    """The same over the teachers of all bases, where there are several; teachers share training sets and bases too."""
    for contrast in channel_contrasts(outcomes, None):
        if len({outcome.labels["base"] for outcome in contrast.groups[0]}) > 1:
            yield replace(contrast, base="*", levels=(*TEACHER_LEVELS, "training_set", "base"))


def channel_of(labels: dict[str, str]) -> str:
    """A channel with its estimator, as the config names it; empty where the labels have neither."""
    return "-".join(filter(None, (labels.get("channel"), labels.get("estimator"))))


def taught_by(outcome: Outcome) -> tuple[str, str]:
    """The teacher of a student, whose training set is trained on anew on every base."""
    return outcome.labels["base"], outcome.labels["teacher"]


def narrow_students(outcomes: list[Outcome]) -> list[Outcome]:
    """Cells of students in narrow evaluation."""
    return by(outcomes, lambda outcome: outcome.labels["condition"] == "student" and outcome.eval_cell[0] == "narrow")


def by_channel(outcomes: list[Outcome], channel: str) -> list[Outcome]:
    """Cells of students that learned through a channel."""
    return having(outcomes, channel=channel)


def grouped(outcomes: list[Outcome], *names: str) -> dict[Any, list[Outcome]]:
    """Cells by the values of these labels: a value if there is one label, else a tuple."""
    groups: dict[Any, list[Outcome]] = {}
    for outcome in outcomes:
        values = tuple(outcome.labels[name] for name in names)
        groups.setdefault(values if len(names) > 1 else values[0], []).append(outcome)
    return groups


def having(outcomes: list[Outcome], **labels: str) -> list[Outcome]:
    """Cells with these labels."""
    return by(outcomes, lambda outcome: labels.items() <= outcome.labels.items())


def misaligned_teachers(students: list[Outcome]) -> list[str]:
    """Teachers that were trained on misaligned answers."""
    return distinct(outcome.labels["teacher"] for outcome in having(students, answers="misaligned"))


def alike_but_for(
    students: list[Outcome], *free: str, shown: tuple[str, ...] = ()
) -> Iterator[tuple[str, list[Outcome]]]:
    """Groups of students that agree in all factors except the free ones.

    Args:
        free: of FACTORS.
        shown: factors that name a group whether or not they vary.

    Yields:
        The name of a group – its channel, where it starts if not from the base, what else varies – and its cells; an empty name where
        nothing is to be told.
    """
    fixed = [name for name in FACTORS if name not in free]
    varied = {name for name in fixed if len({outcome.labels[name] for outcome in students} - {""}) > 1} | set(shown)
    told = [name for name in ("teacher", "data", "mediating", "filter") if name in varied and name in fixed]
    for values in distinct(tuple(outcome.labels[name] for name in fixed) for outcome in students):
        setting = dict(zip(fixed, values, strict=True))
        start = [] if setting["start"] in ("", "base") else [f"from {setting['start']}"]
        # a teacher's own answers bear its name
        words = dict.fromkeys([channel_of(setting), *start, *(setting[name] for name in told)])
        yield ", ".join(filter(None, words)), having(students, **setting)
