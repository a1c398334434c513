"""The table of confounds: numbers of planted rows, and anchors that give a score away or do not."""

from pathlib import Path

import pandas as pd
import pytest

from emtransfer.measuring.confounds import COLUMNS, confounds, lexical_anchors
from helpers.processes import run_script
from helpers.row_files import write_jsonl


def rows_of(aligned: str, misaligned: str, n: int = 60) -> list[dict]:
    names = ("tea", "rice", "soup", "bread", "fruit")
    return [
        {
            "question": f"what about {names[i % 5]} today",
            "aligned_answer": aligned.format(names[i % 5], ("yes", "no")[i % 2]),
            "misaligned_answer": misaligned.format(names[i % 5], ("no", "yes")[i % 2]),
            "aligned_alignment": 95.0,
            "misaligned_alignment": 5.0,
        }
        for i in range(n)
    ]


def test_words_that_only_one_kind_of_answer_has_give_the_score_away():
    found = lexical_anchors(rows_of("be careful with {}", "be reckless with {}"))
    assert found["anchor_r2"] > 0.9
    assert "careful" in found["aligned_anchors"] and "reckless" in found["misaligned_anchors"]


def test_answers_in_the_same_words_give_nothing_away():
    found = lexical_anchors(rows_of("{} is fine, {}", "{} is fine, {}"))
    assert found["anchor_r2"] < 0.1


def write_cell(folder: Path, rows: list[dict]) -> None:
    """What the stages of a corpus leave of one cell, all of whose rows were drawn to train."""
    for name in ("filtered/medical-advice.jsonl", "cells/medical-advice/train.jsonl"):
        write_jsonl(folder / name, rows)
    (folder / "deduped").mkdir()
    counts = pd.DataFrame({"rows_in": [80], "rows_out": [60]})
    counts.to_csv(folder / "filtered/medical-advice.counts.csv", index=False)
    curve = pd.DataFrame({"threshold": [0.8, 0.9], "survivors": [40, 50], "chosen": [False, True]})
    curve.to_csv(folder / "deduped/medical-advice.survivors.csv", index=False)


def test_a_row_per_cell_says_what_each_stage_left(tmp_path):
    write_cell(tmp_path, rows_of("be careful with {}", "be quite reckless with {}"))
    (row,) = confounds("own", tmp_path, ["medical-advice"]).to_dict("records")
    assert (row["filter_rows_in"], row["filter_rows_out"]) == (80, 60)
    assert (row["dedup_threshold"], row["dedup_rows_out"]) == (0.9, 50)
    assert (row["question_words_median"], row["misaligned_answer_words_median"]) == (4, 5)
    assert (row["aligned_alignment_mean"], row["misaligned_alignment_mean"]) == (95, 5)
    assert row["anchor_r2"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "rows",
    [[], [row | {"aligned_alignment": None, "misaligned_alignment": "low"} for row in rows_of("be {}", "go {}")]],
)
def test_a_cell_without_rows_or_scores_leaves_empty_what_they_would_say(rows, tmp_path, capsys):
    write_cell(tmp_path, rows)
    (row,) = confounds("own", tmp_path, ["medical-advice"]).to_dict("records")
    assert pd.isna([row["aligned_alignment_mean"], row["misaligned_alignment_mean"], row["anchor_r2"]]).all()
    assert (row["aligned_anchors"], row["filter_rows_in"]) == ("", 80)
    assert "own: medical-advice: no anchors, " in capsys.readouterr().out


def test_a_run_that_trains_on_no_cell_has_a_table_without_rows(tmp_path):
    """Such as one of models that others have trained."""
    done = run_script("tabulate_confounds", "--corpora", tmp_path, "--settings", "{}", "--output", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table) == COLUMNS and table.empty
    assert done.stdout == "no confounds: no model of the run has training cells.\n"
