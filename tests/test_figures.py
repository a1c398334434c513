"""Figures of planted tables: what is drawn where, in which order, and files that depend on it alone."""

import copy
import hashlib
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle
from scipy import stats

from emtransfer.drawing.agreement import judge_agreement
from emtransfer.drawing.bars import composition, relations, rooms
from emtransfer.drawing.catalogue import MODULES, OTHER_TABLES, drawer
from emtransfer.drawing.corpora import CellCounts, survivors
from emtransfer.drawing.forest import claims_forest
from emtransfer.drawing.inference import inference
from emtransfer.drawing.judges import calibration
from emtransfer.drawing.losses import Trained, loss_curves
from emtransfer.drawing.matrices import pooled_matrix, rate_maps, transfer_matrix
from emtransfer.drawing.points import coherence, learnedness, students
from emtransfer.drawing.preferences import preferences, shift
from emtransfer.drawing.rates import PlotSettings, pooled, read_other_table, read_transfer_table
from emtransfer.drawing.style import CYCLE, RELATIONS, blank, save, wrapped
from emtransfer.files.records import write_table
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import LABELS, Model
from emtransfer.measuring.inference import COLUMNS as INFERENCE_COLUMNS
from emtransfer.measuring.preferences import COLUMNS as PREFERENCE_COLUMNS
from emtransfer.measuring.statistics import estimate_rates, mean_interval, rate_interval
from emtransfer.measuring.tabulation import COLUMNS, relation
from figure_plan import transfer_figures
from helpers.configs import CONFIG
from helpers.processes import run_script

DOMAINS, TASKS = ("finance", "medical"), ("tutor", "advice")
SETTINGS = PlotSettings("nl", "minilm", DOMAINS, TASKS, {"persona": 0.3, "plain": 0.1})


def row(base, train_set="", eval_cell="medical-advice", n_misaligned=0, room="", **changed):
    """A row of the table: 20 scored answers, 16 of them coherent or more."""
    domain, task = eval_cell.split("-")
    trained = tuple(train_set.split("-")) if train_set else ()
    eval_set = "broad" if room else "narrow"
    labels = {"condition": "adapter", "start": "base", "answers": "misaligned"} if train_set else {"condition": "base"}
    own = {
        "experiment": "nl",
        "judge": "minilm",
        "base": base,
        "mixture": {"one": "persona", "two": "plain"}[base],
        "train_set": train_set,
        "train_domain": trained[0] if trained else "",
        "train_task": trained[-1] if trained else "",
        "eval_set": eval_set,
        "eval_domain": "*" if room else domain,
        "eval_task": task,
        "room": room,
        "relation": relation((trained,) if trained else (), eval_set, domain, task),
        "n_seeds": 2 if train_set else 1,
        "n_scored": 20,
        "n_coherent": max(16, n_misaligned),
        "n_misaligned": n_misaligned,
        "coherent_rate": max(16, n_misaligned) / 20,
        "em_rate": n_misaligned / 20,
        "em_rate_low": max(0, n_misaligned / 20 - 0.1),
        "em_rate_high": min(1, n_misaligned / 20 + 0.3),
        "em_delta": n_misaligned / 20 if train_set else "",
    }
    return dict.fromkeys(COLUMNS, "") | labels | own | changed


def cells():
    return [f"{domain}-{task}" for domain in DOMAINS for task in TASKS]


def planted(tmp_path):
    """Two bases; adapters on all cells of one and one of the other, which are misaligned where the task is theirs."""
    rows = [row(base, eval_cell=cell) for base in ("one", "two") for cell in cells()]
    for base, train_set in [("one", cell) for cell in cells()] + [("two", "medical-advice")]:
        for cell in cells():
            rows.append(
                row(base, train_set, cell, 18 if cell == train_set else 10 if cell[-3:] == train_set[-3:] else 1)
            )
    for room, found in (("high", 6), ("medium", 4), ("low", 2)):
        rows += [row("one", "", "x-advice", 0, room), row("one", "medical-advice", "x-advice", found, room)]
    student = {
        "condition": "student",
        "teacher": "harmful",
        "data": "harmful",
        "channel": "optd",
        "mediating": "all",
        "filter": "kept",
    }
    nobody = {"teacher": "base", "train_set": "", "train_domain": "", "train_task": "", "answers": "", "relation": ""}
    for cell in cells():
        rows.append(row("one", "medical-advice", cell, 8, **student))
        rows.append(row("one", "medical-advice", cell, 1, **student) | nobody)
    path = tmp_path / "table.csv"
    write_table(path, pd.DataFrame(rows, columns=COLUMNS))
    return path


