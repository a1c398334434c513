"""A copy of the tree in which Snakemake runs as a user would run it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from helpers.forked_runs import dry_run, run
from helpers.paths import ROOT

PARTS = ("Snakefile", "config.yaml", "workflow", "scripts", "resources", "profiles", "envs")
# what an earlier run in this folder, or the linting, has found of the code, so that not every copy finds it again
KNOWN_CODE = ".snakemake/code.json"
SMOKE = ("--configfile", "config.yaml", "workflow/configs/smoke.yaml")


def copy_tree(folder: Path) -> Path:
    """Copy what a run needs into a new folder."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / part)
    if (ROOT / KNOWN_CODE).exists():
        (folder / KNOWN_CODE).parent.mkdir()
        shutil.copyfile(ROOT / KNOWN_CODE, folder / KNOWN_CODE)
    return folder


def snakemake(tree: Path, *arguments: str, overlays: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """Run Snakemake on the smoke config in a copied tree."""
    return run(tree, "--cores", "2", *SMOKE, *overlays, "--", *arguments)


def smoke_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in which the smoke config has run to the end on this machine: one for all test modules, which copy it."""
    session = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # every worker has a folder of its own in that of the session
        session = session.parent
    folder, finished = session / "smoke", session / "smoke.finished"
    with FileLock(session / "smoke.lock"):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            done = snakemake(copy_tree(folder), "all")
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
            finished.touch()
    return folder


def planned_jobs(tree: Path, *overlays: str) -> dict[str, int]:
    """Rule -> number of jobs that a run would execute now."""
    done = dry_run(tree, "--cores", "2", *SMOKE, *overlays, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    if "Nothing to be done" in done.stdout + done.stderr:
        return {}
    stats = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", done.stdout, re.DOTALL)
    jobs = (line.split() for line in stats[1].splitlines())
    return {rule: int(count) for rule, count in jobs if rule != "all"}


def planned_commands(tree: Path, *targets: str, overlays: tuple[str, ...] = ()) -> str:
    """Shell commands of the jobs that a run for these files, or for all, would execute now, and their table."""
    done = dry_run(tree, "--cores", "2", "--dry-run", "--printshellcmds", *SMOKE, *overlays, "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def unfit(reason: str) -> None:
    """Skip a test that this machine cannot run; continuous integration takes no excuse."""
    (pytest.fail if os.environ.get("EMTRANSFER_SKIP_NOTHING") else pytest.skip)(reason)


@contextmanager
def mounted(folder: Path, *how: str) -> Iterator[None]:
    """A folder with a file system of its own on it, as `mount` is told to make it; only root can."""
    if os.geteuid():
        unfit("only root mounts file systems")
    subprocess.run(["mount", *how, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that can be read and not be written to, whoever tries."""
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
