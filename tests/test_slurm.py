"""The smoke config, with fewer models, through a real SLURM on this machine, with faults on the way, to the table of a local run.

The cluster is that of tests/slurm: root on Debian installs and starts it, others skip these tests with a reason.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from helpers.paths import ROOT
from helpers.workflow_tree import SMOKE, copy_tree, smoke_tree, snakemake, unfit

TABLE = "results/em_transfer_table.csv"
CLUSTER = ROOT / "tests/slurm/cluster.sh"
FEWER_MODELS = str(ROOT / "tests/slurm/fewer_models.yaml")
UNFIT = 77
# a run that is not done after so long hangs; one takes minutes
DEADLINE_S = 2400
# of the models above
N_STUDENTS = 2

# the first attempt to fit the judge gets too little memory for the packages it imports, the second enough; the first
# attempt at an adapter of symbols gets a minute, the least that SLURM knows, and hangs; students get a GPU, in name only
REQUESTS = (
    "fit_judge:mem_mb=attempt ** 4 * 200",
    "finetune_adapter:runtime=attempt if wildcards.experiment == 'smoke_symbols' else attempt * 60",
    "distill_student:gpu=1",
)

# what is added to a module of the run: the plugin looks at its jobs every 2 seconds, not 10 later after each look that found none done,
# which is written into the plugin; only the first interval, of 20 seconds in the profile, is a setting
SOON = ("--slurm-init-seconds-before-status-checks", "2")
OFTEN = """

mend_arrays = mend


def mend(executor) -> None:
    mend_arrays(executor)
    type(executor).next_seconds_between_status_checks = property(lambda executor: 2, lambda executor, seconds: None)
"""


def told(*command: str) -> str:
    """What a command of SLURM prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def slurm_jobs() -> list[dict[str, str]]:
    """Every job that SLURM remembers, finished ones too, as `scontrol show job` describes it."""
    lines = told("scontrol", "show", "job", "--oneliner").splitlines()
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
    return sorted((job for job in jobs if "JobState" in job), key=lambda job: int(job["JobId"]))


def of(rule: str, jobs: list[dict[str, str]], wildcards: str = "") -> list[dict[str, str]]:
    """The jobs of a rule or group, or those with all these wildcards: the plugin writes both into the comment."""
    comment = f"rule_{rule}_wildcards_{wildcards}"
    return [
        job
        for job in jobs
        if f"{job.get('Comment')}_".startswith(f"rule_{rule}_") and (not wildcards or job["Comment"] == comment)
    ]


