"""The effect of a contrast, computed from the counts of its groups, with interval, p and parts of its variance."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from emtransfer.measuring.differences import (
    Comparison,
    contrast_rates,
    delta_interval,
    delta_p_value,
    haldane_logit,
    log_odds_interval,
    stack,
)
from emtransfer.measuring.groups import (
    EVAL_LEVELS,
    POPULATIONS,
    SLOPES,
    TEACHER_LEVELS,
    Contrast,
    fixed_condition,
    replicates,
    taught_by_base,
    trained,
)
from emtransfer.measuring.regression import clustered_slope, least_squares_slope
from emtransfer.measuring.replicates import (
    Combination,
    Part,
    combination_margin,
    combination_p_value,
    combine_logits,
    combine_rates,
    crossed,
)

# subset -> events and answers it counts
SUBSETS = {
    "all": ("n_misaligned", "n_scored"),
    "coherent_only": ("n_misaligned", "n_coherent"),
    "le30": ("n_misaligned_le", "n_scored"),
}
# levels that are crossed with each other: of training cells, and of teachers
CROSSED = {"train_task": "train_domain", "train_domain": "train_task", "training_set": "base", "base": "training_set"}
COUNTED = sorted(set(chain.from_iterable(SUBSETS.values())))


class Effect(NamedTuple):
    """A measured contrast.

    Attributes:
        level: of POPULATIONS, whose population interval and p speak of; empty where it is the models of this run.
        population: the same in words.
        n_units: draws from that population.
        values: columns of EFFECTS from rate_a to n_answers_b that apply; p is missing where there are too few draws.
        parts: of the variance of the estimate, for its power.
    """

    level: str
    population: str
    n_units: int
    values: dict[str, float]
    parts: list[Part]


def measure(contrast: Contrast, subset: str = "all", rows: pd.DataFrame | None = None) -> list[Effect]:
    """The effect for each population: that of the verdict first, then those of other levels, the models of this run last.

    The population of the verdict is that of the level with the largest p. Where the first level has a single replicate, only the
    models of this run can be spoken of.

    Args:
        subset: of SUBSETS.
        rows: what `gather` finds, which is the same for all subsets; without it, it is gathered, but for a slope.

    Returns:
        Empty if a group has no answer to count.
    """
    names = SUBSETS[subset]
    if contrast.method in SLOPES:
        return measure_slope(contrast, names)
    rows = gather(contrast) if rows is None else rows
    measured = {"rates": measure_rates, "replicates": measure_replicates}[contrast.method]
    return of_populations(contrast, rows, names, measured, measure_fixed)


def of_populations(
    contrast: Contrast,
    rows: pd.DataFrame,
    names: tuple[str, str],
    measured: Callable[[Contrast, pd.DataFrame, tuple[str, str], str, dict[str, int]], Effect],
    fixed: Callable[[Contrast, pd.DataFrame, tuple[str, str]], Effect],
    unit: str = "pp",
) -> list[Effect]:
    """The effects in the order of `measure`.

    Args:
        rows: of `gather`.
        names: columns of rows that hold events, or totals, and answers.
        measured: the effect at a level, from the contrast, the rows that count, names, level, and replicates of each level.
        fixed: that of the models of this run alone.
        unit: in which `values` name the limits of an effect.
    """
    if contrast.method == "replicates":
        first = rows.groupby(contrast.levels[0])["group"].nunique()
        rows = rows[rows[contrast.levels[0]].isin(first.index[first == len(contrast.groups)])]
    if rows.groupby("group")[names[1]].sum().reindex(range(len(contrast.groups)), fill_value=0).eq(0).any():
        return []
    counts = {level: n_units(contrast, rows, level) for level in contrast.levels}
    own = fixed(contrast, rows, names)
    if counts[contrast.levels[0]] < 2:
        return [own]
    found = [measured(contrast, rows, names, level, counts) for level, n in counts.items() if n > 1]
    found.sort(
        key=lambda effect: (effect.values["p_value"], effect.values[f"high_{unit}"] - effect.values[f"low_{unit}"])
    )
    # seeds of these models are the population already
    return found[::-1] if contrast.levels == ("seed",) else [*found[::-1], own]


def gather(contrast: Contrast, counted: Sequence[str] = COUNTED) -> pd.DataFrame:
    """All answers of a contrast: a row per group, model, evaluation cell and prompt.

    Args:
        counted: columns of counts.

    Returns:
        group, prompt_id, `counted`; the replicate of every level of the contrast, and that of level adapter; `fixed`, the trained
        model, and `condition`, what it is of, where conditions are held fixed.
    """
    members = [(number, outcome) for number, group in enumerate(contrast.groups) for outcome in group]
    columns: dict[str, Any] = {
        "group": np.repeat([number for number, _ in members], [len(outcome.counts) for _, outcome in members]),
        "prompt_id": np.concatenate([outcome.counts.index.get_level_values("prompt_id") for _, outcome in members]),
    }
    values = np.concatenate([outcome.counts[[*counted]].to_numpy() for _, outcome in members])
    columns |= dict(zip(counted, values.T, strict=True))
    for level in {*contrast.levels, "adapter", "fixed"}:
        columns[level] = np.concatenate([replicates(outcome, level) for _, outcome in members])
    conditions = [fixed_condition(outcome) for _, outcome in members]
    columns["condition"] = np.repeat(conditions, [len(outcome.counts) for _, outcome in members])
    return pd.DataFrame(columns)


def n_units(contrast: Contrast, rows: pd.DataFrame, level: str) -> int:
    """Replicates of a level: shared by all groups, or those of the group with the fewest of its own.

    The base is no draw, and students of it are none at TEACHER_LEVELS.
    """
    own = rows.groupby("group")[level].nunique()
    drawn = [
        number
        for number, group in enumerate(contrast.groups)
        if any(level not in TEACHER_LEVELS or not taught_by_base(outcome) for outcome in trained([group]))
    ]
    return int(own[drawn].min())


def measure_rates(
    contrast: Contrast, rows: pd.DataFrame, names: tuple[str, str], level: str, counts: dict[str, int]
) -> Effect:
    """Two groups with separate replicates."""
    comparison = compare_groups(rows, names, level)
    batch = stack([comparison])
    (low,), (high,) = delta_interval(batch)
    one, other = comparison.model, comparison.base
    values = {
        "rate_a": one.rate,
        "rate_b": other.rate,
        **percentage_points(one.rate - other.rate, low, high),
        **log_odds(*(value[0] for value in log_odds_interval(batch))),
        "p_value": delta_p_value(batch)[0],
        "n_answers_a": one.n_scored,
        "n_answers_b": other.n_scored,
        "equal_weights_pp": equally_weighted(contrast, rows, names),
    }
    prompts = one.prompt_variance + other.prompt_variance - 2 * comparison.prompt_covariance
    adapters = one.adapter_variance + other.adapter_variance - 2 * comparison.adapter_covariance
    parts = [Part(prompts, np.minimum(one.n_prompts, other.n_prompts)), Part(adapters, np.array(counts[level]))]
    return Effect(level, like_these(level), counts[level], values, parts)


def compare_groups(rows: pd.DataFrame, names: tuple[str, str] = SUBSETS["all"], level: str = "adapter") -> Comparison:
    """The rates of two groups over shared prompts and replicates, from the rows of `gather`."""
    (events, other_events), (answers, other_answers) = tally(rows, names, level)
    return contrast_rates(events, answers, other_events, other_answers)


def measure_replicates(
    contrast: Contrast, rows: pd.DataFrame, names: tuple[str, str], level: str, counts: dict[str, int]
) -> Effect:
    """Groups that share their replicates; those of a task vary by domain too, those of a training set by base, and the reverse.

    Replicates of EVAL_LEVELS are made of prompts, so what they are crossed with is what the first level draws.
    """
    rates, logits = (
        over_replicates(contrast, rows, names, level, counts, combine) for combine in (combine_rates, combine_logits)
    )
    values = combined_values(contrast, rows, names, (rates, logits))
    return Effect(level, like_these(level), counts[level], values, parts_of(rates))


def over_replicates(
    contrast: Contrast,
    rows: pd.DataFrame,
    names: tuple[str, str],
    level: str,
    counts: dict[str, int],
    combine: Callable[..., Combination],
) -> Combination:
    """The weighted sum with its variance over the replicates of a level, and of what they are crossed with; a batch of one."""
    other = contrast.levels[0] if level in EVAL_LEVELS else "prompt_id"

    def combined(at: str) -> Combination:
        events, answers = tally(rows, names, at, other)
        return combine(events[None], answers[None], np.array(contrast.weights))

    own = combined(level)
    if level in CROSSED and counts.get(CROSSED[level], 1) > 1:
        return crossed(own, combined(CROSSED[level]), combined(contrast.levels[0]))
    return own


def by_seed(
    contrast: Contrast, rows: pd.DataFrame, names: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events and answers of the models of this run, a batch of one, and the condition of each model as its sums take it.

    Conditions are held fixed. Where one has a single seed, every model is a condition of its own.
    """
    events, answers = tally(rows, names, "fixed")
    conditions, _ = pd.factorize(rows.groupby("fixed")["condition"].first().sort_index())
    return events[None], answers[None], conditions if contrast.n_seeds > 1 else np.arange(len(conditions))


