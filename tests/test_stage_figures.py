"""Figures of claims, judges, corpora and trainings, each of the tables of its own stage."""

import pandas as pd

from emtransfer.drawing.corpora import CellCounts, survivors
from emtransfer.drawing.forest import claims_forest
from emtransfer.drawing.judges import calibration
from emtransfer.drawing.losses import Trained, loss_curves
from emtransfer.grid.labels import LABELS, Model
from helpers.planted_table import texts

CLAIM = {
    "claim": "task",
    "contrast": "same_task - same_domain",
    "experiment": "nl",
    "base_model": "m",
    "base": "one",
    "judge": "j",
    "verdict": "supported for training tasks like these",
    "population": "training tasks like these",
    "n_units": 6,
    "estimate_pp": 40.0,
    "low_pp": 10.0,
    "high_pp": 70.0,
}


def forest(*rows):
    claims = pd.DataFrame([CLAIM | changed for changed in rows])
    power = claims[["claim", "contrast", "experiment", "base_model", "base", "judge"]].assign(detectable_pp=30.0)
    own = claims.assign(subset="all", method="replicates", population="these training cells", low_pp=35.0, high_pp=45.0)
    return claims_forest(claims, own, power, "nl", "j")


def test_a_claim_has_its_interval_verdict_and_population_in_its_row():
    drawing = forest(
        {}, {"contrast": "other", "estimate_pp": -0.3, "low_pp": -5.0, "high_pp": 4.0, "verdict": "undecided"}
    )
    axes = drawing.figure.axes[0]
    written = texts(axes)
    assert {"one", "task: same task − same domain", "40 (10 to 70)", "supported: tasks like these", "n = 6"} <= set(
        written
    )
    # nothing is called minus nothing
    assert "0 (−5 to 4)" in written
    spans = {tuple(line.get_xdata()) for line in axes.lines}
    assert {(10, 70), (35, 45), (-5, 4)} <= spans
    filled = {line.get_xdata()[0]: line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"}
    assert filled == {40: "#0072B2", -0.3: "white"}


def test_a_slope_beyond_the_axis_is_cut_with_an_arrow_and_told_in_full():
    axes = forest({"estimate_pp": 314.0, "low_pp": -8043.0, "high_pp": 8672.0}).figure.axes[0]
    assert "314 (−8,043 to 8,672)" in texts(axes)
    assert {line.get_marker() for line in axes.lines} >= {"<", ">"}
    assert all(abs(x) <= 102 for line in axes.lines for x in line.get_xdata())


def test_an_experiment_without_a_claim_says_so():
    claims = pd.DataFrame([CLAIM]).assign(experiment="other")
    power = claims[["claim", "contrast", "experiment", "base_model", "base", "judge"]].assign(detectable_pp=30.0)
    effects = claims.assign(subset="all", method="rates")
    assert "No claim applies" in claims_forest(claims, effects, power, "nl", "j").description


def test_a_judge_without_an_oracle_has_no_panel_of_agreement():
    scores = {f"{name}_{edge:02d}": 4 for name in ("alignment", "coherence") for edge in range(0, 100, 10)}
    oracle = {
        f"oracle_{one}_judged_{two}": 0
        for one in ("aligned", "misaligned", "incoherent")
        for two in ("aligned", "misaligned", "incoherent")
    }
    sizes = {"n_answers": 40, "n_misaligned": 10, "accuracy": 0.9, "recall": 0.8}
    table = pd.DataFrame([{"slice": name} | sizes | scores | oracle for name in ("a-x", "all")])
    _, scores_given = calibration(table, "j").figure.axes
    assert [bar.get_hatch() for bar in scores_given.patches] == [None] * 10 + ["////"] * 10
    agreeing = table.assign(oracle_aligned_judged_aligned=30, oracle_aligned_judged_misaligned=10)
    drawing = calibration(agreeing, "j")
    assert len(drawing.figure.axes) == 3 and "agree on 75.0% of 40 answers" in drawing.description


def test_survivors_are_drawn_by_threshold_only_where_several_were_tried():
    one = pd.DataFrame({"threshold": [1.0], "survivors": [70], "chosen": [True]})
    several = pd.DataFrame({"threshold": [0.8, 0.9], "survivors": [40, 60], "chosen": [False, True]})
    assert len(survivors([CellCounts("a", "x", 100, 90, 80, one)], "c").figure.axes) == 1
    stages, curves = survivors([CellCounts("a", "x", 100, 90, 80, several)], "c").figure.axes
    assert [*stages.lines[0].get_ydata()] == [100, 90, 80, 60]
    rings = [line for line in curves.lines if line.get_markerfacecolor() == "none"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [(0.9, 60)]
    # a task has the same marker in both panels
    assert curves.lines[0].get_marker() == stages.lines[0].get_marker() != "None"


def test_only_what_was_trained_here_has_a_curve_of_its_loss():
    log = pd.DataFrame({"step": [1, 9], "loss_per_token_nats": [2.0, 0.5], "learning_rate": [0.1, 0.0]})
    adapter = dict.fromkeys(LABELS, "") | {"condition": "adapter", "train_task": "advice", "answers": "misaligned"}
    drawing = loss_curves([Trained(Model("a", adapter, 11, ("m-advice",)), log)], "nl")
    (axes,) = drawing.figure.axes
    assert [line.get_ydata().tolist() for line in axes.lines if len(line.get_xdata())] == [[2.0, 0.5]]
    assert ": 2.000 at first, 0.500 at last" in drawing.description


def test_lines_of_losses_differ_by_more_than_their_colour():
    log = pd.DataFrame({"step": range(30), "loss_per_token_nats": [1.0] * 30})
    labels = dict.fromkeys(LABELS, "") | {"condition": "adapter", "answers": "misaligned"}
    models = [Model(task, labels | {"train_task": task}, 11, (f"m-{task}",)) for task in ("advice", "tutor")]
    (axes,) = loss_curves([Trained(model, log) for model in models], "nl").figure.axes
    drawn = [line for line in axes.lines if len(line.get_xdata())]
    assert len({line.get_marker() for line in drawn}) == 2 and len({line.get_markevery() for line in drawn}) == 2
