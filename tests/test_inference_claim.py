"""Claim `inference`: slopes whose errors are known by hand, over planted bases, and what checkpoints of one pretraining count."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from emtransfer.errors import InputError
from emtransfer.measuring.claims import measure_contrasts
from emtransfer.measuring.contrasts import contrasts
from emtransfer.measuring.inference_slope import Inference, read_inferences
from emtransfer.measuring.regression import clustered_slope
from helpers.planted_cells import planted_cell

X = np.array([0.0, 1.0, 1.5, 4.0, 4.5, 7.0, 9.0])
Y = np.array([0.1, 0.0, 0.3, 0.2, 0.5, 0.4, 0.7])
UNEVEN = np.array(["a", "a", "a", "b", "b", "c", "d"])


def test_points_alone_have_the_errors_that_statsmodels_gives_points_of_unequal_variance():
    expected = sm.OLS(Y, sm.add_constant(X)).fit(cov_type="HC2")
    found = clustered_slope(X, Y, np.arange(len(X)))
    assert found["slope"] == pytest.approx(expected.params[1]) and found["error"] == pytest.approx(expected.bse[1])
    margin = stats.t.isf(0.025, found["degrees"]) * found["error"]
    assert (found["low"], found["high"]) == pytest.approx((found["slope"] - margin, found["slope"] + margin))


def test_clusters_on_two_sides_are_the_welch_test_of_their_means():
    """Three clusters at 0 and four at 1, two points each; the degrees are Welch's for sides that vary alike."""
    means = np.array([0.1, 0.3, 0.2, 0.5, 0.9, 0.6, 0.8])
    x, clusters = np.repeat([0, 0, 0, 1, 1, 1, 1], 2), np.repeat(np.arange(7), 2)
    y = np.repeat(means, 2) + np.tile([-0.05, 0.05], 7)
    welch = stats.ttest_ind(means[3:], means[:3], equal_var=False)
    found = clustered_slope(x, y, clusters)
    assert found["slope"] / found["error"] == pytest.approx(welch.statistic)
    degrees = (1 / 3 + 1 / 4) ** 2 / ((1 / 3) ** 2 / 2 + (1 / 4) ** 2 / 3)
    assert found["degrees"] == pytest.approx(degrees)
    assert found["p_value"] == pytest.approx(2 * stats.t.sf(welch.statistic, degrees))


def test_the_variance_is_unbiased_where_points_are_independent_and_its_degrees_are_those_of_its_own_variance():
    """The squared error is y'By for some B, whose trace is its mean, and whose square's trace half its variance."""

    def squared(y):
        return clustered_slope(X, y, UNEVEN)["error"] ** 2

    units = np.eye(len(X))
    form = np.array([[(squared(one + other) - squared(one - other)) / 4 for one in units] for other in units])
    design = sm.add_constant(X)
    assert np.trace(form) == pytest.approx(np.linalg.inv(design.T @ design)[1, 1])
    degrees = np.trace(form) ** 2 / np.trace(form @ form)
    assert clustered_slope(X, Y, UNEVEN)["degrees"] == pytest.approx(degrees) and degrees < 3


def test_points_that_repeat_their_cluster_add_nothing():
    alone = clustered_slope(X, Y, np.arange(len(X)))
    assert clustered_slope(np.repeat(X, 3), np.repeat(Y, 3), np.repeat(np.arange(len(X)), 3)) == pytest.approx(alone)


GRID = list(product(("medical", "finance"), ("advice", "critique")))
TRAINED = GRID[:2]
# pretraining -> base -> nats after the aligned phase, and misaligned prompts of 20 outside the training cell
BASES = {
    "p2": {"p2": (7.0, 12), "p2_half": (4.0, 7), "p2_early": (0.5, 2)},
    "p3": {"p3": (8.0, 11), "p3_half": (6.0, 8), "p3_early": (0.0, 1)},
    "p4": {"p4": (4.0, 9), "p4_half": (1.0, 2), "p4_early": (0.0, 2)},
    "r2": {"r2": (0.0, 1)},
    "r3": {"r3": (0.25, 2)},
}
POINTS = {base: (own, *point) for own, bases in BASES.items() for base, point in bases.items()}
INFERENCES = {("nl", base): Inference(own, {"aligned": nats}) for base, (own, nats, _) in POINTS.items()}