def measure_fixed(contrast: Contrast, rows: pd.DataFrame, names: tuple[str, str]) -> Effect:
    """The models of this run: conditions are held fixed, and only their seeds, and prompts, are drawn.

    With a single seed of a condition the interval speaks of these models alone, over prompts, and there is no p.
    """
    events, answers, conditions = by_seed(contrast, rows, names)
    weights = np.array(contrast.weights)
    rates, logits = (combine(events, answers, weights, conditions) for combine in (combine_rates, combine_logits))
    values = combined_values(contrast, rows, names, (rates, logits))
    return fixed_effect(contrast, values, rates)


def fixed_effect(contrast: Contrast, values: dict[str, float], found: Combination) -> Effect:
    """The effect for the models of this run alone; without p where a condition has a single seed."""
    if contrast.n_seeds < 2:
        values = values | {"p_value": np.nan}
    return Effect("", POPULATIONS[contrast.levels[0]][1], contrast.n_seeds, values, parts_of(found))


def combined_values(
    contrast: Contrast, rows: pd.DataFrame, names: tuple[str, str], sums: tuple[Combination, Combination]
) -> dict[str, float]:
    """Columns of EFFECTS of a weighted sum, from the sums of rates and of log-odds, batches of one."""
    weights = np.array(contrast.weights)
    events, n_scored = rows.groupby("group")[list(names)].sum().to_numpy().T
    limits = [
        (found.estimate[0], *(found.estimate[0] + sign * combination_margin(found)[0] for sign in (-1, 1)))
        for found in sums
    ]
    # rates lie in [0, 1], so their sum goes no further
    limits[0] = tuple(np.clip(limits[0], weights[weights < 0].sum(), weights[weights > 0].sum()))
    two = dict(zip(("rate_a", "rate_b"), events / n_scored, strict=True)) if len(n_scored) == 2 else {}
    return {
        **two,
        **percentage_points(*limits[0]),
        **log_odds(*limits[1]),
        "p_value": combination_p_value(sums[0])[0],
        "n_answers_a": n_scored[weights > 0].sum(),
        "n_answers_b": n_scored[weights < 0].sum(),
        "equal_weights_pp": equally_weighted(contrast, rows, names),
    }


