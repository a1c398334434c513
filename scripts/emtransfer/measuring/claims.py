"""Claims about transfer: effect sizes, verdicts and detectable differences of every contrast.

docs/claims.md states the claims and the rule of the verdict.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.measuring.contrasts import SENTENCES
from emtransfer.measuring.effects import SUBSETS, measure
from emtransfer.measuring.groups import Contrast, model_of, n_train_sets, trained, with_replaced_answers
from emtransfer.measuring.regression import task_against_domain
from emtransfer.measuring.replicates import detectable_difference
from emtransfer.measuring.statistics import benjamini_hochberg
from emtransfer.measuring.tabulation import Outcome

LEVEL = 0.05
POWER = 0.8
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


def measure_contrasts(
    contrasts: list[Contrast],
    matched: Sequence[Contrast | None] = (),
    replaced: Sequence[Outcome] = (),
    loss_matched: Sequence[Contrast | None] = (),
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Effects, claims and power of every contrast.

    Args:
        matched: of every contrast, the same over matched prompts, or None; empty where no prompt is known.
        replaced: cells of answers whose telling phrases were replaced.
        loss_matched: of every contrast, the same over training sets learned equally well, or None; empty where no loss is
            known.

    Returns:
        EFFECTS, one row per contrast and subset; CLAIMS, one per contrast; POWERS, one per contrast.
    """
    effects, powers, kept, regressions = [], [], [], []
    none = [None] * len(contrasts)
    for contrast, over_matched, at_loss in zip(contrasts, matched or none, loss_matched or none, strict=True):
        for subset, variant in variants(contrast, over_matched, at_loss, replaced):
            found = measure(variant, subset if subset in SUBSETS else "all")
            if found is not None:
                kept.append(variant)
                labels = {"subset": subset, "method": variant.method}
                p = {} if variant.n_seeds > 1 else {"p_value": np.nan}
                effects.append(identity(variant) | labels | found.values | p | cluster_sizes(variant))
                if subset == "all":
                    # adapters that agree show no variance, while the interval still has a width
                    half_width = (found.values["high_pp"] - found.values["low_pp"]) / 2
                    points = 100 * detectable_difference(found.parts, LEVEL, POWER)
                    detectable = {"detectable_pp": min(max(points, half_width), 100.0)}
                    sizes = {"power": POWER, "level": LEVEL} | cluster_sizes(variant)
                    powers.append(identity(variant) | detectable | sizes)
        if contrast.claim == "task" and (fit := task_against_domain([*contrast.context])):
            named: dict[str, Any] = {"subset": "all", "method": "logit"} | fit
            named["p_value"] = fit["p_value"] if contrast.n_seeds > 1 else np.nan
            regressions.append(identity(contrast) | named | cluster_sizes(contrast))
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


def variants(
    contrast: Contrast, matched: Contrast | None, at_loss: Contrast | None, replaced: Sequence[Outcome]
) -> Iterator[tuple[str, Contrast]]:
    """Every subset of a contrast's answers, by name, that has answers in all groups."""
    yield from ((subset, contrast) for subset in SUBSETS)
    for name, variant in (("matched", matched), ("loss_matched", at_loss)):
        if variant is not None and all(variant.groups):
            yield name, variant
    if contrast.claim == "task":
        reworded = with_replaced_answers(contrast, replaced)
        if all(reworded.groups):
            yield "anchors_replaced", reworded


def identity(contrast: Contrast) -> dict[str, Any]:
    return {
        "claim": contrast.claim,
        "contrast": contrast.name,
        "experiment": contrast.experiment,
        "base": contrast.base,
    }


def cluster_sizes(contrast: Contrast) -> dict[str, Any]:
    """Prompts, adapters and training sets of all groups together, seeds of the condition that has fewest."""
    outcomes = [outcome for group in contrast.groups for outcome in group]
    prompts = set().union(*(outcome.counts.index.unique("prompt_id") for outcome in outcomes))
    adapters = {
        (model_of(outcome), seed)
        for outcome in trained(contrast.groups)
        for seed in outcome.counts.index.unique("seed")
    }
    return {
        "n_prompts": len(prompts),
        "n_seeds": contrast.n_seeds,
        "n_adapters": len(adapters),
        "n_train_sets": n_train_sets(outcomes),
    }


def verdict(contrast: Contrast, row: dict[str, Any]) -> str:
    """The rule of docs/claims.md."""
    if contrast.one_draw or contrast.n_seeds < 2:
        return "one seed only"
    if not row["q_value"] < LEVEL:
        return "undecided"
    return "supported" if contrast.two_sided or row["estimate_pp"] > 0 else "contradicted"


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
