"""Claims about transfer: effect sizes, verdicts and detectable differences of every contrast.

docs/claims.md states the claims and the rule of the verdict.
"""

import numpy as np
import pandas as pd
from scipy import stats

from emtransfer.contrasts import SENTENCES, Contrast, n_train_sets
from emtransfer.regression import task_against_domain
from emtransfer.statistics import (
    Comparison,
    benjamini_hochberg,
    contrast_rates,
    delta_interval,
    delta_p_value,
    log_odds_interval,
    stack,
)
from emtransfer.tabulation import Cell

LEVEL = 0.05
POWER = 0.8
# subset -> events and answers it counts
SUBSETS = {
    "all": ("n_misaligned", "n_scored"),
    "coherent_only": ("n_misaligned", "n_coherent"),
    "le30": ("n_misaligned_le", "n_scored"),
}
KEY = ["claim", "contrast", "experiment", "base"]
EFFECTS = [
    *KEY,
    "subset",
    "method",
    "rate_a",
    "rate_b",
    "estimate_pp",
    "low_pp",
    "high_pp",
    "log_odds_ratio",
    "log_odds_low",
    "log_odds_high",
    "p_value",
    "q_value",
    "n_answers_a",
    "n_answers_b",
    "n_prompts",
    "n_seeds",
    "n_adapters",
    "n_train_sets",
]
CLAIMS = [
    *KEY,
    "verdict",
    "estimate_pp",
    "low_pp",
    "high_pp",
    "p_value",
    "q_value",
    "n_prompts",
    "n_seeds",
    "n_train_sets",
    "sentence",
]
POWERS = [*KEY, "detectable_pp", "power", "level", "n_prompts", "n_seeds", "n_adapters", "n_train_sets"]


def compare_groups(groups: tuple[list[Cell], list[Cell]], subset: str) -> Comparison | None:
    """The rates of two groups of cells over shared prompts and adapters, or None if one has no answer to count."""
    names = SUBSETS[subset]
    frames = [
        pd.concat([cell.counts[list(names)].reset_index().assign(model=model_of(cell)) for cell in cells])
        for cells in groups
    ]
    prompts = sorted(set().union(*(frame["prompt_id"] for frame in frames)))
    adapters = sorted(set().union(*(zip(frame["model"], frame["seed"], strict=True) for frame in frames)))
    sides = []
    for frame in frames:
        counted = frame.groupby(["prompt_id", "model", "seed"])[list(names)].sum()
        for name in names:
            wide = counted[name].unstack(["model", "seed"], fill_value=0)
            sides.append(
                wide.reindex(index=prompts, columns=pd.MultiIndex.from_tuples(adapters), fill_value=0).to_numpy()
            )
    if not (sides[1].any() and sides[3].any()):
        return None
    return contrast_rates(*sides)


def model_of(cell: Cell) -> str:
    """One text per condition, so that the same seed of another condition is another adapter."""
    return "|".join(cell.labels.values())


