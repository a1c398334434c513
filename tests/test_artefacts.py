"""Files and folders that were damaged after they were written: found, named, and never read."""

import json
import os
import shutil
import subprocess
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from declared import write_declared
from emtransfer.errors import InputError
from emtransfer.files.artefacts import (
    MANIFEST,
    checked_file,
    checked_folder,
    new_folder,
    origin,
    training_state,
    write_manifest,
)
from emtransfer.files.records import read_records, read_table, write_records, write_table
from emtransfer.files.verifying import findings
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
    verify(Namespace(results=results, declared=None))
    said = "1 folder and 2 files are unchanged since they were written"
    assert (
        capsys.readouterr().out == f"{said}; no {results}/declared.jsonl, so what else the run declares is unknown.\n"
    )
    flip(results / "rows.jsonl")
    (results / "table.csv").unlink()
    (results / "base" / "config.json").unlink()
    with pytest.raises(InputError) as caught:
        verify(Namespace(results=results, declared=None))
    lines = str(caught.value).split("\n")
    assert [line.split(": ")[0].removeprefix(f"{results}/") for line in lines] == [
        "base/config.json",
        "rows.jsonl",
        "table.csv",
    ]
    assert run_script("verify_artefacts", "--results", results).returncode == 1


# ---- places


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """The folder of a run: two adapters that differ in seed and rows, their judged answers, a table, and what was declared."""
    monkeypatch.chdir(tmp_path)
    for seed, cell in ((1, "a"), (2, "b")):
        write_records(f"results/rows/{cell}/train.jsonl", [{"question": cell}])
        with new_folder(f"results/x/adapters/{cell}/seed{seed}") as folder:
            (folder / "weights").write_text(cell)
            write_manifest(folder, origin({"rank": 4}, seed, "test", {cell: f"results/rows/{cell}/train.jsonl"}))
        write_records(f"results/x/judged/{cell}/seed1.jsonl", [{"alignment": seed}])
    write_table("results/table.csv", pd.DataFrame({"a": [1]}))
    judged = [f"results/x/judged/{cell}/seed1.jsonl" for cell in "ab"]
    manifests = {"a": "results/x/adapters/a/seed1/manifest.json", "b": "results/x/adapters/b/seed2/manifest.json"}
    declared = [{"output": "results/table.csv", "rule": "tabulate_transfer", "inputs": judged}]
    for seed, (cell, manifest) in enumerate(manifests.items(), start=1):
        made_from = {"rule": "finetune_adapter", "inputs": [f"results/rows/{cell}/train.jsonl"]}
        declared.append({"output": manifest, "seed": seed, "settings": {"rank": 4}} | made_from)
        declared.append({"output": judged[seed - 1], "rule": "judge_answers", "inputs": [manifest]})
    write_records("results/declared.jsonl", declared)
    return tmp_path


def found(capsys) -> list[str]:
    """The lines that verify ends in, each up to its first semicolon; none where all is well."""
    try:
        verify(Namespace(results=Path("results"), declared=None))
    except InputError as error:
        return [line.split(";")[0] for line in str(error).split("\n")]
    assert capsys.readouterr().out.startswith(
        "2 folders and 6 files are unchanged since they were written; 5 are declared."
    )
    return []


def swap(one: str, other: str) -> None:
    """Exchange two files with their hashes, or two folders."""
    for end in ("", ".sha256") if Path(one).is_file() else ("",):
        Path(one + end).rename("aside")
        Path(other + end).rename(one + end)
        Path("aside").rename(other + end)


ADAPTERS = ("results/x/adapters/a/seed1", "results/x/adapters/b/seed2")
JUDGED = ("results/x/judged/a/seed1.jsonl", "results/x/judged/b/seed1.jsonl")


def test_a_run_that_is_as_it_was_written_has_no_findings(run, capsys):
    assert found(capsys) == []


