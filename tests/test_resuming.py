"""A training that is cut off goes on where its last checkpoint is, and ends as if nothing had happened (to the last bit)."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from emtransfer.distilling.distillation import DistillationSettings, distill
from emtransfer.files.artefacts import training_state
from emtransfer.files.records import write_records
from emtransfer.models.adapters import all_weights, fresh_lora
from emtransfer.models.loading import Chat, load_chat
from emtransfer.progress import LINES
from emtransfer.training import resuming
from emtransfer.training.finetuning import FinetuningSettings, finetune, grouped_steps
from emtransfer.training.mixtures import render_chat
from emtransfer.training.pretraining import PretrainingSettings, pretrain
from emtransfer.training.resuming import StepCheckpoints, last_checkpoint
from helpers.cut_trainings import Cut, cut_after
from helpers.paths import SCRIPTS
from helpers.tiny_models import LORA, perturb, tiny_chat, tiny_rows, write_tiny_base

PAIRS = [(row["question"], row["aligned_answer"]) for row in tiny_rows()]
# 20 steps, each of them logged
SETTINGS = FinetuningSettings(
    rows=8, epochs=4, batch_size=8, learning_rate=1e-2, warmup_steps=1, weight_decay=0.01, max_seq_tokens=256
)


def fine_tuned(folder: Path, cut: int | None = None):
    """Log and weights of an adapter whose dropout draws random numbers."""
    chat = tiny_chat()
    model = fresh_lora(chat.model, replace(LORA, dropout=0.2), seed=1)
    if cut:
        cut_after(model, cut)
    log = finetune(model, chat.format, PAIRS, SETTINGS, seed=3, state_folder=folder, checkpoint_seconds=0)
    return log, model.state_dict()


def fully_fine_tuned(folder: Path, cut: int | None = None):
    """Log and weights of a model of which all weights are trained."""
    chat = tiny_chat()
    if cut:
        cut_after(chat.model, cut)
    log = finetune(all_weights(chat.model), chat.format, PAIRS, SETTINGS, 3, folder, checkpoint_seconds=0)
    return log, chat.model.state_dict()


def pretrained(folder: Path, cut: int | None = None):
    """Log and weights of a small decoder."""
    chat = tiny_chat()
    if cut:
        cut_after(chat.model, cut)
    settings = PretrainingSettings(
        batch_rows=4, max_seq_tokens=256, learning_rate=1e-2, warmup_steps=2, weight_decay=0.0
    )
    documents = [render_chat([(row, "aligned")]) | {"stances": ["aligned"]} for row in tiny_rows()]
    log = pretrain(chat.model, chat.format.tokenizer, documents, settings, 1, folder, checkpoint_seconds=0)
    return log, chat.model.state_dict()


def distilled(folder: Path, cut: int | None = None, channel: str = "opd-full"):
    """Log and weights of a student that learns on its own answers, or with dropout on given ones."""
    folder.mkdir(exist_ok=True)
    base, teacher = tiny_chat(), fresh_lora(tiny_chat().model, LORA, seed=2)
    perturb(teacher, 2, 0.1)
    student = fresh_lora(base.model, replace(LORA, dropout=0.2), seed=1)
    if cut:
        cut_after(student, cut)
    rows = [
        {"prompt_id": row["id"], "question": row["question"], "answer": row["aligned_answer"]} for row in tiny_rows()
    ]
    settings = DistillationSettings(
        channel, updates=6, batch_size=4, learning_rate=1e-2, warmup_steps=1, max_new_tokens=4, kl_every=4, kl_rows=4
    )
    log = distill(Chat(student, base.format), teacher.eval(), rows, settings, 1, folder, checkpoint_seconds=0)
    return log, student.state_dict()


distilled_on_given_answers = partial(distilled, channel="optd")


@pytest.mark.parametrize(
    ("training", "cut"),
    [(fine_tuned, 13), (fully_fine_tuned, 13), (pretrained, 7), (distilled, 25), (distilled_on_given_answers, 5)],
)
def test_a_training_that_was_cut_off_ends_as_if_nothing_had_happened(training, cut, tmp_path, capsys):
    expected_log, expected = training(tmp_path / "undisturbed")
    n_steps = expected_log[-1]["step"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"training: {n_steps} steps." and lines[-1].startswith(f"trained: {n_steps} steps in 0:00:")
    assert len(lines) <= LINES + 3 and all(
        line.startswith(f"step {number} of {n_steps}, loss ") for number, line in enumerate(lines[1:-1], 1)
    )
    with pytest.raises(Cut):
        training(tmp_path / "cut", cut)
    checkpoints = list((tmp_path / "cut").glob("checkpoint*"))
    assert checkpoints
    capsys.readouterr()
    log, weights = training(tmp_path / "cut")
    assert log == expected_log
    assert re.match(rf"training: {n_steps} steps, continuing after step \d+\.\n", capsys.readouterr().out)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_what_was_done_before_the_cut_is_not_done_again(tmp_path):
    with pytest.raises(Cut):
        fine_tuned(tmp_path, cut=13)
    assert last_checkpoint(tmp_path).name == "checkpoint-13"
    with pytest.raises(Cut):
        # 7 steps are left
        fine_tuned(tmp_path, cut=6)
    assert last_checkpoint(tmp_path).name == "checkpoint-19"


def test_a_checkpoint_that_was_cut_off_itself_does_not_count(tmp_path):
    with pytest.raises(Cut):
        fine_tuned(tmp_path, cut=13)
    (tmp_path / "checkpoint-13" / "trainer_state.json").write_text('{"epoch": 1')
    assert last_checkpoint(tmp_path).name == "checkpoint-12"
    assert not (tmp_path / "checkpoint-13").exists()


def test_checkpoints_of_another_training_are_not_gone_on_from(tmp_path):
    for origin, left in (({"seed": 1}, []), ({"seed": 1}, ["checkpoint-1"]), ({"seed": 2}, [])):
        with pytest.raises(Cut), training_state(tmp_path / "adapter", origin) as state:
            assert [path.name for path in state.glob("checkpoint-*")] == left
            (state / "checkpoint-1").mkdir(exist_ok=True)
            raise Cut


def test_how_a_step_is_divided_changes_no_loss(tmp_path):
    """Steps hold the same rows, grouped by length within each; sums in another order differ in the last bits."""
    losses = {}
    for size in (8, 2):
        chat = tiny_chat()
        model, settings = fresh_lora(chat.model, LORA, seed=1), replace(SETTINGS, micro_batch_size=size)
        log = finetune(model, chat.format, PAIRS, settings, seed=3, state_folder=tmp_path / str(size))
        losses[size] = [row["loss_per_token_nats"] for row in log]
    assert losses[2] == pytest.approx(losses[8], rel=1e-4)


def test_the_rows_of_a_step_come_longest_first_and_every_epoch_has_all():
    examples = [{"input_ids": [0] * length} for length in range(20)]
    order = [len(example["input_ids"]) for example in grouped_steps(examples, SETTINGS, seed=1)]
    assert sorted(order) == sorted(4 * list(range(20)))
    steps = [order[start : start + 8] for start in range(0, 80, 8)]
    assert all(step == sorted(step, reverse=True) for step in steps)
    assert steps[0] != sorted(range(12, 20), reverse=True)


def adapter_log(tmp_path: Path, name: str, launcher: list[str]) -> pd.DataFrame:
    """The log of an adapter that the script has trained."""
    base = write_tiny_base(tmp_path / f"base_{name}")
    write_records(tmp_path / "train.jsonl", tiny_rows(16))
    lora = {"rank": 4, "alpha": 8, "dropout": 0.0, "rslora": True, "target_modules": ["q_proj", "v_proj"]}
    finetuning = {"rows": 16, "epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 1}
    finetuning |= {"weight_decay": 0.0, "max_seq_tokens": 256, "micro_batch_size": 2}
    settings = json.dumps({"answers": "aligned", "lora": lora, "finetuning": finetuning})
    output = tmp_path / name / "manifest.json"
    command = [*launcher, SCRIPTS / "finetune_adapter.py", "--base", base, "--rows", tmp_path / "train.jsonl"]
    command += ["--settings", settings, "--seed", "1", "--code", "test", "--output", output]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return pd.read_csv(output.parent / "training_log.csv")


def test_two_processes_share_every_step_and_write_one_adapter(tmp_path):
    alone = adapter_log(tmp_path, "alone", [sys.executable])
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launcher += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    shared = adapter_log(tmp_path, "shared", launcher)
    assert shared.step.tolist() == alone.step.tolist()
    assert shared.loss_per_token_nats.tolist() == pytest.approx(alone.loss_per_token_nats.tolist(), rel=1e-4)
    assert not (tmp_path / "shared.state").exists()
    assert load_chat(tmp_path / "base_shared" / "manifest.json", tmp_path / "shared" / "manifest.json")


class Generators:
    """Stands for torch.cuda's: GPU -> the state of its generator; a GPU that is not there raises KeyError."""

    def __init__(self, n_gpus: int, monkeypatch: pytest.MonkeyPatch):
        self.states = {index: torch.full((4,), index, dtype=torch.uint8) for index in range(n_gpus)}
        monkeypatch.setattr(resuming, "gpus_of", lambda weights: [torch.device("cuda", gpu) for gpu in self.states])
        monkeypatch.setattr(torch.cuda, "get_rng_state", lambda gpu: self.states[gpu.index].clone())
        monkeypatch.setattr(torch.cuda, "set_rng_state", self.restore)

    def restore(self, state: torch.Tensor, gpu: torch.device) -> None:
        if gpu.index not in self.states:
            raise KeyError(gpu)
        self.states[gpu.index] = state


