"""The warning before a run that could not find what it looks for."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from scipy import stats

from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import compared
from helpers.configs import CONFIG
from planning import CELL_SD_POINTS, WANTED_POINTS, detectable_points, warnings


def test_a_t_test_finds_the_detectable_difference_in_four_of_five_repetitions():
    rng = np.random.default_rng(1)
    for n in (4, 14, 24):
        difference = detectable_points(n, CELL_SD_POINTS)
        samples = rng.normal(difference, CELL_SD_POINTS, (20_000, n))
        # the t quantiles add up to a little more than the noncentral t asks for, most with few draws
        assert np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05) == pytest.approx(0.81, abs=0.03)


def test_more_draws_find_less_and_one_finds_nothing():
    assert detectable_points(1, CELL_SD_POINTS) == inf
    assert detectable_points(36, CELL_SD_POINTS) < WANTED_POINTS < detectable_points(24, CELL_SD_POINTS)


MODELS = {name: expand_models(CONFIG, name) for name in ("template_nl", "symbolic")}
FILES = {"config.yaml": CONFIG}


def test_what_a_run_cannot_find_is_said_in_plain_words():
    assert list(warnings(MODELS, FILES)) == [
        "config.yaml: experiments.template_nl.adapters: with 12 training cells of 4 tasks and 3 domains this run can find a"
        " difference of 62 points; more domains help, and more seeds hardly do.",
        "config.yaml: experiments.template_nl.students: with 1 misaligned teacher it can say nothing about others; more teachers"
        " help.",
        "config.yaml: experiments.symbolic.adapters: with 8 training cells of 6 tasks and 8 domains this run can find a"
        " difference of 49 points; more tasks help, and more seeds hardly do.",
    ]


def test_seeds_do_not_make_up_for_cells():
    single = [model for model in MODELS["template_nl"] if model.train_cells == ("medical-advice",)]
    assert list(warnings({"template_nl": single * 5}, FILES)) == [
        "config.yaml: experiments.template_nl.adapters: with 1 training cell this run can say nothing about other cells; more cells"
        " help, more seeds do not."
    ]


def test_students_of_few_seeds_find_large_differences_alone():
    few = [model for model in MODELS["template_nl"] if model.labels["condition"] == "student" and model.seed != 13]
    assert list(warnings({"template_nl": few}, FILES)) == [
        "config.yaml: experiments.template_nl.students: with 2 seeds this run can find a difference of 60 points among these"
        " students; with 1 misaligned teacher it can say nothing about others; more teachers help."
    ]


def test_a_warning_names_the_file_that_says_the_key():
    overlay = {"experiments": {"symbolic": {"adapters": CONFIG["experiments"]["symbolic"]["adapters"]}}}
    told = [line.split(".adapters")[0] for line in warnings(MODELS, FILES | {"mine.yaml": overlay})]
    assert told[0] == "config.yaml: experiments.template_nl" and told[-1] == "mine.yaml: experiments.symbolic"
    # what one takes over from another is told where that one says it
    like = {"experiments": {"own": {"like": "symbolic"}}}
    (line,) = warnings({"own": MODELS["symbolic"]}, FILES | {"mine.yaml": like})
    assert line.startswith(
        "config.yaml: experiments.symbolic.adapters, taken over as experiments.own.adapters: with 8 "
    )


def test_a_run_that_finds_enough_is_not_warned():
    wide = [
        replace(model, train_cells=(f"d{number // 10}-t{number % 10}",))
        for number, model in enumerate(compared(MODELS["template_nl"]) * 5)
    ]
    assert list(warnings({"template_nl": wide[:100]}, FILES)) == []
