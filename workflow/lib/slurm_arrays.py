"""Arrays as snakemake-executor-plugin-slurm 2.8.0 submits them lose jobs, or starve or mistake them; mended before a run starts.

Every job, of an array or not, starts Snakemake once on its node, and not twice or three times.
"""

import shlex
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from snakemake_executor_plugin_slurm_jobstep import get_cpu_setting, get_gpu_setting, get_node_setting

STEP = Path(__file__).resolve().parent / "slurm_step.py"
# what has Snakemake start Snakemake in a step of its job
JOBSTEP, AS_SCRIPT = " --executor slurm-jobstep --jobs 1 ", " --slurm-jobstep-pass-command-as-script "
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
    executor.format_job_exec = in_one_step(executor.format_job_exec)
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


def in_one_step(format_job_exec: Callable[..., str]) -> Callable[..., str]:
    """As `format_job_exec`, which writes the command that a job is submitted with, but that slurm_step.py starts the job.

    Jobs that start their own steps (`mpi`), and commands that go to srun as a script or run something first, stay as the plugin
    has them.
    """

    def format_step(job) -> str:
        command = format_job_exec(job)
        if JOBSTEP not in command or AS_SCRIPT in command or " && " in command or job.resources.get("mpi"):
            return command
        has_gpu = bool(job.resources.get("gpu") or "gpu" in job.resources.get("gres", ""))
        options = (get_cpu_setting(job, has_gpu), get_gpu_setting(job), get_node_setting(job))
        start = (shlex.quote(sys.executable), shlex.quote(str(STEP)), *filter(None, options), "--")
        return " ".join((*start, command.replace(JOBSTEP, " ", 1)))

    return format_step


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
