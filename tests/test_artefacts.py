"""Files and folders that were damaged after they were written: found, named, and never read."""

import json
import subprocess
from argparse import Namespace
from pathlib import Path

import pandas as pd
import pytest

from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST, checked_file, new_folder, origin, write_manifest
from emtransfer.files.records import read_records, read_table, write_records, write_table
from emtransfer.models.loading import load_chat
from helpers.damage import flip
from helpers.processes import run_script
from helpers.tiny_models import write_tiny_base
from verify_artefacts import main as verify

ROWS = [{"question": f"What of {number}?", "answer": "Rest."} for number in range(20)]


@pytest.fixture
def results(tmp_path) -> Path:
    """A results folder with rows, a table and a model."""
    folder = tmp_path / "results"
    write_records(folder / "rows.jsonl", ROWS)
    write_table(folder / "table.csv", pd.DataFrame({"a": [1, 2]}))
    write_tiny_base(folder / "base")
    return folder


def truncate(path: Path) -> None:
    """Cut a file after a whole line in the middle, or at half its size."""
    content = path.read_bytes()
    path.write_bytes(content[: content.find(b"\n", len(content) // 2) + 1 or len(content) // 2])


@pytest.mark.parametrize("damage", [flip, truncate])
def test_damaged_rows_and_tables_are_named_and_never_read(damage, results):
    for name, read in (("rows.jsonl", read_records), ("table.csv", read_table)):
        assert len(read(results / name)) in (2, 20)
        damage(results / name)
        with pytest.raises(InputError, match=rf"{name}: content is .*; expected .* as when it was written; delete it"):
            read(results / name)


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_model_is_named_and_never_loaded(damage, name, results):
    damage(results / "base" / name)
    with pytest.raises(InputError, match=rf"{name}: content is .*; expected .* as in manifest.json"):
        load_chat(results / "base" / "manifest.json")


def test_a_file_of_the_users_own_has_no_hash_and_may_change(tmp_path):
    (tmp_path / "own.jsonl").write_text('{"question": "a"}\n')
    assert read_records(tmp_path / "own.jsonl") == [{"question": "a"}]


def test_the_hash_beside_a_file_is_what_sha256sum_checks(results):
    done = subprocess.run(["sha256sum", "--check", "rows.jsonl.sha256"], cwd=results, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "rows.jsonl: OK\n"


def test_verify_lists_everything_that_is_missing_or_has_changed(results, capsys):
    verify(Namespace(results=results))
    assert capsys.readouterr().out == "1 folders and 2 files are what they were when they were written.\n"
    flip(results / "rows.jsonl")
    (results / "table.csv").unlink()
    (results / "base" / "config.json").unlink()
    with pytest.raises(InputError) as caught:
        verify(Namespace(results=results))
    lines = str(caught.value).split("\n")
    assert [line.split(": ")[0].removeprefix(f"{results}/") for line in lines] == [
        "base/config.json",
        "rows.jsonl",
        "table.csv",
    ]
    assert run_script("verify_artefacts", "--results", results).returncode == 1


def test_one_file_of_an_artefact_is_checked_without_the_others(tmp_path):
    with new_folder(tmp_path / "model") as folder:
        for name in ("training_log.csv", "weights"):
            (folder / name).write_text(name)
        write_manifest(folder, origin({}, 1, "test", {}))
    manifest = tmp_path / "model" / MANIFEST
    (tmp_path / "model/weights").write_text("changed")
    assert checked_file(manifest, "training_log.csv") == tmp_path / "model/training_log.csv"
    assert checked_file(manifest, "no_such.csv") is None
    (tmp_path / "model/training_log.csv").write_text("changed")
    with pytest.raises(InputError, match="training_log.csv: content is [0-9a-f]{12}; expected [0-9a-f]{12} as in"):
        checked_file(manifest, "training_log.csv")


def losses_tabulated(results: Path) -> subprocess.CompletedProcess:
    """The script's training losses of a run of one base, whose training log lies in `results`."""
    experiment = {"corpus": "own", "bases": ["one"], "train_sets": {}, "adapters": [], "teachers": {}, "students": []}
    grid = {"run": ["own"], "experiments": {"own": experiment}, "bases": {"one": {"base_model": "tiny"}}}
    grid |= {"corpora": {"own": {"domains": ["d0"], "tasks": ["t0"]}}}
    return run_script(
        "tabulate_training",
        *("--settings", json.dumps(grid), "--results", results, "--output", results / "training_losses.csv"),
    )


def test_the_losses_of_a_model_are_read_only_as_they_were_written(tmp_path):
    with new_folder(tmp_path / "bases/one/aligned") as folder:
        (folder / "training_log.csv").write_text("step,loss_per_token_nats\n1,2.5\n2,1.5\n")
        write_manifest(folder, origin({}, 1, "test", {}))
    assert losses_tabulated(tmp_path).returncode == 0
    assert "2,2.5,1.5" in (tmp_path / "training_losses.csv").read_text()
    folder = tmp_path / "bases/one/aligned"
    for damage, line in [
        (lambda: flip(folder / "training_log.csv"), "training_log.csv: content is"),
        (lambda: (folder / "training_log.csv").unlink(), "training_log.csv: content is missing; expected"),
        (lambda: (folder / MANIFEST).write_text(""), "manifest.json: holds no hashes of files; expected"),
        (lambda: (folder / MANIFEST).unlink(), "manifest.json: no such file"),
    ]:
        damage()
        done = losses_tabulated(tmp_path)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert f"{folder}/{line}" in done.stderr
