"""Long training jobs continue from their last checkpoint after a kill, and stop if the loss is not a number."""

import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtransfer.errors import InputError
from emtransfer.files.artefacts import state_folder, training_state
from emtransfer.progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from transformers import PreTrainedModel, Trainer, TrainerCallback

# of training at least, between two checkpoints; short trainings write none. No result depends on it
CHECKPOINT_SECONDS = float(os.environ.get("EMTRANSFER_CHECKPOINT_SECONDS", "300"))

# of a trainer's history, where a criterion is measured
HELD_OUT = "held_out_loss"


@contextmanager
def shared_training_state(
    folder: Path, origin: dict[str, Any], model: "PreTrainedModel"
) -> Iterator[tuple[Path, bool]]:
    """As `training_state`, for all processes of `accelerate launch` that train the model together.

    Yields:
        The folder, and whether this is the process that writes what comes of it.
    """
    from accelerate import PartialState

    processes = PartialState(cpu=model.device.type == "cpu")
    if not processes.is_main_process:
        processes.wait_for_everyone()
        yield state_folder(folder), False
        return
    with training_state(folder, origin) as state:
        processes.wait_for_everyone()
        yield state, True


def train(
    trainer: "Trainer",
    state: Path,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress | None = None,
    ending: "TrainerCallback | None" = None,
) -> list[dict[str, Any]]:
    """Train, from the last whole checkpoint of `state` on where there is one.

    A checkpoint is written only at a step whose loss is logged, so that the means in the log are the same after a kill.

    Args:
        trainer: its output_dir is `state`, where all earlier checkpoints are of this very training.
        checkpoint_seconds: from one checkpoint to the next.
        progress: what tells how far it is; by default lines only.
        ending: of `criterion.ends_training`.

    Returns:
        The training log: step, loss_per_token_nats, learning_rate; held_out_loss_per_token_nats with an `ending`.

    Raises:
        InputError: the loss is not a finite number; names the step.
    """
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback((progress or Progress()).callback("loss_per_token_nats"))
    trainer.add_callback(timed_checkpoints(checkpoint_seconds))
    if ending:
        trainer.add_callback(ending)
    take_finite_steps(trainer)
    last = last_checkpoint(state)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    return training_log(trainer.state.log_history)


def timed_checkpoints(seconds: float) -> "TrainerCallback":
    """A callback that asks for a checkpoint at the first logged step after so much time."""
    from transformers import TrainerCallback

    class TimedCheckpoints(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.last = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if control.should_log and time.monotonic() - self.last >= seconds:
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.last = time.monotonic()

    return TimedCheckpoints()


def take_finite_steps(trainer: "Trainer") -> None:
    """Make the trainer raise InputError at the first step whose loss is not a finite number, before the optimiser uses it."""
    take_step = trainer.training_step

    def training_step(*args: Any, **kwargs: Any) -> "Tensor":
        loss = take_step(*args, **kwargs)
        check_finite(loss.item(), trainer.state.global_step + 1)
        return loss

    trainer.training_step = training_step


def check_finite(loss: float, step: int) -> None:
    """Raise InputError for a loss that is not a finite number."""
    if not math.isfinite(loss):
        raise InputError(f"training: loss is {loss} at step {step}; expected a finite number; lower learning_rate.")


def last_checkpoint(state: Path) -> Path | None:
    """The latest checkpoint that was written to its end, or None; others are removed."""
    checkpoints = sorted(state.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for checkpoint in reversed(checkpoints):
        if is_whole(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: the trainer's state comes last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return True


def training_log(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a trainer's history that hold a loss, with our names, and the loss on held-out rows where it was measured."""
    held_out = {row["step"]: {f"{HELD_OUT}_per_token_nats": row[HELD_OUT]} for row in history if HELD_OUT in row}
    return [
        {"step": row["step"], "loss_per_token_nats": row["loss"], "learning_rate": row["learning_rate"]}
        | held_out.get(row["step"], {})
        for row in history
        if "loss" in row
    ]


class StepCheckpoints:
    """Checkpoints of a training loop of our own: weights, optimiser, schedule, random numbers and the log so far."""

    def __init__(
        self,
        folder: Path,
        seconds: float,
        weights: "list[Tensor]",
        optimizer: "Optimizer",
        schedule: "LRScheduler",
    ):
        """Args are those of the loop, of which each step changes the content; `seconds` lie between two checkpoints."""
        self.path, self.seconds, self.last = folder / "checkpoint.pt", seconds, time.monotonic()
        self.weights, self.optimizer, self.schedule = weights, optimizer, schedule

    def save_in_time(self, log: list[dict[str, Any]]) -> None:
        """Write a checkpoint where the last one is old enough; it replaces that one as a whole."""
        if time.monotonic() - self.last < self.seconds:
            return
        import torch

        state = {
            "weights": [weight.detach() for weight in self.weights],
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            # dropout on a GPU draws from that GPU's own generator
            "gpu_random": [torch.cuda.get_rng_state(gpu) for gpu in gpus_of(self.weights)],
            "log": log,
        }
        unfinished = self.path.with_suffix(".tmp")
        torch.save(state, unfinished)
        os.replace(unfinished, self.path)
        self.last = time.monotonic()

    def restore(self) -> list[dict[str, Any]]:
        """Take everything back from the checkpoint; returns its log, empty where there is none."""
        if not self.path.is_file():
            return []
        import torch

        state = torch.load(self.path, weights_only=True)
        with torch.no_grad():
            for weight, saved in zip(self.weights, state["weights"], strict=True):
                weight.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        # a training may go on with other GPUs than it began with, or none
        for gpu, random in zip(gpus_of(self.weights), state["gpu_random"], strict=False):
            torch.cuda.set_rng_state(random, gpu)
        return state["log"]


def gpus_of(weights: "list[Tensor]") -> "list[torch.device]":
    """The GPUs that weights lie on, each once; a GPU that a training does not use is not even looked at."""
    return list(dict.fromkeys(weight.device for weight in weights if weight.device.type == "cuda"))
