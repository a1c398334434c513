"""Jobs of a run on this machine start with what they import at hand, where the system can (Linux); see warm/server.py.

The run starts the server and puts a `python` in front of its PATH that turns to it for scripts of the pipeline, and is Python for
everything else. A job that does without – on a cluster, or by hand – is the same command.
"""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
from snakemake import benchmark
from snakemake.shell import shell

SERVER, CLIENT = (Path(__file__).resolve().parent / "warm" / name for name in ("server.py", "client.py"))
LOG = Path("results/logs/warm_start.log")
# below this, the server's own imports cost more than they save
LEAST_JOBS = 3
# bytes of a job's command line that ps can show
COMMAND_BYTES = 4000
SHIM = """#!/bin/sh
case "$1" in
    scripts/*.py) [ -f "$1" ] && exec {python} -I -S {client} {socket} "$@" ;;
esac
exec {python} "$@"
"""
# variables that Snakemake sets to a job's threads and to its folder for temporary files
THREADS = ("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")  # fmt: skip
TEMPORARY = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")


def start() -> subprocess.Popen | None:
    """Start the server of this process, a run; returns it, None where there cannot be one.

    The server lives as long as this process and the jobs that it has started.
    """
    python = shutil.which("python")
    if python is None or not hasattr(os, "pidfd_open") or os.environ.get("EMTRANSFER_WARM_START") == "0":
        return None
    # only the user may enter it
    folder = Path(tempfile.mkdtemp(prefix="emtransfer-"))
    shim = folder / "python"
    paths = {"python": python, "client": CLIENT, "socket": folder / "socket"}
    shim.write_text(SHIM.format(**{name: shlex.quote(str(path)) for name, path in paths.items()}))
    shim.chmod(0o700)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("wb") as log:
        return subprocess.Popen(
            # a shell removes some variables and may set others, so the server starts in one, as jobs do
            [shell.get_executable(), "-c", 'exec "$@"', "-", python, SERVER, folder, " " * COMMAND_BYTES],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # out of reach of the signals that a terminal sends to the run
            process_group=0,
            env=os.environ | dict.fromkeys(THREADS, "1") | dict.fromkeys(TEMPORARY, tempfile.gettempdir()),
        )


class Measured(psutil.Process):
    """A process whose children are also those that its clients have had the server start."""

    def children(self, recursive: bool = False) -> list[psutil.Process]:
        found = {process.pid: process for process in super().children(recursive)}
        for pid in [pid for parent in (self.pid, *found) for pid in held_by(parent)]:
            # a process that has ended meanwhile is no longer measured
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                found |= {process.pid: process for process in (process, *process.children(recursive))}
        return list(found.values())


def held_by(pid: int) -> list[int]:
    """The processes that a process holds descriptors of, as a client does of the job that it stands in for."""
    held = []
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/fdinfo").iterdir():
            held += re.findall(r"^Pid:\t(\d+)$", path.read_text(), re.MULTILINE)
    return list(map(int, held))


class Timer(benchmark.BenchmarkTimer):
    """As Snakemake's, which measures a job's shell and what has come of it by parentage alone."""

    def __init__(self, pid, *arguments):
        super().__init__(pid, *arguments)
        self.main = Measured(pid)


def mend(workflow) -> subprocess.Popen | None:
    """Let the jobs of a run that is about to start begin warm, and measure them for their benchmark files."""
    if not workflow.is_main_process or len(workflow.dag) < LEAST_JOBS:
        return None
    benchmark.BenchmarkTimer = Timer
    return start()