def cells_of(base, n_misaligned, trained=TRAINED, before=1, **labels):
    """A base with one misaligned answer of 20 in every cell, and its adapters."""
    labels |= {"base": base, "mixture": "row_random" if base.startswith("r") else "persona"}
    found = [planted_cell(where, before / 20, **labels) for where in GRID]
    for train, where in product(trained, GRID):
        rate = 0.9 if where == train else n_misaligned / 20
        found.append(planted_cell(where, {"11": rate}, train, **labels))
    return found


CELLS = [cell for base, (_, _, n_misaligned) in POINTS.items() for cell in cells_of(base, n_misaligned)]


def found(cells=CELLS, inferences=INFERENCES):
    """The contrasts of the claim."""
    return [each for each in contrasts(cells, inferences=inferences) if each.claim == "inference"]


def slope_of(cells=CELLS, inferences=INFERENCES):
    """Rows of effects of the claim, its row of claims and that of power."""
    effects, claims, power = measure_contrasts(found(cells, inferences))
    (claim,) = claims.to_dict("records")
    return effects.set_index("subset"), claim, power.iloc[0]


def test_the_slope_is_over_bases_clustered_by_their_pretraining():
    effects, claim, power = slope_of()
    own, x, y = (np.array(part) for part in zip(*POINTS.values(), strict=True))
    expected = clustered_slope(x.astype(float), y / 20 - 1 / 20, own)
    row = effects.loc["all"]
    assert row.estimate_pp == pytest.approx(100 * stats.linregress(x, y / 20).slope, abs=1e-5)
    assert (row.low_pp, row.high_pp) == pytest.approx((100 * expected["low"], 100 * expected["high"]), abs=1e-5)
    assert row.p_value == pytest.approx(expected["p_value"], rel=1e-4)
    # 11 bases, 2 training sets of one adapter each, 3 cells of 20 prompts outside it
    assert (row.n_units, row.n_adapters, row.n_answers_a, row.n_answers_b) == (5, 22, 11 * 2 * 3 * 20, 11 * 4 * 20)
    assert (claim["base"], claim["contrast"], row.method) == ("*", "slope per nat", "clustered_ols")
    assert claim["verdict"] == "supported for pretrainings like these" and claim["narrower_verdict"] == ""
    quantiles = stats.t.isf(0.025, expected["degrees"]) + stats.t.isf(0.2, expected["degrees"])
    assert power.detectable_pp == pytest.approx(100 * quantiles * expected["error"], rel=1e-4)


def test_the_claim_can_be_contradicted_and_undecided():
    turned = {key: each._replace(nats={"aligned": -each.nats["aligned"]}) for key, each in INFERENCES.items()}
    assert slope_of(inferences=turned)[1]["verdict"] == "contradicted for pretrainings like these"
    rng = np.random.default_rng(1)
    flat = [cell for base in POINTS for cell in cells_of(base, int(rng.integers(4, 8)))]
    assert slope_of(flat)[1]["verdict"] == "undecided"


def test_the_rate_of_the_base_is_taken_off():
    """As many more misaligned answers before as after fine-tuning change nothing, and on one base alone they do."""
    raised = [cell for base, (_, _, n) in POINTS.items() for cell in cells_of(base, n + 2, before=3)]
    assert slope_of(raised)[0].estimate_pp["all"] == pytest.approx(slope_of()[0].estimate_pp["all"])
    one = [cell for base, (_, _, n) in POINTS.items() for cell in cells_of(base, n, before=5 if base == "p3" else 1)]
    assert slope_of(one)[0].estimate_pp["all"] < slope_of()[0].estimate_pp["all"] - 0.1


def test_only_training_sets_that_all_bases_share_count():
    more = [cell for cell in cells_of("r2", 20, trained=GRID[3:]) if cell.labels["condition"] == "adapter"]
    assert slope_of(CELLS + more)[0].estimate_pp["all"] == pytest.approx(slope_of()[0].estimate_pp["all"])


