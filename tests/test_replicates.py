"""Weighted sums of rates over shared replicates, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from emtransfer.measuring.replicates import (
    Part,
    combination_margin,
    combination_p_value,
    combine_logits,
    combine_rates,
    crossed,
    detectable_difference,
)

ONE = np.array([1.0])
DIFFERENCE = np.array([1.0, -1.0])


def alike_prompts(events_of_units, answers=10, n_prompts=4):
    """Events and answers [1, p, u] of prompts that all get the same answers, so that only units vary."""
    events = np.tile(np.asarray(events_of_units, float), (n_prompts, 1))
    return events, np.full_like(events, answers)


def test_one_group_without_variance_of_prompts_is_a_t_test_of_the_units():
    events, answers = alike_prompts([1, 4, 2, 7])
    found = combine_rates(events[None, None], answers[None, None], ONE)
    expected = stats.ttest_1samp(events[0] / 10, 0)
    assert found.prompts.variance[0] == 0
    assert found.estimate[0] == pytest.approx(0.35)
    assert combination_p_value(found)[0] == pytest.approx(expected.pvalue, rel=1e-6)
    high = expected.confidence_interval().high
    assert found.estimate[0] + combination_margin(found)[0] == pytest.approx(high)


def test_a_difference_of_groups_that_share_their_units_is_a_paired_t_test():
    (one, answers), (other, _) = alike_prompts([5, 9, 4]), alike_prompts([2, 7, 3])
    found = combine_rates(np.stack([one, other])[None], np.stack([answers, answers])[None], DIFFERENCE)
    expected = stats.ttest_rel(one[0] / 10, other[0] / 10)
    assert combination_p_value(found)[0] == pytest.approx(expected.pvalue, rel=1e-6)


def test_differences_between_units_and_prompts_that_groups_share_cancel():
    rng = np.random.default_rng(1)
    events = rng.integers(0, 11, (6, 3)).astype(float)
    answers = np.full((2, 6, 3), 10.0)
    found = combine_rates(np.stack([events, events])[None], answers[None], DIFFERENCE)
    assert found.estimate[0] == 0 and found.prompts.variance[0] == pytest.approx(0)
    # what is left is the rounding of whole events, 2 groups of 3 units and 180 answers
    assert found.replicates.variance[0] == pytest.approx(2 * 3 / (12 * 180**2))
    assert combination_p_value(found)[0] == pytest.approx(1)


def test_log_odds_are_those_with_half_an_event_more():
    events, answers = np.array([[[[3.0, 5.0]], [[1.0, 1.0]]]]), np.full((1, 2, 1, 2), 10.0)
    found = combine_logits(events, answers, DIFFERENCE)
    assert found.estimate[0] == pytest.approx(np.log(8.5 / 12.5) - np.log(2.5 / 18.5))


def test_the_detectable_difference_is_that_of_a_t_test():
    quantiles = stats.t.isf(0.025, 9) + stats.t.isf(0.2, 9)
    assert detectable_difference([Part(np.array(0.0004), np.array(10))], 0.05, 0.8) == pytest.approx(quantiles * 0.02)
    assert detectable_difference([Part(np.array(0.25), np.array(2))], 0.05, 0.8) > 1


@pytest.mark.parametrize("n_units", [2, 3, 8])
def test_a_null_effect_is_seldom_found(n_units):
    rng = np.random.default_rng(n_units)
    shape = (1000, 4, 30, n_units)
    prompts, units = rng.normal(0, 1, (1000, 1, 30, 1)), rng.normal(0, 0.5, (1000, 4, 1, n_units))
    events = rng.random(shape) < 1 / (1 + np.exp(-prompts - units))
    found = combine_rates(events, np.ones(shape), np.array([1.0, -1.0, -1.0, 1.0]))
    # 0.05 and three standard errors of 1,000 draws
    assert np.mean(combination_p_value(found) < 0.05) < 0.071


def test_replicates_of_different_size_count_as_fewer():
    """Shares of .5, .25 and .25 tell as much as 1 / (.25 + .0625 + .0625) of one size; CR2 of statsmodels' kind by hand."""
    answers = np.array([[[[20.0, 10.0, 10.0]]]])
    events = np.array([[[[10.0, 2.0, 8.0]]]])
    found = combine_rates(events, answers, ONE)
    assert found.replicates.n_clusters[0] == pytest.approx(8 / 3)
    influence = (events - answers * 0.5)[0, 0, 0] / 40
    assert found.replicates.variance[0] == pytest.approx((influence**2 / (1 - np.array([0.5, 0.25, 0.25]))).sum())


def test_conditions_that_are_held_fixed_leave_only_their_seeds_to_differ():
    """Two conditions of two seeds each: rates .1, .3 and .7, .9, so each mean has variance .01 with one degree of freedom."""
    events, answers = alike_prompts([1, 3, 7, 9])
    drawn = combine_rates(events[None, None], answers[None, None], ONE)
    fixed = combine_rates(events[None, None], answers[None, None], ONE, np.array([0, 0, 1, 1]))
    assert fixed.replicates.variance[0] == pytest.approx(2 * 0.01 / 4)
    assert fixed.replicates.n_clusters[0] == pytest.approx(3)
    assert drawn.replicates.variance[0] > 5 * fixed.replicates.variance[0]


def test_single_models_that_are_held_fixed_differ_by_prompt_alone():
    rng = np.random.default_rng(2)
    events, answers = rng.integers(0, 2, (1, 1, 20, 3)).astype(float), np.ones((1, 1, 20, 3))
    found = combine_rates(events, answers, ONE, np.arange(3))
    by_prompt = events[0, 0].mean(1)
    assert found.replicates.variance[0] == 0
    assert found.prompts.variance[0] == pytest.approx(by_prompt.var(ddof=1) / 20)


def test_no_event_is_no_certainty():
    """Ten seeds a side, none of 4,000 answers misaligned: the margin is not that of rounding alone."""
    events, answers = np.zeros((1, 2, 40, 10)), np.full((1, 2, 40, 10), 10.0)
    margin = combination_margin(combine_rates(events, answers, DIFFERENCE))[0]
    half_an_event = 0.5 / 4001
    assert margin >= stats.norm.isf(0.025) * np.sqrt(2 * half_an_event * (1 - half_an_event) / 4000) - 1e-12


def test_cells_that_vary_by_task_and_by_domain_vary_by_both():
    """Cells of a grid whose effects are those of their task and of their domain, and nothing else."""
    of_tasks, of_domains = np.array([-3.0, 1.0, 2.0]), np.array([-2.0, 0.0, 2.0])
    events, answers = alike_prompts((20 + of_tasks[:, None] + of_domains).ravel(), answers=40)
    cell, kinds = np.eye(9), {}
    for name, labels in (
        ("task", np.repeat(np.arange(3), 3)),
        ("domain", np.tile(np.arange(3), 3)),
        ("cell", np.arange(9)),
    ):
        sums = cell @ (labels[:, None] == np.unique(labels))
        kinds[name] = combine_rates((events @ sums)[None, None], (answers @ sums)[None, None], ONE)
    both = crossed(kinds["task"], kinds["domain"], kinds["cell"])
    expected = [np.var(effects / 40, ddof=1) / 3 for effects in (of_tasks, of_domains)]
    assert kinds["task"].replicates.variance[0] == pytest.approx(expected[0])
    assert both.beyond[0].variance[0] == pytest.approx(expected[1] - kinds["cell"].replicates.variance[0])
    margins = [combination_margin(found)[0] for found in (kinds["cell"], kinds["task"], both)]
    assert margins[2] > margins[1] > 0 and margins[2] > margins[0]
