"""Start a job on the node that SLURM has given it, with nothing but Python: the command of a submission, or of one task of an array.

snakemake-executor-plugin-slurm-jobstep has a Snakemake read the whole workflow first, only to start the Snakemake that does the job;
in all tasks of an array but the first it does so twice. This is what it does there, without that.

Run: python workflow/lib/slurm_step.py [OPTION OF srun …] -- python -m snakemake … [--slurm-jobstep-array-execs=TASKS], where TASKS are
the commands of the other tasks, as the plugin writes them
"""

import base64
import json
import os
import sys
import zlib

TASKS = "--slurm-jobstep-array-execs="
# one process, bound to the processors of the job and quiet about it
ONE_PROCESS = ("-n1", "--cpu-bind=q")
# who a job is; everything else that it has been given would contradict what its step is told to take
KEPT = ("JOB_ID", "JOBID", "ARRAY_JOB_ID", "ARRAY_TASK_ID", "ARRAY_TASK_MIN", "ARRAY_TASK_MAX", "ARRAY_TASK_STEP", "CLUSTER_NAME", "SUBMIT_DIR", "SUBMIT_HOST")  # fmt: skip
OF_CLIENTS = ("SLURM_", "SRUN_", "SBATCH_")


def main(arguments: list[str]) -> None:
    own = [argument for argument in arguments if not argument.startswith(TASKS)]
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    if own != arguments and task != os.environ.get("SLURM_ARRAY_TASK_MIN"):
        # which is this script again, on a job of its own
        os.execvp("sh", ["sh", "-c", command_of(arguments[-1].removeprefix(TASKS), task)])
    end = own.index("--")
    os.execvpe("srun", ["srun", *ONE_PROCESS, *own[:end], *own[end + 1 :]], without_requests(os.environ))


def command_of(tasks: str, task: str | None) -> str:
    """The command of a task of an array: base64 of JSON, number of a task -> its command, compressed and in hex."""
    return zlib.decompress(bytes.fromhex(json.loads(base64.b64decode(tasks))[task])).decode("utf-8")


def without_requests(environment: dict[str, str]) -> dict[str, str]:
    """The variables of a job without those that srun would take for its options."""
    kept = {f"SLURM_{name}" for name in KEPT}
    return {name: value for name, value in environment.items() if name in kept or not name.startswith(OF_CLIENTS)}


if __name__ == "__main__":
    main(sys.argv[1:])
