"""How far a training is: a few lines in its log and, where a tracker is asked for, its curves there.

No result depends on what is told, so that the tracker's name reaches a job through the environment and is none of its settings.
"""

import os
import time
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from emtransfer.errors import InputError, counted

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker
    from transformers import TrainerCallback

TrackerName = Literal["none", "tensorboard", "trackio", "wandb"]
# lines of a training, beside its first step and its end
LINES = 20
LOGS = Path("results/logs")


class Progress:
    """Tells of one training, from `begin` over a `note` for every row of its log to `end`."""

    def __init__(self, output: Path | None = None):
        """Refuse a tracker that is not installed.

        Args:
            output: manifest of what is trained, whose folder names the training to a tracker; None: lines only.

        Raises:
            InputError: see `check_tracker`.
        """
        self.tracker_name = os.environ.get("EMTRANSFER_REPORT_TO", "none") if output else "none"
        check_tracker(self.tracker_name, "EMTRANSFER_REPORT_TO")
        self.run = str(output.parent).removeprefix("results/").lstrip("/") if output else ""
        self.tracker: GeneralTracker | None = None

    def begin(self, n_steps: int, done: int = 0) -> None:
        """Training begins, or goes on after so many steps."""
        self.n_steps, self.done, self.told, self.began = n_steps, done, done, time.monotonic()
        self.losses: list[float] = []
        if self.tracker_name != "none":
            self.tracker = open_tracker(self.tracker_name, self.run)
        after = f", continuing after step {done}" if done else ""
        say(f"training: {counted(n_steps, 'step')}{after}.")

    def note(self, row: dict[str, Any]) -> None:
        """A row of the training log: step, a loss under whichever name, and whatever else there is."""
        step, values = row["step"], {name: value for name, value in row.items() if name != "step"}
        if self.tracker:
            self.tracker.log(values, step=step)
        self.losses += [value for name, value in values.items() if name.startswith("loss")]
        is_first = self.told == self.done
        if self.losses and (is_first or step * LINES // self.n_steps > self.told * LINES // self.n_steps):
            self.tell(step)

    def tell(self, step: int) -> None:
        """One line, with the mean loss since the last one."""
        elapsed = time.monotonic() - self.began
        expected = elapsed * (self.n_steps - self.done) / (step - self.done)
        self.told, self.loss = step, sum(self.losses) / len(self.losses)
        self.losses = []
        say(f"step {step} of {self.n_steps}, loss {self.loss:.4f}, {clock(elapsed)} of about {clock(expected)}.")

    def end(self, step: int | None = None) -> None:
        """Training is over, where it ended before its last step after this one."""
        if self.tracker:
            self.tracker.finish()
        if self.told > self.done:
            elapsed = clock(time.monotonic() - self.began)
            say(
                f"trained: {counted((step or self.n_steps) - self.done, 'step')} in {elapsed}, last loss {self.loss:.4f}."
            )

    def callback(self, loss_name: str) -> "TrainerCallback":
        """What reports a trainer's training, in its main process; `loss_name` is its loss in our words."""
        from transformers import TrainerCallback

        progress = self

        class ProgressCallback(TrainerCallback):
            def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.is_world_process_zero:
                    progress.begin(state.max_steps, state.global_step)

            def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
                if state.is_world_process_zero and "loss" in logs:
                    names = {"loss": loss_name, "learning_rate": "learning_rate"}
                    progress.note({"step": state.global_step} | {name: logs[key] for key, name in names.items()})

            def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.is_world_process_zero:
                    progress.end(state.global_step)

        return ProgressCallback()


def say(line: str) -> None:
    """Print a line at once, since a log is read while the training goes on."""
    print(line, flush=True)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 0:01:05."""
    return str(timedelta(seconds=round(seconds)))


def check_tracker(name: str, place: str) -> None:
    """Raise InputError for a tracker that is unknown or whose package is not installed."""
    if name not in get_args(TrackerName):
        raise InputError(f"{place} is {name}; expected one of {', '.join(get_args(TrackerName))}.")
    if name != "none" and find_spec(name) is None:
        raise InputError(
            f"{place} is {name}, whose package is not installed; expected none, or .venv/bin/pip install {name} first."
        )


def open_tracker(name: str, run: str) -> "GeneralTracker":
    """A tracker that takes rows; what it keeps on this machine is in LOGS/{name}.

    Args:
        run: names the training, such as bases/persona/aligned.
    """
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    # its trackers ask which process they are in
    PartialState()
    folder = LOGS / name
    folder.mkdir(parents=True, exist_ok=True)
    if name == "tensorboard":
        tracker = LOGGER_TYPE_TO_CLASS[name](run, logging_dir=folder)
    else:
        # where trackers keep files, unless the user has chosen a place
        os.environ.setdefault("TRACKIO_DIR", str(folder))
        os.environ.setdefault("WANDB_DIR", str(folder))
        tracker = LOGGER_TYPE_TO_CLASS[name]("emtransfer", name=run)
    tracker.start()
    return tracker
