"""What a config will be able to find, told from its models before anything is computed."""

from collections.abc import Iterable, Iterator
from math import inf, sqrt

from config_files import Contents, source
from config_mistakes import named
from emtransfer.errors import counted
from emtransfer.grid.labels import Model, compared

# SD of the contrasts of training cells, and of student seeds, around the pooled contrast, in percentage points; docs/claims.md names
# their source
CELL_SD_POINTS = 40
SEED_SD_POINTS = 6
WANTED_POINTS = 20
LEVEL, POWER = 0.05, 0.8


def detectable_points(n_draws: int, sd_points: float) -> float:
    """Smallest pooled contrast, in percentage points, that so many draws find at POWER; inf for fewer than two."""
    if n_draws < 2:
        return inf
    # not at the top: the jobs of a run read this file too, and scipy takes as long as the rest of the Snakefile
    from scipy.special import stdtrit

    quantiles = -sum(stdtrit(n_draws - 1, [LEVEL / 2, 1 - POWER]))
    return quantiles * sd_points / sqrt(n_draws)


def warnings(experiments: dict[str, Iterable[Model]], contents: Contents) -> Iterator[str]:
    """A line for every experiment whose adapters, and one for every one whose students, cannot find WANTED_POINTS.

    Args:
        experiments: name -> its models.
        contents: what each file of the config says, of which a line names the one that it is about.
    """
    for name, models in experiments.items():
        models = list(models)
        for key, advice in [("adapters", cells_advice(models)), ("students", students_advice(models))]:
            if advice:
                place = ("experiments", name, key)
                file, written = source(place, contents)
                yield f"{file}: {named(place, written)}: {advice}"


def cells_advice(models: list[Model]) -> str | None:
    """What the mixture with most training cells can find of claim `task`, or None if that is enough or there are no adapters."""
    by_mixture: dict[str, set[str]] = {}
    for model in compared(models):
        by_mixture.setdefault(model.labels["mixture"], set()).update(model.train_cells)
    if not by_mixture:
        return None
    cells = max(by_mixture.values(), key=len)
    if len(cells) < 2:
        return "with 1 training cell this run can say nothing about other cells; more cells help, more seeds do not."
    domains, tasks = (set(parts) for parts in zip(*(cell.split("-") for cell in cells), strict=True))
    # the claim has to hold over cells, over tasks and over domains, and is limited by whichever are fewest
    counts = {"training cells": len(cells), "tasks": len(tasks), "domains": len(domains)}
    fewest = min((kind for kind in counts if counts[kind] > 1), key=lambda kind: counts[kind])
    n = counts[fewest]
    points = detectable_points(n, CELL_SD_POINTS) * sqrt(n / len(cells))
    if points <= WANTED_POINTS:
        return None
    found = f"a difference of {points:.0f} points" if points <= 100 else "no difference"
    among = f" of {counted(len(tasks), 'task')} and {counted(len(domains), 'domain')}"
    return f"with {len(cells)} training cells{among} this run can find {found}; more {fewest} help, and more seeds hardly do."


def students_advice(models: list[Model]) -> str | None:
    """What the students with most seeds can find among themselves, and whether teachers are enough to speak of others."""
    seeds: dict[tuple[str, ...], int] = {}
    teachers = set()
    for model in models:
        if model.labels["condition"] == "student":
            key = tuple(model.labels.values())
            seeds[key] = seeds.get(key, 0) + 1
            teachers |= {model.labels["teacher"]} if model.labels["answers"] == "misaligned" else set()
    if not seeds:
        return None
    n_seeds = max(seeds.values())
    points = detectable_points(n_seeds, SEED_SD_POINTS)
    parts = []
    if points > WANTED_POINTS:
        found = f"a difference of {points:.0f} points" if points <= 100 else "no difference"
        parts.append(f"with {counted(n_seeds, 'seed')} this run can find {found} among these students")
    if len(teachers) < 2:
        parts.append(f"with {counted(len(teachers), 'misaligned teacher')} it can say nothing about others")
    return f"{'; '.join(parts)}; more {'teachers' if len(teachers) < 2 else 'seeds'} help." if parts else None
