"""What is mended in Snakemake and its SLURM plugin is mended in the versions that it was written for, and no run starts with others."""

import asyncio
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin
from snakemake.exceptions import WorkflowError
from snakemake.io import _IOFile

import checksums
import mending
from helpers.workflow_tree import ROOT, SMOKE, copy_tree

SNAKEMAKE, SLURM = "snakemake", "snakemake-executor-plugin-slurm"


def scheduler_of(executor: object) -> SimpleNamespace:
    """A scheduler with a limit on its rate, before a run."""
    return SimpleNamespace(job_rate_limiter=object(), _executor=executor)


@pytest.fixture
def slurm(monkeypatch) -> object:
    """The plugin's executor; what is mended in the plugin is undone after the test."""
    monkeypatch.setattr(plugin, "pending_jobs_for_rule", plugin.pending_jobs_for_rule)
    return object.__new__(plugin.Executor)


@pytest.fixture(autouse=True)
def files(monkeypatch) -> None:
    """What is mended in Snakemake's files is undone after the test."""
    monkeypatch.setattr(_IOFile, "checksum", _IOFile.checksum)


def install(monkeypatch, **versions: str) -> None:
    """Let packages, with _ for -, have other versions."""
    others = {name.replace("_", "-"): version for name, version in versions.items()}
    installed = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: others.get(name) or installed(name))


def test_the_versions_that_are_mended_are_pinned_and_installed():
    pins = (ROOT / "envs/requirements.txt").read_text(encoding="utf-8").split()
    assert {f"{package}=={version}" for package, version in mending.MENDED.items()} <= set(pins)
    assert mending.MENDED == {package: importlib.metadata.version(package) for package in (SNAKEMAKE, SLURM)}


def test_a_run_on_this_machine_has_no_rate_limit_and_does_without_the_plugins_version(monkeypatch):
    install(monkeypatch, snakemake_executor_plugin_slurm="99.0")
    scheduler = scheduler_of(SimpleNamespace())
    mending.mend(scheduler)
    assert scheduler.job_rate_limiter is None


def test_a_run_on_slurm_has_no_rate_limit_and_mended_arrays(slurm):
    scheduler, before = scheduler_of(slurm), plugin.pending_jobs_for_rule
    mending.mend(scheduler)
    assert scheduler.job_rate_limiter is None and "run_jobs" in vars(slurm)
    assert plugin.pending_jobs_for_rule is not before


@pytest.mark.parametrize("version", ["9.27.0", "9.28.0", "10.0.0"])
def test_another_snakemake_is_left_as_it_is_in_one_line(version, slurm, monkeypatch):
    install(monkeypatch, snakemake=version)
    for executor in (SimpleNamespace(), slurm):
        scheduler = scheduler_of(executor)
        with pytest.raises(WorkflowError, match=f"^snakemake is {version}; expected 9.27.1, the version whose .*\\.$"):
            mending.mend(scheduler)
        assert scheduler.job_rate_limiter is not None


@pytest.mark.parametrize("version", ["2.7.1", "2.8.1", "3.0.0"])
def test_another_slurm_plugin_is_left_as_it_is_in_one_line(version, slurm, monkeypatch):
    install(monkeypatch, snakemake_executor_plugin_slurm=version)
    with pytest.raises(WorkflowError, match=f"^{SLURM} is {version}; expected 2.8.0, the version whose .*\\.$"):
        mending.mend(scheduler_of(slurm))
    assert "run_jobs" not in vars(slurm)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copied tree, beside a folder in which Python finds the description of another Snakemake first."""
    folder = tmp_path_factory.mktemp("mending")
    described = folder / "other/snakemake-99.0.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: snakemake\nVersion: 99.0.0\n")
    return copy_tree(folder / "tree")


@pytest.mark.parametrize("dry", [True, False])
def test_another_version_plans_a_run_and_does_not_start_it(tree, dry):
    target = "results/corpora/smoke/raw/medical-advice.jsonl"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *SMOKE, *["--dry-run"] * dry, "--", target]
    environment = os.environ | {"PYTHONPATH": str(tree.parent / "other")}
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env=environment)
    said = done.stdout + done.stderr
    assert (done.returncode == 0) == dry and ("snakemake is 99.0.0; expected 9.27.1, the version whose" in said) != dry
    assert "Traceback" not in said and not (tree / target).exists()


class File:
    """A file as Snakemake hashes it; `read` tells how often."""

    is_storage = False

    def __init__(self, path: Path):
        self.file, self.read = str(path), 0

    async def checksum(self, threshold=None, force=False, algorithm=None):
        self.read += 1
        return f"{algorithm}:{Path(self.file).read_text()}"


def test_a_file_is_hashed_again_when_it_has_changed_and_else_once(tmp_path):
    checksums.mend(File)
    path = tmp_path / "rows.jsonl"
    path.write_text("one")
    file = File(path)
    assert [asyncio.run(file.checksum(10)) for _ in range(3)] == ["None:one"] * 3 and file.read == 1
    # of the same size, at another time; then another file of the same size and time
    path.write_text("two")
    os.utime(path, (1, 1))
    assert asyncio.run(file.checksum(10)) == "None:two"
    (tmp_path / "other").write_text("six")
    os.utime(tmp_path / "other", (1, 1))
    (tmp_path / "other").replace(path)
    assert asyncio.run(file.checksum(10)) == "None:six" and file.read == 3
    # whoever wants another kind of hash gets it
    assert asyncio.run(file.checksum(10, algorithm="md5")) == "md5:six"
    # another threshold may let no hash be made
    assert asyncio.run(file.checksum(2)) == "None:six" and file.read == 5
