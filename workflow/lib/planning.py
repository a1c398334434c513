"""What a config will be able to find, told from its number of models before anything is computed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from math import inf, sqrt

from emtransfer.grid import Model, compared

# spread of one replicate's contrast around the pooled one, percentage points; docs/claims.md says where they are from
ADAPTER_SD_POINTS = 40
STUDENT_SD_POINTS = 6
WANTED_POINTS = 20
LEVEL, POWER = 0.05, 0.8


def detectable_points(n_replicates: int, sd_points: float) -> float:
    """Smallest pooled contrast, in percentage points, that so many replicates find at POWER; inf for fewer than two."""
    if n_replicates < 2:
        return inf
    # not at the top: the jobs of a run read this file too, and scipy takes as long as the rest of the Snakefile
    from scipy.special import stdtrit

    quantiles = -sum(stdtrit(n_replicates - 1, [LEVEL / 2, 1 - POWER]))
    return quantiles * sd_points / sqrt(n_replicates)


def enough_replicates(sd_points: float) -> int:
    """The fewest replicates that find WANTED_POINTS."""
    return next(n for n in count(2) if detectable_points(n, sd_points) <= WANTED_POINTS)


def warnings(experiments: dict[str, Iterable[Model]]) -> Iterator[str]:
    """A line for every experiment whose adapters, and one for every one whose students, cannot find WANTED_POINTS."""
    for name, models in experiments.items():
        models = list(models)
        by_mixture = Counter(model.labels["mixture"] for model in compared(models))
        students = (model for model in models if model.labels["condition"] == "student")
        by_student = Counter(tuple(model.labels.items()) for model in students)
        for key, replicates, found, sd_points in [
            ("adapters", "single-cell adapters on misaligned answers of one mixture", by_mixture, ADAPTER_SD_POINTS),
            ("students", "seeds of a student", by_student, STUDENT_SD_POINTS),
        ]:
            n_most = max(found.values(), default=0)
            points = detectable_points(n_most, sd_points)
            if found and points > WANTED_POINTS:
                finds = f"at least {points:.0f} points" if points <= 100 else "nothing"
                yield (
                    f"config.yaml: experiments.{name}.{key} has {n_most} {replicates}, which find {finds} on a pooled"
                    f" contrast; {enough_replicates(sd_points)} would find {WANTED_POINTS}."
                )
