"""The warning before a run that could not find what it looks for."""

from math import inf

import numpy as np
import pytest
from scipy import stats

from emtransfer.grid import expand_models
from planning import ASSUMED_SD_POINTS, WANTED_POINTS, detectable_points, enough_adapters, warnings
from test_validation import CONFIG


def test_a_t_test_finds_the_detectable_difference_in_four_of_five_repetitions():
    rng = np.random.default_rng(1)
    for n in (4, 14, 24):
        samples = rng.normal(detectable_points(n), ASSUMED_SD_POINTS, (20_000, n))
        # the t quantiles add up to a little more than the noncentral t asks for, most with few adapters
        assert np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05) == pytest.approx(0.81, abs=0.03)


def test_more_adapters_find_less_and_one_finds_nothing():
    assert detectable_points(1) == inf
    assert detectable_points(24) < WANTED_POINTS < detectable_points(4)
    assert detectable_points(enough_adapters()) <= WANTED_POINTS < detectable_points(enough_adapters() - 1)


def test_a_config_with_too_few_adapters_gets_one_line_and_the_default_grid_none():
    models = {name: expand_models(CONFIG, name) for name in ("template_nl", "symbolic")}
    assert list(warnings(models)) == []
    few = [model for model in models["template_nl"] if model.train_cells == ("medical-advice",)]
    (line,) = warnings({"template_nl": few})
    assert line.startswith("config.yaml: experiments.template_nl.adapters has 2 single-cell adapters ")
    assert "find nothing on a pooled contrast" in line and "\n" not in line
