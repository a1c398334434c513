"""A second run in the same folder, and a run after one that was killed: on a workflow of one short job."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import run_alone
from helpers.paths import ROOT
from helpers.processes import wait_until

RUN_ALONE = ROOT / "workflow/lib/run_alone.py"
SNAKEFILE = """
configfile: "config.yaml"
rule job:
    output: "out.txt"
    shell: "python scripts/job.py {output}"
"""
# goes on until it is told to stop
JOB = """
import sys, time
from pathlib import Path
Path("started").touch()
while not Path("stop").exists():
    time.sleep(0.01)
Path(sys.argv[1]).write_text("done")
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A workflow of one job that waits."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "config.yaml").write_text("a: 1")
    (tmp_path / "scripts/job.py").write_text(JOB)
    return tmp_path


def start(folder: Path) -> subprocess.Popen:
    command = [
        sys.executable,
        RUN_ALONE,
        "--cores",
        "1",
        "--rerun-incomplete",
        "--configfile",
        "config.yaml",
        "--",
        "out.txt",
    ]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_second_run_is_refused_and_disturbs_nothing(folder):
    first = start(folder)
    wait_until((folder / "started").exists, first)
    second = start(folder)
    said, _ = second.communicate()
    assert second.returncode == 1 and "is held by another run in this folder; expected to run alone" in said
    (folder / "stop").touch()
    first.communicate()
    assert first.returncode == 0 and (folder / "out.txt").read_text() == "done"


def test_after_a_kill_the_same_command_waits_for_its_jobs_and_then_goes_on(folder):
    killed = start(folder)
    wait_until((folder / "started").exists, killed)
    killed.send_signal(signal.SIGKILL)
    # its job still holds the pipe, so that there is no end of what is said
    killed.wait()
    assert any((folder / ".snakemake/locks").iterdir())
    too_early = start(folder)
    said, _ = too_early.communicate()
    assert too_early.returncode == 1 and "Jobs of a killed run are still running here: process " in said
    (folder / "stop").touch()
    orphans = re.findall(r"process (\d+)", said)
    while any(os.path.exists(f"/proc/{pid}") for pid in orphans):
        time.sleep(0.01)
    again = start(folder)
    said, _ = again.communicate()
    assert again.returncode == 0, said
    assert "Removed the lock of a killed run." in said and (folder / "out.txt").read_text() == "done"


@pytest.mark.parametrize(
    "command",
    [
        ["tail", "-f", "scripts/job.py"],
        [sys.executable, "watch.py", "scripts/job.py"],
        [sys.executable, "-c", "import time; time.sleep(999)", "scripts/job.py"],
        [sys.executable, "-um", "http.server", "--bind", "127.0.0.1", "--directory", "scripts/job.py", "0"],
        [sys.executable, "scripts/gone/job.py"],
    ],
)
def test_a_process_that_only_names_a_script_is_no_job(folder, command, monkeypatch):
    for path in (folder / "watch.py", folder / "scripts/gone/job.py"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("import time; time.sleep(999)")
    monkeypatch.chdir(folder)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert run_alone.local_jobs() == [] and process.poll() is None
        process.kill()


@pytest.mark.parametrize(
    "options", [[], ["-u"], ["-X", "importtime"], ["-Xdev", "-W", "ignore"], ["-uW", "ignore", "-B"]]
)
def test_python_on_a_script_of_the_pipeline_is_a_job_whatever_its_options(folder, options, monkeypatch):
    monkeypatch.chdir(folder)
    command = [sys.executable, *options, "scripts/job.py", "out.txt"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        assert run_alone.local_jobs() == [f"process {process.pid}"]
        # of another folder
        monkeypatch.chdir(folder / "scripts")
        assert run_alone.local_jobs() == []
        process.kill()


# as Snakemake writes it: what it launches goes on until it is killed
SHELL = "set -euo pipefail;  OMP_NUM_THREADS=1 {launch} scripts/job.py --output 'a b' > job.log 2>&1; true"


@contextmanager
def shell_of(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen]:
    """A shell in a session of its own that has made the file job.log; it ends with all that it started."""
    options = {"cwd": folder, "env": os.environ | environment, "stdin": subprocess.PIPE, "start_new_session": True}
    process = subprocess.Popen(["bash", *arguments], **options)
    try:
        wait_until((folder / "job.log").exists, process)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(
    "launch", ["python", "${EMTRANSFER_LAUNCH:-python}", "echo 'of an environment'; set -euo pipefail;  python"]
)
def test_a_shell_that_snakemake_started_for_a_script_is_a_job_whatever_it_launches(folder, launch, monkeypatch):
    """What is launched is no Python, as an own launcher need not be before it starts one."""
    monkeypatch.chdir(folder)
    (folder / "python").write_text("#!/bin/sh\ntouch launched\nread line")
    (folder / "python").chmod(0o755)
    environment = {"EMTRANSFER_LAUNCH": "./python", "PATH": f"{folder}:{os.environ['PATH']}"}
    with shell_of(folder, "-c", SHELL.format(launch=launch), **environment) as shell:
        # until then what is launched is a copy of its shell
        wait_until((folder / "launched").exists, shell)
        assert run_alone.local_jobs() == [f"process {shell.pid}"]


def test_a_shell_on_a_command_that_is_too_long_for_an_argument_is_a_job(folder, monkeypatch):
    monkeypatch.chdir(folder)
    script = folder / ".snakemake/shell_tmp.x/script.sh"
    script.parent.mkdir(parents=True)
    script.write_text("touch job.log; read line")
    with shell_of(folder, str(script)) as shell:
        assert run_alone.local_jobs() == [f"process {shell.pid}"]


@pytest.mark.parametrize("text", ["true scripts/job.py", "set -euo pipefail; true scripts/job.py"])
def test_a_shell_that_names_a_script_and_runs_none_is_no_job(folder, text, monkeypatch):
    monkeypatch.chdir(folder)
    with shell_of(folder, "-c", f"{text}; touch job.log; read line"):
        assert run_alone.local_jobs() == []


def test_a_lock_file_that_nobody_holds_is_no_lock(folder):
    (folder / ".snakemake").mkdir()
    with open(folder / ".snakemake/alone.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
    (folder / "stop").touch()
    run = start(folder)
    said, _ = run.communicate()
    assert run.returncode == 0, said