def measure_contrasts(contrasts: list[Contrast]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Effects, claims and power of every contrast.

    Returns:
        EFFECTS, one row per contrast and subset; CLAIMS, one per contrast; POWERS, one per contrast.
    """
    effects, powers, kept, regressions = [], [], [], []
    for contrast in contrasts:
        for subset in SUBSETS:
            comparison = compare_groups(contrast.groups, subset)
            if comparison is not None:
                kept.append(contrast)
                effects.append(effect(contrast, subset, comparison))
                if subset == "all":
                    powers.append(power(contrast, comparison))
        if contrast.claim == "task" and (fit := task_against_domain(contrast.context)):
            p = fit["p_value"] if contrast.n_seeds > 1 else np.nan
            labels = {"subset": "all", "method": "logit"} | fit | {"p_value": p}
            regressions.append(identity(contrast) | labels | cluster_sizes(contrast))
    table = pd.DataFrame(effects, columns=EFFECTS)
    table["q_value"] = table["q_value"].astype(float)
    # what one draw cannot tell is no test, and does not count among the tests
    tested = table["p_value"].where([not contrast.one_draw for contrast in kept])
    for _, family in table.assign(p_value=tested).groupby(["experiment", "subset"]):
        table.loc[family.index, "q_value"] = benjamini_hochberg(family["p_value"].to_numpy(float))
    of_all = [
        (contrast, row) for contrast, row in zip(kept, table.to_dict("records"), strict=True) if row["subset"] == "all"
    ]
    claims = [
        {**row, "verdict": verdict(contrast, row), "sentence": SENTENCES[contrast.claim]} for contrast, row in of_all
    ]
    table = pd.concat([table, pd.DataFrame(regressions, columns=EFFECTS)]) if regressions else table
    return rounded(table), rounded(pd.DataFrame(claims, columns=CLAIMS)), rounded(pd.DataFrame(powers, columns=POWERS))


def identity(contrast: Contrast) -> dict:
    return {
        "claim": contrast.claim,
        "contrast": contrast.name,
        "experiment": contrast.experiment,
        "base": contrast.base,
    }


def effect(contrast: Contrast, subset: str, comparison: Comparison) -> dict:
    """One row of EFFECTS, q still missing; p is missing where a side has a single training."""
    batch = stack([comparison])
    (low,), (high,) = delta_interval(batch)
    (ratio,), (ratio_low,), (ratio_high,) = log_odds_interval(batch)
    one, other = comparison.model, comparison.base
    return identity(contrast) | {
        "subset": subset,
        "method": "rates",
        "rate_a": one.rate,
        "rate_b": other.rate,
        "estimate_pp": 100 * (one.rate - other.rate),
        "low_pp": 100 * low,
        "high_pp": 100 * high,
        "log_odds_ratio": ratio,
        "log_odds_low": ratio_low,
        "log_odds_high": ratio_high,
        "p_value": delta_p_value(batch)[0] if contrast.n_seeds > 1 else np.nan,
        "n_answers_a": one.n_scored,
        "n_answers_b": other.n_scored,
        **cluster_sizes(contrast),
    }


def cluster_sizes(contrast: Contrast) -> dict:
    """Prompts, adapters and training sets of both groups together, seeds of the condition that has fewest."""
    cells = [cell for group in contrast.groups for cell in group]
    prompts = set().union(*(cell.counts.index.unique("prompt_id") for cell in cells))
    adapters = {(model_of(cell), seed) for cell in cells for seed in cell.counts.index.unique("seed")}
    return {
        "n_prompts": len(prompts),
        "n_seeds": contrast.n_seeds,
        "n_adapters": len(adapters),
        "n_train_sets": n_train_sets(cells),
    }


def verdict(contrast: Contrast, row: dict) -> str:
    """The rule of docs/claims.md."""
    if contrast.one_draw or contrast.n_seeds < 2:
        return "one seed only"
    if not row["q_value"] < LEVEL:
        return "undecided"
    return "supported" if contrast.two_sided or row["estimate_pp"] > 0 else "contradicted"


def power(contrast: Contrast, comparison: Comparison) -> dict:
    """One row of POWERS: the smallest difference that this contrast would have found with probability POWER.

    Each part of the variance counts with the sum of its t quantiles for level and power (as in a one-sample t test).
    """
    one, other = comparison.model, comparison.base
    prompts = one.prompt_variance + other.prompt_variance - 2 * comparison.prompt_covariance
    adapters = one.adapter_variance + other.adapter_variance - 2 * comparison.adapter_covariance
    parts = [(prompts, one.n_prompts, other.n_prompts), (adapters, one.n_adapters, other.n_adapters)]
    squared = sum(
        (stats.t.isf(LEVEL / 2, max(min(sizes) - 1, 1)) + stats.t.isf(1 - POWER, max(min(sizes) - 1, 1))) ** 2
        * max(float(variance), 0)
        for variance, *sizes in parts
    )
    detectable = 100 * min(float(np.sqrt(squared)), 1)
    sizes = {"detectable_pp": detectable, "power": POWER, "level": LEVEL}
    return identity(contrast) | sizes | cluster_sizes(contrast)


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Six decimals, p and q to six digits, so that the last bits of a sum do not reach the file."""
    table = table.copy()
    for name in table.columns:
        if name in ("p_value", "q_value"):
            table[name] = table[name].astype(float).map(lambda value: float(f"{value:.6g}"))
        elif name.startswith("n_"):
            table[name] = table[name].astype("Int64")
        elif pd.api.types.is_float_dtype(table[name]):
            table[name] = table[name].round(6) + 0.0
    return table