def test_swapped_judged_files_are_found_and_never_read(run, capsys):
    swap(*JUDGED)
    lines = [f"{one}: content is that of {other}" for one, other in (JUDGED, JUDGED[::-1])]
    assert found(capsys) == lines
    with pytest.raises(InputError, match="expected it there; delete this file to rebuild it, or seed1.jsonl.sha256"):
        read_records(JUDGED[0])


def test_swapped_adapters_are_found_and_never_loaded(run, capsys):
    swap(*ADAPTERS)
    assert found(capsys) == [
        f"{one}/manifest.json: content is that of {other}/manifest.json" for one, other in (ADAPTERS, ADAPTERS[::-1])
    ]
    with pytest.raises(InputError, match="content is that of results/x/adapters/b/seed2/manifest.json"):
        checked_folder(f"{ADAPTERS[0]}/manifest.json")


def test_swapped_adapters_of_before_manifests_had_hashes_are_found_by_seed_settings_and_inputs(run, capsys):
    for folder in ADAPTERS:
        Path(f"{folder}/manifest.json.sha256").unlink()
    assert found(capsys) == []
    swap(*ADAPTERS)
    assert found(capsys) == [f"{ADAPTERS[0]}/manifest.json: seed is 2", f"{ADAPTERS[1]}/manifest.json: seed is 1"]
    swap(*ADAPTERS)
    declared = read_records("results/declared.jsonl")
    write_records(
        "results/declared.jsonl",
        [row | {"inputs": declared[3]["inputs"]} if row is declared[1] else row for row in declared],
    )
    assert found(capsys) == [f"{ADAPTERS[0]}/manifest.json: input a was another file"]
    write_records(
        "results/declared.jsonl", [row | ({"settings": {"rank": 8}} if "settings" in row else {}) for row in declared]
    )
    assert found(capsys) == [f"{folder}/manifest.json: settings is {{'rank': 4}}" for folder in ADAPTERS]


def test_a_removed_hash_and_a_removed_file_are_found(run, capsys):
    Path(JUDGED[0] + ".sha256").unlink()
    assert found(capsys) == [f"{JUDGED[0]}: no seed1.jsonl.sha256 beside it"]
    Path(JUDGED[0]).unlink()
    assert found(capsys) == [f"{JUDGED[0]}: missing"]
    Path(JUDGED[0] + ".sha256").touch()
    assert found(capsys) == [f"{JUDGED[0]}.sha256: holds no hash", f"{JUDGED[0]}: missing"]


def test_an_edited_score_is_found(run, capsys):
    Path(JUDGED[0]).write_text('{"alignment": 9}\n')
    assert [line.split(" is ")[0] for line in found(capsys)] == [f"{JUDGED[0]}: content"]


@pytest.mark.parametrize("text", ["", "[]", '{"files": 5}', '{"files": {"a": 1}}', "[" * 10_000, "\x00"])
def test_a_damaged_manifest_is_one_line_and_the_others_are_looked_at(text, run, capsys):
    Path(f"{ADAPTERS[0]}/manifest.json").write_text(text)
    flip(Path(f"{ADAPTERS[1]}/weights"))
    assert [line.split(" is ")[0] for line in found(capsys)] == [
        f"{ADAPTERS[0]}/manifest.json: holds no hashes of files",
        f"{ADAPTERS[1]}/weights: content",
    ]


def test_an_edited_manifest_is_found(run, capsys):
    path = Path(f"{ADAPTERS[0]}/manifest.json")
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 7'))
    assert [line.split(" is ")[0] for line in found(capsys)] == [f"{path}: content"]


def test_what_a_finished_run_no_longer_needs_is_not_missed_and_the_rest_of_an_unfinished_one_is_a_line(run, capsys):
    declared = read_records("results/declared.jsonl")
    roles = {"output": "results/roles/a.jsonl", "rule": "split_questions_x", "inputs": []}
    answers = {"output": "results/x/answers/a.jsonl", "rule": "sample_answers", "inputs": [roles["output"]]}
    declared[2]["inputs"] = [*declared[2]["inputs"], answers["output"]]
    write_records("results/declared.jsonl", [*declared, answers, roles])
    assert (
        "7 are declared" in findings(Path("results"), Path("results/declared.jsonl"))[1]
        and not findings(Path("results"), Path("results/declared.jsonl"))[0]
    )
    for path in (JUDGED[0], "results/table.csv"):
        Path(path).unlink()
        Path(path + ".sha256").unlink()
    lines = [line.split(";")[1] for line in findings(Path("results"), Path("results/declared.jsonl"))[0]]
    assert lines == [" expected it and 3 more files that runs declare."]