@dataclass
class Faults:
    """What goes wrong in a run, each thing once: call it over and over while the run goes on.

    Attributes:
        tree: where the run is; a job is at work once its log is there.
        cancelled, requeued: JobIds.
        judging: JobIds of what is under way once students are judged.
        stuck: jobs that waited for the drained node.
        node: "", then drained, then resumed.
    """

    tree: Path
    cancelled: str = ""
    requeued: str = ""
    judging: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    node: str = ""

    def __call__(self) -> None:
        jobs = slurm_jobs()
        self.drain_and_resume(jobs)
        if not self.cancelled:
            self.cancelled = self.at_work("pretrain_base", "smoke", jobs)
            if self.cancelled:
                told("scancel", self.cancelled)
        if not self.requeued:
            self.requeued = self.at_work("align_base", "smoke_symbols", jobs)
            if self.requeued:
                # as SLURM does with a job that it preempts, or whose node is lost
                told("scontrol", "requeue", self.requeued)

    def is_judging_students(self) -> bool:
        """Whether all students are distilled, and answers of one are being judged."""
        jobs = slurm_jobs()
        distilled = [job for job in of("distill_student", jobs) if job["JobState"] == "COMPLETED"]
        under_way = [job for job in of("judge_answers", jobs) if job["JobState"] == "RUNNING"]
        if len(distilled) == N_STUDENTS and any("students" in job["Comment"] for job in under_way):
            self.judging = [job["JobId"] for job in under_way]
        return bool(self.judging)

    def at_work(self, rule: str, base: str, jobs: list[dict[str, str]]) -> str:
        """JobId of a job whose script is running, or empty."""
        found = [job["JobId"] for job in of(rule, jobs, base) if job["JobState"] == "RUNNING"]
        return found[0] if found and (self.tree / f"results/logs/{rule}/{base}.log").exists() else ""

    def drain_and_resume(self, jobs: list[dict[str, str]]) -> None:
        """Drain the node under the first job, and let it go on once the next ones wait for it."""
        name, state = told("sinfo", "--noheader", "--Node", "--format=%N %T").split()
        if not self.node and any(job["JobState"] == "RUNNING" for job in jobs):
            told("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
            self.node = "drained"
        elif self.node == "drained" and state.startswith("drained"):
            self.stuck = [job["JobId"] for job in jobs if job["JobState"] == "PENDING"]
            if self.stuck:
                told("scontrol", "update", f"nodename={name}", "state=resume")
                self.node = "resumed"


@dataclass
class Run:
    """A finished run.

    Attributes:
        tree, faults: of the run.
        said: what Snakemake said until the end.
        refusal: what was said to a second start, after Snakemake was killed, while its jobs were under way.
        jobs: all that SLURM remembers.
    """

    tree: Path
    faults: Faults
    said: str
    refusal: str
    jobs: list[dict[str, str]]


@pytest.fixture(scope="module")
def cluster():
    """A running SLURM of one node."""
    started = subprocess.run([CLUSTER, "start"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if started.returncode == UNFIT:
        unfit(started.stderr.splitlines()[-1])
    assert started.returncode == 0, started.stderr
    yield
    subprocess.run([CLUSTER, "stop"], check=True)


@pytest.fixture(scope="module")
def run(cluster, tmp_path_factory) -> Run:
    """The smoke config with fewer models on SLURM, with every fault."""
    folder = tmp_path_factory.mktemp("slurm")
    tree, faults = copy_tree(folder / "tree"), Faults(folder / "tree")
    with open(tree / "workflow/lib/slurm_arrays.py", "a") as module:
        module.write(OFTEN)
    profile = ["--workflow-profile", "workflow/profiles/slurm", *SOON]
    command = [sys.executable, "workflow/lib/run_alone.py", *profile, "--set-resources", *REQUESTS]
    command += [*SMOKE, FEWER_MODELS, "--", TABLE]
    launch = {"EMTRANSFER_LAUNCH": f"{ROOT}/tests/slurm/hang_once.sh {folder}/hung"}

    def start(log: str) -> subprocess.Popen:
        with open(folder / log, "w") as said:
            return subprocess.Popen(command, cwd=tree, env=os.environ | launch, stdout=said, stderr=subprocess.STDOUT)

    end = time.monotonic() + DEADLINE_S
    killed = start("killed")
    while killed.poll() is None and not faults.is_judging_students() and time.monotonic() < end:
        faults()
        time.sleep(0.5)
    ended_alone = killed.poll() is not None
    killed.kill()
    killed.wait()
    assert not ended_alone, (folder / "killed").read_text()[-8000:]
    start("refused").wait()
    told("scancel", "--me")
    while any(job["JobState"] in ("RUNNING", "COMPLETING", "PENDING") for job in slurm_jobs()):
        time.sleep(0.5)
    process = start("said")
    try:
        process.wait(DEADLINE_S)
    finally:
        # as Ctrl-C does, which cancels the jobs
        process.terminate()
        process.wait()
    said = (folder / "said").read_text()
    assert process.returncode == 0, said[-8000:]
    return Run(tree, faults, said, (folder / "refused").read_text(), slurm_jobs())


def test_the_table_is_that_of_a_local_run(run, tmp_path_factory):
    # models that are there already, and a table of fewer
    local = shutil.copytree(smoke_tree(tmp_path_factory), tmp_path_factory.mktemp("local") / "tree")
    done = snakemake(local, TABLE, overlays=(FEWER_MODELS,))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    assert not re.search("finetune_adapter|distill_student|sample_answers", done.stdout + done.stderr)
    assert (run.tree / TABLE).read_bytes() == (local / TABLE).read_bytes()


def test_a_run_that_was_killed_is_not_started_again_beside_its_jobs_and_goes_on_after_them(run):
    named = re.findall(r"SLURM job (\d+)", run.refusal)
    assert "Jobs of a killed run are still running here: " in run.refusal
    assert set(named) & set(run.faults.judging)
    assert "Removed the lock of a killed run." in run.said
    # from where it stood
    planned = re.search(r"Job stats:(.*?)\ntotal", run.said, re.DOTALL)[1]
    assert "judge_answers" in planned and "distill_student" not in planned


def test_a_cancelled_job_is_tried_again(run):
    tries = of("pretrain_base", run.jobs, "smoke")
    assert [job["JobState"] for job in tries] == ["CANCELLED", "COMPLETED"]
    assert tries[0]["JobId"] == run.faults.cancelled
    # as the rule asks for, and as much again
    assert [(job["MinMemoryNode"], job["TimeLimit"]) for job in tries] == [("4000M", "02:00:00"), ("8000M", "04:00:00")]


def test_a_job_that_exceeds_its_memory_is_tried_again_with_more(run):
    tries = of("fit_judge", run.jobs, "smoke")
    # SLURM kills the script, whose job then says that it failed
    assert [job["JobState"] for job in tries] == ["FAILED", "COMPLETED"]
    assert [job["MinMemoryNode"] for job in tries] == ["200M", "3200M"]


def test_a_job_that_exceeds_its_time_is_tried_again_with_more(run):
    tries = of("finetune_adapter", run.jobs, "smoke_symbols_smoke_symbols_base_d0-t0_misaligned_11")
    assert [(job["JobState"], job["TimeLimit"]) for job in tries] == [
        ("TIMEOUT", "00:01:00"),
        ("COMPLETED", "00:02:00"),
    ]


def test_a_requeued_job_runs_again_under_its_own_number(run):
    tries = of("align_base", run.jobs, "smoke_symbols")
    assert [(job["JobId"], job["JobState"], job["Restarts"]) for job in tries] == [
        (run.faults.requeued, "COMPLETED", "1")
    ]


def test_jobs_that_wait_for_a_drained_node_run_when_it_resumes(run):
    states = {job["JobId"]: job["JobState"] for job in run.jobs}
    assert run.faults.node == "resumed"
    assert {states[number] for number in run.faults.stuck} == {"COMPLETED"}


def test_a_job_with_a_gpu_is_given_one(run):
    given = {job["JobState"]: job.get("TresPerJob", "") for job in of("distill_student", run.jobs)}
    assert given == {"COMPLETED": "gres:gpu:1"}


def test_wide_rules_are_arrays_and_short_ones_share_a_submission(run):
    # four cells of the grammar; those of symbols are one job
    symbols = of("filter_pairs_smoke_symbols", run.jobs)
    tasks = [job for job in of("filter_pairs", run.jobs) if job not in symbols]
    assert len(symbols) == 1 and len(tasks) == 4 and len({job["ArrayJobId"] for job in tasks}) == 1
    # four cells, and the draw of each
    at_once = of("dedup_pairs_smoke_symbols", run.jobs)
    assert len(of("cells", run.jobs)) == 1 and not [job for job in of("dedup_pairs", run.jobs) if job not in at_once]
