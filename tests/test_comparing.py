"""Two transfer tables side by side, against intervals by hand, against the answers behind them, and under no difference."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from emtransfer.errors import InputError
from emtransfer.measuring.claims import CLAIMS
from emtransfer.measuring.comparing import compare_claims, compare_rows, read_side, told_apart_by
from emtransfer.measuring.differences import contrast_rates, delta_interval
from emtransfer.measuring.statistics import estimate_rates, rate_interval
from emtransfer.measuring.tabulation import COLUMNS
from helpers.processes import run_script

DEFAULTS = {
    "experiment": "nl",
    "base": "persona",
    "condition": "adapter",
    "train_set": "medical-advice",
    "judge": "minilm",
}
DEFAULTS |= {
    "eval_set": "narrow",
    "eval_domain": "medical",
    "n_seeds": 3,
    "n_prompts": 40,
    "n_scored": 120,
    "coherent_rate": 1.0,
}


def folder(path, *rows, claims=None):
    """A folder of results: a table of rows (rate, low, high, other columns), and claims where they are given."""
    path.mkdir()
    named = [
        {"em_rate": rate, "em_rate_low": low, "em_rate_high": high, "eval_task": f"task{number}"} | other
        for number, (rate, low, high, other) in enumerate(rows)
    ]
    pd.DataFrame([DEFAULTS | row for row in named], columns=COLUMNS).to_csv(path / "em_transfer_table.csv", index=False)
    if claims is not None:
        pd.DataFrame(claims, columns=CLAIMS).to_csv(path / "claims.csv", index=False)
    return str(path)


def claim(verdict, estimate, low, high, **other):
    shared = {
        "claim": "task",
        "contrast": "same_task - same_domain",
        "experiment": "nl",
        "base": "persona",
        "judge": "minilm",
    }
    return shared | {"verdict": verdict, "estimate_pp": estimate, "low_pp": low, "high_pp": high} | other


def test_the_difference_of_two_rates_has_the_margin_of_independent_ones(tmp_path):
    a = folder(tmp_path / "a", (0.5, *proportion_confint(4, 8, method="wilson"), {}))
    b = folder(tmp_path / "b", (1.0, *proportion_confint(50, 50, method="wilson"), {}))
    row = compare_rows(read_side(a), read_side(b)).iloc[0]
    # Wilson's interval of 4 in 8 is narrower than the margin 1.96 sqrt(0.25 / 8), that of 50 in 50 is z² / (50 + z²) from 1
    wide, narrow = 1.959964 * np.sqrt(0.25 / 8), 1.959964**2 / (50 + 1.959964**2)
    margin = np.hypot(wide, narrow)
    found = [row["em_difference"], row["em_difference_low"], row["em_difference_high"]]
    np.testing.assert_allclose(found, [0.5, 0.5 - margin, 0.5 + wide], atol=1e-6)
    # Student's t with 2 degrees of freedom has P(|t| > x) = 1 - x / sqrt(2 + x²), and 4.302653 at 0.05
    x = 0.5 / margin * 4.302653
    assert row["p_value"] == pytest.approx(1 - x / np.sqrt(2 + x**2), rel=1e-5)
    assert row["q_value"] == row["p_value"] and row["beyond_interval"]


def test_p_is_five_per_cent_where_the_interval_ends_at_no_difference(tmp_path):
    a = folder(tmp_path / "a", (0.2, 0.2 - 0.3, 0.5, {}))
    b = folder(tmp_path / "b", (0.7, 0.3, 1.1, {"n_seeds": 2}))
    assert compare_rows(read_side(a), read_side(b))["p_value"].item() == pytest.approx(0.05)


def test_the_farther_limit_of_a_rate_counts_on_both_sides(tmp_path):
    a, b = folder(tmp_path / "a", (0.3, 0.25, 0.7, {})), folder(tmp_path / "b", (0.0, 0.0, 0.1, {}))
    row = compare_rows(read_side(a), read_side(b)).iloc[0]
    # down to 0, which is 0.3 away, beside 0.1 up; and 0.4 up, beside none down
    assert row["em_difference_high"] == pytest.approx(-0.3 + np.hypot(0.1, 0.3), abs=1e-6)
    assert row["em_difference_low"] == pytest.approx(-0.3 - 0.4)


def test_a_single_seed_or_prompt_has_an_interval_and_no_verdict(tmp_path):
    rates = (0.0, 0.0, 0.1, {"n_seeds": 1}), (0.0, 0.0, 0.1, {"n_prompts": 1}), (0.0, 0.0, 0.1, {})
    a, b = folder(tmp_path / "a", *rates), folder(tmp_path / "b", *((0.9, 0.8, 0.95, {}) for _ in rates))
    table = compare_rows(read_side(a), read_side(b))
    assert table["beyond_interval"].isna().tolist() == [True, True, False]
    assert table["p_value"].isna().tolist() == table["q_value"].isna().tolist() == [True, True, False]
    assert (table["em_difference_low"] > 0.6).all()


def test_q_is_benjamini_hochberg_within_experiment_judge_and_evaluation_set(tmp_path):
    families = [{}, {}, {"eval_set": "broad"}, {"judge": "other"}]
    a = folder(tmp_path / "a", *((0.2, 0.1, 0.3, family) for family in families))
    rates = zip((0.6, 0.3, 0.6, 0.6), families, strict=True)
    b = folder(tmp_path / "b", *((rate, rate - 0.1, rate + 0.1, family) for rate, family in rates))
    table = compare_rows(read_side(a), read_side(b))
    p = table["p_value"]
    assert table["q_value"].tolist() == pytest.approx([2 * p[0], p[1], p[2], p[3]], rel=1e-5)


def test_rows_that_one_side_alone_has_are_kept_without_a_difference(tmp_path):
    rate = (0.2, 0.1, 0.3)
    a = folder(tmp_path / "a", (*rate, {"eval_task": "z"}), (*rate, {"eval_task": "only_a"}))
    b = folder(tmp_path / "b", (*rate, {"eval_task": "only_b"}), (*rate, {"eval_task": "z"}))
    table = compare_rows(read_side(a), read_side(b))
    assert list(zip(table["eval_task"], table["found_in"], strict=True)) == [
        ("z", "both"),
        ("only_a", "a"),
        ("only_b", "b"),
    ]
    assert table["em_difference"].isna().tolist() == table["p_value"].isna().tolist() == [False, True, True]


def test_two_experiments_of_one_table_are_compared_across_what_each_has_one_of(tmp_path):
    rate = (0.2, 0.1, 0.3)
    own = {"experiment": "nl_8", "judge": "exact"}
    both = [
        (*rate, {}),
        (*rate, {"base": "other"}),
        (*rate, own | {"eval_task": "task0"}),
        (*rate, own | {"base": "other", "eval_task": "task1"}),
    ]
    path = folder(tmp_path / "a", *both)
    a, b = read_side(f"{path}:nl"), read_side(f"{path}:nl_8")
    assert told_apart_by(a, b) == {"experiment": ("nl", "nl_8"), "judge": ("minilm", "exact")}
    table = compare_rows(a, b)
    assert table["found_in"].tolist() == ["both", "both"] and table["base"].tolist() == ["persona", "other"]
    assert table["judge_b"].tolist() == ["exact", "exact"]


def test_claims_are_set_side_by_side_with_the_difference_of_their_estimates(tmp_path):
    one = [claim("supported for these", 30, 20, 50), claim("undecided", 1, -5, 7, claim="room")]
    other = [claim("undecided", 10, -5, 25), claim("undecided", 2, -5, 9, claim="room")]
    rate = (0.2, 0.1, 0.3, {})
    a, b = folder(tmp_path / "a", rate, claims=one), folder(tmp_path / "b", rate, claims=other)
    table = compare_claims(read_side(a), read_side(b))
    assert table["verdict_differs"].tolist() == [True, False]
    limits = table.loc[0, ["difference_pp", "difference_low_pp", "difference_high_pp"]].tolist()
    # 20 up from A and 15 down from B, and the other way round
    assert limits == pytest.approx([-20, -20 - np.hypot(20, 15), -20 + np.hypot(10, 15)])


def answers(rng, n_tests, shift=0.0):
    """Counts of two runs that ask the same prompts: [test, prompt, seed], crossed normal effects on the logit."""
    prompts = rng.normal(0, 1, (n_tests, 40, 1))
    sides = []
    for own_shift in (0.0, shift):
        logit = -0.5 + own_shift + prompts + rng.normal(0, 0.3, (n_tests, 1, 3))
        events = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
        sides.append((events, np.ones(logit.shape)))
    return sides


def tables(tmp_path, sides):
    rows = []
    for events, scored in sides:
        rates = estimate_rates(events, scored)
        rows.append([(*values, {}) for values in zip(rates.rate, *rate_interval(rates), strict=True)])
    return [read_side(folder(tmp_path / name, *part)) for name, part in zip("ab", rows, strict=True)]


def test_two_runs_of_one_truth_differ_no_more_often_than_they_should_and_of_two_are_told_apart(tmp_path):
    rng = np.random.default_rng(0)
    same = compare_rows(*tables(tmp_path, answers(rng, 1000)))
    assert same["beyond_interval"].mean() < 0.05
    (tmp_path / "other").mkdir()
    different = compare_rows(*tables(tmp_path / "other", answers(rng, 200, shift=4.0)))
    assert different["beyond_interval"].mean() > 0.9


def test_the_interval_from_tables_is_no_narrower_than_that_from_answers_to_the_same_prompts(tmp_path):
    sides = answers(np.random.default_rng(1), 200)
    table = compare_rows(*tables(tmp_path, sides))
    nobody = np.zeros(sides[0][0].shape)
    # other adapters on either side, so each answers where those of the other do not
    a = [np.concatenate([part, nobody], -1) for part in sides[0]]
    b = [np.concatenate([nobody, part], -1) for part in sides[1]]
    low, high = delta_interval(contrast_rates(*b, *a))
    ratio = (table["em_difference_high"] - table["em_difference_low"]) / (high - low)
    assert (ratio > 0.999).mean() > 0.95 and ratio.median() < 1.2


def test_the_script_writes_both_tables_and_tells_what_differs(tmp_path):
    rates = [(0.2, 0.1, 0.3, {}), (0.5, 0.4, 0.6, {}), (0.0, 0.0, 0.1, {"condition": "base", "n_seeds": 1})]
    a = folder(tmp_path / "a", *rates, claims=[claim("supported for these", 30, 20, 50)])
    b = folder(tmp_path / "b", (0.6, 0.5, 0.7, {}), *rates[1:], rates[0], claims=[claim("undecided", 10, -5, 25)])
    done = run_script("compare_runs", "--a", a, "--b", b, "--output", tmp_path / "found")
    assert done.returncode == 0, done.stderr
    for line in (
        "Rows of the table: 3 in both, 0 only in A, 1 only in B.",
        "1 of them differs beyond the 95 % interval",
        "20 % -> 60 %, +40 points (+23 to +57)",
        "Claims: 1 in both, 0 only in A, 0 only in B; 1 verdict differs.",
        "supported for these -> undecided; -20 points",
    ):
        assert line in done.stdout, done.stdout
    rows = pd.read_csv(tmp_path / "found/rows.csv")
    assert rows["found_in"].tolist() == ["both", "both", "both", "b"]
    assert pd.read_csv(tmp_path / "found/claims.csv")["verdict_differs"].tolist() == [True]


def test_what_cannot_be_compared_is_one_line(tmp_path):
    path = folder(tmp_path / "a", (0.2, 0.1, 0.3, {}))
    with pytest.raises(InputError, match="experiment is nk; expected one of nl"):
        read_side(f"{path}:nk")
    with pytest.raises(InputError, match="A or B is empty; expected a folder of results"):
        read_side("")
    with pytest.raises(InputError, match="no such file; expected a CSV table"):
        read_side(str(tmp_path / "b"))
    pd.DataFrame({"experiment": ["nl"]}).to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(InputError, match="column base_model is missing; expected a table of this pipeline"):
        read_side(str(tmp_path / "own.csv"))
    twice = folder(tmp_path / "c", *((0.2, 0.1, 0.3, {"eval_task": "same"}) for _ in range(2)))
    with pytest.raises(InputError, match="B: the row .* appears twice; expected every row once"):
        compare_rows(read_side(path), read_side(twice))
