"""What a training says of how far it is: lines that follow by hand from a clock that the test sets, and rows for a tracker."""

import re
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS

from emtransfer import progress as module
from emtransfer.errors import InputError
from emtransfer.progress import LINES, Progress, check_tracker, clock
from helpers.workflow_tree import copy_tree, snakemake
from pretrain_base import main as pretrain_base


@pytest.fixture
def now(monkeypatch) -> SimpleNamespace:
    """A clock that stands still; `seconds` sets it."""
    time = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: time.seconds)
    return time


def trained(progress: Progress, now: SimpleNamespace, n_steps: int, done: int = 0) -> None:
    """A training of two seconds a step, whose loss is the number of the step."""
    progress.begin(n_steps, done)
    for step in range(done + 1, n_steps + 1):
        now.seconds += 2
        progress.note({"step": step, "loss_per_token_nats": float(step)})
    progress.end()


def test_a_line_has_step_total_mean_loss_time_and_expected_time(now, capsys):
    trained(Progress(), now, 100)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "training: 100 steps.",
        "step 1 of 100, loss 1.0000, 0:00:02 of about 0:03:20.",
        # the mean of 2, 3, 4 and 5
        "step 5 of 100, loss 3.5000, 0:00:10 of about 0:03:20.",
    ]
    assert lines[-2:] == [
        "step 100 of 100, loss 98.0000, 0:03:20 of about 0:03:20.",
        "trained: 100 steps in 0:03:20, last loss 98.0000.",
    ]
    assert len(lines) == 1 + 1 + LINES + 1


def test_a_training_that_goes_on_expects_the_time_of_what_is_left(now, capsys):
    trained(Progress(), now, 100, done=60)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "training: 100 steps, continuing after step 60."
    assert lines[1] == "step 61 of 100, loss 61.0000, 0:00:02 of about 0:01:20."
    assert lines[-1] == "trained: 40 steps in 0:01:20, last loss 98.0000."


@pytest.mark.parametrize("n_steps", [1, 3, 19, 21, 1000, 12345])
def test_lines_are_few_and_end_with_the_last_step(n_steps, now, capsys):
    trained(Progress(), now, n_steps)
    lines = capsys.readouterr().out.splitlines()
    steps = [int(step) for step in re.findall(r"step (\d+) of", "\n".join(lines))]
    assert steps[0] == 1 and steps[-1] == n_steps and len(steps) == len(set(steps)) <= LINES + 1


def test_a_row_without_a_loss_is_no_line(now, capsys):
    progress = Progress()
    progress.begin(10)
    progress.note({"step": 0, "kl_to_teacher_nats": 1.0})
    progress.end()
    assert capsys.readouterr().out == "training: 10 steps.\n"


def test_time_is_in_hours_minutes_and_seconds():
    assert [clock(0.4), clock(65), clock(3 * 3600 + 1)] == ["0:00:00", "0:01:05", "3:00:01"]


def test_a_tracker_gets_every_row_under_the_name_of_the_output(now, monkeypatch):
    rows, named = [], []
    tracker = SimpleNamespace(log=lambda values, step: rows.append((step, values)), finish=lambda: rows.append("end"))
    monkeypatch.setattr(module, "open_tracker", lambda name, run: named.append((name, run)) or tracker)
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    monkeypatch.setenv("EMTRANSFER_REPORT_TO", "wandb")
    trained(Progress(Path("results/bases/persona/aligned/manifest.json")), now, 30)
    assert named == [("wandb", "bases/persona/aligned")]
    assert rows == [*((step, {"loss_per_token_nats": step}) for step in range(1, 31)), "end"]


def test_a_tracker_that_is_unknown_or_not_installed_is_refused_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    check_tracker("none", "report_to")
    with pytest.raises(InputError, match="^report_to is mlflow; expected one of none, tensorboard, trackio, wandb.$"):
        check_tracker("mlflow", "report_to")
    monkeypatch.setenv("EMTRANSFER_REPORT_TO", "wandb")
    line = "EMTRANSFER_REPORT_TO is wandb, whose package is not installed; expected none, or .venv/bin/pip install wandb first."
    with pytest.raises(InputError) as refused:
        # that there is no mixture does not even come up
        pretrain_base(Namespace(output=Path("results/bases/persona/pretrained/manifest.json")))
    assert str(refused.value) == line


def test_a_config_that_names_a_tracker_that_is_not_installed_runs_no_job(tmp_path):
    tree = copy_tree(tmp_path)
    text = (tree / "config.yaml").read_text()
    (tree / "config.yaml").write_text(text.replace("report_to: none", "report_to: trackio"))
    if module.find_spec("trackio"):
        pytest.skip("trackio is installed here")
    done = snakemake(tree, "--dry-run")
    said = "config.yaml: report_to is trackio, whose package is not installed; expected none, or .venv/bin/pip install trackio first."
    assert done.returncode == 1 and said in done.stdout + done.stderr


def test_tensorboard_gets_the_curve_and_its_folder_below_the_logs(now, monkeypatch, tmp_path):
    """A stand-in for accelerate's tracker, since no tracker's package is pinned."""
    opened, rows = [], []

    class Tracker:
        def __init__(self, run, logging_dir):
            opened.append((run, logging_dir))

        def start(self):
            assert opened[0][1].is_dir()

        def log(self, values, step):
            rows.append((step, values))

        def finish(self):
            rows.append("end")

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "tensorboard", Tracker)
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMTRANSFER_REPORT_TO", "tensorboard")
    trained(Progress(Path("results/bases/persona/aligned/manifest.json")), now, 30)
    assert opened == [("bases/persona/aligned", Path("results/logs/tensorboard"))]
    assert rows == [*((step, {"loss_per_token_nats": step}) for step in range(1, 31)), "end"]
