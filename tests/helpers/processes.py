"""Scripts and other processes that tests start and wait for."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import warm_start
from helpers.paths import SCRIPTS

# before any test changes it
ENVIRONMENT = dict(os.environ)
# pytest sets the first anew for every test, a script's `run` the second, and packages set the others when they are imported
NOT_OF_TESTS = (
    "PYTEST_CURRENT_TEST",
    "HF_HUB_DISABLE_PROGRESS_BARS",
    "TORCHINDUCTOR_CACHE_DIR",
    "KMP_DUPLICATE_LIB_OK",
    "KMP_INIT_AT_FORK",
)


class Python(NamedTuple):
    """What stands for Python on a script, and the environment in which it starts warm; in another one it starts as Python does."""

    command: tuple[str, ...]
    environment: dict[str, str]


@cache
def warm_python(**variables: str) -> Python:
    """Python as the jobs of a run have it, with packages imported; one for all tests of this process that want these variables.

    Importing torch and what stands on it takes a script seconds of the processor. Where a run has no server either, this is Python.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tempfile.mkdtemp(prefix="emtransfer-tests-"))
        path = f"{Path(sys.executable).parent}{os.pathsep}{ENVIRONMENT['PATH']}"
        wanted = ENVIRONMENT | dict.fromkeys(warm_start.THREADS, "1") | variables | {"PATH": path}
        wanted |= dict.fromkeys(warm_start.TEMPORARY, tempfile.gettempdir())
        wanted = of_tests(wanted)
        for name in os.environ.keys() | wanted.keys():
            patch.setenv(name, wanted[name]) if name in wanted else patch.delenv(name)
        server = warm_start.start()
        if server is None:
            return Python((sys.executable,), wanted)
        socket = Path(os.environ["PATH"].split(os.pathsep)[0]) / "socket"
    wait_until(socket.exists, server)
    # as the shell has left it in which the server was started
    entries = Path(f"/proc/{server.pid}/environ").read_text().rstrip("\0").split("\0")
    return Python(
        (sys.executable, "-I", "-S", str(warm_start.CLIENT), str(socket)),
        dict(entry.split("=", 1) for entry in entries),
    )


def of_tests(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that only tests change."""
    return {name: value for name, value in environment.items() if name not in NOT_OF_TESTS}


def run_script(name: str, *arguments: object, **options) -> subprocess.CompletedProcess:
    """Run a script of the pipeline to its end, whatever that is; `options` are those of subprocess.run.

    It starts warm, as a job does, unless it is given an environment or the test has changed its own.
    """
    command: tuple[str, ...] = (sys.executable,)
    if "env" not in options and of_tests(os.environ) == of_tests(ENVIRONMENT):
        command, options["env"] = warm_python()
    return subprocess.run(
        [*command, SCRIPTS / f"{name}.py", *map(str, arguments)], capture_output=True, text=True, **options
    )


def wait_until(reached: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait until `reached` says so, as long as the process runs; its end before is a failure."""
    while not reached():
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"ended before it was waited for: {process.communicate()[0]}")
