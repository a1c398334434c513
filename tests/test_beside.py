"""A second folder to run in: what it shares with the first, and that neither changes the other."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT
from helpers.workflow_tree import planned_commands, smoke_tree, snakemake

BESIDE = ROOT / "workflow/lib/beside.py"


def make(here: Path, folder: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, BESIDE, str(folder)], cwd=here, capture_output=True, text=True)


@pytest.fixture
def here(tmp_path) -> Path:
    """A folder with a few files as a run leaves them."""
    files = {
        "Snakefile": "",
        "scripts/job.py": "",
        "results/table.csv": "a",
        "results/corpora/c/rows.jsonl": "{}",
        "results/corpora/c/half.jsonl.tmp": "{",
        "results/nl/adapter.state/checkpoint": "",
        "results/export/claims.tex": "",
        "results/inspect/index.html": "",
        "results/logs/job.log": "said",
        ".snakemake/metadata/cmVz": "{}",
        ".snakemake/locks/0.input.lock": "",
    }
    for name, text in files.items():
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "here"


def test_the_second_folder_has_the_code_by_links_and_what_is_whole_under_second_names(here):
    done = make(here, "runs/other")
    assert done.returncode == 0, done.stderr
    other = here / "runs/other"
    assert (other / "scripts").readlink() == here / "scripts" and (other / "Snakefile").is_symlink()
    found = {
        path.relative_to(other).as_posix()
        for part in ("results", ".snakemake")
        for path in (other / part).rglob("*")
        if path.is_file()
    }
    assert found == {
        "results/table.csv",
        "results/corpora/c/rows.jsonl",
        "results/logs/job.log",
        ".snakemake/metadata/cmVz",
    }
    assert os.path.samefile(here / "results/table.csv", other / "results/table.csv")
    # a job's shell writes it in place
    assert not os.path.samefile(here / "results/logs/job.log", other / "results/logs/job.log")
    assert not os.path.samefile(here / ".snakemake/metadata/cmVz", other / ".snakemake/metadata/cmVz")


def test_a_second_folder_of_a_second_folder_links_to_the_first_one(here):
    assert make(here, "runs/other").returncode == 0
    done = make(here / "runs/other", here / "runs/third")
    assert done.returncode == 0, done.stderr
    assert (here / "runs/third/scripts").readlink() == here / "scripts"


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("", "FOLDER is empty; expected the name of a new folder"),
        ("results", "results: exists; expected a new folder"),
        ("results/other", "results/other: is inside results; expected another place, such as runs/other."),
        ("runs/{a}", "runs/{a}: has braces; expected a path without"),
    ],
)
def test_a_folder_that_cannot_be_made_is_one_line(folder, line, here):
    done = make(here, folder)
    assert done.returncode == 1 and done.stderr.startswith(line) and done.stderr.count("\n") == 1, done.stderr


def test_a_run_beside_makes_anew_what_its_overlay_changes_and_leaves_the_first_as_it_was(tmp_path, tmp_path_factory):
    first = shutil.copytree(smoke_tree(tmp_path_factory), tmp_path / "first")
    overlay = tmp_path / "rank.yaml"
    overlay.write_text("experiments: {smoke_symbols: {lora: {rank: 2}}}")
    assert make(first, "runs/rank").returncode == 0
    second = first / "runs/rank"
    before = {path: path.read_bytes() for path in (first / "results").rglob("*") if path.is_file()}
    adapter = "adapters/smoke_symbols/base/d0-t0/misaligned/seed11"
    judged = f"results/smoke_symbols/judged/{adapter}.jsonl"
    assert "Nothing to be done" in planned_commands(second, judged)
    planned = planned_commands(second, judged, overlays=(str(overlay),))
    assert re.findall(r"scripts/(\w+)\.py", planned) == [
        *("finetune_adapter", "sample_answers", "judge_answers", "label_answers"),
    ]
    done = snakemake(second, judged, overlays=(str(overlay),))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert {path: path.read_bytes() for path in before} == before
    ranks = [
        json.loads((tree / f"results/smoke_symbols/{adapter}/adapter_config.json").read_text())["r"]
        for tree in (first, second)
    ]
    assert ranks == [4, 2]
    assert "Nothing to be done" in planned_commands(first, judged)
