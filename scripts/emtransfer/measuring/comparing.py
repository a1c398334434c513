"""Two transfer tables side by side: rates and claims that differ, and whether by more than chance.

A table has the intervals of its rates, not the answers behind them, so the interval of a difference is made from those of both
sides as if they were independent. The adapters of two runs are. The prompts are mostly the same, and some draw misaligned answers
in both, so that rates rise and fall together: the interval is then no narrower than that from the answers would be.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from emtransfer.errors import InputError
from emtransfer.files.records import read_table
from emtransfer.grid.labels import APART
from emtransfer.measuring.claims import KEY as CLAIM_KEY
from emtransfer.measuring.claims import rounded
from emtransfer.measuring.differences import difference_interval
from emtransfer.measuring.statistics import benjamini_hochberg
from emtransfer.measuring.tabulation import IDENTITY

TABLE, CLAIMS = "em_transfer_table.csv", "claims.csv"
ROW_KEY = [*IDENTITY, "judge"]
ROW_VALUES = ["n_seeds", "n_prompts", "n_scored", "coherent_rate", "em_rate", "em_rate_low", "em_rate_high"]
CLAIM_VALUES = ["verdict", "estimate_pp", "low_pp", "high_pp", "q_value"]
TEXT = {"relation", "verdict", *ROW_KEY, *CLAIM_KEY}
# 1 - confidence of the intervals in both tables
ALPHA = 0.05


class Side(NamedTuple):
    """One of the two runs that are compared.

    Attributes:
        name: as the user gave it.
        rows: of its transfer table, or of one experiment there.
        claims: the same of its claims; None where no file of them lies beside the table.
    """

    name: str
    rows: pd.DataFrame
    claims: pd.DataFrame | None


def read_side(name: str) -> Side:
    """Read one side.

    Args:
        name: a folder of results or a transfer table, with `:EXPERIMENT` behind it for one experiment.

    Raises:
        InputError: there is no such file or experiment, or a column is missing.
    """
    if not name:
        raise InputError("A or B is empty; expected a folder of results, a transfer table, or either with :EXPERIMENT.")
    path, experiment = (name, "") if Path(name).exists() else (name.rpartition(":")[0] or name, name.rpartition(":")[2])
    table = Path(path) / TABLE if Path(path).is_dir() else Path(path)
    rows = of_experiment(read_columns(table, [*ROW_KEY, "relation", *ROW_VALUES]), experiment, table)
    beside = table.with_name(CLAIMS)
    if table.name != TABLE or not beside.is_file():
        return Side(name, rows, None)
    claims = read_columns(beside, [*CLAIM_KEY, *CLAIM_VALUES])
    return Side(name, rows, claims[claims["experiment"].isin(rows["experiment"])])


def read_columns(path: Path, columns: list[str]) -> pd.DataFrame:
    """Columns of a table, those of text as text, where an empty cell is empty text.

    Raises:
        InputError: the file or a column is missing.
    """
    numbers = {name: [""] for name in columns if name not in TEXT}
    table = read_table(path, keep_default_na=False, na_values=numbers, dtype=dict.fromkeys(TEXT, str))
    # a table of an older version has no contexts and no capacities
    table = table.assign(**{name: "" for name in APART if name not in table})
    missing = next((name for name in columns if name not in table), None)
    if missing:
        raise InputError(f"{path}: column {missing} is missing; expected a table of this pipeline.")
    return table[columns]


def of_experiment(rows: pd.DataFrame, experiment: str, path: Path) -> pd.DataFrame:
    """The rows of one experiment; all where none is named.

    Raises:
        InputError: the table has no such experiment.
    """
    known = rows["experiment"].unique()
    if experiment and experiment not in known:
        raise InputError(f"{path}: experiment is {experiment}; expected one of {', '.join(known)}.")
    return rows[rows["experiment"] == experiment] if experiment else rows


def told_apart_by(a: Side, b: Side) -> dict[str, tuple[str, str]]:
    """Key column -> its single value on each side, where these differ: what distinguishes the runs, such as their judges."""
    found = {}
    for name in ROW_KEY:
        values = [side.rows[name].unique() for side in (a, b)]
        if all(len(part) == 1 for part in values) and values[0][0] != values[1][0]:
            found[name] = (str(values[0][0]), str(values[1][0]))
    return found


def compare_rows(a: Side, b: Side) -> pd.DataFrame:
    """The rows of both tables side by side, joined on their identity columns.

    Returns:
        Key, `found_in` (both, a or b), ROW_VALUES of either side, and of rows in both: em_difference (b - a) with low and high,
        `beyond_interval`, p_value and q_value, Benjamini-Hochberg within experiment, judge, eval_set and
        eval_context. A row of a single seed or
        prompt on some side has an interval, but neither p nor `beyond_interval`: a single training cannot be told from chance.
    """
    table = joined(a.rows, b.rows, ROW_KEY, ["relation", *ROW_VALUES], told_apart_by(a, b))
    one, other = (even_limits(table[[f"{name}_{side}" for name in ROW_VALUES[-3:]]]) for side in "ab")
    low, high = difference_interval(other, one, np.zeros(len(table)))
    difference, low, high = other[0] - one[0], np.maximum(low, -1), np.minimum(high, 1)
    table["em_difference"], table["em_difference_low"], table["em_difference_high"] = difference, low, high
    fewest = table[["n_seeds_a", "n_seeds_b", "n_prompts_a", "n_prompts_b"]].min(axis=1).to_numpy(float)
    p = extrapolated_p(difference, low, high, fewest)
    table["beyond_interval"] = pd.Series(p < ALPHA, dtype="boolean").mask(np.isnan(p))
    table["p_value"], table["q_value"] = p, np.nan
    # a column in which the sides differ has a suffix for each
    family_of = [name if name in table else f"{name}_a" for name in ("experiment", "judge", "eval_set", "eval_context")]
    for _, family in table.groupby(family_of):
        table.loc[family.index, "q_value"] = benjamini_hochberg(family["p_value"].to_numpy(float))
    return rounded(table)


def even_limits(rates: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A rate with symmetric limits, but for 0 and 1: as far as the farther of the table's, and at least as far as its margin.

    Wilson's nearer limit suits the noise of answers, not adapters of which one has failed to learn, and the table does not say
    which of the two its interval is made of; compare `differences.term_limits`. A Wilson limit L of a rate r solves
    (r - L)² = z² L (1 - L) / n, which gives the effective size n and with it the margin z sqrt(r (1 - r) / n).
    """
    rate, low, high = rates.to_numpy(float).T
    reach = np.maximum(rate - low, high - rate)
    for limit in (low, high):
        inside = (limit > 0) & (limit < 1)
        per_answer = np.where(inside, limit * (1 - limit), np.inf)
        reach = np.maximum(reach, np.abs(limit - rate) * np.sqrt(rate * (1 - rate) / per_answer))
    return rate, np.maximum(rate - reach, 0), np.minimum(rate + reach, 1)