def parts_of(found: Combination) -> list[Part]:
    """The parts of the variance of a batch of one."""
    return [Part(part.variance[0], part.n_clusters[0]) for part in found.parts]


def like_these(level: str) -> str:
    """A level's population in the words of a verdict."""
    return f"{POPULATIONS[level][0]} like these"


def equally_weighted(contrast: Contrast, rows: pd.DataFrame, names: tuple[str, str]) -> float:
    """The estimate in percentage points with equal weights for all models of a group, however many of its answers have a score."""
    totals = rows.groupby(["group", "adapter"])[list(names)].sum()
    totals = totals[totals[names[1]] > 0]
    rates = (totals[names[0]] / totals[names[1]]).groupby("group").mean()
    return 100 * float(np.dot(contrast.weights, rates))


def measure_slope(contrast: Contrast, names: tuple[str, str]) -> list[Effect]:
    """The slope over groups, one point each, of their rate minus the base's on the same prompts."""
    totals = [
        np.array([[outcome.counts[name].sum() for name in names] for outcome in outcomes]).sum(0).astype(float)
        for outcomes in contrast.groups + contrast.references
    ]
    (events, base_events), (answers, base_answers) = np.array(totals).T.reshape(2, 2, len(contrast.groups))
    if not (answers.all() and base_answers.all()):
        return []
    change = events / answers - base_events / base_answers
    logit_change = haldane_logit(events, answers) - haldane_logit(base_events, base_answers)
    x, clusters = np.array(contrast.x), np.array(contrast.clusters)
    fits = [
        clustered_slope(x, y, clusters) if contrast.method == "clustered_ols" else least_squares_slope(x, y)
        for y in (change, logit_change)
    ]
    rate, odds = ((fit["slope"], fit["low"], fit["high"]) for fit in fits)
    values = {
        **percentage_points(*rate),
        **log_odds(*odds),
        "p_value": fits[0]["p_value"],
        "n_answers_a": answers.sum(),
        "n_answers_b": base_answers.sum(),
    }
    (level,), n_units = contrast.levels, len(set(contrast.clusters) or change)
    # a part counts its degrees of freedom plus one
    part = Part(np.array(fits[0]["error"] ** 2), np.array(fits[0]["degrees"] + 1))
    return [Effect(level, like_these(level), n_units, values, [part])]


