"""Arrays as snakemake-executor-plugin-slurm 2.8.0 submits them lose jobs, or starve or mistake them; mended before a run starts."""

import sys
import zlib
from collections.abc import Callable, Iterator

# resources that a job asks for and SLURM is not told
UNTOLD = ("tmpdir", "disk", "disk_mb", "disk_mib")
# bytes of all commands of an array: they share one argument, limited to 128 KiB by Linux, with the submission's own command
PAYLOAD_BYTES = 96 * 1024


def mend(executor) -> None:
    """Let an executor of the plugin submit every job it is given, in one array only jobs that ask for the same, and no more than fit.

    The plugin holds jobs back while more of their rule are ready than it was given, and forgets them (its issue 473),
    so that a run with a limit on its jobs never ends. An array whose commands are too long for an argument it submits as a
    script in which they stand on a line of their own, so that every task of the array does the work of the first.
    """
    plugin = sys.modules[type(executor).__module__]
    plugin.pending_jobs_for_rule = lambda dag, rule_name: 0
    executor.run_jobs = alike_at_a_time(executor.run_jobs, lambda job: payload_bytes(executor.format_job_exec(job)))


def alike_at_a_time(run_jobs: Callable[[list], None], size: Callable[..., int]) -> Callable[[list], None]:
    """As `run_jobs`, called for every set of jobs that ask for the same, in parts whose sizes fit into an array.

    An array asks for what its first job asks for: a job tried again with more memory would get as little as before
    beside jobs that are tried for the first time, and one with a GPU none beside jobs without.
    """

    def run(jobs: list) -> None:
        alike = {}
        for job in jobs:
            alike.setdefault(request(job), []).append(job)
        for some in alike.values():
            for part in fitting(some, size):
                run_jobs(part)

    return run


def payload_bytes(command: str) -> int:
    """What a job's command adds to its array's argument: the plugin compresses it, writes it in hex into JSON and that in base64."""
    in_json = 2 * len(zlib.compress(command.encode("utf-8"), level=9)) + len('"10000": "", ')
    return in_json * 4 // 3 + 1


def fitting(jobs: list, size: Callable[..., int]) -> Iterator[list]:
    """The jobs, in order, in parts of at most PAYLOAD_BYTES; a job that alone has more is a part."""
    part: list = []
    left = PAYLOAD_BYTES
    for job in jobs:
        taken = size(job)
        if part and taken > left:
            yield part
            part, left = [], PAYLOAD_BYTES
        part.append(job)
        left -= taken
    if part:
        yield part


def request(job) -> tuple[tuple[str, str], ...]:
    """Names and amounts of all that a job, or a group of jobs, asks SLURM for."""
    return tuple(sorted((name, str(amount)) for name, amount in job.resources.items() if name not in UNTOLD))