def extrapolated_p(difference: np.ndarray, low: np.ndarray, high: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """p of a difference, computed from its 95 % interval alone.

    It is 0.05 where a limit is 0. Elsewhere the margin grows with confidence as that of a normal or of Student's t with as many
    degrees of freedom as the fewest clusters leave, whichever gives the larger p: the true one lies between them.

    Args:
        clusters: seeds or prompts, the fewest of either side.

    Returns:
        p in [0, 1]; NaN for a single cluster.
    """
    margin = np.where(difference > 0, difference - low, high - difference)
    ratio = np.abs(difference) / margin
    df = np.maximum(clusters - 1, 1)
    p = [2 * kind.sf(ratio * kind.isf(ALPHA / 2)) for kind in (stats.norm, stats.t(df))]
    return np.where(clusters > 1, np.maximum(*p), np.nan)


def compare_claims(a: Side, b: Side) -> pd.DataFrame | None:
    """The claims of both sides side by side; None where a side has none.

    Returns:
        Key, `found_in`, CLAIM_VALUES of either side, `verdict_differs`, and the difference of the estimates (b - a, percentage
        points) with a 95 % interval from both intervals, as of independent runs.
    """
    if a.claims is None or b.claims is None:
        return None
    table = joined(a.claims, b.claims, CLAIM_KEY, CLAIM_VALUES, told_apart_by(a, b))
    one, other = (tuple(table[[f"{name}_{side}" for name in CLAIM_VALUES[1:4]]].to_numpy(float).T) for side in "ab")
    table["difference_pp"] = other[0] - one[0]
    table["difference_low_pp"], table["difference_high_pp"] = difference_interval(other, one, np.zeros(len(table)))
    differs = (table["verdict_a"] != table["verdict_b"]) & (table["found_in"] == "both")
    table.insert(table.columns.get_loc("verdict_b") + 1, "verdict_differs", differs)
    return rounded(table)


def joined(
    a: pd.DataFrame, b: pd.DataFrame, key: list[str], values: list[str], apart: dict[str, tuple[str, str]]
) -> pd.DataFrame:
    """Rows of two tables by their key, without the columns that tell the runs apart, which come once for each side.

    Raises:
        InputError: two rows of a table have one key.
    """
    shared = [name for name in key if name not in apart]
    for side, table in {"A": a, "B": b}.items():
        twice = table.duplicated(key)
        if twice.any():
            row = ", ".join(value for value in table.loc[twice, key].iloc[0] if value)
            raise InputError(f"{side}: the row {row} appears twice; expected every row once.")
    own = [name for name in key if name in apart]
    numbered = (table.assign(order=np.arange(len(table))) for table in (a, b))
    found = pd.merge(*numbered, on=shared, how="outer", suffixes=("_a", "_b"), indicator="found_in")
    found = found.sort_values(["order_a", "order_b"], ignore_index=True)
    found["found_in"] = found["found_in"].astype(str).replace({"left_only": "a", "right_only": "b"})
    ordered = [f"{name}_{side}" for name in [*own, *values] for side in "ab"]
    return found[[*shared, "found_in", *ordered]]