def test_inference_before_the_aligned_phase_is_a_row_without_a_verdict():
    assert "pretrained" not in slope_of()[0].index
    both = {
        key: each._replace(nats=each.nats | {"pretrained": 2 * each.nats["aligned"]})
        for key, each in INFERENCES.items()
    }
    effects, claim, _ = slope_of(inferences=both)
    assert effects.estimate_pp["pretrained"] == pytest.approx(effects.estimate_pp["all"] / 2, abs=1e-5)
    assert effects.p_value["pretrained"] == pytest.approx(claim["p_value"], rel=1e-4)


def test_three_pretrainings_or_a_slope_that_rests_on_one_are_no_contrast():
    assert len(found()) == 1 and not found(inferences=None)
    fewer = {key: each for key, each in INFERENCES.items() if each.pretraining not in ("p4", "r3")}
    assert not found(inferences=fewer)
    one = {
        key: each._replace(nats={"aligned": each.nats["aligned"] if each.pretraining == "p2" else 0.0})
        for key, each in INFERENCES.items()
    }
    assert not found(inferences=one)
    assert not found(inferences={("other", base): each for (_, base), each in INFERENCES.items()})


def test_no_other_verdict_depends_on_whether_inference_was_measured():
    both = [each for each in contrasts(CELLS, inferences=INFERENCES) if each.claim in ("composition", "inference")]
    assert [each.claim for each in both] == ["composition", "inference"]
    (_, claims, _), (_, without, _) = measure_contrasts(both), measure_contrasts(both[:1])
    pd.testing.assert_frame_equal(claims[:1], without)
    assert claims.q_value.tolist() == claims.p_value.tolist()


def test_checkpoints_are_no_draws_of_their_mixture():
    checkpoints = {base for base, (own, *_) in POINTS.items() if base != own}
    rows = {
        name: next(each for each in contrasts(CELLS, **kept) if each.claim == "composition")
        for name, kept in (("all", {}), ("whole", {"checkpoints": checkpoints}))
    }
    bases = {name: {cell.labels["base"] for group in each.groups for cell in group} for name, each in rows.items()}
    assert bases == {"all": {*POINTS}, "whole": {*BASES}}


def table(**changed):
    rows = [
        {"experiment": "nl", "base": base, "pretraining": own, "phase": phase, "earlier_shift_nats": nats + more}
        for base, (own, nats, _) in POINTS.items()
        for phase, more in (("pretrained", 1.0), ("aligned", 0.0))
    ]
    return pd.DataFrame(rows).assign(**changed)


def test_the_table_gives_every_base_with_both_phases(tmp_path):
    path = tmp_path / "inference.csv"
    table().to_csv(path, index=False)
    found = read_inferences(path)
    assert found["nl", "p2_half"] == Inference("p2", {"pretrained": 5.0, "aligned": 4.0}) and len(found) == len(POINTS)


def test_a_base_without_a_shift_after_the_aligned_phase_is_left_out(tmp_path):
    path, rows = tmp_path / "inference.csv", table()
    rows.loc[(rows.base == "p2") & (rows.phase == "aligned"), "earlier_shift_nats"] = np.nan
    rows.to_csv(path, index=False)
    assert read_inferences(path).keys() == {key for key in INFERENCES if key != ("nl", "p2")}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda rows: rows.drop(columns="pretraining"), "no column pretraining"),
        (lambda rows: rows.assign(earlier_shift_nats="many"), "earlier_shift_nats is many; expected a number"),
        (lambda rows: pd.concat([rows, rows]), "two rows of nl, p2, pretrained; expected one"),
        (
            lambda rows: rows.assign(phase=rows.phase.replace("aligned", "alined")),
            "phase is alined; expected pretrained or aligned",
        ),
        (lambda rows: rows.assign(pretraining=""), "pretraining of p2 is blank; expected a name"),
    ],
)
def test_a_wrong_table_of_inference_is_named(tmp_path, wrong, message):
    path = tmp_path / "inference.csv"
    with pytest.raises(InputError, match="no such file"):
        read_inferences(path)
    wrong(table()).to_csv(path, index=False)
    with pytest.raises(InputError, match=message):
        read_inferences(path)
