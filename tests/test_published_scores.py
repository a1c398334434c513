"""Published token probabilities in the forms they come in, with scores computed by hand."""

import subprocess
from math import log
from pathlib import Path

import pandas as pd
import pytest

from emtransfer.errors import InputError
from emtransfer.judging.published_scores import Fields, compared, read_token_records
from helpers.processes import run_script
from helpers.row_files import write_jsonl

# by hand: (80 × .6 + 90 × .2) / .8 = 82.5; 20 % of the probability is on no number
TOKENS, SCORE = {"80": 0.6, "90": 0.2, "The": 0.2}, 82.5
REFUSED = {"REFUSAL": 0.9, "0": 0.1}


def table(path: Path, *names, **options) -> pd.DataFrame:
    return compared(read_token_records(path), Fields(*names, **options))


def test_a_mapping_of_tokens_is_scored_and_null_stays_null(tmp_path):
    rows = [{"p": TOKENS, "score": SCORE}, {"p": REFUSED, "score": None}, {"p": {" 50": 0.25, "x": 0.75}, "score": 50}]
    found = table(write_jsonl(tmp_path / "x.jsonl", rows), "p", "score")
    assert found.id.tolist() == ["1", "2", "3"]
    assert found.our_score.tolist()[::2] == pytest.approx([SCORE, 50]) and pd.isna(found.our_score[1])
    assert found.numeric_mass.tolist() == pytest.approx([0.8, 0.1, 0.25])
    assert found.difference.tolist() == pytest.approx([0, 0, 0])


def test_a_list_of_an_api_is_read_at_its_dotted_place(tmp_path):
    top = [{"token": token, "logprob": log(share), "bytes": None} for token, share in TOKENS.items()]
    row = {"uid": "a", "reply": {"logprobs": {"content": [{"token": "80", "top_logprobs": top}]}}, "judged": SCORE}
    path = write_jsonl(tmp_path / "x.jsonl", [row])
    found = table(path, "reply.logprobs.content.0.top_logprobs", "judged", id="uid", logarithms=True)
    assert found.id.tolist() == ["a"] and found.our_score.tolist() == pytest.approx([SCORE])


def test_a_frame_written_as_csv_holds_python_literals(tmp_path):
    frame = pd.DataFrame({"raw_answer": [TOKENS, REFUSED, {"7": 1.0}], "answer": [SCORE, None, 7.5]})
    frame.to_csv(tmp_path / "x.csv")
    found = table(tmp_path / "x.csv", "raw_answer", "answer")
    assert found.difference.tolist() == pytest.approx([0, 0, 0.5])


def test_the_header_of_a_cache_is_no_record(tmp_path):
    header = {"name": "q", "model": "m", "last_update": "2025-01-01", "hash": "0f"}
    path = write_jsonl(tmp_path / "x.jsonl", [header, {"judge": TOKENS, "score": SCORE}])
    assert len(table(path, "judge", "score")) == 1
    with pytest.raises(InputError, match="0 records after the header; expected at least one"):
        read_token_records(write_jsonl(path, [header]))


def test_a_score_on_one_side_only_is_a_difference_without_bound(tmp_path):
    rows = [{"p": REFUSED, "score": 3.0}, {"p": TOKENS, "score": None}]
    assert table(write_jsonl(tmp_path / "x.jsonl", rows), "p", "score").difference.tolist() == [float("inf")] * 2


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"p": TOKENS}, "row 1: score is missing; expected it in every record, with fields p."),
        ({"p": {"80": 60}, "score": 1}, 'row 1: p is {"80": 60}; expected probabilities that add up to at most 1.'),
        ({"p": {"80": -0.5}, "score": 1}, 'row 1: p is {"80": -0.5}; expected probabilities'),
        ({"p": {"80": 0.7, "81": 0.7}, "score": 1}, "that add up to at most 1."),
        ({"p": {"80": "much"}, "score": 1}, 'row 1: p is {"80": "much"}; expected token -> number'),
        ({"p": 80, "score": 1}, "row 1: p is 80; expected token -> number, or a list of {token, logprob}."),
        ({"p": TOKENS, "score": "CODE"}, 'row 1: score is "CODE"; expected a number or null.'),
    ],
)
def test_a_record_of_another_form_is_one_line(row, line, tmp_path):
    with pytest.raises(InputError) as caught:
        table(write_jsonl(tmp_path / "x.jsonl", [row]), "p", "score")
    assert line in str(caught.value)


def test_logarithms_above_zero_and_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected logarithms of probabilities"):
        table(write_jsonl(tmp_path / "x.jsonl", [{"p": TOKENS, "score": 1}]), "p", "score", logarithms=True)
    (tmp_path / "x.xlsx").touch()
    with pytest.raises(InputError, match="x.xlsx: file type .xlsx; expected .jsonl"):
        read_token_records(tmp_path / "x.xlsx")


def scored(path: Path, output: Path, *options: str) -> subprocess.CompletedProcess:
    return run_script(
        "score_token_probabilities", "--records", path, "--probabilities", "p", "--output", output, *options
    )


def test_the_script_counts_agreement_and_fails_beyond_the_tolerance(tmp_path):
    rows = [{"p": TOKENS, "score": 82.49}, {"p": REFUSED, "score": None}, {"p": {"50": 1.0}, "score": 50.5}]
    path, output = write_jsonl(tmp_path / "x.jsonl", rows), tmp_path / "compared.csv"
    done = scored(path, output, "--tolerance", "0.1")
    assert done.returncode == 1
    assert done.stdout == (
        "3 records: 1 without a score in both, 0 only in ours, 0 only in theirs;"
        " 1 of 2 scores agree within 0.1, worst difference 0.5.\n"
    )
    assert done.stderr == f"{path}: 1 of 3 scores differs by more than 0.1; expected none.\n"
    assert pd.read_csv(output).our_score.tolist()[::2] == pytest.approx([82.5, 50])
    assert scored(path, output, "--tolerance", "0.6").returncode == 0
