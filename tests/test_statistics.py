"""Intervals and tests against hand-computed values, other libraries and a simulation with a known truth."""

import importlib.util

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.sandwich_covariance import cov_cluster, cov_cluster_2groups

from emtransfer.measuring.statistics import (
    benjamini_hochberg,
    compare_rates,
    delta_interval,
    delta_p_value,
    estimate_rates,
    rate_interval,
    stack,
    stack_rates,
)
from helpers.paths import ROOT

COVERAGE = ROOT / "benchmarks" / "coverage.py"


def single_answers(events):
    """Rates of [p, s] events, one answer per prompt and adapter."""
    events = np.asarray(events)
    return estimate_rates(events, np.ones_like(events))


def compared(events, base_events):
    """A batch of one comparison, one answer per prompt and adapter."""
    return stack([compare_rates(events, np.ones_like(events), base_events, np.ones_like(base_events))])


def random_events(prompts, adapters, seed=0):
    """Events with effects of both clusters."""
    rng = np.random.default_rng(seed)
    p = np.clip(0.5 + rng.normal(0, 0.2, (prompts, 1)) + rng.normal(0, 0.15, (1, adapters)), 0, 1)
    return (rng.random((prompts, adapters)) < p).astype(int)


def ols_of_constant(events):
    """Least squares of the events on a constant, whose clustered covariances statsmodels knows."""
    prompt, adapter = (index.ravel() for index in np.indices(events.shape))
    return sm.OLS(events.ravel(), np.ones(events.size)).fit(), prompt, adapter


def test_variance_parts_equal_those_computed_by_hand():
    """Prompts have 2, 1 and 0 events of 2, adapters 2 and 1 of 3; the residuals are ±1/6 and ±1/3."""
    rates = single_answers([[1, 1], [1, 0], [0, 0]])
    assert rates.rate == 0.5
    assert rates.adapter_variance == pytest.approx(1 / 36)
    assert rates.prompt_variance == pytest.approx(1 / 12 - 1 / 36)


def test_adapter_variance_equals_that_clustered_by_statsmodels():
    events = random_events(30, 4)
    fit, _, adapter = ols_of_constant(events)
    # statsmodels also scales by (n - 1) / (n - 1 regressors), here 1
    assert single_answers(events).adapter_variance == pytest.approx(cov_cluster(fit, adapter)[0, 0])


def test_prompt_variance_of_one_adapter_equals_that_clustered_by_statsmodels():
    """With three answers per prompt, all of one adapter."""
    events = random_events(30, 3)
    fit, prompt, _ = ols_of_constant(events)
    rates = estimate_rates(events.sum(1, keepdims=True), np.full((30, 1), 3))
    assert rates.prompt_variance == pytest.approx(cov_cluster(fit, prompt)[0, 0])


def test_both_parts_together_agree_with_two_way_clustering_when_clusters_are_many():
    """The two estimate the noise of single answers differently, which matters only with few clusters."""
    events = random_events(80, 60)
    fit, prompt, adapter = ols_of_constant(events)
    two_way = cov_cluster_2groups(fit, prompt, adapter)[0][0, 0]
    rates = single_answers(events)
    assert rates.prompt_variance + rates.adapter_variance == pytest.approx(two_way, rel=0.02)


def test_interval_of_many_independent_prompts_is_the_wilson_interval():
    events = np.repeat([1, 0], [1500, 8500])[:, None]
    expected = proportion_confint(1500, 10_000, method="wilson")
    assert np.allclose(rate_interval(single_answers(events)), expected, atol=1e-5)


def test_interval_of_few_prompts_is_wilson_with_a_t_quantile():
    """8 of 20 prompts, one answer each: variance 0.24 / 19, so Wilson's interval of 19 answers with t(19) for z."""
    low, high = rate_interval(single_answers(np.repeat([1, 0], [8, 12])[:, None]))
    squared = stats.t.isf(0.025, 19) ** 2 / 19
    centre, margin = (0.4 + squared / 2) / (1 + squared), np.sqrt(squared * 0.24 + squared**2 / 4) / (1 + squared)
    assert (low, high) == (pytest.approx(centre - margin), pytest.approx(centre + margin))


def test_no_events_bound_the_rate_as_if_each_prompt_counted_once():
    squared = stats.t.isf(0.025, 39) ** 2
    low, high = rate_interval(single_answers(np.zeros((40, 3))))
    assert low == pytest.approx(0, abs=1e-12) and high == pytest.approx(squared / (40 + squared))


@pytest.mark.parametrize("adapters", [1, 2, 5])
@pytest.mark.parametrize("event", [0, 1])
def test_no_interval_has_zero_width(adapters, event):
    events, base_events = np.full((12, adapters), event), np.full((12, 1), event)
    low, high = rate_interval(single_answers(events))
    delta_low, delta_high = delta_interval(compared(events, base_events))
    assert low < event < high or (event in (low, high) and high - low > 0.1)
    assert delta_low < -0.1 and delta_high > 0.1


def test_one_prompt_says_nothing_of_other_prompts():
    assert tuple(rate_interval(single_answers([[1, 0]]))) == (0, 1)
    assert delta_p_value(compared(np.array([[1, 1]]), np.array([[0]]))) == 1


def test_interval_widens_when_seeds_are_few():
    """Seeds of the same two rates, once each and five times each: only their number differs."""
    pair = np.array([[1, 0], [1, 0], [1, 1], [0, 0]] * 10)
    few, many = (np.diff(rate_interval(single_answers(events)), axis=0) for events in (pair, np.tile(pair, 5)))
    assert few > 2 * many