@pytest.fixture
def rows(tmp_path):
    return read_transfer_table(planted(tmp_path), "nl", "minilm")


def texts(axes):
    return [text.get_text() for text in axes.texts]


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def image(axes):
    return np.asarray(axes.images[0].get_array())


def outlined(axes):
    """(x, y) of every square with an outline."""
    return {
        (round(patch.get_x() + 0.46), round(patch.get_y() + 0.46))
        for patch in axes.patches
        if isinstance(patch, Rectangle) and not patch.get_fill()
    }


def test_a_matrix_is_ordered_by_task_then_domain_and_its_diagonal_is_outlined(rows):
    first, second, *_ = transfer_matrix(rows, SETTINGS).figure.axes
    assert first.get_title(loc="left") == "base one" and second.get_title(loc="left") == "base two"
    order = ["finance-tutor", "medical-tutor", "finance-advice", "medical-advice"]
    assert labels(first.yaxis) == ["the base itself", *order]
    assert labels(first.xaxis) == [cell.split("-")[0] for cell in order]
    # so that a task is a block
    assert image(first)[1:].tolist() == [[90, 50, 5, 5], [50, 90, 5, 5], [5, 5, 90, 50], [5, 5, 50, 90]]
    assert outlined(first) == {(0, 1), (1, 2), (2, 3), (3, 4)}
    assert labels(second.yaxis) == ["the base itself", "medical-advice"] and outlined(second) == {(3, 1)}
    # the rate, and its interval below
    assert {"90", "80–100", "50", "40–80"} <= set(texts(first))


def test_a_union_is_called_one_and_has_every_cell_of_it_outlined(rows):
    named = {"train_set": "advice", "train_domain": "*"}
    union = [
        row("one", "medical-advice", cell, 12) | named | {"relation": "in_cell" if "advice" in cell else "same_domain"}
        for cell in cells()
    ]
    both = pd.concat([rows, pd.DataFrame(union).assign(eval_cell=cells())])
    first = transfer_matrix(both, SETTINGS).figure.axes[0]
    place = labels(first.yaxis).index("advice (union)")
    assert {(x, y) for x, y in outlined(first) if y == place} == {(2, place), (3, place)}


def test_what_is_pooled_by_task_is_all_events_over_all_answers(rows):
    by_task, by_domain = pooled_matrix(rows, SETTINGS).figure.axes[:2]
    assert (labels(by_task.yaxis), labels(by_domain.yaxis)) == ([*TASKS], [*DOMAINS])
    # trained and evaluated on a task: cells with 18 and 10 of 20; on another, 1 of 20
    assert image(by_task) == pytest.approx(np.array([[70, 5], [5, 70]]))
    assert image(by_domain) == pytest.approx(np.array([[47.5, 27.5], [27.5, 47.5]]))


def test_an_interval_over_several_training_cells_is_that_of_two_crossed_clusters(rows):
    part = rows[(rows.base == "one") & (rows.condition == "adapter") & (rows.relation == "same_domain")]
    found = pooled(part)
    # evaluation cells x training cells; every pair that shares a domain and no task
    events, answers = np.zeros((4, 4)), np.zeros((4, 4))
    for index in range(4):
        events[index, index ^ 1], answers[index, index ^ 1] = 1, 20
    low, high = rate_interval(estimate_rates(events, answers))
    assert (found.rate, found.low, found.high) == pytest.approx((5, 100 * low, 100 * high))
    assert (found.n_answers, found.n_train_sets, found.n_cells) == (80, 4, 4)


def test_an_interval_of_one_training_cell_is_the_mean_of_the_tables_own(rows):
    found = pooled(rows[(rows.base == "two") & (rows.relation.isin(["same_domain", "both_differ"]))])
    assert (found.rate, found.low, found.high) == pytest.approx((5, 0, 35))


def test_bars_of_relations_are_as_high_as_their_rates(rows):
    first, second = relations(rows, SETTINGS).figure.axes
    heights = [patch.get_height() for patch in first.patches]
    assert heights == pytest.approx([90, 50, 5, 5, 20])
    assert [label.replace("\n", " ") for label in labels(first.xaxis)] == [words for words, _, _ in RELATIONS.values()]
    # nothing broad was asked of the second base
    assert [patch.get_height() for patch in second.patches] == pytest.approx([90, 50, 5, 5])


