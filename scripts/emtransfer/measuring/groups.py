"""Groups of cells that a claim compares, and the functions that pick them."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.measuring.judged_rows import EVAL_COLUMNS
from emtransfer.measuring.tabulation import Outcome

# what a claim draws anew -> its plural, and what stays fixed in a verdict on the models of this run alone
POPULATIONS = {
    "train_set": ("training cells", "these training cells"),
    "train_cells": ("training cells", "these training cells"),
    "train_task": ("training tasks", "these training cells"),
    "train_domain": ("training domains", "these training cells"),
    "eval_task": ("evaluation tasks", "these training cells"),
    "eval_domain": ("evaluation domains", "these training cells"),
    "base": ("bases", "these bases"),
    "pretraining": ("pretrainings", "these bases"),
    "teacher": ("teachers", "these teachers"),
    "training_set": ("training sets", "these teachers"),
    "seed": ("seeds", "these students"),
}
# a claim about training cells holds for others only if it does so over cells, over tasks and over domains
CELL_LEVELS = ("train_set", "train_task", "train_domain")
# likewise one about teachers, whose training sets share tasks and domains
TEACHER_LEVELS = ("teacher", "train_task", "train_domain")
# what prompts share; a claim about prompts has to hold over these too
EVAL_LEVELS = ("eval_task", "eval_domain")
# methods by which an effect is a slope over groups, each of them one point
SLOPES = ("ols", "clustered_ols")


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of the rates of groups of cells, or their slope on a known quantity of each group.

    Attributes:
        claim: a key of SENTENCES; unless one of sentences.TWO_SIDED, it expects an estimate above 0.
        name: what is set against what.
        experiment, base_model, base, judge: where; a contrast of mixtures names both, one over all bases is `*`.
        groups: cells of each group.
        names: of the groups, as the balance table calls them.
        weights: of the rates of the groups.
        method: `rates` for two groups with their own replicates, `replicates` for groups that share theirs; of SLOPES, `ols` for
            groups that are one replicate each, `clustered_ols` for replicates of several groups.
        levels: of POPULATIONS, what is drawn anew. The first decides whether there are enough; the others count where they have at
            least two of their kind, and the claim holds only if it does so at each.
        x: of a slope, of each group, what its rate is regressed on.
        x_pretrained: with claim `inference`, the same before the aligned phase; empty where that is not known of all.
        clusters: with `clustered_ols`, of each group, the replicate that it is of.
        references: of a slope, of each group, the base's cells whose rate is taken off.
        context: with claim `task`, all narrow cells of the adapters, for its regression.
        reached_share: with claim `capacity`, of the capacity with the fewest, the share of trainings that reached their loss.
    """

    claim: str
    name: str
    groups: tuple[list[Outcome], ...]
    names: tuple[str, ...]
    experiment: str = ""
    base_model: str = ""
    base: str = ""
    judge: str = ""
    weights: tuple[float, ...] = (1.0, -1.0)
    method: str = "rates"
    levels: tuple[str, ...] = CELL_LEVELS
    x: tuple[float, ...] = ()
    x_pretrained: tuple[float, ...] = ()
    clusters: tuple[str, ...] = ()
    references: tuple[list[Outcome], ...] = ()
    context: tuple[Outcome, ...] = ()
    reached_share: float = 1.0

    @property
    def n_seeds(self) -> int:
        """Seeds of the trained condition with the fewest."""
        return min(outcome.counts.index.unique("seed").size for outcome in trained(self.groups))


def trained(groups: Iterable[list[Outcome]]) -> list[Outcome]:
    """Cells of all groups except those of the base itself."""
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
    """Domain and task of the training set."""
    return outcome.labels["train_domain"], outcome.labels["train_task"]


def without_context(outcomes: list[Outcome]) -> list[Outcome]:
    """Cells of models that were trained, and asked, without a context."""
    return by(outcomes, lambda outcome: not outcome.labels["train_context"] and not outcome.eval_context)


def without_capacity(outcomes: list[Outcome]) -> list[Outcome]:
    """Cells of models that were trained with the experiment's own settings."""
    return by(outcomes, lambda outcome: not outcome.labels["capacity"])


def of_base(outcomes: list[Outcome]) -> list[Outcome]:
    """Narrow cells of the base itself."""
    return by(outcomes, lambda outcome: outcome.labels["condition"] == "base" and outcome.eval_cell[0] == "narrow")


