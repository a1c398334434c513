"""Prompts of equal difficulty: matched 1:1 between the groups of a contrast, and how far the groups differ before and after."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from emtransfer.errors import counted
from emtransfer.measuring.groups import SLOPES, Contrast, asked, restricted
from emtransfer.measuring.tabulation import Outcome

# variables in which a pair of prompts must agree, and to how many SDs
MATCHED_ON = ["solvability", "coherent_rate", "aligned_rate", "misaligned_nats_per_token"]
CALIPER_SD = 0.25
# the mean over the prompts of an evaluation cell too, which a few answers to one prompt measure badly
OF_CELLS = {f"cell_{name}": name for name in MATCHED_ON}
# after misaligned answers; only some bases are shown any
FEW_SHOT = "few_shot_rate"
SHOWN = [*MATCHED_ON, *OF_CELLS, "aligned_nats_per_token", "base_em_rate", "base_aligned_rate", FEW_SHOT]
BALANCE = (
    "experiment base claim contrast variable matched_on stage group_a group_b mean_a mean_b smd n_prompts_a n_prompts_b"
).split()

Measures = dict[tuple[str, str], pd.DataFrame]


def prompt_measures(outcomes: list[Outcome], prompts: Measures) -> Measures:
    """Measures of the prompts before any fine-tuning.

    Args:
        outcomes: those of bases give the rates of misaligned and of aligned answers among the scored ones.
        prompts: by experiment and base, a row per prompt_id: MATCHED_ON, aligned_nats_per_token and entropy_nats, and few_shot_rate
            where misaligned answers were shown.

    Returns:
        By experiment and base, indexed by prompt_id, with base_em_rate, base_aligned_rate and, of the evaluation cell that a
        prompt is in, the means OF_CELLS.
    """
    measures = {}
    for key, frame in prompts.items():
        own = [outcome for outcome in outcomes if (outcome.labels["experiment"], outcome.labels["base"]) == key]
        bases = [outcome for outcome in own if outcome.labels["condition"] == "base" and not outcome.eval_context]
        counts = pd.concat([outcome.counts for outcome in bases]).groupby("prompt_id").sum()
        cell_of = {prompt: "|".join(outcome.eval_cell) for outcome in bases for prompt in asked(outcome)}
        rates = {
            "base_em_rate": counts.n_misaligned / counts.n_scored,
            "base_aligned_rate": (counts.n_coherent - counts.n_misaligned) / counts.n_scored,
        }
        known_of = frame.set_index("prompt_id")
        if FEW_SHOT not in known_of:
            known_of = known_of.assign(**{FEW_SHOT: np.nan})
        by_cell = known_of.groupby(known_of.index.map(cell_of))
        means = {name: by_cell[of_prompt].transform("mean") for name, of_prompt in OF_CELLS.items()}
        measures[key] = known_of.assign(**means).join(pd.DataFrame(rates))
    return measures


def match_prompts(contrast: Contrast, measures: Measures) -> Contrast | None:
    """The contrast over matched prompts: every group's are paired with the first's, and only whole tuples are kept.

    Pairs are made within each training set that all groups have, or over all where there is none, and agree in all `variables`.
    Groups that ask the same prompts stay as they are.

    Returns:
        The contrast, its groups empty where nothing matches; None for a line over many groups, which compares each
        with the base on the same prompts, or where nothing is known of the prompts.
    """
    if contrast.method in SLOPES or not known(contrast, measures):
        return None
    strata = contrast_strata(contrast)
    samples = [group_sample(contrast, group, measures, strata) for group in contrast.groups]
    if all(set(samples[0].index) == set(sample.index) for sample in samples[1:]):
        return contrast
    names = variables(samples)
    if not names:
        return None
    sds = [pooled_sd([sample[name] for sample in samples]) for name in names]
    kept: list[set[tuple[str, str]]] = [set() for _ in samples]
    for stratum in strata:
        members = [sample[sample.index.get_level_values("stratum") == stratum] for sample in samples]
        first, *others = (sample[names].to_numpy() for sample in members)
        partners = [dict(matched_pairs(first, other, sds)) for other in others]
        whole = reduce(set.intersection, (set(pairs) for pairs in partners))
        kept[0] |= {members[0].index[row] for row in whole}
        for rows, other, pairs in zip(kept[1:], members[1:], partners, strict=True):
            rows |= {other.index[pairs[row]] for row in whole}
    groups = tuple(of_pairs(group, rows, strata) for group, rows in zip(contrast.groups, kept, strict=True))
    return replace(contrast, groups=groups)


def variables(samples: list[pd.DataFrame]) -> list[str]:
    """Which of MATCHED_ON every group has a value of; another cannot be compared, and is left out in all training sets."""
    return [name for name in MATCHED_ON if all(sample[name].notna().any() for sample in samples)]


def matched_pairs(values: np.ndarray, others: np.ndarray, sds: Sequence[float]) -> list[tuple[int, int]]:
    """Pairs of rows within the caliper on every variable: as many as possible, then with the smallest distances.

    Args:
        values: float [n, v]; a row with a missing value has no partner.
        others: float [m, v].
        sds: of each variable, its SD; where it is 0, only equal values match.

    Returns:
        Row of values and row of others, each once at most.

    Source: optimal matching within calipers, Rosenbaum (1989), JASA 84:1024; 0.2 to 0.25 SD is the usual caliper,
        Austin (2011), Pharmaceutical Statistics 10:150.
    """
    gaps = np.abs(values[:, None] - others[None, :])
    with np.errstate(divide="ignore", invalid="ignore"):
        gaps = np.where(gaps == 0, 0.0, gaps / np.array(sds, float))
    allowed = np.asarray((np.nan_to_num(gaps, nan=np.inf) <= CALIPER_SD).all(-1))
    cost = (np.where(allowed[..., None], gaps, 0) ** 2).sum(-1)
    # one forbidden pair costs more than all others together, so the number of pairs comes first
    beyond = 1 + min(cost.shape) * len(sds) * CALIPER_SD**2
    rows, columns = linear_sum_assignment(np.where(allowed, cost, beyond))
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]]


def balance_table(contrasts: list[Contrast], matched: Sequence[Contrast | None], measures: Measures) -> pd.DataFrame:
    """How far the prompts of two groups differ before and after matching.

    A contrast of more groups whose prompts differ has a row per group, each against the first; one whose groups ask the
    same prompts has none.

    Returns:
        BALANCE; matched_on says whether the groups were matched on the variable, smd is the difference of the means over the pooled
        SD of the stage.
    """
    rows = []
    for contrast, over_matched in zip(contrasts, matched, strict=True):
        if over_matched is None or (len(contrast.groups) > 2 and over_matched is contrast):
            continue
        strata = contrast_strata(contrast)
        pairs = [(0, 1)] if len(contrast.groups) == 2 else [(group, 0) for group in range(len(contrast.groups))]
        used = variables([group_sample(contrast, group, measures, strata) for group in contrast.groups])
        for stage, variant in (("before", contrast), ("after", over_matched)):
            samples = [group_sample(contrast, group, measures, strata) for group in variant.groups]
            for (one, other), name in ((pair, name) for pair in pairs for name in SHOWN):
                sides = [samples[group][name].dropna() for group in (one, other)]
                if name == FEW_SHOT and not any(map(len, sides)):
                    continue
                rows.append(
                    {
                        "experiment": contrast.experiment,
                        "base": contrast.base,
                        "claim": contrast.claim,
                        "contrast": contrast.name,
                        "variable": name,
                        "matched_on": name in used,
                        "stage": stage,
                        "group_a": contrast.names[one],
                        "group_b": contrast.names[other],
                        "mean_a": sides[0].mean(),
                        "mean_b": sides[1].mean(),
                        "smd": standardised_difference(*sides),
                        "n_prompts_a": len({index[-1] for index in sides[0].index}),
                        "n_prompts_b": len({index[-1] for index in sides[1].index}),
                    }
                )
    table = pd.DataFrame(rows, columns=BALANCE)
    numbers = ["mean_a", "mean_b", "smd"]
    table[numbers] = table[numbers].astype(float).round(6) + 0.0
    return table


def left_out(balance: pd.DataFrame) -> list[str]:
    """Lines that say which variables the contrasts of a balance table could not be matched on."""
    if balance.empty:
        return ["Nothing is known of the prompts, so no contrast is matched on them."]
    contrasts = balance.drop_duplicates(["experiment", "base", "claim", "contrast", "variable"])
    lines = []
    for name in MATCHED_ON:
        used = contrasts.loc[contrasts["variable"] == name, "matched_on"].astype(bool)
        if not used.all():
            lines.append(
                f"{name}: unknown on a side of {(~used).sum()} of {counted(len(used), 'contrast')}: not matched on it."
            )
    return lines


def standardised_difference(one: pd.Series, other: pd.Series) -> float:
    """Difference of the means over the pooled SD; 0 if they are equal, missing if one side has no value."""
    gap = one.mean() - other.mean()
    if abs(gap) < 1e-12:  # equal constants may differ in the last bit
        return 0.0
    with np.errstate(divide="ignore"):
        return float(np.divide(gap, pooled_sd([one, other])))


def pooled_sd(samples: Sequence[pd.Series]) -> float:
    """Root of the mean variance of the samples; a single value has none."""
    return float(np.sqrt(np.mean([np.nan_to_num(sample.var()) for sample in samples])))


def known(contrast: Contrast, measures: Measures) -> bool:
    """Whether the prompts of all bases concerned are described."""
    return all(
        (contrast.experiment, outcome.labels["base"]) in measures for group in contrast.groups for outcome in group
    )


def contrast_strata(contrast: Contrast) -> set[str]:
    """Training sets that all groups have; one stratum without a name where there is none."""
    shared = set.intersection(*({outcome.labels["train_set"] for outcome in group} for group in contrast.groups))
    return shared or {""}


def stratum_of(outcome: Outcome, strata: set[str]) -> str:
    """The stratum of a cell: its training set, or the one without a name."""
    return "" if strata == {""} else outcome.labels["train_set"]


def group_sample(contrast: Contrast, group: list[Outcome], measures: Measures, strata: set[str]) -> pd.DataFrame:
    """Measures of a group's prompts: a row per base, stratum and prompt, with SHOWN, indexed by the latter two."""
    rows = {
        (outcome.labels["base"], stratum_of(outcome, strata), prompt)
        for outcome in group
        if stratum_of(outcome, strata) in strata
        for prompt in asked(outcome)
    }
    index = pd.MultiIndex.from_tuples(sorted(rows), names=["base", "stratum", "prompt_id"])
    frames = [
        measures[contrast.experiment, base].reindex(index[index.get_level_values("base") == base].get_level_values(2))
        for base in index.unique("base")
    ]
    values = pd.concat(frames)[SHOWN].to_numpy(float) if frames else np.empty((0, len(SHOWN)))
    return pd.DataFrame(values, index.droplevel("base"), SHOWN)


def of_pairs(group: list[Outcome], rows: set[tuple[str, str]], strata: set[str]) -> list[Outcome]:
    """The answers of a group to the (stratum, prompt) kept."""
    by_stratum = {name: {prompt for stratum, prompt in rows if stratum == name} for name in strata}
    return [
        kept for outcome in group for kept in restricted([outcome], by_stratum.get(stratum_of(outcome, strata), set()))
    ]
