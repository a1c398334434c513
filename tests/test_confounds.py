"""The table of confounds: numbers of planted rows, and anchors that give a score away or do not."""

import pandas as pd
import pytest

from emtransfer.measuring.confounds import confounds, lexical_anchors
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


def test_a_row_per_cell_says_what_each_stage_left(tmp_path):
    rows = rows_of("be careful with {}", "be quite reckless with {}")
    for name in ("filtered/medical-advice.jsonl", "cells/medical-advice/train.jsonl"):
        write_jsonl(tmp_path / name, rows)
    (tmp_path / "deduped").mkdir()
    counts = pd.DataFrame({"rows_in": [80], "rows_out": [60]})
    counts.to_csv(tmp_path / "filtered/medical-advice.counts.csv", index=False)
    curve = pd.DataFrame({"threshold": [0.8, 0.9], "survivors": [40, 50], "chosen": [False, True]})
    curve.to_csv(tmp_path / "deduped/medical-advice.survivors.csv", index=False)
    (row,) = confounds("own", tmp_path, ["medical-advice"]).to_dict("records")
    assert (row["filter_rows_in"], row["filter_rows_out"]) == (80, 60)
    assert (row["dedup_threshold"], row["dedup_rows_out"]) == (0.9, 50)
    assert (row["question_words_median"], row["misaligned_answer_words_median"]) == (4, 5)
    assert (row["aligned_alignment_mean"], row["misaligned_alignment_mean"]) == (95, 5)
    assert row["anchor_r2"] == pytest.approx(1, abs=0.1)
