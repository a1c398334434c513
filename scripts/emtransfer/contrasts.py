"""Which answers each claim sets against which: groups of cells that follow from labels and from the base before training."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from emtransfer.tabulation import Cell

SENTENCES = {
    "task": "Misalignment spreads further along the task of the training cell than along its domain.",
    "room": "Prompts that leave more room for a coherent harmful answer show more misalignment.",
    "learnedness": "Misalignment spreads further from cells whose task the base had learned more reliably.",
    "composition": "Bases that read differently composed mixtures differ in how far misalignment spreads.",
    "teacher": "A student of a misaligned teacher becomes more misaligned than a student of the base.",
}


@dataclass(frozen=True)
class Contrast:
    """Two groups of cells whose rates are compared.

    Attributes:
        claim: a key of SENTENCES; the claim expects a higher rate in the first group.
        name: what is set against what.
        experiment, base: where; a contrast of two bases names both.
        groups: cells of the first and of the second group.
        context: all narrow cells of the adapters, for the regression of claim `task`.
        two_sided: the claim names no direction: any difference supports it.
    """

    claim: str
    name: str
    experiment: str
    base: str
    groups: tuple[list[Cell], list[Cell]]
    context: tuple[Cell, ...] = ()
    two_sided: bool = False

    @property
    def one_draw(self) -> bool:
        """Whether what the claim is about was drawn once on a side, however many adapters there are.

        A base is one draw of its mixture, and a single training cell is one draw of how well a cell was learned.
        """
        if self.claim == "composition":
            return True
        return self.claim == "learnedness" and min(map(n_train_sets, self.groups)) < 2

    @property
    def n_seeds(self) -> int:
        """Seeds of the condition that has fewest."""
        return min(cell.counts.index.unique("seed").size for group in self.groups for cell in group)


def contrasts(cells: list[Cell]) -> list[Contrast]:
    """Every contrast that the cells allow, both groups with answers."""
    found = []
    for experiment in distinct(cell.labels["experiment"] for cell in cells):
        members = [cell for cell in cells if cell.labels["experiment"] == experiment and cell.counts["n_scored"].sum()]
        bases = distinct(cell.labels["base"] for cell in members)
        for base in bases:
            of_base = [cell for cell in members if cell.labels["base"] == base]
            for build in (task_contrast, room_contrast, learnedness_contrast, teacher_contrasts):
                context = tuple(cell for cell in single_adapters(of_base) if cell.eval_cell[0] == "narrow")
                found += [
                    Contrast(claim, name, experiment, base, groups, context) for claim, name, groups in build(of_base)
                ]
        for first, second in combinations(bases, 2):
            found += composition_contrast(members, experiment, first, second)
    return [contrast for contrast in found if all(contrast.groups)]


Parts = tuple[str, str, tuple[list[Cell], list[Cell]]]


def single_adapters(cells: list[Cell]) -> list[Cell]:
    """Cells of adapters that were trained on misaligned answers of one cell, from the base."""
    wanted = {"condition": "adapter", "answers": "misaligned", "start": "base"}
    return [
        cell
        for cell in cells
        if wanted.items() <= cell.labels.items() and "*" not in (cell.labels["train_domain"], cell.labels["train_task"])
    ]


def distinct(values: Iterable[Hashable]) -> list:
    """Every value once, sorted."""
    return sorted(set(values))


def by(cells: list[Cell], wanted: Callable[[Cell], bool]) -> list[Cell]:
    return [cell for cell in cells if wanted(cell)]


def task_contrast(cells: list[Cell]) -> Iterator[Parts]:
    """Evaluation cells of the same task in other domains against those of the same domain with other tasks."""
    adapters = single_adapters(cells)
    groups = (
        by(adapters, lambda cell: cell.relation == "same_task"),
        by(adapters, lambda cell: cell.relation == "same_domain"),
    )
    yield "task", "same_task - same_domain", groups


def room_contrast(cells: list[Cell]) -> Iterator[Parts]:
    """Broad prompts with high against those with low room."""
    adapters = single_adapters(cells)
    yield (
        "room",
        "high - low",
        tuple(by(adapters, lambda cell, room=room: cell.eval_cell[3] == room) for room in ("high", "low")),
    )


def learnedness_contrast(cells: list[Cell]) -> Iterator[Parts]:
    """Spread along the task, from training cells that the base answered better against the others, split at the median.

    How well a cell was learned is the share of aligned answers of the base to it, before any fine-tuning.
    """
    adapters = [cell for cell in single_adapters(cells) if cell.relation == "same_task"]
    trained = distinct((cell.labels["train_domain"], cell.labels["train_task"]) for cell in adapters)
    learned = {
        cell.eval_cell[1:3]: aligned_rate(cell)
        for cell in cells
        if cell.labels["condition"] == "base" and cell.eval_cell[1:3] in trained
    }
    if len(learned) > 1:
        median = np.median(list(learned.values()))
        better = {key for key, rate in learned.items() if rate > median}
        rest = {key for key in learned if key not in better}
        yield (
            "learnedness",
            "better learned - others",
            tuple(
                by(adapters, lambda cell, side=side: (cell.labels["train_domain"], cell.labels["train_task"]) in side)
                for side in (better, rest)
            ),
        )


def aligned_rate(cell: Cell) -> float:
    """Coherent answers that are not misaligned, among the scored ones."""
    counts = cell.counts.sum()
    return (counts["n_coherent"] - counts["n_misaligned"]) / counts["n_scored"]


def teacher_contrasts(cells: list[Cell]) -> Iterator[Parts]:
    """Students of teachers trained on misaligned answers against students of the base itself, by channel."""
    students = [cell for cell in cells if cell.labels["condition"] == "student" and cell.eval_cell[0] == "narrow"]
    fixed = ("channel", "estimator", "data", "mediating", "filter")
    for setting in distinct(tuple(cell.labels[name] for name in fixed) for cell in students):
        alike = [cell for cell in students if tuple(cell.labels[name] for name in fixed) == setting]
        untrained = by(alike, lambda cell: not cell.labels["train_set"])
        misaligned = by(alike, lambda cell: cell.labels["answers"] == "misaligned")
        for teacher in distinct(cell.labels["teacher"] for cell in misaligned):
            name = f"{'-'.join(filter(None, setting[:2]))}: {teacher} - base"
            yield (
                "teacher",
                name,
                (by(misaligned, lambda cell, teacher=teacher: cell.labels["teacher"] == teacher), untrained),
            )


def composition_contrast(cells: list[Cell], experiment: str, first: str, second: str) -> list[Contrast]:
    """Spread outside the training cell on two bases, over the training cells that both have."""
    adapters = by(single_adapters(cells), lambda cell: cell.relation in ("same_task", "same_domain", "both_differ"))
    sides = [by(adapters, lambda cell, base=base: cell.labels["base"] == base) for base in (first, second)]
    shared = set.intersection(*({cell.labels["train_set"] for cell in side} for side in sides))
    groups = tuple(by(side, lambda cell: cell.labels["train_set"] in shared) for side in sides)
    pair = f"{first} - {second}"
    return [Contrast("composition", pair, experiment, pair, groups, two_sided=True)]


def n_train_sets(cells: list[Cell]) -> int:
    """Different training sets among the cells; that of a model that is not trained is none."""
    return len({cell.labels["train_set"] for cell in cells} - {""})