def test_adapters_that_agree_by_chance_still_differ_by_rounding():
    """Two seeds with 2 of 40 events each, on different prompts: the only variance is 2 / (12 · 80²), with t(1)."""
    events = np.zeros((40, 2))
    events[[0, 1], 0] = events[[2, 3], 1] = 1
    rates = single_answers(events)
    assert rates.adapter_variance == pytest.approx(0, abs=1e-12) and rates.prompt_variance == 0
    squared_margin = stats.t.isf(0.025, 1) ** 2 * 2 / (12 * 80**2)
    effective = stats.norm.isf(0.025) ** 2 * 0.05 * 0.95 / squared_margin
    expected = proportion_confint(0.05 * effective, effective, method="wilson")
    assert np.allclose(rate_interval(rates), expected)


def test_an_interval_is_never_narrower_than_that_of_independent_answers():
    """Every prompt has one event in its two answers, so that the prompts show no variance at all."""
    rates = estimate_rates(np.ones((30, 1)), np.full((30, 1), 2))
    assert np.allclose(rate_interval(rates), proportion_confint(30, 60, method="wilson"))


def test_intervals_do_not_depend_on_the_order_of_prompts_and_adapters():
    events, base_events = random_events(30, 3), random_events(30, 1, seed=1)
    order = np.random.default_rng(2).permutation(30)
    shuffled = compared(events[order][:, ::-1], base_events[order])
    assert np.allclose(delta_interval(shuffled), delta_interval(compared(events, base_events)))


def test_unscored_prompts_and_adapters_are_no_clusters():
    events = random_events(20, 3)
    padded, answers = np.zeros((25, 4)), np.zeros((25, 4))
    padded[:20, :3], answers[:20, :3] = events, 1
    assert np.allclose(estimate_rates(padded, answers), single_answers(events))


def test_delta_of_uncorrelated_rates_has_newcombes_interval():
    """20,000 prompts on which model and base are independent by construction."""
    events, base_events = np.tile([1, 1, 0, 0, 0], 4000)[:, None], np.repeat([1, 0, 0, 0], 5000)[:, None]
    comparison = compared(events, base_events)
    assert comparison.prompt_covariance == pytest.approx(0, abs=1e-12)
    # a single adapter: the interval holds for this adapter, over prompts
    expected = confint_proportions_2indep(8000, 20_000, 5000, 20_000, method="newcomb", compare="diff")
    assert np.allclose(np.ravel(delta_interval(comparison)), expected, atol=1e-5)


def test_pairing_narrows_the_delta_where_base_and_model_share_hard_prompts():
    events = np.repeat([[1, 1], [0, 0]], 20, axis=0)
    same, opposite = np.repeat([[1], [0]], 20, axis=0), np.repeat([[0], [1]], 20, axis=0)
    widths = [np.diff(delta_interval(compared(events, base)), axis=0)[0, 0] for base in (same, opposite)]
    assert widths[0] < 0.5 * widths[1]


def test_one_seed_never_yields_a_p_value():
    assert np.isnan(delta_p_value(compared(np.ones((40, 1)), np.zeros((40, 1)))))


def test_equal_rates_have_p_one():
    events = random_events(30, 4)
    base = np.zeros((30, 1))
    base[: int(events.sum() / 4)] = 1
    events = np.repeat(base, 4, axis=1)
    assert delta_p_value(compared(events, base)) == 1


def test_p_is_below_alpha_exactly_where_the_interval_excludes_zero():
    comparison = stack(
        [
            compare_rates(random_events(40, 4, seed), np.ones((40, 4)), base[:, None], np.ones((40, 1)))
            for seed in range(40)
            for base in [(np.arange(40) < 2 * (seed % 10)).astype(int)]
        ]
    )
    p = delta_p_value(comparison)
    for alpha in (0.05, 0.01):
        low, high = delta_interval(comparison, alpha)
        excluded = (low > 0) | (high < 0)
        assert 0 < excluded.sum() < 40
        assert np.array_equal(excluded, p < alpha)


def test_smallest_p_of_two_seeds_is_that_of_agreement_up_to_rounding():
    """80 answers: t = 80 · sqrt(12 / 2) with 1 degree of freedom, whose two-sided tail is 1 - 2 atan(t) / pi."""
    p = delta_p_value(compared(np.ones((40, 2)), np.zeros((40, 1))))
    assert p == pytest.approx(1 - 2 * np.arctan(80 * np.sqrt(6)) / np.pi)
    assert p == pytest.approx(0.00325, abs=1e-5)


def test_q_values_equal_those_of_statsmodels_and_skip_what_was_not_tested():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5, np.nan, 0.002])
    q = benjamini_hochberg(p)
    assert np.array_equal(np.isnan(q), np.isnan(p))
    assert np.allclose(q[~np.isnan(q)], multipletests(p[~np.isnan(p)], method="fdr_bh")[1])
    assert np.isnan(benjamini_hochberg(np.full(2, np.nan))).all()


def test_a_batch_gives_what_its_members_give():
    members = [random_events(20, 3, seed) for seed in range(4)]
    batch = single_answers(np.stack(members))
    assert np.allclose(batch, stack_rates(single_answers(member) for member in members))


@pytest.mark.parametrize(("seeds", "least", "most"), [(2, 0.92, 1.0), (3, 0.92, 1.0), (10, 0.92, 0.98)])
def test_coverage_and_false_positives_in_a_small_simulation(seeds, least, most):
    """600 data sets with the strongest seed effects of docs/statistics.md; its figures are of 2,000."""
    spec = importlib.util.spec_from_file_location("coverage_benchmark", COVERAGE)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    found = benchmark.measure(np.random.default_rng(1), 600, seeds, 60, rate=0.3, seed_sd_logits=0.6)
    assert least <= found["coverage"] <= most
    # 0.05 and three standard errors
    assert found["p < 0.05"] < 0.077