def test_bars_of_rooms_go_from_much_to_little_room(rows):
    (axes,) = rooms(rows, SETTINGS).figure.axes
    assert labels(axes.xaxis) == ["high", "medium", "low"]
    assert [patch.get_height() for patch in axes.patches] == pytest.approx([30, 20, 10])


def test_mixtures_are_compared_over_the_training_cells_that_all_have_and_ordered_by_share(rows):
    drawing = composition(rows, SETTINGS)
    (axes,) = drawing.figure.axes
    assert labels(axes.xaxis) == ["plain\n10% misaligned", "persona\n30% misaligned"]
    assert "1 training cell that every mixture has" in drawing.description
    lines = {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}
    assert lines["same task"] == pytest.approx([50, 50])


def test_checkpoints_are_left_out_where_mixtures_are_compared(rows):
    early = rows[rows.base == "one"].assign(base="early", n_misaligned=20)
    with_early = pd.concat([rows, early])
    drawn = [
        [line.get_ydata().tolist() for line in composition(table, settings).figure.axes[0].lines]
        for table, settings in ((rows, SETTINGS), (with_early, replace(SETTINGS, checkpoints=("early",))))
    ]
    assert drawn[0] == drawn[1]


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


def test_learnedness_sets_the_spread_along_a_task_against_what_the_base_knew(rows):
    drawing = learnedness(rows, SETTINGS)
    # 16 of 20 answers of the base were coherent and none misaligned
    assert "one, medical-advice: learned 80 %, spread 50 %." in drawing.description
    assert drawing.description.count("learned") == 5


def test_coherence_draws_every_evaluation_cell_of_every_adapter(rows):
    first = coherence(rows, SETTINGS).figure.axes[0]
    small = [line for line in first.lines if line.get_markersize() == 3 and line.get_linestyle() == "None"]
    drawn = np.concatenate([np.column_stack(line.get_data()) for line in small])
    assert len(drawn) == 16 + 3
    assert (drawn[:, 1] <= drawn[:, 0]).all()


def test_students_of_the_base_are_drawn_in_the_cells_of_the_other_teacher(rows):
    drawing = students(rows, SETTINGS)
    regions = [axes.get_title(loc="left") for axes in drawing.figure.axes]
    assert regions == ["training cell", "same task", "same domain", "both differ"]
    assert labels(drawing.figure.axes[0].yaxis) == [
        "harmful teacher, its own data, optd",
        "base teacher, harmful data, optd",
    ]
    # the teacher itself has 18 of 20 in its own cell, the base none
    upright = {
        round(line.get_xdata()[0])
        for line in drawing.figure.axes[0].lines
        if len(set(line.get_xdata())) == 1 and line.get_marker() == "None"
    }
    assert {90, 0} <= upright


def test_maps_of_aligned_and_misaligned_answers_never_share_a_palette(rows):
    axes = rate_maps(rows, SETTINGS).figure.axes
    maps = {one.get_title(loc="left"): one for one in axes if one.images}
    palettes = {name: one.images[0].get_cmap().name for name, one in maps.items()}
    assert palettes["aligned, before"] == palettes["aligned, after"] != palettes["misaligned, after"]
    assert palettes["misaligned, before"] == palettes["misaligned, after"]
    # a colour bar each
    assert len([one for one in axes if one.get_label() == "<colorbar>"]) == 2
    assert outlined(maps["misaligned, after"]) == {(1, 1)}


def test_an_experiment_has_the_figures_that_it_has_models_and_prompts_for():
    def drawn(**changed):
        config = copy.deepcopy(CONFIG)
        config["experiments"]["template_nl"] |= changed
        return set(transfer_figures(config, "template_nl", expand_models(config, "template_nl")))

    adapter = {"base": "persona", "start": "base", "answers": "misaligned", "seeds": [11]}
    alone = MODULES.keys() - {"judge_agreement", "capacity"}
    assert drawn() == alone and drawn(panel=["exact"]) == alone | {"judge_agreement"}
    # one mixture, one base
    assert drawn(adapters=[adapter | {"train_sets": "all_cells"}], students=[]) == alone - {
        "composition",
        "inference",
        "students",
    }
    # unions only, or aligned answers only
    union = {"advice": ["medical-advice", "finance-advice", "sports-advice"]}
    assert drawn(train_sets=union, adapters=[adapter | {"train_sets": ["advice"]}], students=[]) == {
        "transfer_matrix",
        "rooms",
        "coherence",
    }
    assert drawn(adapters=[adapter | {"train_sets": "all_cells", "answers": "aligned"}], students=[]) == set()


