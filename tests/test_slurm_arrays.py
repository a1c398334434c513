"""What the run mends in the submission of arrays, on the plugin's own executor without a cluster, and its profile."""

import base64
import json
import logging
import random
import re
import zlib
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin
import yaml

from helpers.paths import ROOT
from slurm_arrays import PAYLOAD_BYTES, mend, payload_bytes

PROFILE = ROOT / "workflow/profiles/slurm/config.yaml"


def job(name: str, rule: str = "judge_answers", **resources) -> SimpleNamespace:
    """A job that is no group."""
    return SimpleNamespace(name=name, rule=SimpleNamespace(name=rule), resources=resources, is_group=lambda: False)


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
