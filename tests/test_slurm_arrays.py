"""What the run mends in the submission of jobs and arrays, on the plugin's own executor without a cluster, and its profile."""

import base64
import json
import logging
import os
import random
import re
import subprocess
import zlib
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin
import yaml

from helpers.paths import ROOT
from slurm_arrays import JOBSTEP, PAYLOAD_BYTES, mend, payload_bytes
from slurm_step import TASKS

PROFILE = ROOT / "workflow/profiles/slurm/config.yaml"


def job(name: str, rule: str = "judge_answers", **resources) -> SimpleNamespace:
    """A job that is no group."""
    own = {"name": name, "rule": SimpleNamespace(name=rule), "resources": resources, "threads": 1}
    return SimpleNamespace(**own, is_group=lambda: False)


@pytest.fixture
def executor(monkeypatch):
    """The plugin's executor with arrays of judge_answers, which notes what it would submit; undone after the test."""
    monkeypatch.setattr(plugin, "pending_jobs_for_rule", plugin.pending_jobs_for_rule)
    executor = object.__new__(plugin.Executor)
    executor.array_jobs, executor.max_array_size = {"judge_answers"}, 1000
    executor.logger, executor._main_event_loop = logging.getLogger("slurm"), None
    executor.workflow = SimpleNamespace(dag=SimpleNamespace(ready_jobs=[]))
    executor.format_job_exec = lambda one: f"python -m snakemake {one.name}"
    executor.submitted = []
    executor._submit_job = lambda one: executor.submitted.append([one.name])
    executor._submit_array_jobs = lambda jobs: executor.submitted.append([one.name for one in jobs])
    return executor


def test_jobs_are_submitted_while_more_of_their_rule_wait(executor):
    executor.workflow.dag.ready_jobs = [job("c"), job("d"), job("e")]
    executor.run_jobs([job("a"), job("b")])
    # the plugin alone forgets them; once it does not, the mending can go
    assert executor.submitted == []
    mend(executor)
    executor.run_jobs([job("a"), job("b")])
    executor.run_jobs([job("c")])
    assert executor.submitted == [["a", "b"], ["c"]]


def test_a_job_tried_again_with_more_memory_is_in_no_array_of_first_attempts(executor):
    mend(executor)
    first = [job(name, mem_mb=2000, gpu=0, disk_mb=len(name)) for name in ("a", "bb")]
    executor.run_jobs([first[0], job("again", mem_mb=4000, gpu=0), first[1], job("on_gpu", mem_mb=2000, gpu=1)])
    assert sorted(executor.submitted) == [["a", "bb"], ["again"], ["on_gpu"]]


def as_the_plugin_sends(commands: list[str]) -> str:
    """The commands of an array, of which the first is sent apart, as in the plugin's run_array_jobs."""
    sent = {
        str(index): zlib.compress(command.encode("utf-8"), level=9).hex()
        for index, command in enumerate(commands, start=1)
    }
    return base64.b64encode(json.dumps(sent).encode("utf-8")).decode()


def test_an_array_holds_no_more_commands_than_fit_into_an_argument_and_every_job_is_in_one(executor):
    """A task's commands as long as those of the pipeline, about 1,000 characters that do not compress well."""
    draw = random.Random(1)
    commands = {f"job{index}": f"{index} " + f"{draw.getrandbits(4000):x}" for index in range(500)}
    executor.format_job_exec = lambda one: commands[one.name]
    mend(executor)
    executor.run_jobs([job(name) for name in commands])
    assert [name for names in executor.submitted for name in names] == list(commands)
    sizes = [len(as_the_plugin_sends([commands[name] for name in names])) for names in executor.submitted]
    assert max(sizes) <= PAYLOAD_BYTES < 128 * 1024 and min(sizes[:-1]) > 0.9 * PAYLOAD_BYTES


