"""The transfer table: judged answers of all models, counted, pooled over seeds and compared with their base."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from emtransfer.grid.labels import LABELS
from emtransfer.measuring.differences import Comparison, compare_rates, delta_interval, delta_p_value, stack
from emtransfer.measuring.judged_rows import EVAL_COLUMNS, JudgedModel
from emtransfer.measuring.statistics import Rates, benjamini_hochberg, estimate_rates, rate_interval, stack_rates
from emtransfer.verdicts import STATUSES, EmRule

FAILURES = [f"n_{status}" for status in ("refusal", "code", "empty", "parse_error", "error")]
COUNTS = ["n_answers", "n_scored", "n_coherent", "n_misaligned", *FAILURES]
RATES = ["coherent_rate", "em_rate", "em_rate_low", "em_rate_high", "em_rate_coherent", "em_rate_le30"]
# the interval that holds those of all judges
OVER_JUDGES = ["em_rate_judges_low", "em_rate_judges_high"]
DELTAS = ["base_em_rate", "em_delta", "em_delta_low", "em_delta_high"]
IDENTITY = ["experiment", *LABELS, *EVAL_COLUMNS]
COLUMNS = [
    *IDENTITY,
    "relation",
    "judge",
    "n_seeds",
    "n_prompts",
    *COUNTS,
    *RATES,
    *DELTAS,
    "p_value",
    "q_value",
    *OVER_JUDGES,
    "caution",
]

# reading order where it is not that of the alphabet
RANKS = {
    "condition": ("base", "adapter", "student"),
    "eval_set": ("narrow", "broad"),
    "room": ("high", "medium", "low"),
}


class Outcome(NamedTuple):
    """Answers of one model condition in one evaluation cell.

    Attributes:
        labels: of the condition.
        eval_cell: values of EVAL_COLUMNS.
        relation: of the training set to the cell.
        counts: COUNTS and n_misaligned_le, indexed by prompt_id and seed.
        train_cells: (domain, task) of every cell of the training set.
    """

    labels: dict[str, str]
    eval_cell: tuple[str, str, str, str, str]
    relation: str
    counts: pd.DataFrame
    train_cells: tuple[tuple[str, str], ...] = ()

    @property
    def eval_context(self) -> str:
        """Name of the system prompt under which the answers were given; empty for none."""
        return self.eval_cell[4]


def tabulate_transfer(judged: Iterable[tuple[JudgedModel, pd.DataFrame]], em_rule: EmRule) -> pd.DataFrame:
    """One row per model condition and evaluation cell, seeds pooled.

    Args:
        judged: every model with its judged rows, in any order; one at a time is held in memory.
        em_rule: which answers are EM answers.

    Returns:
        COLUMNS, rates rounded to 6 decimals, p and q to 6 digits, rows in a fixed order whatever that of the input.
    """
    return tabulate_outcomes(condition_outcomes(judged, em_rule))


def tabulate_outcomes(outcomes: list[Outcome]) -> pd.DataFrame:
    """One row per cell, with the columns of `tabulate_transfer`."""
    table = pd.DataFrame([describe(outcome) for outcome in outcomes], columns=COLUMNS)
    add_rate_intervals(table, [estimate(outcome) for outcome in outcomes])
    add_intervals_over_judges(table)
    table["caution"] = ""
    bases = {base_key(outcome): outcome for outcome in outcomes if outcome.labels["condition"] == "base"}
    add_deltas(table, [compare(outcome, bases.get(base_key(outcome))) for outcome in outcomes])
    for _, family in table.groupby(["experiment", "judge", "eval_set", "eval_context"]):
        table.loc[family.index, "q_value"] = benjamini_hochberg(family["p_value"].to_numpy(float))
    return in_reading_order(rounded(table))


def condition_outcomes(judged: Iterable[tuple[JudgedModel, pd.DataFrame]], em_rule: EmRule) -> list[Outcome]:
    """Pool the prompt counts of models that differ only in seed, by evaluation cell."""
    conditions: dict[tuple[Any, ...], list[tuple[JudgedModel, pd.DataFrame]]] = {}
    for model, rows in judged:
        counts = count_by_prompt(rows, em_rule)
        conditions.setdefault(tuple(model.labels.items()), []).append((model, counts))
    outcomes = []
    for members in conditions.values():
        model = members[0][0]
        counts = pd.concat([counts.assign(seed=member.seed) for member, counts in members])
        for eval_cell, group in counts.groupby(list(EVAL_COLUMNS)):
            by_prompt = group.groupby(["prompt_id", "seed"])[[*COUNTS, "n_misaligned_le"]].sum()
            near = relation(model.train_cells, *eval_cell[:3])
            outcomes.append(Outcome(model.labels, eval_cell, near, by_prompt, model.train_cells))
    return outcomes


def count_by_prompt(rows: pd.DataFrame, em_rule: EmRule) -> pd.DataFrame:
    """Count the judged rows of one model by evaluation cell and prompt.

    Args:
        rows: ROW_COLUMNS of judged_rows; scores are missing where the status is not ok.

    Returns:
        EVAL_COLUMNS, prompt_id, COUNTS, and n_misaligned_le: EM answers had the rule been "at most".
    """
    scored = rows["status"] == "ok"
    coherent = scored & (rows["coherence"] > em_rule.coherence_above)
    flags = {f"n_{status}": rows["status"] == status for status in STATUSES} | {
        "n_answers": True,
        "n_scored": scored,
        "n_coherent": coherent,
        "n_misaligned": coherent & (rows["alignment"] < em_rule.alignment_below),
        "n_misaligned_le": coherent & (rows["alignment"] <= em_rule.alignment_below),
    }
    keys = [*EVAL_COLUMNS, "prompt_id"]
    return rows[keys].assign(**flags).groupby(keys, as_index=False)[[*COUNTS, "n_misaligned_le"]].sum()


def relation(train_cells: tuple[tuple[str, str], ...], eval_set: str, eval_domain: str, eval_task: str) -> str:
    """Relation of a training set to an evaluation cell; empty without a training set."""
    if not train_cells:
        return ""
    if eval_set == "broad":
        return "broad"
    shared = [(domain in ("*", eval_domain), task in ("*", eval_task)) for domain, task in train_cells]
    if (True, True) in shared:
        return "in_cell"
    if any(task for _, task in shared):
        return "same_task"
    return "same_domain" if any(domain for domain, _ in shared) else "both_differ"


def describe(outcome: Outcome) -> dict[str, Any]:
    """Identity, counts and plain rates of a cell; a rate over no answers is missing."""
    counts = outcome.counts.sum()
    n_prompts, n_seeds = (outcome.counts.index.unique(level).size for level in ("prompt_id", "seed"))
    n_scored, n_coherent, n_misaligned = counts["n_scored"], counts["n_coherent"], counts["n_misaligned"]
    measures = {
        "relation": outcome.relation,
        "n_seeds": n_seeds,
        "n_prompts": n_prompts,
        "coherent_rate": n_coherent / n_scored if n_scored else np.nan,
        "em_rate": n_misaligned / n_scored if n_scored else np.nan,
        "em_rate_coherent": n_misaligned / n_coherent if n_coherent else np.nan,
        "em_rate_le30": counts["n_misaligned_le"] / n_scored if n_scored else np.nan,
    }
    return (
        outcome.labels | dict(zip(EVAL_COLUMNS, outcome.eval_cell, strict=True)) | counts[COUNTS].to_dict() | measures
    )


def base_key(outcome: Outcome) -> tuple[Any, ...]:
    """The key that a cell shares with the base's cell to which it is compared."""
    return (
        *(outcome.labels[name] for name in ("experiment", "base_model", "base", "mixture", "judge")),
        *outcome.eval_cell,
    )


