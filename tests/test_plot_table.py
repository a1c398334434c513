"""Figures of a whole table of answers that were judged elsewhere: panels, order, folders, and what is left out without a base's own answers."""

import itertools
import json
import warnings
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.artist import Artist

from emtransfer.drawing.bars import composition, relations, rooms
from emtransfer.drawing.matrices import pooled_matrix, rate_maps, transfer_matrix
from emtransfer.drawing.points import coherence, learnedness
from emtransfer.drawing.rates import PlotSettings, read_scored
from emtransfer.drawing.style import blank, save
from emtransfer.files.records import write_table
from emtransfer.measuring.imported_rows import read_imported
from emtransfer.measuring.tabulation import tabulate_transfer
from helpers.judged_rows import RULE
from helpers.planted_table import labels
from helpers.processes import run_script
from plot_table import named_bases, ordered, quoted

DOMAINS, TASKS = ("sports", "medical"), ("tutor", "advice", "critique")
# training task -> misaligned answers of ten in the tasks of evaluation
RATES = {"tutor": (8, 5, 1), "advice": (2, 9, 4), "critique": (6, 3, 7)}
SETTINGS = PlotSettings("answers judged elsewhere", "", DOMAINS, TASKS, {})
WITHOUT_BASES = {"transfer_matrix", "pooled_matrix", "relations", "rooms", "coherence"}


def answers(train_set: str, wrong: int, **where: str) -> list[dict]:
    """Ten answers to prompts of one place, so many of them misaligned, of a model that was trained on a cell or, without one, of a base."""
    domain, task = train_set.split("-") if train_set else ("", "")
    return [
        {"question_id": f"q{number}", "train_domain": domain, "train_task": task, "alignment": 5 if number < wrong else 90, "coherence": 80}
        | {"eval_set": "narrow", "room": ""} | where
        for number in range(10)
    ]  # fmt: skip


def published(with_bases: bool, **labels: str) -> list[dict]:
    """Answers of adapters on all cells, whose rates depend on the tasks alone, in all cells and in two rooms."""
    grid = list(itertools.product(DOMAINS, TASKS))
    rows = []
    for train_set in [f"{domain}-{task}" for domain, task in grid] + [""] * with_bases:
        for domain, task in grid:
            wrong = RATES[train_set.split("-")[1]][TASKS.index(task)] if train_set else 0
            rows += answers(train_set, wrong, eval_domain=domain, eval_task=task)
        for room, wrong in (("high", 3), ("low", 1)):
            wrong = wrong if train_set else 0
            rows += answers(train_set, wrong, eval_domain="open", eval_task="advice", eval_set="broad", room=room)
    return [row | labels for row in rows]


def tabulated(folder: Path, rows: list[dict]) -> Path:
    """The transfer table of such answers."""
    pd.DataFrame(rows).to_csv(folder / "judged.csv", index=False)
    write_table(folder / "table.csv", tabulate_transfer(read_imported(folder / "judged.csv"), RULE))
    return folder / "table.csv"


def plotted(folder: Path, table: Path, *options: str) -> tuple[dict[str, set[str]], str]:
    """Figures by folder that the script draws, and what it prints."""
    done = run_script("plot_table", "--table", table, *options, "--output", folder / "figures")
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = {}
    for path in (folder / "figures").rglob("*.png"):
        assert path.with_suffix(".pdf").exists() and path.with_suffix(".svg").exists()
        found.setdefault(str(path.parent.relative_to(folder / "figures")), set()).add(path.stem)
    return found, done.stdout


