"""Scripts and other processes that tests start and wait for."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from helpers.paths import SCRIPTS


def run_script(name: str, *arguments: object, **options) -> subprocess.CompletedProcess:
    """Run a script of the pipeline to its end, whatever that is; `options` are those of subprocess.run."""
    command = [sys.executable, SCRIPTS / f"{name}.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def wait_until(reached: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait until `reached` says so, as long as the process runs; its end before is a failure."""
    while not reached():
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"ended before it was waited for: {process.communicate()[0]}")
