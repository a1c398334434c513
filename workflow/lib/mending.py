"""What a run mends in Snakemake and its SLURM plugin before it starts.

That is done at attributes which are theirs alone and may mean something else, or nothing, in the next version; so it is done in
the versions that it was written for and no run starts with others. A new pin means: see whether the fault is still
there, take the mending out or fit it, and only then change the version here.
"""

import importlib.metadata

from snakemake.exceptions import WorkflowError
from snakemake.io import _IOFile

import checksums
import slurm_arrays
import warm_start

# package -> the version whose faults are mended, as envs/requirements.txt pins it
MENDED = {"snakemake": "9.27.1", "snakemake-executor-plugin-slurm": "2.8.0"}


def mend(scheduler) -> None:
    """Mend the scheduler of a run that is about to start, and its executor where that is SLURM's.

    Raises:
        WorkflowError: a package to be mended has another version than the one the mending is for.
    """
    check_version("snakemake")
    # beside a rate limit, which is on by default, Snakemake starts one more re-evaluation a second for every finished job,
    # until it hardly does anything else (its pull request 3744); resources limit jobs on this machine, `jobs` those on a cluster
    scheduler.job_rate_limiter = None
    checksums.mend(_IOFile)
    executor = scheduler._executor
    if type(executor).__module__ == "snakemake.executors.local":
        # the server ends when this is gone
        scheduler.warm_start = warm_start.mend(scheduler.workflow)
    if type(executor).__module__ == "snakemake_executor_plugin_slurm":
        check_version("snakemake-executor-plugin-slurm")
        slurm_arrays.mend(executor)


def check_version(package: str) -> None:
    """Raise WorkflowError unless the installed version of a package is the one that is mended."""
    found, expected = importlib.metadata.version(package), MENDED[package]
    if found != expected:
        raise WorkflowError(
            f"{package} is {found}; expected {expected}, the version whose faults in long runs are mended here: make setup installs it."
        )
