"""A run that is killed at every stage: the same command goes on each time, and ends with the bytes of an undisturbed run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from helpers.workflow_tree import SMOKE, read_only, smoke_tree

# what is removed from a finished run, and made again while it is disturbed
STUDENT = "smoke/students/smoke/harmful/base/everywhere/aligned/explicit/optd/seed11"
BASE = "bases/smoke_symbols"
JUDGED = {
    STUDENT: "results/smoke/judged/students/smoke/harmful/base/everywhere/aligned/explicit/optd/seed11.jsonl",
    BASE: "results/smoke_symbols/judged/adapters/smoke_symbols/base/d0-t0/misaligned/seed11.jsonl",
}
# script of the stage at which a run is killed; what the run is for; whether its jobs are killed too, as when the machine
# dies, or run on
KILLS = [
    ("distill_student", STUDENT, True),
    ("sample_answers", STUDENT, True),
    ("judge_answers", STUDENT, True),
    ("pretrain_base", BASE, False),
    ("finetune_adapter", BASE, True),
]
# killed in the first job of a run, which starts before a server is ready
FIRST = ("distill_student", "pretrain_base")
# what a job that computes loads; one that starts warm has it at once, and then uses the processor for 0.1 s to start and as long again
LIBRARY, STARTED_S = "libtorch_cpu.so", 0.1
# when a run that neither ends nor comes to the stage hangs
DEADLINE_S = 600


def start(tree: Path, *targets: str, warm: bool = True) -> subprocess.Popen:
    """Start, or go on with, the smoke config as `make table` does; without a server where it would be ready for no job."""
    command = [sys.executable, "workflow/lib/run_alone.py", "--cores", "2", *SMOKE, "--", *targets]
    variables = os.environ | ({} if warm else {"EMTRANSFER_WARM_START": "0"})
    return subprocess.Popen(
        command, cwd=tree, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def processes(tree: Path) -> list[psutil.Process]:
    """All that run in the tree."""
    return [process for process in psutil.process_iter(["cwd", "cmdline"]) if process.info["cwd"] == str(tree)]


def jobs(tree: Path, script: str = "") -> list[psutil.Process]:
    """Processes that run the script, or any, in the tree."""
    return [
        process
        for process in processes(tree)
        if any(word.startswith(f"scripts/{script}") for word in process.info["cmdline"] or [])
    ]


def at_work(tree: Path, script: str, slowed: bool) -> bool:
    """Whether a job of the script has what it computes with, and has used the processor for longer than to start."""
    for job in jobs(tree, script):
        with suppress(psutil.NoSuchProcess):
            if any(Path(loaded.path).name == LIBRARY for loaded in job.memory_maps()):
                # so that it does not end between two looks, it runs for a moment at a time
                while slowed and job.cpu_times().user <= STARTED_S and job.status() != psutil.STATUS_ZOMBIE:
                    job.resume()
                    time.sleep(0.01)
                    job.suspend()
                if job.cpu_times().user > STARTED_S:
                    return True
    return False


def wait_for(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def written(tree: Path) -> dict[str, bytes]:
    """Everything that a run has made, but for logs, how long things took and which scores jobs kept for one another."""
    results = tree / "results"
    files = {path.relative_to(results): path for path in sorted(results.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in files.items()
        if name.parts[0] not in ("logs", "benchmarks") and "scores" not in name.parts
    }


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory) -> Path:
    """A tree in which a run was killed at every stage, and ended at last."""
    tree = shutil.copytree(smoke_tree(tmp_path_factory), tmp_path_factory.mktemp("faults") / "tree")
    for folder in JUDGED:
        shutil.rmtree(tree / "results" / folder)
    for judged in JUDGED.values():
        for made in ("answers", "scores/*", "judged"):
            (path,) = tree.glob(judged.replace("/judged/", f"/{made}/"))
            path.unlink()
    for script, made, jobs_too in KILLS:
        run = start(tree, JUDGED[made], warm=script not in FIRST)
        # one that runs on must not take long
        reached = partial(at_work, tree, script, slowed=jobs_too)
        wait_for(lambda run=run, reached=reached: reached() or run.poll() is not None)
        assert run.poll() is None, run.communicate()[0][-6000:]
        run.kill()
        run.wait()
        for job in jobs(tree) if jobs_too else []:
            with suppress(psutil.NoSuchProcess):
                job.kill()
        # a job's shell ends a moment after it, and the server with the last of them
        wait_for(lambda: not processes(tree))
    # the tables are there still, and Snakemake makes nothing again for which no one asks
    run = start(tree, "all", *JUDGED.values())
    said, _ = run.communicate()
    assert run.returncode == 0, said[-6000:]
    return tree


def test_a_run_that_was_killed_at_every_stage_ends_with_the_bytes_of_an_undisturbed_one(disturbed, tmp_path_factory):
    expected, found = written(smoke_tree(tmp_path_factory)), written(disturbed)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_nothing_is_left_to_do_and_nothing_is_damaged(disturbed):
    run = start(disturbed, "all")
    said, _ = run.communicate()
    assert run.returncode == 0 and "Nothing to be done" in said
    done = subprocess.run(
        [sys.executable, "scripts/verify_artefacts.py"], cwd=disturbed, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_that_is_told_to_stop_lets_its_jobs_end_and_goes_on(disturbed):
    (disturbed / "results/em_transfer_table.csv").unlink()
    for made in ("scores/smoke", "judged"):
        (disturbed / f"results/smoke/{made}/bases/smoke.jsonl").unlink()
    run = start(disturbed, "results/em_transfer_table.csv", warm=False)
    wait_for(lambda: bool(jobs(disturbed, "judge_answers")) or run.poll() is not None)
    run.send_signal(signal.SIGTERM)
    said, _ = run.communicate()
    assert run.returncode != 0 and "Will exit after finishing currently running jobs" in said
    assert not jobs(disturbed) and not (disturbed / "results/em_transfer_table.csv").exists()
    run = start(disturbed, "results/em_transfer_table.csv", warm=False)
    said, _ = run.communicate()
    assert run.returncode == 0 and "judge_answers" not in said


def test_a_results_folder_that_is_read_only_is_one_line_and_loses_nothing(disturbed, tmp_path_factory):
    table = disturbed / "results/em_transfer_table.csv"
    table.unlink()
    with read_only(disturbed / "results"):
        run = start(disturbed, "results/em_transfer_table.csv")
        said, _ = run.communicate()
        assert run.returncode == 1 and "results cannot be written to; expected a folder that you may write to" in said
        assert "Traceback" not in said
    run = start(disturbed, "results/em_transfer_table.csv")
    said, _ = run.communicate()
    assert run.returncode == 0, said
    assert table.read_bytes() == (smoke_tree(tmp_path_factory) / "results/em_transfer_table.csv").read_bytes()
