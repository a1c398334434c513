"""Jobs that the server of a run starts are the jobs that `python` starts: what they see, say and leave, and how they end.

A warm job is known by torch, which it has and no script here imports.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from snakemake import benchmark

import run_alone
import warm_start
from helpers.processes import wait_until

# what a terminal sends; a shell in the background would have them ignored, by all that it starts
SENT = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
WARM = "import sys; print('torch' in sys.modules)\n"
# goes on until it is told to stop, once it has said who it is
WAITS = "import os, time; print(os.getpid(), flush=True)\nwhile True: time.sleep(0.01)\n"


class Run:
    """A folder of scripts, and the server that a run in it has started."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "scripts").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("PATH", os.environ["PATH"])
            self.server = warm_start.start()
            self.environment = os.environ | dict.fromkeys(warm_start.THREADS, "1")
        self.environment |= dict.fromkeys(warm_start.TEMPORARY, tempfile.gettempdir())
        self.socket = Path(self.environment["PATH"].split(os.pathsep)[0]) / "socket"
        wait_until(self.socket.exists, self.server)

    def start(self, text: str | None = None, before: str = "", cold: bool = False, **options) -> subprocess.Popen:
        """Start scripts/job.py as Snakemake's shells do; `before` stands in front of the command."""
        if text is not None:
            (self.folder / "scripts/job.py").write_text(text)
        python = sys.executable if cold else "python"
        command = f"set -euo pipefail;  {before} OMP_NUM_THREADS=1 {python} scripts/job.py 'a b' ü"
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.environment} | options
        return subprocess.Popen(["bash", "-c", command], cwd=self.folder, **options)

    def end(self, *arguments, **options) -> tuple[int, bytes, bytes]:
        """Exit code and what a job has written to its streams."""
        process = self.start(*arguments, **options)
        said = process.communicate()
        return process.returncode, *said

    @contextmanager
    def waiting(self) -> Iterator[tuple[subprocess.Popen, int]]:
        """The client and the worker of a job that goes on."""
        # in place of the shell, so that a signal reaches the client
        process = self.start(WAITS, before="exec env")
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()

    def close(self) -> None:
        """End the run."""
        self.server.communicate()


@pytest.fixture(scope="module")
def minded_signals() -> Iterator[None]:
    """What is started here minds the signals that a terminal sends."""
    handlers = {number: signal.getsignal(number) for number in SENT}
    for number, handler in handlers.items():
        if handler == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def run(minded_signals, tmp_path_factory) -> Iterator[Run]:
    run = Run(tmp_path_factory.mktemp("run"))
    yield run
    run.close()
    # nothing is left of it
    assert run.server.returncode == 0 and not run.socket.parent.exists()


SCRIPTS = {
    "what it is": """import os, signal, sys
main = sys.modules["__main__"]
print(sorted(set(vars(main)) - {"main"}), __name__, __file__, __spec__, __doc__, type(__loader__).__name__, sys.argv, sys.flags)
print([place for place in sys.path], sys.executable, sys.prefix, os.getcwd(), sys.getrecursionlimit())
print([signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)], os.umask(0o22))
print(sorted((k, v) for k, v in os.environ.items() if k not in ("_", "PATH", "TORCHINDUCTOR_CACHE_DIR") and k[:4] != "KMP_"))
print([stream.encoding + stream.errors + str(stream.line_buffering) for stream in (sys.stdin, sys.stdout, sys.stderr)])
print(sorted(os.listdir("/proc/self/fd")), os.nice(0), os.sched_getaffinity(0), sys.excepthook, sys.stdin.read())""",
    "says": "import sys\nfor n in range(3000): print('out', n); print('error', n, file=sys.stderr)",
    "ends by exit": "import atexit, sys; atexit.register(print, 'at exit'); sys.exit()",
    "leaves a thread": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print('last'))).start()",
    "leaves a file open": "import os; file = os.fdopen(os.dup(1), 'w'); file.write('written')",
    "prints from C": "import ctypes; ctypes.CDLL(None).puts(b'from C'); print('from Python')",
    "prints in vain": "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); print(1)",
    "exit code": "import sys; sys.exit(7)",
    "exit message": "import sys; sys.exit('config.yaml: x is 1; expected 2.')",
    "raises": "def f(x):\n    raise ValueError(x)\ntry:\n    f(1)\nexcept ValueError:\n    f(2)\n",
    "own hook": "import sys\nsys.excepthook = lambda kind, error, trace: print(kind, error, trace.tb_lineno)\n1/0",
    "no Python": "print(1)\nif:\n",
    "interrupted": "import atexit\natexit.register(print, 'at exit')\nraise KeyboardInterrupt",
    "ends at once": "import os; print('lost'); os._exit(3)",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "terminated": "import os; os.kill(os.getpid(), 15)",
    "aborted": "import os; os.abort()",
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_warm_job_sees_says_and_ends_as_a_cold_one(run, name):
    with open(run.folder / "in", "w+") as file:
        file.write("input")
        ends = []
        for cold in (False, True):
            file.seek(0)
            # as rules do, into one file
            before, options = "exec > log 2>&1;", {"cold": cold, "stdin": file}
            code, _, _ = run.end(SCRIPTS[name], before=before, **options)
            ends.append((code, (run.folder / "log").read_bytes(), *run.end(before="ulimit -c;", **options)))
    assert ends[0] == ends[1]
    assert run.end(WARM)[1] == b"True\n" and run.end(WARM, cold=True)[1] == b"False\n"


