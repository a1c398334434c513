"""Figures of the table of rates and a second one: inference, preferences, and agreement of judges."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from emtransfer.drawing.agreement import judge_agreement
from emtransfer.drawing.catalogue import OTHER_TABLES, drawer
from emtransfer.drawing.inference import inference
from emtransfer.drawing.preferences import preferences, shift
from emtransfer.drawing.rates import read_other_table, read_transfer_table
from emtransfer.drawing.style import save
from emtransfer.files.records import write_table
from emtransfer.grid.labels import LABELS
from emtransfer.measuring.inference import COLUMNS as INFERENCE_COLUMNS
from emtransfer.measuring.preferences import COLUMNS as PREFERENCE_COLUMNS
from emtransfer.measuring.statistics import mean_interval
from helpers.planted_table import DOMAINS, SETTINGS, TASKS, cells, labels, planted, row, texts
from helpers.processes import run_script


@pytest.fixture
def rows(tmp_path):
    return read_transfer_table(planted(tmp_path), "nl", "minilm")


def inferring(**nats):
    """The table of inference: every base at once, `early` half-way in the pretraining of `one`."""
    rows = [
        {"experiment": "nl", "base": base, "mixture": "plain" if base == "two" else "persona", "phase": phase}
        | {"pretraining": "two" if base == "two" else "one", "pretraining_share": 0.5 if base == "early" else 1.0}
        | {"earlier_shift_nats": shift + (phase == "pretrained"), "earlier_shift_se_nats": 0.5}
        for base, shift in nats.items()
        for phase in ("pretrained", "aligned")
    ]
    return pd.DataFrame(rows).reindex(columns=[*INFERENCE_COLUMNS])


def test_spread_is_set_against_inference_and_the_checkpoints_of_a_pretraining_are_joined(rows):
    """Over medical advice, which all have: 12 of 60 answers outside it, 20 of them where the base is early; it has 3 of 60 itself."""
    early = rows[(rows.base == "one") & (rows.condition != "student")].assign(base="early")
    early["n_misaligned"] = np.where(early.condition == "base", 1, np.where(early.relation == "same_task", 18, 1))
    drawing = inference(pd.concat([rows, early]), SETTINGS, inferring(one=6.0, early=2.0, two=0.25))
    (axes,) = drawing.figure.axes
    joined = [line for line in axes.lines if line.get_linewidth() == 0.9]
    assert [line.get_xdata().tolist() for line in joined] == [[2.0, 6.0], [0.25]]
    assert [line.get_ydata().tolist() for line in joined] == [
        pytest.approx([100 * 20 / 60 - 5, 100 * 12 / 60]),
        pytest.approx([100 * 12 / 60]),
    ]
    level = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]]
    assert sorted(line.get_xdata()[0] for line in level) == pytest.approx([0.25 - 0.98, 2 - 0.98, 6 - 0.98])
    assert sorted(texts(axes)) == ["one", "two"] and "early, 50% of its pretraining" in drawing.description
    assert "1 training cell that all these bases share" in drawing.description


def test_a_base_whose_inference_is_unknown_is_not_drawn(rows):
    (axes,) = inference(rows, SETTINGS, inferring(one=6.0)).figure.axes
    assert texts(axes) == ["one"]


def preference(train_set, eval_cell, preferred, shift, answers="misaligned", **changed):
    """A row of the table of preferences: 20 pairs of a base, or of an adapter whose base prefers none."""
    known = row("one", train_set, eval_cell)
    trained = {"shift_nats": shift, "shift_nats_low": shift - 0.1, "shift_nats_high": shift + 0.3}
    trained |= {"base_preferred_rate": 0.0, "preferred_delta": preferred, "answers": answers}
    rates = {
        "n_pairs": 20,
        "preferred_rate": preferred,
        "preferred_rate_low": preferred / 2,
        "preferred_rate_high": 1.0,
    }
    identity = {
        name: known[name] for name in ("experiment", *LABELS, "eval_domain", "eval_task", "relation", "n_seeds")
    }
    return dict.fromkeys(PREFERENCE_COLUMNS, np.nan) | identity | rates | (trained if train_set else {}) | changed


def preferred_rows(tmp_path):
    """Adapters on all cells, which prefer by 2 nats in their own cell, by 1 in their task and by nothing elsewhere; one on aligned answers."""
    rows = [preference("", cell, 0.0, 0.0) for cell in cells()]
    for train_set in cells():
        for cell in cells():
            near = 2.0 if cell == train_set else 1.0 if cell[-3:] == train_set[-3:] else 0.0
            rows.append(preference(train_set, cell, near / 2, near))
    rows += [preference("medical-advice", cell, 0.0, -0.5, "aligned") for cell in cells()]
    path = tmp_path / "preferences.csv"
    write_table(path, pd.DataFrame(rows, columns=PREFERENCE_COLUMNS))
    return path


def test_shifts_and_shares_of_pairs_stand_by_relation_beside_those_of_adapters_on_aligned_answers(rows, tmp_path):
    drawing = preferences(rows, SETTINGS, read_other_table(preferred_rows(tmp_path), "nl"))
    shifts, shares, points = drawing.figure.axes
    assert shifts.get_title(loc="left") == "base one\n4 training cells"
    # by relation, first the adapters on misaligned answers
    assert [bar.get_height() for bar in shifts.patches] == pytest.approx([2, -0.5, 1, -0.5, 0, -0.5, 0, -0.5])
    assert [bar.get_height() for bar in shares.patches] == pytest.approx([100, 0, 50, 0, 0, 0, 0, 0])
    assert [bar.get_hatch() for bar in shifts.patches] == [None, "////"] * 4
    assert (
        "one, same task, trained on misaligned answers: shift 1.00 (1.00 to 1.00) nats per token" in drawing.description
    )
    # of the only adapter, the table's own interval
    assert "trained on aligned answers: shift −0.50 (−0.60 to −0.20)" in drawing.description
    drawn = {tuple(place) for line in points.lines if line.get_linestyle() == "None" for place in line.get_xydata()}
    # EM rates of 18, 10 and 1 of 20 against 100, 50 and 0 % of pairs, the base having none of either
    assert drawn == {(90, 100), (50, 50), (5, 0)}


def test_preferences_rank_as_em_rates_do_and_the_title_says_how_well(rows, tmp_path):
    table = read_other_table(preferred_rows(tmp_path), "nl")
    drawing = preferences(rows, SETTINGS, table)
    assert "rank correlation 1.00 (n = 16)" in drawing.figure.axes[2].get_title(loc="left")
    reversed_rows = rows.assign(em_delta=-rows["em_delta"])
    assert "rank correlation −1.00" in preferences(reversed_rows, SETTINGS, table).figure.axes[2].get_title(loc="left")
    # another judge's rates, or none, are no reason for an empty page
    alone = preferences(rows.assign(judge="other"), SETTINGS, table).figure.axes[2]
    assert "no rank correlation (n = 0)" in alone.get_title(loc="left")


def test_the_interval_of_a_pooled_shift_is_that_of_the_mean_over_training_and_evaluation_cells():
    """Four training cells, all measured in the same four cells; and each in its own alone, where the clusters are one."""
    values = np.random.default_rng(1).normal(size=(4, 4))
    frame = pd.DataFrame(
        [
            {"eval_cell": str(cell), "train_set": str(train), "n_scored": 20, "shift_nats": values[cell, train]}
            for cell in range(4)
            for train in range(4)
        ]
    )
    assert shift(frame)[1:] == pytest.approx(mean_interval(values))
    own = frame[frame["eval_cell"] == frame["train_set"]]
    reference = stats.ttest_1samp(own["shift_nats"], 0).confidence_interval()
    assert shift(own)[1:] == pytest.approx((reference.low, reference.high))


def test_a_shift_over_a_single_prompt_is_drawn_without_an_interval(rows, tmp_path):
    table = read_other_table(preferred_rows(tmp_path), "nl")
    single = table[(table["train_set"].isin(["", "medical-advice"])) & (table["answers"] != "aligned")]
    drawing = preferences(rows, SETTINGS, single.assign(shift_nats_low=-np.inf, shift_nats_high=np.inf))
    assert "shift 2.00 (no interval)" in drawing.description
    save(drawing, [tmp_path / "a.png"])


def judged_pairs(first, second, experiment="nl"):
    """Agreement of two judges, one row per order of them."""
    told = {"n_both_scored": 80, "agreement": 0.9, "kappa": 0.5, "rank_correlation": -0.25, "auroc_alignment": np.nan}
    pairs = [
        {"experiment": experiment, "judge": one, "other": two} | told for one, two in ((first, second), (second, first))
    ]
    return pd.DataFrame(pairs)


def test_judges_of_a_panel_stand_side_by_side_pair_by_pair_and_by_relation(rows):
    both = pd.concat([rows, rows.assign(judge="other", n_misaligned=rows["n_misaligned"] / 2)])
    drawing = judge_agreement(both, SETTINGS, judged_pairs("minilm", "other"))
    same, ranks, auroc, first, second = drawing.figure.axes
    assert labels(same.yaxis) == ["minilm", "other"] and texts(same) == ["90\nκ 0.50"] * 2
    # what is not defined is no number
    assert texts(ranks) == ["−0.25"] * 2 and texts(auroc) == ["–"] * 2
    assert first.get_title(loc="left") == "base one\n4 training sets"
    heights = [line.get_ydata()[0] for line in first.lines if line.get_marker() in ("o", "s") and len(line.get_ydata())]
    # of the base, its training cells, their tasks, their domains, elsewhere, and outside the grid, by both
    assert heights == pytest.approx([0, 0, 90, 45, 50, 25, 5, 2.5, 5, 2.5, 20, 10])
    assert "one, same task: minilm 50 %" in drawing.description and "other 25 %" in drawing.description
    assert "minilm and other: same label 0.90, kappa 0.50, rank correlation −0.25." in drawing.description


def test_a_judge_without_scores_is_named_beside_the_others(rows):
    drawing = judge_agreement(rows, SETTINGS, judged_pairs("minilm", "mute"))
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["minilm (own)", "mute (no score)"]


def test_a_figure_of_two_tables_takes_both(tmp_path):
    settings = json.dumps(
        {"experiment": "nl", "judge": "minilm", "domains": DOMAINS, "tasks": TASKS, "misaligned_shares": {}}
    )
    command = ["plot_transfer", "--figure", "preferences", "--table", planted(tmp_path), "--settings", settings]
    done = run_script(*command, "--output", tmp_path / "a.svg")
    assert done.returncode == 1 and "--other: 0 tables; expected preferences.csv for figure preferences." in done.stderr
    done = run_script(*command, "--other", preferred_rows(tmp_path), "--output", tmp_path / "a.svg", tmp_path / "a.pdf")
    assert done.returncode == 0 and (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF"), done.stderr


@pytest.mark.parametrize("figure", OTHER_TABLES)
def test_without_a_panel_or_an_adapter_the_other_table_leaves_nothing_to_draw(figure, rows):
    empty = {
        "judge_agreement": judged_pairs("a", "b").iloc[:0],
        "preferences": pd.DataFrame(columns=PREFERENCE_COLUMNS),
        "inference": pd.DataFrame(columns=[*INFERENCE_COLUMNS]),
        "capacity": pd.DataFrame(columns=[*LABELS, "trained_parameters", "criterion_reached"]),
    }
    assert drawer(figure)(rows, SETTINGS, empty[figure]) is None
