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

from emtransfer.drawing.bars import composition, relations, rooms
from emtransfer.drawing.catalogue import MODULES, OTHER_TABLES, drawer
from emtransfer.drawing.matrices import pooled_matrix, rate_maps, transfer_matrix
from emtransfer.drawing.points import coherence, learnedness, students
from emtransfer.drawing.rates import pooled, read_transfer_table
from emtransfer.drawing.style import CYCLE, RELATIONS, blank, save, wrapped
from emtransfer.grid.expansion import expand_models
from emtransfer.measuring.statistics import estimate_rates, rate_interval
from figure_plan import transfer_figures
from helpers.configs import CONFIG
from helpers.planted_table import DOMAINS, SETTINGS, TASKS, cells, labels, planted, row, texts
from helpers.processes import run_script


@pytest.fixture
def rows(tmp_path):
    return read_transfer_table(planted(tmp_path), "nl", "minilm")


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