def test_a_script_and_its_modules_are_those_of_the_moment(run):
    (run.folder / "scripts/part.py").write_text("NUMBER = 1")
    assert run.end("import part; print(part.NUMBER)")[1] == b"1\n"
    (run.folder / "scripts/part.py").write_text("NUMBER = 22")
    (run.folder / "scripts/other.py").write_text("NUMBER = 3")
    assert run.end("import other, part; print(part.NUMBER, other.NUMBER)")[1] == b"22 3\n"


def test_two_jobs_draw_different_numbers_as_long_as_they_set_no_seed(run):
    draws = "import random, numpy, torch; print(random.random(), numpy.random.rand(), torch.rand(1).item())"
    one, other = (run.end(draws)[1].split() for _ in range(2))
    assert len(one) == 3 and not set(one) & set(other)


@pytest.mark.parametrize(
    ("before", "prints"),
    [
        ("export CUDA_VISIBLE_DEVICES=3;", "os.environ.get('CUDA_VISIBLE_DEVICES')"),
        ("export OPENBLAS_NUM_THREADS=2;", "os.environ['OPENBLAS_NUM_THREADS']"),
        ("export TMPDIR=/var/tmp;", "os.environ['TMPDIR']"),
        ("umask 077;", "oct(os.umask(0))"),
        ("ulimit -v 4000000;", "resource.getrlimit(resource.RLIMIT_AS)"),
        ("ulimit -n 100;", "resource.getrlimit(resource.RLIMIT_NOFILE)"),
        ("ulimit -t 100;", "resource.getrlimit(resource.RLIMIT_CPU)"),
        ("trap '' HUP;", "signal.getsignal(signal.SIGHUP)"),
        ("exec 7< scripts/job.py;", "os.listdir('/proc/self/fd')"),
        ("exec 0<&-;", "sys.stdin"),
        ("exec nice -n 3 env", "os.nice(0)"),
        ("exec taskset 1 env", "os.sched_getaffinity(0)"),
        ("exec unshare --user env", "os.geteuid()"),
    ],
)  # fmt: skip
def test_a_job_that_inherits_something_else_starts_by_itself_and_has_it(run, before, prints):
    text = f"import os, resource, signal, sys\nprint('torch' in sys.modules, {prints})"
    warm, cold = run.end(text, before=before), run.end(text, before=before, cold=True)
    assert warm == cold and warm[1].startswith(b"False ")
    assert run.end(text)[1].startswith(b"True ")


def test_whatever_else_python_is_asked_for_is_python(run):
    for arguments in ("-c 'print(1)'", "-m this", "--version", "scripts/none.py", "- < scripts/job.py"):
        ends = [
            subprocess.run(
                ["bash", "-c", f"{python} {arguments}"], cwd=run.folder, env=run.environment, capture_output=True
            )
            for python in ("python", sys.executable)
        ]
        stripped = [
            (end.returncode, end.stdout, end.stderr.replace(sys.executable.encode(), b"python")) for end in ends
        ]
        assert stripped[0] == stripped[1], arguments


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_the_client_ends_its_job_and_the_client_as_a_cold_one(run, number):
    with run.waiting() as (process, worker):
        assert worker != process.pid and psutil.pid_exists(worker)
        handle = os.pidfd_open(worker)
        process.send_signal(number)
        _, said = process.communicate()
        assert process.returncode == -number
        assert said.count(b"KeyboardInterrupt") == (number == signal.SIGINT)
        wait_until_ready(handle)