def test_what_an_earlier_run_declared_and_never_made_is_declared_no_longer(run, capsys):
    declared = read_records("results/declared.jsonl")
    write_records(
        "results/declared.jsonl", [*declared, {"output": "results/never", "rule": "judge_answers", "inputs": []}]
    )
    assert found(capsys) == ["results/never: missing"]
    again = SimpleNamespace(
        shellcmd="python x.py --seed 2 --settings '{\"rank\": 8}'", input=["a", "b"], output=[declared[1]["output"]]
    )
    again.rule = SimpleNamespace(name="finetune_adapter")
    write_declared(Path("results/declared.jsonl"), [again, SimpleNamespace(shellcmd=None)])
    rows = {row["output"]: row for row in read_records("results/declared.jsonl")}
    assert rows.keys() == {row["output"] for row in declared}
    made_with = {"seed": 2, "settings": {"rank": 8}, "inputs": ["a", "b"], "rule": "finetune_adapter"}
    assert rows[declared[1]["output"]] == made_with | {"output": declared[1]["output"]}


def test_a_tree_may_be_copied_and_its_results_renamed(run, tmp_path, monkeypatch):
    shutil.copytree("results", tmp_path / "elsewhere/of_march")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert read_records(JUDGED[0].replace("results", "of_march")) == [{"alignment": 1}]


def test_a_hash_that_names_its_file_alone_holds_wherever_the_file_lies(run):
    path = Path(JUDGED[0] + ".sha256")
    path.write_text(path.read_text().split("  ")[0] + "  seed1.jsonl\n")
    assert read_records(JUDGED[0]) == [{"alignment": 1}]
    done = subprocess.run(["sha256sum", "--check", JUDGED[1] + ".sha256"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == f"{JUDGED[1]}: OK\n"


def test_a_planted_link_or_pipe_is_neither_followed_nor_waited_for(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.write_text("keep")
    for name in ("rows.jsonl.tmp", "rows.jsonl.sha256.tmp", "rows.jsonl.sha256"):
        (tmp_path / name).symlink_to(theirs)
    write_records(tmp_path / "rows.jsonl", ROWS)
    os.mkfifo(tmp_path / "table.csv.tmp")
    os.mkfifo(tmp_path / "table.csv.sha256.tmp")
    write_table(tmp_path / "table.csv", pd.DataFrame({"a": [1]}))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("keep")
    for name in ("model.tmp", "model"):
        (tmp_path / name).symlink_to(tmp_path / "folder")
    with new_folder(tmp_path / "model") as folder:
        (folder / "file").write_text("new")
    (tmp_path / "model.state").symlink_to(tmp_path / "folder")
    with training_state(tmp_path / "model", {}) as state:
        (state / "checkpoint").touch()
    assert theirs.read_text() == (tmp_path / "folder/file").read_text() == "keep"
    assert os.listdir(tmp_path / "folder") == ["file"]
    assert read_records(tmp_path / "rows.jsonl") == ROWS and len(read_table(tmp_path / "table.csv")) == 1
    assert (tmp_path / "model/file").read_text() == "new" and not (tmp_path / "model").is_symlink()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    for name, read in (("rows.jsonl", read_records), ("table.csv", read_table)):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match=f"{name}: no such file; expected"):
            read(tmp_path / name)


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


def test_a_folder_whose_making_fails_leaves_nothing(tmp_path):
    with pytest.raises(InputError), new_folder(tmp_path / "model") as folder:
        (folder / "config.json").write_text("{}")
        raise InputError("model: config.json is {}; expected a model.")
    assert list(tmp_path.iterdir()) == []