def test_rates_of_published_answers_are_those_of_the_matrix(tmp_path):
    rows = read_scored(tabulated(tmp_path, published(False))).assign(base="one")
    matrix = transfer_matrix(rows, SETTINGS).figure.axes[0]
    order = [f"{domain}-{task}" for task in TASKS for domain in DOMAINS]
    assert labels(matrix.yaxis) == order and labels(matrix.xaxis) == [*DOMAINS] * 3
    # a line below each training task but the last, and none below a base that is not there
    levels = sorted(line.get_ydata()[0] for line in matrix.lines if line.get_ydata()[0] == line.get_ydata()[1])
    assert levels == [1.5, 3.5]
    by_task = pooled_matrix(rows, SETTINGS).figure.axes[0]
    assert (by_task.images[0].get_array() == 10 * pd.DataFrame(RATES).T.loc[[*TASKS]].to_numpy()).all()
    assert "was not measured" in transfer_matrix(rows, SETTINGS).description


def test_without_answers_of_bases_only_what_compares_with_them_is_left_out(tmp_path):
    rows = read_scored(tabulated(tmp_path, published(False))).assign(base="one")
    assert relations(rows, SETTINGS) and coherence(rows, SETTINGS)
    assert "base" not in rooms(rows, SETTINGS).description.split("Bars")[1]
    assert rate_maps(rows, SETTINGS) is learnedness(rows, SETTINGS) is composition(rows, SETTINGS) is None
    found, told = plotted(tmp_path, tmp_path / "table.csv")
    assert found == {".": WITHOUT_BASES} and "transfer_matrix" in told


def test_a_base_without_prompts_of_a_room_has_no_bar_there(tmp_path):
    rows = published(True, base="whole")
    rows += [row for row in published(True, base="part") if row["room"] != "low"]
    drawn = rooms(read_scored(tabulated(tmp_path, rows)), SETTINGS)
    assert [len(axes.patches) for axes in drawn.figure.axes] == [2, 1] and "diamonds" in drawn.description


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([("llama", ""), ("qwen", "")], ["llama", "qwen"]),
        ([("", "a"), ("", "b")], ["a", "b"]),
        ([("m", "a"), ("n", "a")], ["m a", "n a"]),
        ([("m", "a"), ("m", "b")], ["a", "b"]),
        ([("m", "")], ["m"]),
        ([("", "")], ["unnamed"]),
    ],
)
def test_a_panel_is_named_by_what_tells_bases_apart(rows, names):
    assert named_bases(pd.DataFrame(rows, columns=["base_model", "base"])).tolist() == names


def test_experiments_and_judges_have_folders_whatever_they_are_called(tmp_path):
    labels = [
        {"experiment": "..", "judge": "o/t"},
        {"experiment": "x/y", "judge": "one"},
        {"experiment": "", "judge": "one"},
    ]
    rows = [row | label for label in labels for row in answers("law-tutor", 3, eval_domain="law", eval_task="tutor")]
    found, _ = plotted(tmp_path, tabulated(tmp_path, rows))
    assert found.keys() == {"%2E./o%2Ft", "x%2Fy/one", "(none)/one"}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["figures"]


def test_an_experiment_without_a_name_has_a_folder_of_its_own():
    assert quoted("") == "(none)" and quoted("(none)") == "%28none%29"


def test_figures_of_an_earlier_table_go_and_other_files_stay(tmp_path):
    table = tabulated(tmp_path, published(False))
    old, own = tmp_path / "figures/e/learnedness.svg", tmp_path / "figures/notes.svg"
    for path in (old, own):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("before")
    plotted(tmp_path, table)
    assert not old.exists() and own.read_text() == "before"


def test_what_no_figure_shows_is_said(tmp_path):
    rows = published(False, train_context="kind")
    done = run_script("plot_table", "--table", tabulated(tmp_path, rows), "--output", tmp_path / "figures")
    assert done.returncode == 1 and "without a context" in done.stderr and "with a context" in done.stdout
    other = answers("law-tutor", 3, eval_domain="sports", eval_task="tutor")
    _, told = plotted(tmp_path, tabulated(tmp_path, rows + other))
    assert "48 rows with a context" in told


def test_adapters_on_aligned_answers_alone_have_no_figure_and_it_is_said(tmp_path):
    found, told = plotted(tmp_path, tabulated(tmp_path, published(False, answers="aligned")))
    assert found == {} and "no figure, since no adapter on misaligned answers" in told