def test_a_job_that_is_stopped_goes_on_when_it_is_told_to(run):
    with run.waiting() as (process, worker):
        for number, status in ((signal.SIGTSTP, psutil.STATUS_STOPPED), (signal.SIGCONT, psutil.STATUS_SLEEPING)):
            process.send_signal(number)
            for pid in (worker, process.pid):
                wait_until(lambda pid=pid, status=status: psutil.Process(pid).status() == status, run.server)


def test_a_worker_that_is_killed_is_a_job_that_is_killed(run):
    with run.waiting() as (process, worker):
        os.kill(worker, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL


def test_a_job_under_way_is_found_by_its_client_and_its_worker(run, monkeypatch):
    monkeypatch.chdir(run.folder)
    with run.waiting() as (process, worker):
        assert set(run_alone.local_jobs()) == {f"process {process.pid}", f"process {worker}"}
        assert psutil.Process(worker).cmdline()[:3] == ["python", "scripts/job.py", "a"]
    assert run_alone.local_jobs() == []


def test_the_benchmark_of_a_job_counts_its_worker(run):
    """Half a second of the processor and 200 MB, measured from outside as Snakemake does."""
    text = "import time\nheld = bytearray(200 * 2**20)\nwhile time.process_time() < 0.5: pass\nprint(1, flush=True)\ninput()"
    process, record = run.start(text, stdin=subprocess.PIPE), benchmark.BenchmarkRecord()
    timer = warm_start.Timer(process.pid, record)
    process.stdout.readline()
    timer.work()
    process.communicate(b"\n")
    assert process.returncode == 0
    assert 0.4 <= record.cpu_time < 5 and record.max_rss > 200 and not record.errors


def wait_until_ready(handle: int) -> None:
    """Wait for the end of a process."""
    import select

    assert select.select([handle], [], [], 60)[0]
    os.close(handle)


def test_two_runs_have_a_server_each_and_each_outlives_its_run_by_the_jobs_under_way(run, tmp_path):
    other = Run(tmp_path)
    assert other.socket.parent != run.socket.parent and other.socket.parent.stat().st_mode & 0o777 == 0o700
    parents = [int(one.end("import os; print(os.getppid())")[1]) for one in (run, other)]
    assert parents == [run.server.pid, other.server.pid]
    process = other.start("print(1, flush=True); print(input())", stdin=subprocess.PIPE)
    process.stdout.readline()
    other.server.stdin.close()
    wait_until(lambda: other.end(WARM)[1] == b"False\n", process)
    assert process.communicate(b"done\n")[0] == b"done\n" and process.returncode == 0
    other.server.wait()
    assert not other.socket.parent.exists()


def test_a_job_whose_server_is_killed_starts_again_by_itself(tmp_path):
    run = Run(tmp_path)
    text = "import os, sys, time\nprint(os.getpid(), 'torch' in sys.modules, flush=True)\n"
    process = run.start(text + "while 'torch' in sys.modules: time.sleep(0.01)\nsys.exit(5)")
    worker, is_warm = process.stdout.readline().split()
    assert is_warm == b"True"
    run.server.kill()
    said, errors = process.communicate()
    assert process.returncode == 5 and said.split()[1] == b"False"
    assert errors == b"The process that had started this job is gone; the job starts again.\n"
    assert not psutil.pid_exists(int(worker)) or psutil.Process(int(worker)).status() == psutil.STATUS_ZOMBIE
    # and those after it never knew one
    assert run.end(WARM) == (0, b"False\n", b"")


def test_a_run_without_a_server_starts_jobs_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("EMTRANSFER_WARM_START", "0")
    before = os.environ["PATH"]
    assert warm_start.start() is None and os.environ["PATH"] == before


def test_a_package_that_starts_threads_leaves_jobs_to_start_by_themselves(tmp_path, monkeypatch):
    """A module of that name before the package of that name."""
    (tmp_path / "sentence_transformers.py").write_text(
        "import threading, time\nSentenceTransformer = 1\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.chdir(tmp_path)
    server = warm_start.start()
    server.communicate()
    assert server.returncode == 1 and re.search(r"threads.*without the server", warm_start.LOG.read_text())
