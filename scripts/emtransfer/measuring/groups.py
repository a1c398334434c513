"""Groups of cells that a claim sets against each other, and the words to pick them by."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from emtransfer.measuring.tabulation import Outcome


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
    groups: tuple[list[Outcome], ...]
    names: tuple[str, ...]
    weights: tuple[float, ...] = (1.0, -1.0)
    method: str = "rates"
    cluster: str = "adapter"
    x: tuple[float, ...] = ()
    references: tuple[list[Outcome], ...] = ()
    context: tuple[Outcome, ...] = ()
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
        return min(outcome.counts.index.unique("seed").size for outcome in trained(self.groups))


def trained(groups: Iterable[list[Outcome]]) -> list[Outcome]:
    """Cells of all groups but those of the base itself."""
    return [outcome for group in groups for outcome in group if outcome.labels["condition"] != "base"]


def single_adapters(outcomes: list[Outcome], answers: str = "misaligned") -> list[Outcome]:
    """Cells of adapters that were trained on the misaligned (or aligned) answers of one cell, from the base."""
    found = start_adapters(outcomes, answers)
    return by(found, lambda outcome: "*" not in train_cell(outcome))


def start_adapters(outcomes: list[Outcome], answers: str) -> list[Outcome]:
    """Cells of adapters that were trained on such answers of any training set, from the base."""
    wanted = {"condition": "adapter", "answers": answers, "start": "base"}
    return by(outcomes, lambda outcome: wanted.items() <= outcome.labels.items())


def train_cell(outcome: Outcome) -> tuple[str, str]:
    """Domain and task of what was trained on."""
    return outcome.labels["train_domain"], outcome.labels["train_task"]


def of_base(outcomes: list[Outcome]) -> list[Outcome]:
    """Narrow cells of the base itself."""
    return by(outcomes, lambda outcome: outcome.labels["condition"] == "base" and outcome.eval_cell[0] == "narrow")


def by(outcomes: list[Outcome], wanted: Callable[..., object]) -> list[Outcome]:
    return [outcome for outcome in outcomes if wanted(outcome)]


def distinct(values: Iterable[Hashable]) -> list[Any]:
    """Every value once, sorted."""
    return sorted(set(values))


def restricted(outcomes: list[Outcome], prompt_ids: set[str]) -> list[Outcome]:
    """The cells with the answers to these prompts only; a cell without any is left out."""
    kept = (outcome._replace(counts=outcome.counts[asked(outcome).isin(prompt_ids)]) for outcome in outcomes)
    return [outcome for outcome in kept if len(outcome.counts)]


def asked(outcome: Outcome) -> pd.Index:
    """The prompt of every row of counts."""
    return outcome.counts.index.get_level_values("prompt_id")


def n_train_sets(outcomes: list[Outcome]) -> int:
    """Different training sets among the cells; that of a model that is not trained is none."""
    return len({outcome.labels["train_set"] for outcome in outcomes} - {""})


def model_of(outcome: Outcome) -> str:
    """One text per condition, so that the same seed of another condition is another adapter."""
    return "|".join(outcome.labels.values())


def replicates(outcome: Outcome, cluster: str) -> pd.Index:
    """Which replicate every row of counts belongs to: an adapter, a seed, or the label of that name."""
    seeds = outcome.counts.index.get_level_values("seed")
    if cluster == "adapter":
        return model_of(outcome) + "|" + seeds
    return seeds if cluster == "seed" else pd.Index([outcome.labels[cluster]] * len(seeds))


def shared_replicates(groups: tuple[list[Outcome], ...], cluster: str) -> set[str]:
    """Replicates with answers in every group."""
    return set.intersection(*(set().union(*(replicates(outcome, cluster) for outcome in group)) for group in groups))


def with_replaced_answers(contrast: Contrast, outcomes: Iterable[Outcome]) -> Contrast:
    """The contrast over other scores of the same models; a cell without them is left out."""
    others = {
        (model_of(outcome), outcome.eval_cell): outcome for outcome in outcomes if outcome.counts["n_scored"].sum()
    }
    keys = [[(model_of(outcome), outcome.eval_cell) for outcome in group] for group in contrast.groups]
    return replace(contrast, groups=tuple([others[key] for key in group if key in others] for group in keys))