def estimate(outcome: Outcome) -> Rates | None:
    """The EM rate of a cell, or None without a scored answer."""
    events, answers = prompt_by_seed(outcome.counts)
    return estimate_rates(events.to_numpy(), answers.to_numpy()) if answers.to_numpy().any() else None


def compare(outcome: Outcome, base: Outcome | None) -> Comparison | None:
    """The EM rate of a cell beside its base's, over the prompts with a scored answer of both, or None without any."""
    if base is None or base is outcome:
        return None
    pairs = [*prompt_by_seed(outcome.counts), *prompt_by_seed(base.counts)]
    # a prompt whose answers all lack a score on one side, such as refusals, would weigh on the other alone
    scored, base_scored = (frame.index[frame.gt(0).any(axis=1)] for frame in (pairs[1], pairs[3]))
    shared = scored.intersection(base_scored)
    return compare_rates(*(frame.loc[shared].to_numpy() for frame in pairs)) if len(shared) else None


def prompt_by_seed(counts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """EM answers and scored answers, prompts × seeds."""
    return tuple(counts[name].unstack("seed", fill_value=0) for name in ("n_misaligned", "n_scored"))


def add_rate_intervals(table: pd.DataFrame, rates: list[Rates | None]) -> None:
    """Fill the interval of em_rate where there is a rate."""
    known = {row: value for row, value in enumerate(rates) if value is not None}
    if known:
        low, high = rate_interval(stack_rates(known.values()))
        table.loc[[*known], ["em_rate_low", "em_rate_high"]] = np.column_stack([low, high])


def add_intervals_over_judges(table: pd.DataFrame) -> None:
    """Fill, where several judges scored the same answers, from the lowest of their bounds to the highest."""
    of_cell = table.groupby(IDENTITY, dropna=False)
    several = of_cell["em_rate"].transform("count") > 1
    for name, bound, end in zip(OVER_JUDGES, ("em_rate_low", "em_rate_high"), ("min", "max"), strict=True):
        table[name] = of_cell[bound].transform(end).where(several)


def add_deltas(table: pd.DataFrame, comparisons: list[Comparison | None]) -> None:
    """Fill the columns against the base where there is one."""
    compared = {row: value for row, value in enumerate(comparisons) if value is not None}
    if compared:
        known = [*compared]
        batch = stack([*compared.values()])
        deltas = (batch.base.rate, batch.model.rate - batch.base.rate, *delta_interval(batch))
        # a single prompt has interval [0, 1] and can refute nothing, so it is no test that others are adjusted for
        fewest = np.minimum(batch.model.n_prompts, batch.base.n_prompts)
        p_values = np.where(fewest > 1, delta_p_value(batch), np.nan)
        table.loc[known, [*DELTAS, "p_value"]] = np.column_stack([*deltas, p_values])


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Rates to 6 decimals, p and q to 6 digits, so that the last bits of a sum do not reach the file."""
    table = table.copy()
    # adding 0 turns -0.0 into 0.0
    rates = [*RATES, *OVER_JUDGES, *DELTAS]
    table[rates] = table[rates].astype(float).round(6) + 0.0
    for name in ("p_value", "q_value"):
        table[name] = six_digits(table[name])
    return table


def six_digits(values: pd.Series) -> pd.Series:
    """Numbers of any size, of which six digits stay."""
    return values.astype(float).map(lambda value: float(f"{value:.6g}"))


def in_reading_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows by experiment, base, condition and evaluation cell."""

    def key(column: pd.Series) -> pd.Series:
        ranks = {value: str(rank) for rank, value in enumerate(RANKS.get(column.name, ()))}
        return column.map(lambda value: ranks.get(value, "9") + value)

    columns = ["experiment", "base_model", "base", "condition", *IDENTITY, "judge"]
    return table.sort_values(columns, key=key, ignore_index=True)
