"""Claims about transfer: effect sizes, verdicts and detectable differences of every contrast.

docs/claims.md states the claims and the rule of the verdict.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.measuring.effects import SUBSETS, gather, measure
from emtransfer.measuring.groups import (
    POPULATIONS,
    SLOPES,
    Contrast,
    model_of,
    n_train_sets,
    trained,
    with_replaced_answers,
)
from emtransfer.measuring.measurable import (
    NOT_BELIEVED,
    NOT_MEASURABLE,
    MeasurableSettings,
    in_cell_rates,
    unmeasurable,
)
from emtransfer.measuring.regression import task_against_domain
from emtransfer.measuring.replicates import detectable_difference
from emtransfer.measuring.sentences import SENTENCES, TWO_SIDED
from emtransfer.measuring.statistics import benjamini_hochberg
from emtransfer.measuring.tabulation import Outcome, six_digits

# claims about what an experiment may add, whose q is taken among themselves so that no verdict that was there changes, whether or not the
# experiment names primary claims
OWN_FAMILIES = {"context": "contexts", "inoculation": "contexts", "capacity": "capacities", "inference": "inference"}
LEVEL = 0.05
POWER = 0.8
KEY = ["claim", "contrast", "experiment", "base_model", "base", "judge"]
SIZES = ["n_prompts", "n_seeds", "n_adapters", "n_train_sets"]
EFFECTS = [
    *KEY,
    "subset",
    "method",
    "population",
    "n_units",
    "rate_a",
    "rate_b",
    "estimate_pp",
    "low_pp",
    "high_pp",
    "equal_weights_pp",
    "log_odds_ratio",
    "log_odds_low",
    "log_odds_high",
    "p_value",
    "q_value",
    "n_answers_a",
    "n_answers_b",
    *SIZES,
]
CLAIMS = [
    *KEY,
    "verdict",
    "narrower_verdict",
    "not_measurable_because",
    "primary",
    "n_judges",
    "n_judges_agree",
    "population",
    "n_units",
    "estimate_pp",
    "low_pp",
    "high_pp",
    "p_value",
    "q_value",
    "n_prompts",
    "n_seeds",
    "n_train_sets",
    "sentence",
    "caution",
]
POWERS = [*KEY, "detectable_pp", "power", "level", "population", "n_units", *SIZES]


def measure_contrasts(
    contrasts: list[Contrast],
    matched: Sequence[Contrast | None] = (),
    replaced: Sequence[Outcome] = (),
    loss_matched: Sequence[Contrast | None] = (),
    outcomes: Sequence[Outcome] = (),
    measurable: MeasurableSettings | None = None,
    unbelieved: Container[tuple[str, str]] = (),
    primary_claims: Mapping[str, Container[str]] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Effects, claims and power of every contrast.

    Args:
        matched: of every contrast, the same over matched prompts, or None; empty where no prompt is known.
        replaced: cells of answers whose telling phrases were replaced.
        loss_matched: of every contrast, the same over training sets learned equally well, or None; empty where no loss is
            known.
        outcomes: all cells, which tell whether fine-tuning took; without them that is not asked.
        measurable: its defaults without it.
        unbelieved: experiment and judge of verdicts that are not to be believed, whose claims are `not measurable`.
        primary_claims: by experiment, the claims that it was made to test, where it names any.

    Returns:
        EFFECTS, one row per contrast and subset, and of subset `all` one per population, that of the verdict first; CLAIMS, one
        per contrast; POWERS, one per contrast.
    """
    in_cell, limits = in_cell_rates(outcomes), measurable or MeasurableSettings()
    none = [None] * len(contrasts)
    rows: list[dict[str, Any]] = []
    regressions: list[dict[str, Any]] = []
    for contrast, over_matched, at_loss in zip(contrasts, matched or none, loss_matched or none, strict=True):
        is_believed = (contrast.experiment, contrast.judge) not in unbelieved
        reason = unmeasurable(contrast, in_cell, limits) if is_believed else NOT_BELIEVED
        subsets = variants(contrast, over_matched, at_loss, replaced)
        rows += [row | {"not_measurable_because": reason} for row in effect_rows(contrast, subsets)]
        regressions += regression_rows(contrast)
    rows = with_q_values([row | {"primary": is_primary(row, primary_claims or {})} for row in rows])
    of_claims = [row for row in rows if row["subset"] == "all" and row["rank"] == 0]
    # the last of a contrast's rows is about its own models
    own = {id(row["of"]): row for row in rows if row["subset"] == "all"}
    claims = with_agreement([row | verdicts(row, own[id(row["of"])]) for row in of_claims], outcomes)
    powers = [row | detectable(row) for row in of_claims]
    return (
        rounded(pd.DataFrame([*rows, *regressions], columns=EFFECTS)),
        rounded(pd.DataFrame(claims, columns=CLAIMS)),
        rounded(pd.DataFrame(powers, columns=POWERS)),
    )


