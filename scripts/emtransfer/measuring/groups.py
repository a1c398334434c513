"""Groups of cells that a claim sets against each other, and the words to pick them by."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

import pandas as pd

from emtransfer.measuring.tabulation import Cell


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of the rates of groups of cells, or their slope on something known of each group.

    Attributes:
        claim: a key of SENTENCES; unless two_sided, it expects an estimate above 0.
        name: what is set against what.
        experiment, base: where; a contrast of mixtures names both, one over all bases is `*`.
        groups: cells of each group.
        names: of the groups, as the balance table calls them.
        weights: of the rates of the groups.
        method: `rates` for two groups with their own adapters, `units` for groups that share their replicates, `ols` for
            a slope over groups that are one point each.
        cluster: what an independent replicate is: an adapter, a base, a seed or a train_set.
        x: with `ols`, of each group, what its rate is regressed on.
        references: with `ols`, of each group, the base's cells whose rate is taken off.
        context: with claim `task`, all narrow cells of the adapters, for its regression.
        two_sided: the claim names no direction: any difference supports it.
    """

    claim: str
    name: str
    experiment: str
    base: str
    groups: tuple[list[Cell], ...]
    names: tuple[str, ...]
    weights: tuple[float, ...] = (1.0, -1.0)
    method: str = "rates"
    cluster: str = "adapter"
    x: tuple[float, ...] = ()
    references: tuple[list[Cell], ...] = ()
    context: tuple[Cell, ...] = ()
    two_sided: bool = False

    @property
    def one_draw(self) -> bool:
        """Whether what the claim is about was drawn once on a side, however many adapters there are.

        A base is one draw of its mixture, and a single training cell is one draw of how well a cell was learned.
        """
        if self.claim == "composition":
            return self.cluster != "base"
        if self.method == "units":
            return len(shared_replicates(self.groups, self.cluster)) < 2
        return self.claim == "learnedness" and self.method == "rates" and min(map(n_train_sets, self.groups)) < 2

    @property
    def n_seeds(self) -> int:
        """Seeds of the trained condition that has fewest."""
        return min(cell.counts.index.unique("seed").size for cell in trained(self.groups))


def trained(groups: Iterable[list[Cell]]) -> list[Cell]:
    """Cells of all groups but those of the base itself."""
    return [cell for group in groups for cell in group if cell.labels["condition"] != "base"]


def single_adapters(cells: list[Cell], answers: str = "misaligned") -> list[Cell]:
    """Cells of adapters that were trained on the misaligned (or aligned) answers of one cell, from the base."""
    found = start_adapters(cells, answers)
    return by(found, lambda cell: "*" not in train_cell(cell))


def start_adapters(cells: list[Cell], answers: str) -> list[Cell]:
    """Cells of adapters that were trained on such answers of any training set, from the base."""
    wanted = {"condition": "adapter", "answers": answers, "start": "base"}
    return by(cells, lambda cell: wanted.items() <= cell.labels.items())


def train_cell(cell: Cell) -> tuple[str, str]:
    """Domain and task of what was trained on."""
    return cell.labels["train_domain"], cell.labels["train_task"]


def of_base(cells: list[Cell]) -> list[Cell]:
    """Narrow cells of the base itself."""
    return by(cells, lambda cell: cell.labels["condition"] == "base" and cell.eval_cell[0] == "narrow")


def by(cells: list[Cell], wanted: Callable[[Cell], bool]) -> list[Cell]:
    return [cell for cell in cells if wanted(cell)]


def distinct(values: Iterable[Hashable]) -> list:
    """Every value once, sorted."""
    return sorted(set(values))


def restricted(cells: list[Cell], prompt_ids: set[str]) -> list[Cell]:
    """The cells with the answers to these prompts only; a cell without any is left out."""
    kept = (cell._replace(counts=cell.counts[asked(cell).isin(prompt_ids)]) for cell in cells)
    return [cell for cell in kept if len(cell.counts)]


def asked(cell: Cell) -> pd.Index:
    """The prompt of every row of counts."""
    return cell.counts.index.get_level_values("prompt_id")


def n_train_sets(cells: list[Cell]) -> int:
    """Different training sets among the cells; that of a model that is not trained is none."""
    return len({cell.labels["train_set"] for cell in cells} - {""})


def model_of(cell: Cell) -> str:
    """One text per condition, so that the same seed of another condition is another adapter."""
    return "|".join(cell.labels.values())


def replicates(cell: Cell, cluster: str) -> pd.Index:
    """Which replicate every row of counts belongs to: an adapter, a seed, or the label of that name."""
    seeds = cell.counts.index.get_level_values("seed")
    if cluster == "adapter":
        return model_of(cell) + "|" + seeds
    return seeds if cluster == "seed" else pd.Index([cell.labels[cluster]] * len(seeds))


def shared_replicates(groups: tuple[list[Cell], ...], cluster: str) -> set[str]:
    """Replicates with answers in every group."""
    return set.intersection(*(set().union(*(replicates(cell, cluster) for cell in group)) for group in groups))


def with_replaced_answers(contrast: Contrast, cells: Iterable[Cell]) -> Contrast:
    """The contrast over other scores of the same models; a cell without them is left out."""
    others = {(model_of(cell), cell.eval_cell): cell for cell in cells if cell.counts["n_scored"].sum()}
    keys = [[(model_of(cell), cell.eval_cell) for cell in group] for group in contrast.groups]
    return replace(contrast, groups=tuple([others[key] for key in group if key in others] for group in keys))
