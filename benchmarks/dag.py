"""Seconds and peak memory of a dry run of many jobs: the default experiments with more seeds × cells × models.

Run: PYTHONPATH=scripts:workflow/lib python benchmarks/dag.py --jobs 10000 --profile workflow/profiles/slurm
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import yaml

from emtransfer.grid.expansion import expand_models
from work import work

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000, help="the fewest that the DAG shall have")
    parser.add_argument("--profile", default="profiles/default")
    return parser.parse_args()


def wide_overlay(n_seeds: int) -> dict:
    """Every cell × misaligned × so many seeds on both bases of both experiments, and students of two teachers."""
    seeds = list(range(1, n_seeds + 1))
    cells = {"start": "base", "train_sets": "all_cells", "answers": "misaligned", "seeds": seeds}
    union = cells | {"base": "persona", "train_sets": ["advice"]}
    students = {"base": "persona", "teachers": ["harmful", "base"], "mediating": "everywhere", "filter": "aligned"}
    channels = {"data": ["own"], "channels": ["sft", "optd", "opd-full", "opd-sampled"], "seeds": seeds}
    bases = {"template_nl": ("persona", "row_random"), "symbolic": ("symbols_persona", "symbols_row_random")}
    experiments = {name: {"adapters": [cells | {"base": base} for base in of]} for name, of in bases.items()}
    experiments["template_nl"]["adapters"].append(union)
    experiments["template_nl"]["students"] = [students | channels]
    return {"experiments": experiments}


def jobs_of(n_seeds: int) -> int:
    """Jobs of a run with so many seeds."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for name, section in wide_overlay(n_seeds)["experiments"].items():
        config["experiments"][name] |= section
    models = {name: expand_models(config, name) for name in config["run"]}
    return sum(entry.n_jobs for entry in work(config, models))


def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder, "wide.yaml")
        # JSON is YAML, and quick to read
        n_seeds = next(n for n in count(1) if jobs_of(n) >= args.jobs)
        overlay.write_text(json.dumps(wide_overlay(n_seeds)), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--dry-run",
            "--quiet",
            "rules",
            "--cores",
            "1",
            "--directory",
            folder,
        ]
        command += ["--workflow-profile", args.profile]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--configfile", "config.yaml", overlay], cwd=ROOT, capture_output=True, text=True, check=True
        )
        seconds = time.perf_counter() - started
    n_jobs = re.search(r"^total +(\d+)$", done.stdout, re.MULTILINE)[1]
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{n_jobs} jobs: {seconds:.1f} s, peak memory {peak_mib:.0f} MiB")


if __name__ == "__main__":
    main(parse_args())
