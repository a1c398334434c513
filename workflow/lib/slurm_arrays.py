"""Arrays as snakemake-executor-plugin-slurm 2.8.0 submits them lose jobs, or starve them; mended before a run starts."""

import sys
from collections.abc import Callable

# what a job asks for and SLURM is not told
UNTOLD = ("tmpdir", "disk", "disk_mb", "disk_mib")


def mend(executor) -> None:
    """Let an executor of the plugin submit every job it is given, and in one array only jobs that ask for the same.

    The plugin holds jobs back while more of their rule are ready than it was given, and forgets them (its issue 473),
    so that a run with a limit on its jobs never ends.
    """
    plugin = sys.modules[type(executor).__module__]
    plugin.pending_jobs_for_rule = lambda dag, rule_name: 0
    executor.run_jobs = alike_at_a_time(executor.run_jobs)


def alike_at_a_time(run_jobs: Callable[[list], None]) -> Callable[[list], None]:
    """As `run_jobs`, called once for every set of jobs that ask for the same.

    An array asks for what its first job asks for: a job tried again with more memory would get as little as before
    beside jobs that are tried for the first time, and one with a GPU none beside jobs without.
    """

    def run(jobs: list) -> None:
        alike = {}
        for job in jobs:
            alike.setdefault(request(job), []).append(job)
        for some in alike.values():
            run_jobs(some)

    return run


def request(job) -> tuple[tuple[str, str], ...]:
    """Names and amounts of all that a job, or a group of jobs, asks SLURM for."""
    return tuple(sorted((name, str(amount)) for name, amount in job.resources.items() if name not in UNTOLD))