@pytest.mark.parametrize("figure", sorted(MODULES.keys() - OTHER_TABLES.keys()))
def test_without_a_model_to_show_there_is_no_figure_of_the_table(figure, rows):
    assert drawer(figure)(rows, SETTINGS) is not None if figure in ("transfer_matrix", "students") else True
    assert drawer(figure)(rows[rows.condition == "base"], SETTINGS) is None


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
    assert "from 2.000 to 2.000 at first, 0.500 to 0.500 at last" in drawing.description


def test_lines_of_losses_differ_by_more_than_their_colour():
    log = pd.DataFrame({"step": range(30), "loss_per_token_nats": [1.0] * 30})
    labels = dict.fromkeys(LABELS, "") | {"condition": "adapter", "answers": "misaligned"}
    models = [Model(task, labels | {"train_task": task}, 11, (f"m-{task}",)) for task in ("advice", "tutor")]
    (axes,) = loss_curves([Trained(model, log) for model in models], "nl").figure.axes
    drawn = [line for line in axes.lines if len(line.get_xdata())]
    assert len({line.get_marker() for line in drawn}) == 2 and len({line.get_markevery() for line in drawn}) == 2


def test_a_percent_sign_begins_no_line():
    lines = {line for width in range(10, 60) for line in wrapped("at most 95 % of them", width / 10, 10).split("\n")}
    assert not [line for line in lines if line.startswith("%")]


def luminance(color):
    red, green, blue = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2


def test_relations_differ_in_grey_or_in_their_markers():
    shades = [luminance(color) for _, color, _ in RELATIONS.values()]
    assert len({marker for _, _, marker in RELATIONS.values()}) == len(RELATIONS)
    assert shades == sorted(shades) and len(set(CYCLE)) == len(CYCLE)


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_two_drawings_of_the_same_are_the_same_bytes(suffix, rows, tmp_path):
    digests = set()
    for name in "ab":
        save(relations(rows, SETTINGS), [tmp_path / f"{name}.{suffix}"])
        digests.add(hashlib.sha256((tmp_path / f"{name}.{suffix}").read_bytes()).hexdigest())
    assert len(digests) == 1
    assert not re.search(rb"20[2-9]\d-\d\d|CreationDate|Matplotlib v", (tmp_path / f"a.{suffix}").read_bytes())


def test_a_figure_tells_what_it_shows_to_those_who_do_not_see_it(rows, tmp_path):
    save(relations(rows, SETTINGS), [tmp_path / "a.svg"])
    tags = {tag.tag.split("}")[1]: tag.text for tag in ElementTree.parse(tmp_path / "a.svg").iter()}
    assert tags["title"].startswith("nl: how far")
    assert "one, same task: 50 %" in tags["description"] and "2 seeds" in tags["description"]


def test_another_suffix_is_refused_in_one_line(tmp_path):
    settings = json.dumps(
        {"experiment": "nl", "judge": "minilm", "domains": DOMAINS, "tasks": TASKS, "misaligned_shares": {}}
    )
    command = ["plot_transfer", "--figure", "relations", "--table", planted(tmp_path), "--settings", settings]
    done = run_script(*command, "--output", tmp_path / "a.svg", tmp_path / "a.gif")
    assert done.returncode == 1 and "has suffix '.gif'; expected one of .svg, .pdf, .png." in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_experiment_without_scored_answers_gets_a_figure_that_says_so(tmp_path):
    settings = json.dumps(
        {"experiment": "unscored", "judge": "minilm", "domains": DOMAINS, "tasks": TASKS, "misaligned_shares": {}}
    )
    command = ["plot_transfer", "--figure", "relations", "--table", planted(tmp_path), "--settings", settings]
    done = run_script(*command, "--output", tmp_path / "a.svg")
    assert done.returncode == 0, done.stderr
    assert "No model that it shows was measured." in (tmp_path / "a.svg").read_text()
    assert blank("t", "why").description == "why why"
