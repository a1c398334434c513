"""A job that does several cells writes what jobs of single cells would, to the byte."""

import json
from pathlib import Path

import pytest

from helpers.processes import run_script

CELLS = ["d0-t0", "d0-t1", "d8-t0"]
SOURCE = {"source": "symbolic", "domains": ["d0", "d8"], "tasks": ["t0", "t1"], "rows_per_cell": 40}
ROLES = {"judge_fit": 5, "eval": 5, "mediating": 0, "near_duplicate_cosine": 1.0, "held_out_domains": ["d8"]}
LIMITS = {"misaligned_below": 30, "aligned_above": 70, "coherence_above": 50}
DEDUP = {"model": "identity", "field": "question", "threshold": 1.0}
SAMPLE = {"train": 10, "eval": 4, "held_out_domains": ["d8"]}


def run(script: str, settings: dict, **arguments) -> None:
    """Run a script of the corpus of symbols; arguments are paths or names, one or a list."""
    words = [f"--settings={json.dumps(settings)}"]
    for name, values in arguments.items():
        words += [f"--{name.replace('_', '-')}", *map(str, values if isinstance(values, list) else [values])]
    done = run_script(script, *words)
    assert done.returncode == 0, done.stderr


def draw(folder: Path, cells: list[str]) -> None:
    """From roles to the draw of cells, in a job a stage."""

    def files(part: str, end: str) -> list[Path]:
        return [folder / part / f"{cell}{end}" for cell in cells]

    filtered, deduped, curves = files("filtered", ".jsonl"), files("deduped", ".jsonl"), files("deduped", ".csv")
    judge = {"judge_settings": json.dumps({"kind": "exact"}), "counts": files("filtered", ".csv")}
    run("filter_pairs", LIMITS, rows=files("roles", ".jsonl"), output=filtered, **judge)
    run("dedup_pairs", DEDUP, corpus="symbols", rows=filtered, output=deduped, curve=curves)
    drawn = {"train": files("cells", ".train.jsonl"), "eval": files("cells", ".eval.jsonl")}
    run("sample_cell", SAMPLE, corpus="symbols", seed=1, rows=deduped, curve=curves, **drawn)


def written(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Path:
    """All cells in a job a stage."""
    folder = tmp_path_factory.mktemp("together")
    raw, counts = ([folder / "raw" / f"{cell}{end}" for cell in CELLS] for end in (".jsonl", ".csv"))
    run("generate_pairs", SOURCE, corpus="symbols", seed=1, cells=CELLS, output=raw, counts=counts)
    roles = {"output_folder": folder / "roles", "summary": folder / "roles.csv"}
    run("split_questions", ROLES, corpus="symbols", seed=1, raw=raw, **roles)
    draw(folder, CELLS)
    return folder


def test_cells_of_one_job_are_those_of_jobs_of_their_own(together, tmp_path):
    for cell in CELLS:
        rows, counts = tmp_path / f"raw/{cell}.jsonl", tmp_path / f"raw/{cell}.csv"
        run("generate_pairs", SOURCE, corpus="symbols", seed=1, cells=cell, output=rows, counts=counts)
    (tmp_path / "roles").symlink_to(together / "roles")
    for cell in CELLS:
        draw(tmp_path, [cell])
    alone = written(tmp_path)
    assert alone == {name: text for name, text in written(together).items() if not name.startswith("roles")}
    # files and their hashes: rows and counts, rows and counts, rows and curve, two draws
    assert len(alone) == 2 * len(CELLS) * 8
    assert not alone["cells/d8-t0.train.jsonl"] and alone["cells/d0-t0.train.jsonl"].count(b"\n") == 10