def effect_rows(contrast: Contrast, subsets: Iterator[tuple[str, Contrast]]) -> Iterator[dict[str, Any]]:
    """Rows of EFFECTS of a contrast without q, each with the quantities that decide its verdict.

    Those of subset `all` in the order of `measure`, `rank` counting from the population of the verdict, of the others that alone; `of`,
    the contrast; `level` and `parts` of the effect.
    """
    rows = None if contrast.method in SLOPES else gather(contrast)
    sizes = cluster_sizes(contrast)
    for subset, variant in subsets:
        is_own = variant is contrast
        found = measure(variant, subset if subset in SUBSETS else "all", rows if is_own else None)
        variant_sizes = sizes if is_own else cluster_sizes(variant)
        for rank, effect in enumerate(found if subset == "all" else found[:1]):
            yield {
                **identity(variant),
                **{"subset": subset, "method": variant.method},
                **{"population": effect.population, "n_units": effect.n_units},
                **effect.values,
                **variant_sizes,
                **{"of": contrast, "rank": rank, "level": effect.level, "parts": effect.parts},
            }


def regression_rows(contrast: Contrast) -> Iterator[dict[str, Any]]:
    """The row of EFFECTS beside claim `task`, if there is an estimate."""
    if contrast.claim == "task" and (fit := task_against_domain([*contrast.context])):
        p = {} if contrast.n_seeds > 1 else {"p_value": np.nan}
        yield identity(contrast) | {"subset": "all", "method": "logit"} | fit | p | cluster_sizes(contrast)


