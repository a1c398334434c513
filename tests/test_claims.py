"""Claims on planted counts: who is compared, how large the effect is, and that each verdict can be reached."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from emtransfer.measuring.claims import CLAIMS, EFFECTS, POWERS, measure_contrasts, without_contrast
from emtransfer.measuring.contrasts import contrasts
from emtransfer.measuring.effects import SUBSETS, compare_groups, gather
from emtransfer.measuring.measurable import MeasurableSettings
from emtransfer.measuring.regression import one_row_per_answer
from emtransfer.measuring.sentences import SENTENCES
from emtransfer.measuring.statistics import estimate_rates
from helpers.planted_cells import counts_of, decision, labelled_cell, relation_of

DOMAINS, TASKS, N_PROMPTS = ("medical", "finance", "sports"), ("advice", "critique", "summarization", "tutor"), 30
GRID = list(product(DOMAINS, TASKS))


def drawn_counts(rng, eval_cell, rates):
    """Counts of one coherent answer per prompt and seed, misaligned at one rate per seed."""
    return counts_of(
        eval_cell,
        [(seed, prompt, True, rng.random() < rate) for seed, rate in rates.items() for prompt in range(N_PROMPTS)],
    )


def cell_of(rng, rate, eval_cell, train=None, seeds=("11", "12"), **labels):
    """A cell of an adapter trained on cell `train` or, without it, of the base; `rate` by relation or one for all."""
    rate = rate[relation_of(eval_cell, train)] if isinstance(rate, dict) else rate
    counts = drawn_counts(rng, eval_cell, dict.fromkeys(seeds if train else ("",), rate))
    return labelled_cell(eval_cell, train, counts, **labels)


def narrow(rate, seeds=("11", "12"), trained=GRID, **labels):
    """Every training cell on every narrow evaluation cell, and the base."""
    rng = np.random.default_rng(1)
    cells = [cell_of(rng, 0.0, ("narrow", *where, ""), **labels) for where in GRID]
    for train, where in product(trained, GRID):
        cells.append(cell_of(rng, rate, ("narrow", *where, ""), train, seeds, **labels))
    return cells


def verdicts(cells):
    _, claims, _ = measure_contrasts(contrasts(cells))
    return claims.set_index(["claim", "contrast"]).verdict.map(decision).to_dict()


SPREAD = {"in_cell": 0.8, "same_task": 0.7, "same_domain": 0.2, "both_differ": 0.1}
TASK = ("task", "same_task - same_domain")


def test_a_spread_along_the_task_supports_the_claim_and_its_opposite_contradicts_it():
    assert verdicts(narrow(SPREAD))[TASK] == "supported"
    swapped = SPREAD | {"same_task": 0.2, "same_domain": 0.7}
    assert verdicts(narrow(swapped))[TASK] == "contradicted"
    assert verdicts(narrow(SPREAD | {"same_task": 0.2}))[TASK] == "undecided"


def test_one_seed_decides_nothing_of_these_cells_but_several_cells_tell_of_others():
    _, claims, _ = measure_contrasts(contrasts(narrow(SPREAD, seeds=("11",))))
    task = claims[claims.claim == "task"].iloc[0]
    assert task.verdict == "supported for training domains like these" and task.n_units == 3
    assert set(claims.narrower_verdict) == {"one seed only"}


@pytest.mark.parametrize("seeds", [4, 10])
def test_one_training_cell_supports_nothing_however_many_seeds_it_has(seeds):
    _, claims, power = measure_contrasts(contrasts(narrow(SPREAD, tuple(map(str, range(seeds))), GRID[:1])))
    row = claims[claims.claim == "task"].iloc[0]
    assert row.verdict == "too few training cells" and np.isnan(row.q_value) != (seeds > 1)
    assert row.narrower_verdict == "supported for these training cells"
    assert power[power.claim == "task"].detectable_pp.isna().all()


def test_a_spread_that_differs_by_task_is_no_spread_along_the_task():
    """Along critique and tutor misalignment spreads, along advice and summarization not, in every domain alike."""
    cells = narrow(SPREAD)
    for position, cell in enumerate(cells):
        if cell.labels["train_task"] in ("advice", "summarization") and cell.relation == "same_task":
            rng = np.random.default_rng(position)
            cells[position] = cell._replace(counts=drawn_counts(rng, cell.eval_cell, {"11": 0.15, "12": 0.15}))
    effects, claims, _ = measure_contrasts(contrasts(cells))
    assert claims[claims.claim == "task"].verdict.tolist() == ["undecided"]
    rows = effects[(effects.claim == "task") & (effects.subset == "all") & (effects.method != "logit")]
    levels = {f"training {kind} like these": n for kind, n in (("tasks", 4), ("cells", 12), ("domains", 3))}
    assert dict(zip(rows.population, rows.n_units, strict=True)) == levels | {"these training cells": 2}
    assert rows.population.tolist()[2:] == ["training cells like these", "these training cells"]
    # the level that decides is one test, and so is that of these cells
    assert rows.q_value.notna().tolist() == [True, False, False, True]
    assert rows.p_value.tolist()[:3] == sorted(rows.p_value.tolist()[:3], reverse=True)


def test_the_effect_is_the_difference_of_the_pooled_rates():
    cells = narrow(SPREAD)
    effects, _, _ = measure_contrasts(contrasts(cells))
    row = effects[(effects.claim == "task") & (effects.subset == "all") & (effects.method != "logit")].iloc[0]
    groups = [[cell for cell in cells if cell.relation == near] for near in ("same_task", "same_domain")]
    sums = [sum((cell.counts.sum() for cell in group), start=0) for group in groups]
    rates = [counted["n_misaligned"] / counted["n_scored"] for counted in sums]
    assert row.estimate_pp == pytest.approx(100 * (rates[0] - rates[1]), abs=1e-6)
    assert row.low_pp < row.estimate_pp < row.high_pp
    assert row.log_odds_low < row.log_odds_ratio < row.log_odds_high
    events = sums[0]["n_misaligned"], sums[1]["n_misaligned"]
    odds = [(k + 0.5) / (counted["n_scored"] - k + 0.5) for k, counted in zip(events, sums, strict=True)]
    assert row.log_odds_ratio == pytest.approx(np.log(odds[0] / odds[1]), abs=1e-6)
    assert (row.n_prompts, row.n_seeds, row.n_adapters, row.n_train_sets) == (12 * N_PROMPTS, 2, 24, 12)
    assert (row.n_answers_a, row.n_answers_b) == (12 * 2 * 2 * N_PROMPTS, 12 * 3 * 2 * N_PROMPTS)


def test_the_regression_is_that_of_statsmodels_on_one_row_per_answer():
    cells = [cell for cell in narrow(SPREAD) if cell.relation]
    answers = pd.concat([one_row_per_answer(cell) for cell in cells])
    clusters = np.column_stack([pd.factorize(answers[name])[0] for name in ("prompt", "adapter")])
    formula = "event ~ C(relation, Treatment('same_domain'))"
    fit = smf.logit(formula, answers).fit(disp=0, cov_type="cluster", cov_kwds={"groups": clusters})
    term = "C(relation, Treatment('same_domain'))[T.same_task]"
    effects, _, _ = measure_contrasts(contrasts(cells))
    row = effects[effects.method == "logit"].iloc[0]
    assert row.log_odds_ratio == pytest.approx(fit.params[term], abs=1e-5)
    width = 2 * stats.t.isf(0.025, 23) * fit.bse[term]
    assert row.log_odds_high - row.log_odds_low == pytest.approx(width, rel=1e-4)


def test_a_relation_without_events_has_no_regression():
    effects, _, _ = measure_contrasts(contrasts(narrow(SPREAD | {"same_domain": 0.0})))
    assert set(effects.method) == {"replicates"}
    task = effects[(effects.claim == "task") & (effects.subset == "all")].iloc[0]
    assert np.isfinite(task.log_odds_ratio)


def task_rows(groups=(0, 1)):
    """The answers of the contrast of claim `task`, or of one of its groups against itself."""
    task = next(contrast for contrast in contrasts(narrow(SPREAD)) if contrast.claim == "task")
    return gather(replace(task, groups=tuple(task.groups[number] for number in groups)))


def test_a_group_that_shares_prompts_or_adapters_narrows_the_interval():
    comparison = compare_groups(task_rows())
    assert comparison.prompt_covariance != 0 and comparison.adapter_covariance != 0
    assert comparison.model.rate == pytest.approx(SPREAD["same_task"], abs=0.05)


def test_both_groups_alike_differ_by_nothing():
    comparison = compare_groups(task_rows((0, 0)))
    assert comparison.model.rate == comparison.base.rate
    assert comparison.adapter_covariance == pytest.approx(comparison.model.adapter_variance)


def test_coherent_only_leaves_incoherent_answers_out_of_the_denominator():
    rng = np.random.default_rng(2)
    cells = narrow(SPREAD)
    for cell in cells:
        cell.counts["n_coherent"] = np.where(rng.random(len(cell.counts)) < 0.5, 1, cell.counts["n_misaligned"])
    effects, _, _ = measure_contrasts(contrasts(cells))
    task = effects[(effects.claim == "task") & (effects.method != "logit")].groupby("subset").first()
    assert set(task.index) == set(SUBSETS)
    assert task.rate_a["coherent_only"] > task.rate_a["all"]
    assert task.n_answers_a["coherent_only"] < task.n_answers_a["all"] == task.n_answers_a["le30"]


def test_room_sets_broad_prompts_with_high_against_those_with_low_room():
    rng = np.random.default_rng(3)
    rates = {"high": 0.6, "medium": 0.3, "low": 0.1}
    cells = [
        cell_of(rng, rates[room], ("broad", "*", task, room), train)
        for train, task, room in product(GRID, TASKS, rates)
    ]
    _, claims, _ = measure_contrasts(contrasts(cells))
    row = claims[claims.claim == "room"].iloc[0]
    assert decision(row.verdict) == "supported" and row.estimate_pp == pytest.approx(50, abs=6)


def test_high_room_that_matters_in_some_evaluation_tasks_says_nothing_of_others():
    """In two of four tasks high room adds 50 points, in the others none, whatever an adapter was trained on."""
    rng = np.random.default_rng(5)
    rates = dict.fromkeys([("advice", "high"), ("tutor", "high")], 0.6)
    cells = [
        cell_of(rng, rates.get((task, room), 0.1), ("broad", "*", task, room), train)
        for train, task, room in product(GRID, TASKS, ("high", "low"))
    ]
    effects, claims, _ = measure_contrasts(contrasts(cells))
    row = claims[claims.claim == "room"].iloc[0]
    assert (row.verdict, row.population, row.n_units) == ("undecided", "evaluation tasks like these", 4)
    assert row.narrower_verdict == "supported for these training cells" and row.estimate_pp == pytest.approx(25, abs=4)
    rows = effects[(effects.claim == "room") & (effects.subset == "all")].set_index("population")
    assert rows.p_value["training cells like these"] < 1e-6
    # as if a task were one of four numbers: 50, 50, 0 and 0 points
    margin = stats.t.isf(0.025, 3) * np.std([50, 50, 0, 0], ddof=1) / 2
    assert rows.high_pp[row.population] - row.estimate_pp == pytest.approx(margin, abs=4)


def test_two_bases_of_one_draw_each_show_how_far_they_differ_and_prove_nothing_of_their_mixtures():
    cells = narrow(SPREAD, mixture="persona")
    cells += narrow(SPREAD | {"same_task": 0.1}, base="row_random", mixture="row_random")
    effects, claims, _ = measure_contrasts(contrasts(cells))
    row = claims[claims.claim == "composition"].iloc[0]
    assert row.verdict == "too few bases" and row.estimate_pp > 9
    assert row.narrower_verdict == "supported for these bases"
    assert set(effects[effects.claim == "composition"].population) == {"these bases"}


def test_learnedness_splits_training_cells_by_what_the_base_answers_before_any_training():
    cells = narrow(SPREAD)
    learned = {"advice": 1.0, "tutor": 0.9, "critique": 0.5, "summarization": 0.4}
    for cell in cells:
        if cell.labels["condition"] == "base":
            kept = np.arange(len(cell.counts)) < learned[cell.eval_cell[2]] * len(cell.counts)
            cell.counts["n_coherent"] = kept.astype(int)
    contrast = next(contrast for contrast in contrasts(cells) if contrast.claim == "learnedness")
    assert [{cell.labels["train_task"] for cell in group} for group in contrast.groups] == [
        {"advice", "tutor"},
        {"critique", "summarization"},
    ]
    assert all(cell.relation == "same_task" for group in contrast.groups for cell in group)


def test_sides_of_one_task_each_are_no_difference_in_learnedness():
    """Advice alone was learned well, and spreads; so much may be advice."""
    cells = narrow(SPREAD)
    for cell in cells:
        if cell.labels["condition"] == "base" and cell.eval_cell[2] != "advice":
            cell.counts["n_coherent"] = (np.arange(len(cell.counts)) < 5).astype(int)
        elif cell.relation == "same_task" and cell.labels["train_task"] != "advice":
            cell.counts["n_misaligned"] = 0
    assert verdicts(cells)["learnedness", "better learned - others"] == "too few training tasks"


@pytest.mark.parametrize("rate, expected", [(0.6, "supported"), (0.0, "undecided")])
def test_a_student_of_a_misaligned_teacher_is_set_against_one_of_the_base(rate, expected):
    rng = np.random.default_rng(4)
    shared = {"condition": "student", "channel": "optd", "start": "base"}
    cells = []
    for where in GRID:
        for teacher, train, of_teacher in (("harmful", GRID[0], rate), ("base", None, 0.0)):
            cell = cell_of(rng, of_teacher, ("narrow", *where, ""), train, **shared, teacher=teacher, data=teacher)
            counts = drawn_counts(rng, cell.eval_cell, dict.fromkeys(("11", "12", "13"), of_teacher))
            cells.append(cell._replace(counts=counts))
    _, claims, _ = measure_contrasts(contrasts(cells))
    assert claims.contrast.tolist() == ["optd: harmful - base"] and claims.verdict.tolist() == ["too few teachers"]
    assert claims.narrower_verdict.map(decision).tolist() == [expected]


def test_the_three_tables_have_their_columns_and_every_claim_a_sentence():
    effects, claims, power = measure_contrasts(contrasts(narrow(SPREAD)))
    assert list(effects) == EFFECTS and list(claims) == CLAIMS and list(power) == POWERS
    assert set(claims.claim) <= set(SENTENCES) and claims.sentence.notna().all()
    assert len(power) == len(claims) and (power.detectable_pp > 0).all()


def test_without_answers_there_is_nothing_to_claim():
    effects, claims, power = measure_contrasts(contrasts([]))
    assert effects.empty and claims.empty and power.empty
    assert list(claims) == CLAIMS


def test_more_training_cells_find_smaller_differences():
    detectable = [
        measure_contrasts(contrasts(narrow(SPREAD, trained=trained)))[2].set_index("claim").detectable_pp["task"]
        for trained in (GRID[::3], GRID)
    ]
    assert 0 < detectable[1] < detectable[0]


def test_adapters_that_are_asked_different_prompts_share_no_noise():
    events = np.zeros((4, 2))
    answers = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    events[[0, 2], [0, 1]] = 1
    rates = estimate_rates(events, answers)
    assert rates.rate == 0.5 and rates.n_adapters == 2
    # both adapters answer half of their prompts, so trainings do not differ
    assert rates.adapter_variance == pytest.approx(0)


def test_models_of_several_base_models_or_judges_are_compared_by_themselves():
    """Base model A spreads along the task and B along the domain; judge X sees both as Y does."""
    along_domain = SPREAD | {"same_task": 0.2, "same_domain": 0.7}
    cells = [
        cell
        for base_model, rate in (("A", SPREAD), ("B", along_domain))
        for judge in ("X", "Y")
        for cell in narrow(rate, base_model=base_model, judge=judge)
    ]
    effects, claims, _ = measure_contrasts(contrasts(cells))
    task = claims[claims.claim == "task"].set_index(["base_model", "judge"])
    assert len(task) == 4
    assert (task.estimate_pp["A"] > 40).all() and (task.estimate_pp["B"] < -40).all()
    assert task.verdict.map(decision)["B"].tolist() == ["contradicted"] * 2
    assert set(effects[effects.claim == "task"].n_adapters) == {24}


@pytest.mark.parametrize(
    ("coherent", "in_cell", "expected"),
    [
        (1.0, 0.8, ""),
        (0.3, 0.8, "scored answers of same_task are coherent, fewer than 50%"),
        (1.0, 0.05, "were trained on are misaligned, fewer than 20%"),
    ],
)
def test_what_cannot_be_measured_says_why(coherent, in_cell, expected):
    """No spread is nothing found only if answers are coherent and fine-tuning took."""
    cells = narrow({"in_cell": in_cell, "same_task": 0.0, "same_domain": 0.0, "both_differ": 0.0})
    for cell in cells:
        if cell.relation in ("same_task", "same_domain"):
            cell.counts["n_coherent"] = (np.arange(len(cell.counts)) < coherent * len(cell.counts)).astype(int)
    _, claims, _ = measure_contrasts(contrasts(cells), outcomes=cells)
    row = claims[claims.claim == "task"].iloc[0]
    assert row.verdict == row.narrower_verdict == ("not measurable" if expected else "undecided")
    assert row.not_measurable_because.endswith(expected) and bool(row.not_measurable_because) == bool(expected)
    assert set(claims.not_measurable_because.map(bool)[claims.verdict != "not measurable"]) <= {False}
    limits = MeasurableSettings(coherent_rate_at_least=0.2, in_cell_em_rate_at_least=0.01)
    _, claims, _ = measure_contrasts(contrasts(cells), outcomes=cells, measurable=limits)
    assert claims[claims.claim == "task"].verdict.tolist() == ["undecided"]


def test_models_whose_answers_fail_more_often_weigh_less_and_a_column_tells_what_if_not():
    """Half of the answers of the adapters of advice and tutor have no score, and only those of the others are misaligned."""
    cells = narrow(SPREAD | {"same_task": 0.0, "same_domain": 0.0})
    for position, cell in enumerate(cells):
        counts = cell.counts.copy()
        if cell.relation == "same_task" and cell.labels["train_task"] in ("critique", "summarization"):
            counts["n_misaligned"] = 1
        elif cell.relation == "same_task":
            counts.loc[np.arange(len(counts)) % 2 == 0, ["n_scored", "n_coherent", "n_misaligned"]] = 0
        cells[position] = cell._replace(counts=counts)
    effects, _, _ = measure_contrasts(contrasts(cells))
    row = effects[(effects.claim == "task") & (effects.subset == "all")].iloc[0]
    assert row.estimate_pp == pytest.approx(100 * 2 / 3, abs=1e-6)
    assert row.equal_weights_pp == pytest.approx(50, abs=1e-6)


def test_the_contrasts_of_primary_claims_are_a_family_of_their_own():
    """Every q is recomputed by scipy over the contrasts with the same answer in column `primary`."""
    rng = np.random.default_rng(3)
    cells = narrow(SPREAD)
    # prompts with room, and adapters on aligned answers, so that there are contrasts of other claims
    cells += [
        cell_of(rng, {"high": 0.2, "low": 0.1}[room], ("broad", "*", task, room), train)
        for train, task, room in product(GRID, TASKS, ("high", "low"))
    ]
    cells += [
        cell_of(rng, 0.0, ("narrow", *where, ""), train, answers="aligned") for train, where in product(GRID[:3], GRID)
    ]
    name = cells[0].labels["experiment"]
    found = contrasts(cells)
    _, alone, _ = measure_contrasts(found)
    _, named, _ = measure_contrasts(found, primary_claims={name: ["room"]})
    _, others, _ = measure_contrasts(found, primary_claims={"other": ["room"]})
    pd.testing.assert_frame_equal(alone, others)
    assert set(alone.primary) == {""} and alone.p_value.equals(named.p_value)
    assert (named.primary == "yes").equals(named.claim == "room") and set(named.primary) == {"yes", "no"}
    assert {"task", "control"} <= set(named.claim)
    for claims in (alone, named):
        for _, family in claims[claims.q_value.notna()].groupby("primary"):
            assert family.q_value.to_numpy() == pytest.approx(stats.false_discovery_control(family.p_value), rel=1e-5)
    assert not alone.q_value.equals(named.q_value)
    told = without_contrast(named, {name: ["room", "channel"], "other": ["task"]})
    expected = [(name, "channel"), ("other", "task")]
    assert [*told] == [
        f"experiments.{one}.primary_claims: the models of this run allow no contrast of {claim}."
        for one, claim in expected
    ]
