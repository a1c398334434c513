"""Intervals and tests against hand-computed values, other libraries and a simulation with a known truth."""

import importlib.util

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.sandwich_covariance import cov_cluster, cov_cluster_2groups

from emtransfer.measuring.differences import compare_rates, contrast_rates, delta_interval, delta_p_value, stack
from emtransfer.measuring.statistics import (
    SMALLEST_ALPHA,
    benjamini_hochberg,
    estimate_rates,
    influences,
    largest_alpha,
    noise_variance,
    rate_interval,
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


@pytest.mark.parametrize(("adapters", "degrees"), [(1, 39), (2, 1), (3, 2), (10, 9)])
def test_no_event_bounds_the_rate_by_its_answers_at_the_degrees_of_freedom_that_the_adapters_leave(adapters, degrees):
    """Wilson's limit t² / (n - 1 + t²); a single adapter leaves those of its prompts."""
    squared = stats.t.isf(0.025, degrees) ** 2
    low, high = rate_interval(single_answers(np.zeros((40, adapters))))
    assert low == 0 and high == pytest.approx(squared / (40 * adapters - 1 + squared))


@pytest.mark.parametrize("adapters", [1, 2, 3, 10])
@pytest.mark.parametrize(("prompts", "samples"), [(40, 1), (8, 50), (4, 5)])
def test_limits_rise_with_every_event_that_is_added_evenly(prompts, samples, adapters):
    """From none to all, to one adapter after the other and to one prompt after the other; and no step is a cliff."""
    events, answers = np.zeros((prompts, adapters)), np.full((prompts, adapters), samples)
    limits = [rate_interval(estimate_rates(events, answers))]
    for count in range(answers.sum()):
        events[count // adapters % prompts, count % adapters] += 1
        limits.append(rate_interval(estimate_rates(events, answers)))
    low, high = np.array(limits).T
    assert np.allclose(low, 1 - high[::-1])
    # adapters that agree to the event tell a little more than those that differ by one
    assert np.diff(high).min() > -0.06
    first = np.diff(high[: min(adapters, 3) + 1])
    assert (first > -1e-9).all() and (first < high[0] + 0.01).all()


@pytest.mark.parametrize("adapters", [1, 2, 5])
@pytest.mark.parametrize("event", [0, 1])
def test_no_interval_has_zero_width(adapters, event):
    events, base_events = np.full((12, adapters), event), np.full((12, 1), event)
    low, high = rate_interval(single_answers(events))
    delta_low, delta_high = delta_interval(compared(events, base_events))
    assert event in (low, high) and high - low > 0.1
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
    """Two seeds with 80 of 160 events each, on different prompts: the only variance is 2 / (12 · 320²), with t(1)."""
    events = np.zeros((160, 2))
    events[:80, 0] = events[80:, 1] = 1
    rates = single_answers(events)
    assert rates.adapter_variance == pytest.approx(0, abs=1e-12) and rates.prompt_variance == 0
    squared_margin = stats.t.isf(0.025, 1) ** 2 * 2 / (12 * 320**2)
    effective = min(320, stats.norm.isf(0.025) ** 2 * 0.25 / squared_margin)
    low, high = proportion_confint(0.5 * effective, effective, method="wilson")
    # nor is a limit nearer to 0 or 1 than that of a single event
    single = 319 * stats.norm.isf(0.025) ** 2 / stats.t.isf(0.025, 1) ** 2
    least_high = proportion_confint(single / 320, single, method="wilson")[1]
    assert np.allclose(rate_interval(rates), (min(low, 1 - least_high), max(high, least_high)))


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
    assert np.allclose(np.ravel(delta_interval(comparison)), expected, atol=3e-5)


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


def test_smallest_p_of_two_seeds_is_that_of_limits_that_meet():
    """All of 80 answers against none of 40: both limits reach as far as t² / (n - 1 + t²), and together 1."""
    p = delta_p_value(compared(np.ones((40, 2)), np.zeros((40, 1))))
    own, base = (stats.t.isf(p / 2, degrees) ** 2 for degrees in (1, 39))
    assert (own / (79 + own)) ** 2 + (base / (39 + base)) ** 2 == pytest.approx(1)
    assert p == pytest.approx(0.00844, abs=1e-5)


def test_an_adapter_that_fails_to_learn_is_no_difference():
    """One of five adapters shows nothing, all others everything; the other condition has no failure."""
    failed, all_learned = np.ones((40, 5)), np.ones((40, 5))
    failed[:, 2] = 0
    sides = (
        np.concatenate([failed, np.zeros((40, 5))], axis=1),
        np.concatenate([np.zeros((40, 5)), all_learned], axis=1),
    )
    asked = [np.repeat([[1, 0], [0, 1]], 5, axis=1)[side] * np.ones((40, 1)) for side in (0, 1)]
    comparison = stack([contrast_rates(sides[0], asked[0], sides[1], asked[1])])
    low, high = delta_interval(comparison)
    assert low[0] < 0 <= high[0] and delta_p_value(comparison)[0] > 0.2


def test_prompts_that_agree_by_chance_are_no_difference():
    """Eight prompts of which the base has three events and ten adapters have 30 of 80: p is no smaller than the paired t's."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        events, base = rng.integers(0, 2, (8, 10)), rng.integers(0, 2, (8, 1))
        found = compared(events, base)
        difference = events.mean(1) - base[:, 0]
        squared = found.model.prompt_variance + found.base.prompt_variance - 2 * found.prompt_covariance
        reach = stats.t.isf(0.025, 7) * np.sqrt(np.maximum(squared, 0))[0]
        low, high = delta_interval(found)
        assert low[0] <= max(difference.mean() - reach, -1) + 1e-9
        assert high[0] >= min(difference.mean() + reach, 1) - 1e-9


def test_equal_rates_that_share_all_their_answers_correlate_by_one_whatever_the_counts():
    """Adapters and prompts without an answer are counted on neither side."""
    events, answers = np.zeros((12, 5)), np.zeros((12, 5))
    events[:8, :3], answers[:8, :3] = random_events(8, 3), 1
    comparison = contrast_rates(events, answers, events, answers)
    assert comparison.adapter_covariance == pytest.approx(comparison.model.adapter_variance)
    covariance = comparison.prompt_covariance - estimate_rates(events[:8, :3], answers[:8, :3]).prompt_variance
    # what prompts share on both sides holds the noise of single answers, too
    assert covariance == pytest.approx(float(noise_variance(influences(events, answers), answers)))


def test_p_is_the_largest_alpha_whose_interval_holds_the_value_also_where_intervals_are_not_nested():
    def holds(alpha):
        # of two stretches that hold it, the one of wider alphas decides
        return (alpha < 1e-6) | ((alpha > 0.02) & (alpha < 0.3))

    assert largest_alpha(holds, 3) == pytest.approx([0.3] * 3)
    assert largest_alpha(lambda alpha: alpha < 2, 1) == 1
    assert largest_alpha(lambda alpha: alpha < 0, 1) == SMALLEST_ALPHA


def test_clusters_of_different_size_count_as_fewer():
    """Adapters with 20, 10 and 10 answers: squares divided by 1 - share, and 1 / (.25 + .0625 + .0625) of them."""
    answers = np.array([[10.0, 5.0, 5.0], [10.0, 5.0, 5.0]])
    events = np.array([[5.0, 1.0, 4.0], [5.0, 1.0, 4.0]])
    rates = estimate_rates(events, answers)
    assert rates.n_adapters == pytest.approx(8 / 3) and rates.n_prompts == pytest.approx(2)
    influence = (events - answers * 0.5).sum(0) / 40
    assert rates.adapter_variance == pytest.approx((influence**2 / (1 - np.array([0.5, 0.25, 0.25]))).sum())


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
