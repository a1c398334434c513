"""Regressions: task against domain on the logit, over all narrow answers; and slopes over points, alone or in clusters."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from emtransfer.measuring.tabulation import Outcome

RELATIONS = ("in_cell", "same_task", "same_domain", "both_differ")


def task_against_domain(cells: list[Outcome]) -> dict[str, float] | None:
    """Log-odds by which `same_task` exceeds `same_domain`, all answers of the adapters in one model.

    Args:
        cells: narrow cells of adapters; `both_differ` is the reference where there is any.

    Returns:
        log_odds_ratio, log_odds_low, log_odds_high, p_value; None if a relation has no answer with or none without an
        event, so that the odds have no estimate, or if there is a single prompt or adapter or clusters that show no variance.

    Source: logistic regression of statsmodels with the two-way clustered covariance of Cameron, Gelbach & Miller (2011);
        t quantiles with as many degrees of freedom as the factor with fewer clusters leaves.
    """
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    answers = pd.concat([one_row_per_answer(cell) for cell in cells])
    means = answers.groupby("relation").event.mean()
    if not {"same_task", "same_domain"} <= set(means.index) or means.isin([0.0, 1.0]).any():
        return None
    degrees = min(answers.prompt.nunique(), answers.adapter.nunique()) - 1
    if degrees < 1:
        return None
    # the last relation present is the reference
    *columns, _ = [name for name in RELATIONS if name in means.index]
    design = pd.DataFrame({name: (answers.relation == name).to_numpy(float) for name in columns})
    clusters = answers[["prompt", "adapter"]].apply(lambda column: column.astype("category").cat.codes).to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", PerfectSeparationWarning)
        model = sm.Logit(answers.event.to_numpy(float), sm.add_constant(design.to_numpy()))
        fit = model.fit(disp=0, cov_type="cluster", cov_kwds={"groups": clusters})
    contrast = np.array([0.0, *((name == "same_task") - (name == "same_domain") for name in design.columns)])
    estimate, variance = contrast @ fit.params, contrast @ fit.cov_params() @ contrast
    if not variance > 0:
        return None
    error = np.sqrt(variance)
    margin = stats.t.isf(0.025, degrees) * error
    p = 2 * stats.t.sf(abs(estimate) / error, degrees)
    return {
        "log_odds_ratio": estimate,
        "log_odds_low": estimate - margin,
        "log_odds_high": estimate + margin,
        "p_value": p,
    }


def one_row_per_answer(cell: Outcome) -> pd.DataFrame:
    """Answers of a cell: event, relation, prompt and adapter."""
    n_misaligned, n_scored = (cell.counts[name].to_numpy() for name in ("n_misaligned", "n_scored"))
    # [answers], the row of the counts that each is of: those with the event, then the others
    numbers = [n_misaligned, n_scored - n_misaligned]
    rows = np.concatenate([np.arange(len(cell.counts)).repeat(number) for number in numbers])
    prompts, seeds = (cell.counts.index.get_level_values(level).to_numpy() for level in ("prompt_id", "seed"))
    condition = "|".join(cell.labels.values())
    adapters = np.array([f"{condition}|{seed}" for seed in seeds], object)
    return pd.DataFrame(
        {
            "event": np.repeat([1, 0], [number.sum() for number in numbers]),
            "relation": cell.relation,
            "prompt": prompts[rows],
            "adapter": adapters[rows],
        }
    )


def slope_weights(x: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """Weights of values at x [n], of which at least two differ, whose sum is their least-squares slope on x."""
    centred = np.array(x) - np.mean(x)
    return tuple(float(weight) for weight in centred / (centred**2).sum())


def least_squares_slope(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Slope of y on x by ordinary least squares of statsmodels.

    Args:
        x, y: [n], one point each; x varies.

    Returns:
        slope, its standard error, low and high of its 95 % t interval, p_value, and the degrees of freedom, n - 2.
    """
    import statsmodels.api as sm

    fit = sm.OLS(np.asarray(y, float), sm.add_constant(np.asarray(x, float))).fit()
    low, high = fit.conf_int(0.05)[1]
    return {
        **{"slope": fit.params[1], "error": fit.bse[1], "low": low, "high": high},
        **{"p_value": fit.pvalues[1], "degrees": fit.df_resid},
    }


def clustered_slope(x: np.ndarray, y: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Slope of y on x by ordinary least squares, with errors that may depend on each other within clusters.

    Args:
        x, y: [n], one point each; x varies without any one cluster.
        clusters: [n], whatever names the cluster of each point.

    Returns:
        As of `least_squares_slope`, and the degrees of freedom of the t distribution.

    Source: CR2 of Bell & McCaffrey (2002), Survey Methodology 28:169, with their degrees of freedom; both take errors to be
        independent and alike, under which the variance is unbiased (Pustejovsky & Tipton 2018, JBES 36:672).
    """
    design = np.column_stack([np.ones(len(x)), np.asarray(x, float)])
    bread = np.linalg.inv(design.T @ design)
    slope = (bread @ design.T @ y)[1]
    # [n, n], from y to residuals
    residual = np.eye(len(x)) - design @ bread @ design.T
    parts = []
    for cluster in dict.fromkeys(clusters):
        own = np.array([name == cluster for name in clusters])
        values, vectors = np.linalg.eigh(residual[np.ix_(own, own)])
        weights = vectors / np.sqrt(values.clip(1e-12)) @ vectors.T @ (design[own] @ bread[1])
        parts.append(weights @ residual[own])
    # [clusters, n], from y to what each cluster adds
    influence = np.array(parts)
    gram = influence @ influence.T
    degrees = np.trace(gram) ** 2 / (gram**2).sum()
    error = np.sqrt(((influence @ y) ** 2).sum())
    margin = stats.t.isf(0.025, degrees) * error
    p = 2 * stats.t.sf(abs(slope) / error, degrees) if error else float(slope == 0)
    return {
        **{"slope": slope, "error": error, "low": slope - margin, "high": slope + margin},
        **{"p_value": p, "degrees": degrees},
    }