def by(outcomes: list[Outcome], wanted: Callable[..., object]) -> list[Outcome]:
    """The cells of which something is true."""
    return [outcome for outcome in outcomes if wanted(outcome)]


def distinct(values: Iterable[Hashable]) -> list[Any]:
    """Every value once, sorted."""
    return sorted(set(values))


def restricted(outcomes: list[Outcome], prompt_ids: set[str]) -> list[Outcome]:
    """The cells with the answers to these prompts only; a cell without any is left out."""
    return with_rows(outcomes, lambda outcome: asked(outcome).isin(prompt_ids))


def with_rows(outcomes: list[Outcome], wanted: Callable[[Outcome], Sequence[bool] | np.ndarray]) -> list[Outcome]:
    """The cells with those rows of counts only that are wanted; a cell without any is left out."""
    kept = (outcome._replace(counts=outcome.counts[wanted(outcome)]) for outcome in outcomes)
    return [outcome for outcome in kept if len(outcome.counts)]


def asked(outcome: Outcome) -> pd.Index:
    """The prompt of every row of counts."""
    return outcome.counts.index.get_level_values("prompt_id")


def on_same_prompts(one: list[Outcome], other: list[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """The cells of two sides with the answers to prompts that have a scored answer on both."""
    shared = set.intersection(*({*chain.from_iterable(map(scored, side))} for side in (one, other)))
    return restricted(one, shared), restricted(other, shared)


def scored(outcome: Outcome) -> pd.Index:
    """The prompts with a scored answer."""
    return asked(outcome)[outcome.counts["n_scored"] > 0]


def n_train_sets(outcomes: list[Outcome], level: str) -> int:
    """Number of training sets among the cells; an untrained model has none.

    Args:
        level: of POPULATIONS, what is drawn anew; at `train_cells`, training sets of the same cells are one, whatever their names.
    """
    of_cells = level == "train_cells"
    trained_on = {trained_cells(outcome) if of_cells else outcome.labels["train_set"] for outcome in outcomes}
    return len(trained_on - {""})


def trained_cells(outcome: Outcome) -> str:
    """The cells of the training set as one text, in the order of the alphabet."""
    return " ".join(sorted(map("-".join, outcome.train_cells)))


def model_of(outcome: Outcome) -> str:
    """One text per condition, so that the same seed of another condition is another adapter."""
    return "|".join(outcome.labels.values())


def replicates(outcome: Outcome, level: str) -> np.ndarray:
    """Which replicate of a level every row of counts belongs to: text, one per row.

    Levels are those of POPULATIONS; `adapter`, the single model; and `fixed`, the trained model where conditions are held fixed. A
    teacher is a training set on a base; students of the base, which is no draw at TEACHER_LEVELS, stand for themselves there. Training
    sets of the same cells are one replicate of `train_cells`.
    """
    seeds = outcome.counts.index.get_level_values("seed").to_numpy(object)
    if level == "fixed":
        return fixed_condition(outcome) + "|" + seeds
    if level == "adapter" or (level in TEACHER_LEVELS and taught_by_base(outcome)):
        return model_of(outcome) + "|" + seeds
    if level == "seed":
        return seeds
    if level == "train_cells":
        return np.repeat(np.array([trained_cells(outcome)], object), len(seeds))
    names = {"teacher": ("base", "train_set"), "training_set": ("train_set",)}.get(level, (level,))
    known = outcome.labels | dict(zip(EVAL_COLUMNS, outcome.eval_cell, strict=True))
    return np.repeat(np.array(["|".join(known[name] for name in names)], object), len(seeds))


def taught_by_base(outcome: Outcome) -> bool:
    """Whether this is a student of the base itself."""
    return outcome.labels["condition"] == "student" and not outcome.labels["train_set"]


def fixed_condition(outcome: Outcome) -> str:
    """The condition that is held fixed where only seeds are drawn; students of one adapter count as one model, whatever their data."""
    if outcome.labels["condition"] == "student":
        return "|".join(outcome.labels[name] for name in ("base", "teacher", "start"))
    return model_of(outcome)


def with_replaced_answers(contrast: Contrast, outcomes: Iterable[Outcome]) -> Contrast:
    """The contrast computed from other scores of the same models; a cell without them is left out."""
    others = {
        (model_of(outcome), outcome.eval_cell): outcome for outcome in outcomes if outcome.counts["n_scored"].sum()
    }
    keys = [[(model_of(outcome), outcome.eval_cell) for outcome in group] for group in contrast.groups]
    return replace(contrast, groups=tuple([others[key] for key in group if key in others] for group in keys))
