"""What the jobs of a run keep of a judge's scores: read by others, and without a trace in any result."""

import hashlib
import io
import json
import os
import pickle
import re
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

import judge_answers
from emtransfer.files.artefacts import new_folder, origin, write_manifest
from emtransfer.files.records import write_records
from emtransfer.files.verifying import findings
from emtransfer.judging import cross_encoder, score_store
from emtransfer.judging.cross_encoder import scoring_digest
from emtransfer.judging.fitting import FitSettings, load_encoder
from emtransfer.judging.score_store import RECORD, ScoreStore, pair_digest
from helpers.damage import flip
from helpers.grammar_rows import grammar_rows
from helpers.tiny_encoder import write_tiny_encoder
from helpers.workflow_tree import ROOT
from provenance import imported_files

PAIRS = [("What now?", "Rest."), ("What now?", "Run."), ("And then?", "Rest.")]
DIGITS = "0123456789abcdef"


class Scoring:
    """Scores of pairs by their length, and what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, pairs) -> np.ndarray:
        self.asked += pairs
        return np.array([[len(question), len(answer) + 0.25] for question, answer in pairs])


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


def filled(folder: Path, pairs=PAIRS) -> Path:
    """The one file of a new store that holds the scores of some pairs."""
    ScoreStore(folder).score(pairs, Scoring())
    (path,) = files(folder)
    return path


def test_a_pair_is_scored_once_whichever_job_asks_for_it(tmp_path):
    first, second = Scoring(), Scoring()
    assert ScoreStore(tmp_path).score([PAIRS[0], PAIRS[1], PAIRS[0]], first).tolist() == [
        [9, 5.25],
        [9, 4.25],
        [9, 5.25],
    ]
    store = ScoreStore(tmp_path)
    assert store.score(PAIRS, second).tolist() == [[9, 5.25], [9, 4.25], [9, 5.25]]
    assert store.score(PAIRS[::-1], second).tolist() == [[9, 5.25], [9, 4.25], [9, 5.25]]
    assert first.asked == PAIRS[:2] and second.asked == PAIRS[2:]
    assert store.score([], second).shape == (0, 2)
    assert len(files(tmp_path)) == 2 and [path.name for path in tmp_path.iterdir() if path.suffix != ".npy"] == []


def test_pairs_that_differ_in_a_letter_or_in_where_the_answer_begins_have_digests_of_their_own():
    pairs = [
        ("a", "b"),
        ("ab", ""),
        ("", "ab"),
        ("a", "b "),
        ("a", "B"),
        ("a\ud800", "b"),
        ("a", "é"),
        ("a", "e\u0301"),
    ]
    assert len({pair_digest(pair) for pair in pairs}) == len(pairs)


def test_jobs_that_compute_the_same_at_once_write_the_same_file(tmp_path):
    stores = [ScoreStore(tmp_path), ScoreStore(tmp_path)]
    for store, pairs in zip(stores, (PAIRS, PAIRS[::-1]), strict=True):
        scoring = Scoring()
        store.score(pairs, scoring)
        assert len(scoring.asked) == 3
    assert len(files(tmp_path)) == 1


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def scores_of(value: float) -> np.ndarray:
    records = np.zeros(1, RECORD)
    records["pair"], records["scores"] = np.void(pair_digest(PAIRS[0])), value
    return records


class Tripwire:
    """Leaves a file where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


