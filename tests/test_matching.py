"""Matching of prompts against brute force, balance by hand."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from emtransfer.measuring.claims import measure_contrasts
from emtransfer.measuring.groups import Contrast
from emtransfer.measuring.matching import (
    BALANCE,
    CALIPER_SD,
    FEW_SHOT,
    SHOWN,
    balance_table,
    left_out,
    match_prompts,
    matched_pairs,
    prompt_measures,
)
from helpers.planted_cells import KNOWN, planted_cell

TRAIN, SEEDS = ("medical", "advice"), {"11": 0.5, "12": 0.5}
KEY = ("nl", "persona")


def brute_force(values, others, sds):
    """Most pairs within the caliper, then the least sum of squared distances, over all assignments."""
    best = (0, 0.0)
    for order in permutations(range(len(others)), len(values)):
        gaps = np.abs(values - others[list(order)]) / sds
        allowed = (gaps <= CALIPER_SD).all(1)
        best = min(best, (-int(allowed.sum()), float((gaps[allowed] ** 2).sum())))
    return best


@pytest.mark.parametrize("seed", range(8))
def test_matched_pairs_are_those_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    values, others, sds = rng.random((4, 2)), rng.random((6, 2)), np.array([1.5, 0.9])
    pairs = matched_pairs(values, others, sds)
    distance = sum(float((((values[row] - others[column]) / sds) ** 2).sum()) for row, column in pairs)
    n_best, best = brute_force(values, others, sds)
    assert (-len(pairs), distance) == (n_best, pytest.approx(best))
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)


def test_a_prompt_with_a_missing_value_has_no_partner():
    partly = np.array([[0.5, 0.5], [np.nan, 0.9]])
    assert matched_pairs(partly, partly, [1.0, 1.0]) == [(0, 0)]


def test_without_spread_only_equal_values_match():
    assert matched_pairs(np.array([[0.5]]), np.array([[0.6]]), [0.0]) == []
    assert matched_pairs(np.array([[0.5]]), np.array([[0.5]]), [0.0]) == [(0, 0)]


def two_sides(coherent_rates, n_prompts=4):
    """A contrast of same task and same domain, four prompts each, and what is known of them."""
    cells = [planted_cell(where, SEEDS, TRAIN, n_prompts) for where in (("finance", "advice"), ("medical", "critique"))]
    bases = [planted_cell(cell.eval_cell, 0.25, n_prompts=n_prompts) for cell in cells]
    ids = [prompt for cell in cells for prompt in cell.counts.index.unique("prompt_id")]
    frame = pd.DataFrame({"prompt_id": ids, "coherent_rate": np.ravel(coherent_rates)})
    frame = frame.assign(**{name: value for name, value in KNOWN.items() if name != "coherent_rate"})
    groups, names = tuple([cell] for cell in cells), ("same_task", "same_domain")
    contrast = Contrast("task", "same_task - same_domain", groups, names, experiment=KEY[0], base=KEY[1])
    return contrast, prompt_measures(bases, {KEY: frame})


def test_only_answers_to_matched_prompts_are_kept_and_seeds_stay_together():
    contrast, measures = two_sides([[0.1, 0.5, 0.9, 0.9], [0.52, 0.91, 0.3, 0.7]])
    matched = match_prompts(contrast, measures)
    kept = [[name[-1] for name in cell.counts.index.unique("prompt_id")] for (cell,) in matched.groups]
    # 0.5 with 0.52, one of the two 0.9 with 0.91
    assert kept[0][0] == "1" and len(kept[0]) == 2 and kept[1] == ["0", "1"]
    assert all(len(cell.counts) == 4 for (cell,) in matched.groups)


def test_balance_is_that_by_hand():
    contrast, measures = two_sides([[0.1, 0.5, 0.9, 0.9], [0.52, 0.91, 0.3, 0.7]])
    table = balance_table([contrast], [match_prompts(contrast, measures)], measures)
    assert list(table) == BALANCE
    row = table[(table.variable == "coherent_rate") & (table.stage == "before")].iloc[0]
    one, other = np.array([0.1, 0.5, 0.9, 0.9]), np.array([0.52, 0.91, 0.3, 0.7])
    expected = (one.mean() - other.mean()) / np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
    assert row.smd == pytest.approx(expected, abs=1e-6)
    assert (row.group_a, row.group_b, row.n_prompts_a, row.n_prompts_b) == ("same_task", "same_domain", 4, 4)
    after = table[(table.variable == "coherent_rate") & (table.stage == "after")].iloc[0]
    assert (after.mean_a, after.mean_b) == pytest.approx((0.7, 0.715)) and after.n_prompts_a == 2
    alike = table[(table.variable == "base_em_rate") & (table.stage == "before")].iloc[0]
    assert (alike.mean_a, alike.mean_b, alike.smd) == (0.25, 0.25, 0)
    assert table[table.variable == "solvability"].smd.isna().all()
    of_cells = table[(table.variable == "cell_coherent_rate") & (table.stage == "before")].iloc[0]
    assert (of_cells.mean_a, of_cells.mean_b) == pytest.approx((one.mean(), other.mean()))


# of an easy and of a hard prompt
EASY_HARD = {"aligned_rate": (1.0, 0.5), "misaligned_nats_per_token": (-1.0, -3.0)}


def unequal_sides(differing):
    """A contrast whose outcome is decided by difficulty alone: of eight prompts, six are easy on the one side and two on the other.

    Args:
        differing: the variables in which easy prompts differ from hard ones; all others are equal.
    """
    places, n_easy = (("finance", "advice"), ("medical", "critique")), (6, 2)
    cells = [
        planted_cell(where, dict.fromkeys(SEEDS, easy / 8), TRAIN, n_prompts=8)
        for where, easy in zip(places, n_easy, strict=True)
    ]
    bases = [planted_cell(cell.eval_cell, 0.0, n_prompts=8) for cell in cells]
    known = pd.concat(
        pd.DataFrame({"prompt_id": cell.counts.index.unique("prompt_id"), **KNOWN, "misaligned_nats_per_token": -3.0})
        for cell in cells
    )
    is_easy = [number < easy for easy in n_easy for number in range(8)]
    for name in differing:
        known[name] = np.where(is_easy, *EASY_HARD[name])
    groups, names = tuple([cell] for cell in cells), ("better learned", "others")
    contrast = Contrast("learnedness", " - ".join(names), groups, names, experiment=KEY[0], base=KEY[1])
    return contrast, prompt_measures(bases, {KEY: known})


def estimates(contrast, measures):
    """By subset, in points."""
    effects = measure_contrasts([contrast], [match_prompts(contrast, measures)])[0]
    return effects.groupby("subset").estimate_pp.first()


@pytest.mark.parametrize("name", EASY_HARD)
def test_prompts_are_matched_on_right_answers_and_on_given_ones(name):
    contrast, measures = unequal_sides([name])
    found = estimates(contrast, measures)
    assert found["all"] == pytest.approx(100 * (6 / 8 - 2 / 8)) and found["matched"] == pytest.approx(0)
    table = balance_table([contrast], [match_prompts(contrast, measures)], measures)
    before, after = (table[(table.variable == name) & (table.stage == stage)].iloc[0] for stage in ("before", "after"))
    easy, hard = EASY_HARD[name]
    assert (before.mean_a, before.mean_b) == ((6 * easy + 2 * hard) / 8, (2 * easy + 6 * hard) / 8)
    # a quarter of the prompts on either side are of the other kind: half the distance over the SD of such a sample
    assert before.smd == pytest.approx(0.5 / np.sqrt(0.25 * 0.75 * 8 / 7), abs=1e-6)
    half = (easy + hard) / 2
    assert (after.mean_a, after.mean_b, after.smd) == (half, half, 0) and after.n_prompts_a == 4


def test_prompts_of_equal_difficulty_are_all_kept():
    found = estimates(*unequal_sides([]))
    assert found["matched"] == found["all"] == pytest.approx(50)


def test_given_answers_of_one_side_alone_are_left_out_of_matching():
    contrast, measures = unequal_sides(["aligned_rate"])
    ids = contrast.groups[1][0].counts.index.unique("prompt_id")
    measures[KEY].loc[ids, "misaligned_nats_per_token"] = np.nan
    assert estimates(contrast, measures)["matched"] == pytest.approx(0)
    table = balance_table([contrast], [match_prompts(contrast, measures)], measures)
    used = table.groupby("variable").matched_on.first()
    assert set(used[used].index) == {"coherent_rate", "aligned_rate"}
    assert left_out(table) == [
        f"{name}: unknown on a side of 1 of 1 contrast: not matched on it."
        for name in ("solvability", "misaligned_nats_per_token")
    ]
    # of prompts that no table describes, nothing is known
    assert match_prompts(contrast, {KEY: measures[KEY].iloc[:0]}) is None
    assert left_out(table.iloc[:0]) == ["Nothing is known of the prompts, so no contrast is matched on them."]


def test_groups_that_ask_the_same_prompts_stay_as_they_are():
    contrast, measures = two_sides([[0.1, 0.5, 0.9, 0.9], [0.52, 0.91, 0.3, 0.7]])
    alike = replace(contrast, groups=(contrast.groups[0], contrast.groups[0]))
    assert match_prompts(alike, measures) is alike
    assert match_prompts(alike, {}) is None


def test_several_groups_keep_the_prompts_that_have_a_partner_in_every_one():
    contrast, measures = two_sides([[0.1, 0.5, 0.9, 0.9], [0.52, 0.91, 0.3, 0.7]])
    first, second = contrast.groups
    three = replace(contrast, groups=(first, second, first), names=("0", "1", "2"), weights=(1.0, -0.5, -0.5))
    matched = match_prompts(three, measures)
    assert [cell.counts.index.unique("prompt_id").size for (cell,) in matched.groups] == [2, 2, 2]
    table = balance_table([three], [matched], measures)
    # nothing is known of answers after shown ones
    assert (
        len(table) == 3 * (len(SHOWN) - 1) * 2 and set(table.group_b) == {"0"} and FEW_SHOT not in set(table.variable)
    )


def test_few_shot_rates_are_balanced_where_they_are_known():
    contrast, measures = two_sides([[0.5] * 4, [0.5] * 4])
    measures[KEY][FEW_SHOT] = [1.0, 1.0, 1.0, 0.0] + [1.0, 0.0, 0.0, 0.0]
    table = balance_table([contrast], [match_prompts(contrast, measures)], measures)
    row = table[(table.variable == FEW_SHOT) & (table.stage == "before")].iloc[0]
    assert (row.mean_a, row.mean_b) == (0.75, 0.25)


def test_prompts_are_matched_within_each_training_set():
    contrast, measures = two_sides([[0.1, 0.5, 0.9, 0.9], [0.52, 0.91, 0.3, 0.7]])
    (cell,), (other,) = contrast.groups
    second = {"train_set": "other"}
    # the second training set asks only the prompts at 0.1 and at 0.7, which have no partner there
    first_prompt = cell.counts[cell.counts.index.get_level_values(0).str.endswith("-0")]
    last_prompt = other.counts[other.counts.index.get_level_values(0).str.endswith("-3")]
    groups = (
        [cell, cell._replace(labels=cell.labels | second, counts=first_prompt)],
        [other, other._replace(labels=other.labels | second, counts=last_prompt)],
    )
    matched = match_prompts(replace(contrast, groups=groups), measures)
    assert [[cell.labels["train_set"] for cell in group] for group in matched.groups] == [["medical-advice"]] * 2