def test_a_command_that_alone_is_too_long_stands_alone(executor):
    draw = random.Random(1)
    long = f"{draw.getrandbits(8 * PAYLOAD_BYTES):x}"
    executor.format_job_exec = lambda one: long if one.name == "b" else "short"
    assert payload_bytes(long) > PAYLOAD_BYTES
    mend(executor)
    executor.run_jobs([job("a"), job("b"), job("c"), job("d")])
    assert executor.submitted == [["a"], ["b"], ["c", "d"]]


@pytest.fixture
def commands(executor, tmp_path):
    """A function that gives the command of a job, as the plugin writes it, mended; srun then only tells what it is given."""
    tells = tmp_path / "srun"
    tells.write_text("#!/bin/sh\necho \"$@\"\nenv | grep -o '^S[LRB][^=]*' | sort\n")
    tells.chmod(0o700)
    executor.workflow.executor_settings = SimpleNamespace(pass_command_as_script=False)
    added = executor.additional_general_args
    executor.format_job_exec = lambda one: f"python -m snakemake --cores 1 {one.name} {added()} --mode remote"
    mend(executor)
    return executor.format_job_exec


def told(command: str, folder, **variables: str) -> list[str]:
    """What srun in a folder is given, and the names of the variables that it might take for options."""
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"} | variables
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_job_starts_snakemake_once_in_a_step_that_asks_for_what_the_job_asks_for(commands, tmp_path):
    given = {"SLURM_JOB_ID": "5", "SLURM_CPUS_PER_TASK": "7", "SRUN_CPUS_PER_TASK": "7", "SBATCH_GPUS": "2"}
    started = "--nodes=1 python -m snakemake --cores 1 a --mode remote"
    assert told(commands(job("a")), tmp_path, **given) == [
        f"-n1 --cpu-bind=q --cpus-per-task=1 {started}",
        "SLURM_JOB_ID",
    ]
    assert told(commands(job("a", gpu=2)), tmp_path) == [f"-n1 --cpu-bind=q --cpus-per-task=1 --gpus=2 {started}"]


def test_every_task_of_an_array_does_its_own_work_in_one_step(commands, tmp_path):
    of = {str(number): commands(job(name)) for number, name in enumerate("abc", start=1)}
    others = {task: zlib.compress(command.encode()).hex() for task, command in of.items() if task != "1"}
    array = f"{of['1']} {TASKS}'{base64.b64encode(json.dumps(others).encode()).decode()}'"
    for task, name in zip(of, "abc", strict=True):
        variables = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MIN": "1"}
        line, *left = told(array, tmp_path, **variables)
        assert line.endswith(f"python -m snakemake --cores 1 {name} --mode remote") and left == list(variables)


def test_jobs_that_start_their_own_steps_and_commands_that_are_more_stay_as_they_are(executor, commands):
    assert JOBSTEP in commands(job("a", mpi="srun")) and JOBSTEP not in commands(job("a"))
    assert JOBSTEP in commands(job("a && python -m snakemake a"))
    executor.workflow.executor_settings.pass_command_as_script = True
    assert JOBSTEP in commands(job("a"))


def test_the_profile_names_rules_that_exist_each_in_an_array_or_a_group():
    profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
    rules = {
        name
        for path in (ROOT / "workflow/rules").glob("*.smk")
        # rules that are made in a loop name their stage
        for name in re.findall(r"^(?:rule |for .* in rules_of\(\")(\w+)", path.read_text(), re.M)
    }
    arrays = set(profile["slurm-array-jobs"].split(", "))
    groups = dict(entry.split("=") for entry in profile["groups"])
    assert arrays | groups.keys() <= rules and not arrays & groups.keys()
    assert {entry.split("=")[0] for entry in profile["group-components"]} == set(groups.values())


def test_every_line_of_the_profile_has_a_comment():
    lines = PROFILE.read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if line and "# " not in line and not before.lstrip().startswith("#")
    ]
    assert len(lines) > 50 and bare == []
