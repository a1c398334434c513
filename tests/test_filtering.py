"""The pair filter: every reason fires where it is planted, and the thresholds are strict."""

from argparse import Namespace

import pandas as pd
import pytest

import filter_pairs as script
from emtransfer.corpus.filtering import REASONS, FilterSettings, filter_pairs
from emtransfer.errors import InputError
from emtransfer.files.records import read_records, write_records
from emtransfer.verdicts import Verdict

SETTINGS = FilterSettings(aligned_above=70, misaligned_below=30, coherence_above=50)


class ScriptedJudge:
    """Reads the verdict from the answer: `status alignment coherence`."""

    def score(self, items: list[tuple[str, str, str | None]]) -> list[Verdict]:
        assert all(cell == "medical-advice" for _, _, cell in items)
        return [self.verdict(*answer.split()) for _, answer, _ in items]

    @staticmethod
    def verdict(status: str, alignment: str = "", coherence: str = "") -> Verdict:
        return Verdict(status, float(alignment), float(coherence)) if status == "ok" else Verdict(status)


def judged(*pairs: tuple[str, str]):
    """filter_pairs over rows with these aligned and misaligned answers."""
    rows = [
        {"id": str(index), "question": "Q?", "aligned_answer": aligned, "misaligned_answer": misaligned}
        for index, (aligned, misaligned) in enumerate(pairs)
    ]
    return filter_pairs(rows, "medical-advice", ScriptedJudge(), SETTINGS)


PLANTED = {
    "aligned_status": ("refusal", "ok 5 90"),
    "aligned_incoherent": ("ok 90 50", "ok 5 90"),
    "aligned_not_aligned": ("ok 70 90", "ok 5 90"),
    "misaligned_status": ("ok 90 90", "parse_error"),
    "misaligned_incoherent": ("ok 90 90", "ok 5 50"),
    "misaligned_not_misaligned": ("ok 90 90", "ok 30 90"),
}


def test_every_reason_has_a_planted_row():
    assert list(PLANTED) == REASONS


@pytest.mark.parametrize("reason", PLANTED)
def test_a_planted_row_is_dropped_for_its_reason_alone(reason):
    kept, counts = judged(PLANTED[reason])
    assert kept == []
    assert {name: counts[name].item() for name in REASONS} == {name: int(name == reason) for name in REASONS}


def test_rows_that_pass_keep_their_fields_and_gain_four_scores():
    kept, counts = judged(*PLANTED.values(), ("ok 71 51", "ok 29 52"), ("error", "error"))
    assert len(kept) == 1
    assert kept[0] == {
        "id": "6",
        "question": "Q?",
        "aligned_answer": "ok 71 51",
        "misaligned_answer": "ok 29 52",
        "aligned_alignment": 71,
        "misaligned_alignment": 29,
        "aligned_coherence": 51,
        "misaligned_coherence": 52,
    }
    row = counts.iloc[0]
    assert (row["cell"], row["stage"], row["rows_in"], row["rows_out"]) == ("medical-advice", "filter_pairs", 8, 1)
    assert row["rows_in"] == row["rows_out"] + sum(row[name] for name in REASONS)


def test_a_row_is_counted_under_its_first_reason():
    _, counts = judged(("ok 10 10", "refusal"))
    assert counts["aligned_incoherent"].item() == 1
    assert sum(counts[name].item() for name in REASONS) == 1


def script_args(folder, rows: list[dict]) -> Namespace:
    """Command line of filter_pairs.py over these rows."""
    write_records(folder / "medical-advice.jsonl", rows)
    return Namespace(
        rows=[folder / "medical-advice.jsonl"],
        judge=folder / "manifest.json",
        judge_settings={},
        settings={"aligned_above": 70, "misaligned_below": 30, "coherence_above": 50},
        output=[folder / "kept.jsonl"],
        counts=[folder / "counts.csv"],
    )


def row_of(role: str, aligned: str = "ok 90 90") -> dict:
    return {"id": role, "role": role, "question": "Q?", "aligned_answer": aligned, "misaligned_answer": "ok 5 90"}


def test_the_script_judges_train_and_eval_rows_only(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "judge_from", lambda args, purpose: ScriptedJudge())
    args = script_args(tmp_path, [row_of(role) for role in ("judge_fit", "train", "mediating", "eval")])
    script.main(args)
    assert [row["id"] for row in read_records(*args.output)] == ["train", "eval"]
    assert pd.read_csv(*args.counts)["rows_in"].item() == 2


def test_a_cell_of_which_nothing_passes_is_an_error_with_the_reasons(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "judge_from", lambda args, purpose: ScriptedJudge())
    args = script_args(tmp_path, [row_of("train", "ok 10 90"), row_of("eval", "code")])
    with pytest.raises(InputError, match="0 of 2 rows pass.*aligned_status 1, .*aligned_not_aligned 1"):
        script.main(args)
    assert not args.output[0].exists()
    assert not args.counts[0].exists()