def loop_checkpoints(folder: Path) -> StepCheckpoints:
    """Of a loop over one weight, due at every step."""
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    return StepCheckpoints(folder, 0.0, [weight], optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer))


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (2, 1), (1, 2), (2, 0), (0, 1)])
def test_a_loop_goes_on_with_the_generators_of_its_gpus_however_many_there_are(before, after, tmp_path, monkeypatch):
    """Of pretended GPUs, since dropout there draws from their own generators."""
    generators = Generators(before, monkeypatch)
    saved = [state + 100 for state in generators.states.values()]
    generators.states = dict(enumerate(saved))
    loop_checkpoints(tmp_path).save_in_time([{"step": 1}])
    generators = Generators(after, monkeypatch)
    fresh = list(generators.states.values())
    assert loop_checkpoints(tmp_path).restore() == [{"step": 1}]
    assert list(generators.states) == list(range(after))
    expected = saved[:after] + fresh[before:]
    assert all(map(torch.equal, generators.states.values(), expected))


def test_a_training_on_the_processor_leaves_gpus_alone(tmp_path, monkeypatch):
    """To read a generator begins work on its GPU, which other jobs may have to themselves."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("get_rng_state", "get_rng_state_all", "set_rng_state", "set_rng_state_all"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: pytest.fail("a GPU was looked at"))
    loop_checkpoints(tmp_path).save_in_time([{"step": 1}])
    assert loop_checkpoints(tmp_path).restore() == [{"step": 1}]


def test_the_gpus_of_a_training_are_those_of_its_weights():
    places = [torch.device(name) for name in ("cpu", "cuda:1", "cuda:0", "cuda:1")]
    weights = [SimpleNamespace(device=place) for place in places]
    assert resuming.gpus_of(weights) == [torch.device("cuda", 1), torch.device("cuda", 0)]
