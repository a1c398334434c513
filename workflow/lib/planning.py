"""What a config will be able to find, told from its number of adapters before anything is computed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from math import inf, sqrt

from scipy import stats

from emtransfer.grid import Model

# spread of one adapter's contrast around the pooled one, percentage points; docs/claims.md says where it is from
ASSUMED_SD_POINTS = 25
WANTED_POINTS = 20
LEVEL, POWER = 0.05, 0.8


def detectable_points(n_adapters: int) -> float:
    """Smallest pooled contrast, in percentage points, that so many adapters find at POWER; inf for fewer than two."""
    if n_adapters < 2:
        return inf
    quantiles = stats.t.isf([LEVEL / 2, 1 - POWER], n_adapters - 1).sum()
    return quantiles * ASSUMED_SD_POINTS / sqrt(n_adapters)


def warnings(experiments: dict[str, Iterable[Model]]) -> Iterator[str]:
    """One line for every experiment with single-cell adapters none of whose mixtures can find WANTED_POINTS."""
    for name, models in experiments.items():
        by_mixture = Counter(model.labels["mixture"] for model in models if is_pooled(model))
        n_adapters = max(by_mixture.values(), default=0)
        points = detectable_points(n_adapters)
        if by_mixture and points > WANTED_POINTS:
            found = f"at least {points:.0f} points" if points <= 100 else "nothing"
            yield (
                f"config.yaml: experiments.{name}.adapters has {n_adapters} single-cell adapters on misaligned answers of"
                f" one mixture, which find {found} on a pooled contrast; {enough_adapters()} would find {WANTED_POINTS}."
            )


def is_pooled(model: Model) -> bool:
    """Whether a contrast pools this model: an adapter of one cell, on misaligned answers, trained from the base."""
    pooled = {"condition": "adapter", "answers": "misaligned", "start": "base"}
    return pooled.items() <= model.labels.items() and len(model.train_cells) == 1


def enough_adapters() -> int:
    """The fewest adapters that find WANTED_POINTS."""
    return next(n for n in range(2, 1000) if detectable_points(n) <= WANTED_POINTS)
