"""Run Snakemake in this folder when nobody else does, whatever became of the run before.

A run that is killed leaves Snakemake's lock behind, and jobs of its that were under way go on. The kernel releases the lock
that is taken here when its holder ends, however it ends; so whoever gets it, and finds no such jobs, may remove Snakemake's own.

Run: python workflow/lib/run_alone.py --cores 8 results/em_transfer_table.csv
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from config_files import read_config_files
from emtransfer.errors import InputError

LOCK, SNAKEMAKES_LOCKS = Path(".snakemake/alone.lock"), Path(".snakemake/locks")
SNAKEMAKE = (sys.executable, "-m", "snakemake")
# options of Python, alone or at the end of a cluster: what it runs follows in place of a script; the value is the next argument
NO_SCRIPT = re.compile(r"-[^-XWcm]*[cm]|-$")
WITH_VALUE = re.compile(r"-[^-XWcm]*[XW]$|--check-hash-based-pycs$")
# what stands in for Python on a script, and the number of words before the script
CLIENT, CLIENT_WORDS = str(Path(__file__).resolve().parent / "warm/client.py"), 5
SHELLS = ("bash", "sh", "dash")
# Snakemake's shells begin with this, by themselves or behind the activation of an environment; a rule's launcher ends in a brace
OF_SNAKEMAKE = re.compile(r"\bset -euo pipefail;.*(?:python|\}) scripts/\w+\.py\s", re.DOTALL)
# a file in this folder holds what is too long for an argument
LONG_COMMAND = re.compile(r".*/\.snakemake/shell_tmp\.[^/]+/script\.sh")


def main(arguments: list[str]) -> None:
    try:
        read_config_files(config_arguments(arguments)[1:])
    except InputError as error:
        sys.exit(str(error))
    take_lock()
    orphans = [*local_jobs(), *slurm_jobs()]
    if orphans:
        sys.exit(
            f"Jobs of a killed run are still running here: {', '.join(orphans)}; expected them to end first:"
            " wait for them, or stop processes with kill and SLURM jobs with scancel."
        )
    if any(SNAKEMAKES_LOCKS.glob("*")):
        # as `snakemake --unlock` does, which reads the whole workflow first
        shutil.rmtree(SNAKEMAKES_LOCKS)
        print("Removed the lock of a killed run.", file=sys.stderr)
    os.execv(sys.executable, [*SNAKEMAKE, *arguments])


def take_lock() -> None:
    """Lock this folder until this process, which becomes Snakemake, ends; exit where another has it."""
    try:
        LOCK.parent.mkdir(exist_ok=True)
        lock = os.open(LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        sys.exit(f"{error}; expected a folder that you may write to, on a disk that is not read-only.")
    # exec would close it otherwise
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(
            f"{LOCK} is held by another run in this folder; expected to run alone: wait for it, or use another copy."
        )


def local_jobs() -> list[str]:
    """Processes that run a script of the pipeline in this folder, or are a shell that Snakemake started to run one."""
    here, found = os.getcwd(), []
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        command = process.info["cmdline"] or []
        script = command[CLIENT_WORDS] if is_client(command) else script_of(command)
        if process.info["cwd"] == here and (is_pipeline_script(script) or is_job_shell(command)):
            found.append(f"process {process.info['pid']}")
    return found


def script_of(command: list[str]) -> str | None:
    """The script that a command has Python run; None of another program, a module, or code on the command line."""
    if not command or not os.path.basename(command[0]).startswith("python"):
        return None
    arguments = iter(command[1:])
    for argument in arguments:
        if not argument.startswith("-"):
            return argument
        if NO_SCRIPT.match(argument):
            return None
        if WITH_VALUE.match(argument):
            next(arguments, None)
    return None


def is_client(command: list[str]) -> bool:
    """Whether this stands in for a job that the server of warm_start.py has started."""
    return len(command) > CLIENT_WORDS and CLIENT in command[:CLIENT_WORDS]


def is_pipeline_script(script: str | None) -> bool:
    """Whether this is the path, as rules write it, of a script that is there."""
    return bool(script) and re.fullmatch(r"scripts/\w+\.py", script) is not None and os.path.isfile(script)


def is_job_shell(command: list[str]) -> bool:
    """Whether this is a shell as Snakemake starts it for a rule; its launcher, if it has one, is not yet Python on the script."""
    if len(command) < 2 or os.path.basename(command[0]) not in SHELLS:
        return False
    if command[1] == "-c":
        return len(command) > 2 and OF_SNAKEMAKE.search(command[2]) is not None
    return LONG_COMMAND.fullmatch(command[1]) is not None


def slurm_jobs() -> list[str]:
    """The user's jobs that were submitted for a rule from this folder; none where no controller answers."""
    if not shutil.which("squeue"):
        return []
    listed = subprocess.run(["squeue", "--me", "--noheader", "--format=%A|%Z|%k"], capture_output=True, text=True)
    jobs = [line.split("|", 2) for line in listed.stdout.splitlines()]
    # the plugin writes the rule into the comment
    return [
        f"SLURM job {number}"
        for number, folder, comment in jobs
        if folder == os.getcwd() and comment.startswith("rule_")
    ]


def config_arguments(arguments: list[str]) -> list[str]:
    """The arguments that say which config a run has."""
    if "--configfile" not in arguments:
        return []
    start = arguments.index("--configfile")
    end = next(
        (place for place in range(start + 1, len(arguments)) if arguments[place].startswith("-")), len(arguments)
    )
    return arguments[start:end]


if __name__ == "__main__":
    main(sys.argv[1:])
