"""What it takes to read the Snakefile, which every job on a cluster does again."""

import subprocess
import sys

from helpers.workflow_tree import SMOKE, copy_tree


def test_the_snakefile_is_read_without_the_packages_that_compute(tmp_path):
    tree = copy_tree(tmp_path / "tree")
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "--cores", "1", *SMOKE, "--dry-run", "--quiet"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "planning" in imported
    assert not imported & {"torch", "transformers", "scipy.stats", "sklearn", "anthropic", "openai", "estimating"}