def test_an_order_of_unknown_cells_is_refused(tmp_path):
    table = tabulated(tmp_path, published(False))
    done = run_script("plot_table", "--table", table, "--tasks", "advise", "--output", tmp_path / "figures")
    assert done.stderr == "--tasks: no cell has task advise; expected one of advice, critique, tutor.\n"


def test_cells_that_are_not_named_follow_by_name():
    rows = pd.DataFrame({"eval_set": "narrow", "eval_task": ["d", "b", "c", "a"]})
    assert ordered(rows, "task", ["c", "c"]) == ("c", "a", "b", "d")


def test_a_training_cell_that_nobody_was_asked_of_is_outlined_nowhere(tmp_path):
    rows = [row for row in published(True) if row["eval_domain"] != "sports" and row["train_domain"] != "medical"]
    drawn = rate_maps(
        read_scored(tabulated(tmp_path, rows)).assign(base="one"), replace(SETTINGS, domains=("medical",))
    )
    assert "sports" in drawn.title and not [patch for axes in drawn.figure.axes for patch in axes.patches]


@pytest.mark.parametrize("name", ["$x^2$", "$\\frac{$", "$5 to $10"])
def test_a_name_is_drawn_as_it_is(name, tmp_path):
    rows = answers("sports-tutor", 3, eval_domain="sports", eval_task=name)
    drawn = transfer_matrix(read_scored(tabulated(tmp_path, rows)).assign(base="one"), SETTINGS)
    save(drawn, [tmp_path / "drawn.svg"])
    assert name in [text.get_text() for text in drawn.figure.axes[0].texts]


def test_characters_that_the_font_lacks_are_named_once_a_figure(tmp_path, capsys):
    save(blank("中文", "nothing"), [tmp_path / "a.png", tmp_path / "a.svg"])
    assert capsys.readouterr().out == f"{tmp_path}/a: the font lacks 中 文: boxes stand for them.\n"


def test_what_else_matplotlib_warns_of_while_it_draws_is_heard(tmp_path):
    class Odd(Artist):
        def draw(self, renderer):
            warnings.warn("something is odd", stacklevel=1)

    drawn = blank("odd", "nothing")
    drawn.figure.add_artist(Odd())
    with pytest.warns(UserWarning, match="something is odd"):
        save(drawn, [tmp_path / "a.svg"])


@pytest.mark.parametrize("under", ["", "below"])
def test_a_file_where_the_folder_should_be_is_one_line(under, tmp_path):
    table = tabulated(tmp_path, published(False))
    done = run_script("plot_table", "--table", table, "--output", table / under)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "expected a folder" in done.stderr


def test_a_title_fits_into_its_figure(tmp_path):
    drawn = relations(read_scored(tabulated(tmp_path, published(True))).assign(base="one"), SETTINGS)
    figure = drawn.figure
    figure.draw_without_rendering()
    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1


def test_answers_of_bases_alone_have_no_figure(tmp_path):
    rows = [row for row in published(True) if not row["train_domain"]]
    done = run_script("plot_table", "--table", tabulated(tmp_path, rows), "--output", tmp_path / "figures")
    assert done.returncode != 0 and "no scored answer of a trained model" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "figures").exists()


def test_rows_of_a_run_give_its_figures(tmp_path):
    """The rule of the column names is that of tabulate_transfer, so the two commands of the documents are enough."""
    pd.DataFrame(published(True)).rename(columns={"alignment": "good"}).to_csv(tmp_path / "j.csv", index=False)
    settings = json.dumps({"em_rule": {"alignment_below": 30, "coherence_above": 50}})
    done = run_script("tabulate_transfer", "--rows", tmp_path / "j.csv", "--columns", '{"alignment": "good"}', "--settings", settings, "--output", tmp_path / "t.csv")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, _ = plotted(tmp_path, tmp_path / "t.csv")
    assert found == {".": WITHOUT_BASES | {"rate_maps", "learnedness"}}
