"""The warning before a run that could not find what it looks for."""

from math import inf

import numpy as np
import pytest
from scipy import stats

from emtransfer.grid import expand_models
from helpers.configs import CONFIG
from planning import (
    ADAPTER_SD_POINTS,
    STUDENT_SD_POINTS,
    WANTED_POINTS,
    detectable_points,
    enough_replicates,
    warnings,
)


def test_a_t_test_finds_the_detectable_difference_in_four_of_five_repetitions():
    rng = np.random.default_rng(1)
    for n in (4, 14, 24):
        difference = detectable_points(n, ADAPTER_SD_POINTS)
        samples = rng.normal(difference, ADAPTER_SD_POINTS, (20_000, n))
        # the t quantiles add up to a little more than the noncentral t asks for, most with few adapters
        assert np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05) == pytest.approx(0.81, abs=0.03)


def test_more_replicates_find_less_and_one_finds_nothing():
    assert detectable_points(1, ADAPTER_SD_POINTS) == inf
    assert detectable_points(36, ADAPTER_SD_POINTS) < WANTED_POINTS < detectable_points(24, ADAPTER_SD_POINTS)
    for sd_points in (ADAPTER_SD_POINTS, STUDENT_SD_POINTS):
        enough = enough_replicates(sd_points)
        assert detectable_points(enough, sd_points) <= WANTED_POINTS < detectable_points(enough - 1, sd_points)


def test_adapters_and_students_that_cannot_find_20_points_get_one_line_each():
    models = {name: expand_models(CONFIG, name) for name in ("template_nl", "symbolic")}
    # claim `task` of the default run finds what is there, not 20 points; its students find less than 20
    assert [line.split(",")[0] for line in warnings(models)] == [
        "config.yaml: experiments.template_nl.adapters has 24 single-cell adapters on misaligned answers of one mixture",
        "config.yaml: experiments.symbolic.adapters has 16 single-cell adapters on misaligned answers of one mixture",
    ]
    few = [
        model
        for model in models["template_nl"]
        if model.train_cells == ("medical-advice",) or (model.labels["condition"] == "student" and model.seed != 13)
    ]
    adapters, students = warnings({"template_nl": few})
    assert adapters.startswith("config.yaml: experiments.template_nl.adapters has 2 single-cell adapters ")
    assert "find nothing on a pooled contrast" in adapters and "\n" not in adapters
    assert students == (
        "config.yaml: experiments.template_nl.students has 2 seeds of a student, which find at least 60 points on a"
        " pooled contrast; 3 would find 20."
    )