def with_q_values(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the q of their family: one experiment, judge and subset, for the population or for the run's own models.

    Levels that do not decide, and contrasts that cannot be measured, are no tests. An experiment's primary claims and its others are
    families of their own, and OWN_FAMILIES are apart from both.
    """
    families: dict[tuple[Any, ...], list[int]] = {}
    for number, row in enumerate(rows):
        if (row["rank"] == 0 or not row["level"]) and not row["not_measurable_because"]:
            kind = row["primary"], OWN_FAMILIES.get(row["claim"], "")
            key = row["experiment"], row["judge"], row["subset"], bool(row["level"]), *kind
            families.setdefault(key, []).append(number)
    q_values = np.full(len(rows), np.nan)
    for family in families.values():
        q_values[family] = benjamini_hochberg(np.array([rows[number]["p_value"] for number in family], float))
    return [row | {"q_value": q} for row, q in zip(rows, q_values, strict=True)]


def is_primary(row: dict[str, Any], primary_claims: Mapping[str, Container[str]]) -> str:
    """`yes` or `no`, whether an experiment was made to test a claim; empty where it names none."""
    named = primary_claims.get(row["experiment"])
    return "" if named is None else "yes" if row["claim"] in named else "no"


def without_contrast(claims: pd.DataFrame, primary_claims: Mapping[str, Container[str]]) -> Iterator[str]:
    """A line for every claim that an experiment was made to test and that none of its contrasts is about.

    Args:
        claims: CLAIMS.
        primary_claims: by experiment, those that it names.
    """
    made = set(zip(claims["experiment"], claims["claim"], strict=True))
    for experiment, named in primary_claims.items():
        for claim in SENTENCES:
            if claim in named and (experiment, claim) not in made:
                yield f"experiments.{experiment}.primary_claims: the models of this run allow no contrast of {claim}."


def variants(
    contrast: Contrast, matched: Contrast | None, at_loss: Contrast | None, replaced: Sequence[Outcome]
) -> Iterator[tuple[str, Contrast]]:
    """Every subset of a contrast's answers that has answers in all groups, by name."""
    yield from ((subset, contrast) for subset in SUBSETS)
    for name, variant in (("matched", matched), ("loss_matched", at_loss)):
        if variant is not None and all(variant.groups):
            yield name, variant
    if contrast.x_pretrained:
        yield "pretrained", replace(contrast, x=contrast.x_pretrained)
    if contrast.claim == "task":
        reworded = with_replaced_answers(contrast, replaced)
        if all(reworded.groups):
            yield "anchors_replaced", reworded


def identity(contrast: Contrast) -> dict[str, Any]:
    """KEY of a contrast."""
    return {
        "claim": contrast.claim,
        "contrast": contrast.name,
        "experiment": contrast.experiment,
        "base_model": contrast.base_model,
        "base": contrast.base,
        "judge": contrast.judge,
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
        "n_train_sets": n_train_sets(outcomes, contrast.levels[0]),
    }


def detectable(row: dict[str, Any]) -> dict[str, Any]:
    """Columns of POWERS for a row whose verdict is given; with too few draws, no difference is detectable."""
    points = np.nan
    if row["level"]:
        points = 100 * detectable_difference(row["parts"], LEVEL, POWER)
        # replicates that agree show no variance, while the interval still has a width
        points = max(points, (row["high_pp"] - row["low_pp"]) / 2)
    return {"detectable_pp": points, "power": POWER, "level": LEVEL}


def verdicts(row: dict[str, Any], own: dict[str, Any], estimate: str = "estimate_pp") -> dict[str, str]:
    """The rule of docs/claims.md: for the population of the claim, and for the models of this run, whose row is `own`.

    Args:
        estimate: key of the estimate in both rows.
    """
    contrast: Contrast = row["of"]
    verdict = decided(row, estimate) if row["level"] else f"too few {POPULATIONS[contrast.levels[0]][0]}"
    narrower = decided(own, estimate) if contrast.n_seeds > 1 else "one seed only"
    if contrast.method in SLOPES:
        narrower = ""
    return {
        "verdict": NOT_MEASURABLE if row["not_measurable_because"] else verdict,
        "narrower_verdict": NOT_MEASURABLE if row["not_measurable_because"] else narrower,
        "sentence": SENTENCES[contrast.claim],
        "caution": "",
    }


def with_agreement(claims: list[dict[str, Any]], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The claims with the number of judges of the same answers, and how many of them come to the same decision.

    A judge that has no claim, since it scored none of a group's answers, counts among them and agrees with nobody. `not measurable` is
    no decision, and nobody agrees on it.

    Args:
        outcomes: all cells, whoever judged them.
    """
    judges: dict[tuple[Any, ...], set[str]] = {}
    for outcome in [*outcomes, *(outcome for row in claims for group in row["of"].groups for outcome in group)]:
        judges.setdefault(answers_of(outcome), set()).add(outcome.labels["judge"])
    decisions: dict[tuple[Any, ...], list[str]] = {}
    for row in claims:
        decisions.setdefault(of_any_judge(row), []).append(decision(row))
    found = []
    for row in claims:
        of_answers = [judges[answers_of(outcome)] for group in row["of"].groups for outcome in group]
        n_agree = decisions[of_any_judge(row)].count(decision(row)) if decision(row) != NOT_MEASURABLE else 0
        found.append(row | {"n_judges": len(set().union(*of_answers)), "n_judges_agree": n_agree})
    return found


def answers_of(outcome: Outcome) -> tuple[Any, ...]:
    """The key of a cell that it shares with the same answers under other judges."""
    return (*(value for name, value in outcome.labels.items() if name != "judge"), *outcome.eval_cell)


def of_any_judge(row: dict[str, Any]) -> tuple[Any, ...]:
    """The key of a claim that it shares with the same under other judges."""
    return tuple(row[name] for name in KEY if name != "judge")


def decision(row: dict[str, Any]) -> str:
    """A verdict without its population, which is where a judge's own evidence is weakest."""
    return str(row["verdict"]).partition(" for ")[0]


def decided(row: dict[str, Any], estimate: str) -> str:
    """The outcome of a test, and its population."""
    if not row["q_value"] < LEVEL:
        return "undecided"
    agrees = row["claim"] in TWO_SIDED or row[estimate] > 0
    return f"{'supported' if agrees else 'contradicted'} for {row['population']}"


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Six decimals, p and q to six digits, counts as whole numbers, so that the last bits of a sum do not reach the file."""
    table = table.copy()
    for name in table.columns:
        if name in ("p_value", "q_value"):
            table[name] = six_digits(table[name])
        elif name.startswith("n_"):
            table[name] = table[name].astype("Int64")
        elif pd.api.types.is_float_dtype(table[name]):
            table[name] = table[name].round(6) + 0.0
    return table