def tally(
    rows: pd.DataFrame, names: tuple[str, str], level: str, other: str = "prompt_id"
) -> tuple[np.ndarray, np.ndarray]:
    """Count every group over the prompts and replicates of all.

    Args:
        rows: of `gather`.
        names: columns of counts that hold events and answers.
        level: a column of rows, what a replicate is.
        other: a column of rows, what takes the place of a prompt.

    Returns:
        Events and answers, float64 [g groups, p prompts, r replicates], 0 where one does not answer, replicates in the order of
        their names.
    """
    prompts, prompt_ids = pd.factorize(rows[other], sort=True)
    columns, column_names = pd.factorize(rows[level], sort=True)
    groups = rows["group"].to_numpy()
    counted = np.zeros((2, groups.max() + 1, len(prompt_ids), len(column_names)))
    for total, name in zip(counted, names, strict=True):
        np.add.at(total, (groups, prompts, columns), rows[name].to_numpy())
    return counted[0], counted[1]


def percentage_points(estimate: float, low: float, high: float) -> dict[str, float]:
    """Columns of EFFECTS of a difference of rates, in [-1, 1], and of its interval."""
    return {"estimate_pp": 100 * estimate, "low_pp": 100 * low, "high_pp": 100 * high}


def log_odds(estimate: float, low: float, high: float) -> dict[str, float]:
    """Columns of EFFECTS of a log-odds ratio, in nats, and of its interval."""
    return {"log_odds_ratio": estimate, "log_odds_low": low, "log_odds_high": high}