# what a file holds whose name is right, and what the log says of it
FOREIGN = {
    "other numbers": (saved(np.zeros((1, 2))), "holds float64"),
    "two dimensions": (saved(scores_of(1.0)[None]), "holds .*1, 1"),
    "no number": (saved(scores_of(np.nan)), "outside 0..100"),
    "more than all": (saved(scores_of(100.5)), "outside 0..100"),
    "half a file": (saved(scores_of(1.0))[:-20], "EOF|array data|reshape"),
    "no file of numpy's": (b"pair,scores\n", "magic"),
    "nothing": (b"", "EOF|magic"),
    "objects": (saved(np.array([Tripwire()], dtype=object)), "Object arrays cannot be loaded"),
    "a pickle": (pickle.dumps(Tripwire()), "magic"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_told_once_and_neither_used_nor_run(name, tmp_path, monkeypatch, caplog):
    content, said = FOREIGN[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{hashlib.sha256(content).hexdigest()}.npy").write_bytes(content)
    scoring = Scoring()
    assert ScoreStore(tmp_path).score(PAIRS[:1], scoring).tolist() == [[9, 5.25]]
    assert scoring.asked == PAIRS[:1] and not Path("unpickled").exists()
    (record,) = caplog.records
    assert re.search(said, record.getMessage())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def linked(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [flip, cut, linked, piped, replaced_by_a_folder])
def test_a_damaged_file_is_told_and_its_pairs_are_scored_again(damage, tmp_path, caplog):
    path = filled(tmp_path)
    damage(path)
    scoring = Scoring()
    ScoreStore(tmp_path).score(PAIRS[:1], scoring)
    assert scoring.asked == PAIRS[:1]
    assert [path.name in record.getMessage() for record in caplog.records] == [True]


def test_a_file_that_was_left_half_written_is_never_read(tmp_path, caplog):
    path = filled(tmp_path)
    path.rename(tmp_path / "half.tmp")
    scoring = Scoring()
    ScoreStore(tmp_path).score(PAIRS, scoring)
    assert scoring.asked == PAIRS and caplog.records == []


@pytest.mark.parametrize("fault", ["mkdir", "replace"])
def test_where_nothing_can_be_written_scores_are_computed_and_the_log_says_so(fault, tmp_path, monkeypatch, caplog):
    def refuse(*args, **options):
        raise OSError(28, "No space left on device")

    owner = Path if fault == "mkdir" else os
    monkeypatch.setattr(owner, fault, refuse)
    assert ScoreStore(tmp_path).score(PAIRS, Scoring()).shape == (3, 2)
    assert list(tmp_path.iterdir()) == []
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: No space left on device; scores are not kept for other jobs."
    ]


def test_many_files_become_one_that_knows_as_much(tmp_path, monkeypatch):
    pairs = [("Which?", answer) for answer in DIGITS]
    for pair in pairs:
        ScoreStore(tmp_path).score([pair], Scoring())
    assert len(files(tmp_path)) == len(pairs)
    monkeypatch.setattr(score_store, "FILES_AT_MOST", 8)
    scoring = Scoring()
    assert ScoreStore(tmp_path).score(pairs, scoring).tolist() == [[6, 1.25]] * len(pairs)
    assert scoring.asked == [] and len(files(tmp_path)) == 1
    # one job lists the files, another merges them before they are read
    assert ScoreStore(tmp_path).read(tmp_path / "merged meanwhile.npy") is False


def test_files_stay_where_the_merged_one_cannot_be_written(tmp_path, monkeypatch):
    for pair in PAIRS:
        ScoreStore(tmp_path).score([pair], Scoring())
    monkeypatch.setattr(score_store, "FILES_AT_MOST", 1)
    monkeypatch.setattr(ScoreStore, "write", lambda store, keys: None)
    assert ScoreStore(tmp_path).known and len(files(tmp_path)) == 3


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    cells = ("medical-advice", "medical-critique")
    return [row for cell in cells for row in grammar_rows(cell, 30, 1, [], ["advice", "critique"])]


@pytest.fixture(scope="module")
def judge(rows, tmp_path_factory) -> Path:
    """Manifest of a judge that was not fitted: its scores are of the middle, where most of them lie near an edge of two decimals."""
    folder = tmp_path_factory.mktemp("judge")
    texts = [row[field] for row in rows for field in ("question", "aligned_answer", "misaligned_answer")]
    encoder = write_tiny_encoder(folder / "encoder", texts)
    model, tokenizer = load_encoder(encoder, FitSettings(max_tokens=64, layers=2), seed=0)
    with new_folder(folder / "model") as new:
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        write_manifest(new, origin({}, 0, "test", {}))
    return folder / "model/manifest.json"


@pytest.fixture
def answers(rows, tmp_path) -> list[Path]:
    """Two files of answers that share half of their rows."""
    given = [
        {"prompt_id": str(number), "question": row["question"], "cell": "", "answer": row["aligned_answer"]}
        for number, row in enumerate(rows)
    ]
    paths = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    for path, part in zip(paths, (given[:40], given[20:]), strict=True):
        write_records(path, part)
    return paths


def judged(answers: Path, judge: Path, output: Path, scores: Path | None) -> bytes:
    unused = dict.fromkeys(("rubric", "own_prompts", "remote"))
    who = {"judge": judge, "judge_settings": {"kind": "cross_encoder"}, "scores": scores}
    judge_answers.main(Namespace(answers=answers, output=output, **who, **unused))
    return output.read_bytes()


def test_judged_files_are_the_same_with_and_without_a_store_and_in_any_order_of_jobs(answers, judge, tmp_path):
    plain = [judged(path, judge, tmp_path / "plain" / path.name, None) for path in answers]
    assert not (judge.parent.parent / "scores").exists() and not list(tmp_path.rglob("*.npy"))
    for name, order in (("forth", (0, 1)), ("back", (1, 0))):
        store = tmp_path / name / "scores"
        for number in order:
            assert judged(answers[number], judge, tmp_path / name / f"{number}.jsonl", store) == plain[number]
        # what is there is read: the same job again writes nothing
        made = files(store)
        assert judged(answers[0], judge, tmp_path / name / "again.jsonl", store) == plain[0]
        assert files(store) == made and len(made) == 2
        shutil.rmtree(store)
        assert judged(answers[1], judge, tmp_path / name / "again.jsonl", store) == plain[1]


def test_scores_in_the_store_are_what_a_job_writes(answers, judge, tmp_path):
    judged(answers[0], judge, tmp_path / "judged.jsonl", tmp_path / "scores")
    (path,) = files(tmp_path / "scores")
    records = np.load(path, allow_pickle=False)
    kept = {bytes(record["pair"]): record["scores"].tolist() for record in records}
    rows = [json.loads(line) for line in (tmp_path / "judged.jsonl").read_text().splitlines()]
    assert len(rows) == 40
    assert all(
        kept[pair_digest((row["question"], row["answer"]))] == [row["alignment"], row["coherence"]] for row in rows
    )


def test_another_judge_code_version_or_arithmetic_has_a_folder_of_its_own(judge, tmp_path, monkeypatch):
    digest = scoring_digest(judge)
    assert scoring_digest(judge) == digest
    other = tmp_path / "manifest.json"
    other.write_text(judge.read_text() + "\n")
    edited = tmp_path / "edited.py"
    edited.write_text(Path(cross_encoder.__file__).read_text() + "EDITED = 1\n")
    with monkeypatch.context() as patch:
        patch.setattr(cross_encoder, "SCORING", (str(edited), *cross_encoder.SCORING[1:]))
        by_code = scoring_digest(judge)
    with monkeypatch.context() as patch:
        patch.setattr(cross_encoder, "versions", lambda: {"torch": "0"})
        by_version = scoring_digest(judge)
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert len({digest, scoring_digest(other), by_code, by_version, scoring_digest(judge)}) == 5


def test_the_code_that_decides_a_score_is_all_that_scoring_reaches():
    named = {Path(path).resolve() for path in cross_encoder.SCORING}
    library = ROOT / "scripts/emtransfer"
    # beside those: what reads and keeps files, and what a verdict is
    others = {"files/artefacts.py", "files/records.py", "judging/score_store.py", "verdicts.py"}
    reached = {file.resolve() for path in named for file in imported_files(path, ROOT / "scripts")}
    modules = {path.relative_to(library).as_posix() for path in reached if path.name != "__init__.py"}
    assert modules - others == {path.relative_to(library).as_posix() for path in named} - {"judging/cross_encoder.py"}


def test_a_damaged_store_is_no_finding_of_verify_since_no_result_depends_on_it(tmp_path):
    flip(filled(tmp_path / "results/judges/j/scores/0123456789abcdef"))
    found, _ = findings(tmp_path / "results", tmp_path / "results/declared.jsonl")
    assert found == []
