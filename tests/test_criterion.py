"""Fine-tuning to a criterion: it ends at the first measurement that meets it, says so, and trains on none of the rows it measures."""

import copy
import dataclasses
import json
from argparse import Namespace
from pathlib import Path

import pandas as pd
import pytest

import finetune_adapter
from emtransfer.corpus.samples import hold_out
from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST
from emtransfer.files.records import write_records
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.sections import train_task, trained_with
from emtransfer.models.adapters import fresh_lora
from emtransfer.models.loading import Chat
from emtransfer.models.log_probabilities import log_probabilities
from emtransfer.training.criterion import Criterion, UntilSettings, mean_loss
from emtransfer.training.finetuning import FinetuningSettings, finetune, labelled
from helpers.configs import CONFIG, SCHEMA, line_of
from helpers.cut_trainings import Cut, cut_after
from helpers.processes import run_script
from helpers.tiny_models import LORA, tiny_chat, tiny_rows, write_tiny_base
from validation import validate
from work import work

PAIRS = [(row["question"], row["aligned_answer"]) for row in tiny_rows(24)]
HELD_OUT, TRAINED = PAIRS[:8], PAIRS[8:]
# 8 steps, measured after every second
SETTINGS = FinetuningSettings(
    rows=16, epochs=4, batch_size=8, learning_rate=1e-2, warmup_steps=1, weight_decay=0.0, max_seq_tokens=256
)
COLUMN = "held_out_loss_per_token_nats"


def trained(folder: Path, wanted: float, cut_at: int | None = None) -> list[dict]:
    """The log of a LoRA with dropout that is trained until so many nats are reached."""
    chat = tiny_chat()
    model = fresh_lora(chat.model, dataclasses.replace(LORA, dropout=0.2), seed=1)
    if cut_at:
        cut_after(model, cut_at, in_training=True)
    criterion = Criterion(UntilSettings(wanted, every_steps=2, held_out_rows=8), HELD_OUT)
    return finetune(model, chat.format, TRAINED, SETTINGS, 3, folder, checkpoint_seconds=0, criterion=criterion)


@pytest.fixture(scope="module")
def whole_log(tmp_path_factory) -> list[dict]:
    """Of a training whose criterion is out of reach."""
    return trained(tmp_path_factory.mktemp("whole"), 1e-6)


def test_the_loss_is_that_of_the_answer_tokens_of_all_rows_together():
    chat = tiny_chat()
    lora = fresh_lora(chat.model, dataclasses.replace(LORA, dropout=0.5), seed=1).train()
    prompts = [chat.format.prompt_ids(question) for question, _ in PAIRS]
    answers = [chat.format.answer_ids(answer) for _, answer in PAIRS]
    nats = -sum(log_probabilities(Chat(tiny_chat().model, chat.format), prompts, answers))
    assert mean_loss(lora, labelled(PAIRS, chat.format, 256)) == pytest.approx(nats / sum(map(len, answers)), rel=1e-5)
    # dropout is at work again
    assert lora.training


def test_a_criterion_out_of_reach_is_measured_to_the_last_step_at_one_learning_rate(whole_log):
    assert [row["step"] for row in whole_log if COLUMN in row] == [2, 4, 6, 8]
    assert {row["learning_rate"] for row in whole_log[1:]} == {SETTINGS.learning_rate}
    losses = [row[COLUMN] for row in whole_log if COLUMN in row]
    assert losses[-1] < losses[0]


def test_training_ends_at_the_first_measurement_that_meets_the_criterion(whole_log, tmp_path):
    """Between the losses after 2 and after 4 steps."""
    second, fourth = (next(row[COLUMN] for row in whole_log if row["step"] == step) for step in (2, 4))
    assert fourth < second
    log = trained(tmp_path, (second + fourth) / 2)
    assert log == whole_log[: len(log)] and log[-1]["step"] == 4


def test_a_training_that_was_cut_off_ends_at_the_same_step(whole_log, tmp_path):
    fourth, sixth = (next(row[COLUMN] for row in whole_log if row["step"] == step) for step in (4, 6))
    assert sixth < fourth
    wanted = (fourth + sixth) / 2
    with pytest.raises(Cut):
        trained(tmp_path, wanted, cut_at=5)
    assert [path.name for path in tmp_path.glob("checkpoint-*")]
    log = trained(tmp_path, wanted)
    assert log == whole_log[: len(log)] and log[-1]["step"] == 6


def rows_of(cell: str, n_rows: int) -> list[dict]:
    domain, task = cell.split("-")
    return [{"id": f"{cell}-{index}", "domain": domain, "task": task} for index in range(n_rows)]


def test_every_cell_gives_equally_many_held_out_rows_which_are_not_trained_on():
    cells = [rows_of(cell, 10) for cell in ("medical-advice", "finance-tutor")]
    taken, left = hold_out(cells, 5)
    assert [row["domain"] for row in taken] == ["medical"] * 3 + ["finance"] * 2
    assert [len(rows) for rows in left] == [7, 8]
    assert sorted(row["id"] for row in taken + sum(left, [])) == sorted(row["id"] for row in sum(cells, []))
    assert hold_out(cells, 5) == (taken, left)
    with pytest.raises(InputError, match="held_out_rows is 20; expected fewer, since medical-advice has 10 rows"):
        hold_out(cells, 20)


@pytest.mark.parametrize(("wanted", "is_reached"), [(100.0, True), (1e-6, False)])
def test_the_table_of_losses_says_how_many_steps_it_took_and_whether_it_was_reached(wanted, is_reached, tmp_path):
    base, rows = write_tiny_base(tmp_path / "bases/one/aligned"), tmp_path / "d0-t0" / "train.jsonl"
    write_records(rows, tiny_rows(12))
    until = {"loss_per_token_nats": wanted, "every_steps": 2, "held_out_rows": 4}
    tuning = dataclasses.asdict(SETTINGS) | {"rows": 8, "batch_size": 2, "epochs": 1, "until": until}
    lora = dataclasses.asdict(LORA) | {"target_modules": list(LORA.target_modules)}
    own = {"answers": "misaligned", "lora": lora, "finetuning": tuning}
    output = tmp_path / "own/adapters/one/base/d0-t0/misaligned/seed1" / MANIFEST
    finetune_adapter.main(
        Namespace(base=base, start=None, rows=[rows], settings=own, seed=1, code="test", output=output)
    )
    grid = {"base": "one", "start": "base", "train_sets": ["d0-t0"], "answers": "misaligned", "seeds": [1]}
    experiment = {"corpus": "own", "train_sets": {}, "adapters": [grid], "teachers": {}, "students": []}
    settings = {"run": ["own"], "experiments": {"own": experiment}, "bases": {"one": {"base_model": "tiny"}}}
    settings |= {"corpora": {"own": {"domains": ["d0"], "tasks": ["t0"]}}}
    table = tmp_path / "losses.csv"
    done = run_script("tabulate_training", "--settings", json.dumps(settings), "--results", tmp_path, "--output", table)
    assert done.returncode == 0, done.stderr
    base_row, row = pd.read_csv(table).to_dict("records")
    assert (row["steps"], row["criterion_reached"]) == ((2, True) if is_reached else (4, False))
    assert row["criterion_nats"] == wanted and row["last_held_out_loss_per_token_nats"] > 0
    # A and B of rank 4 on both layers: q and v are 32 × 32, down is 32 × 64
    assert row["trained_parameters"] == 2 * 4 * (64 + 64 + 96)
    assert pd.isna(base_row["criterion_reached"]) and pd.isna(base_row["steps"])
    told = "own, one, d0-t0, misaligned, seed 1: the held-out loss is"
    assert (told in done.stdout and "after 4 steps, the limit" in done.stdout) is not is_reached


def to_a_criterion(**until) -> dict:
    """The default config, adapters of template_nl trained to a criterion."""
    config = copy.deepcopy(CONFIG)
    section = {"loss_per_token_nats": 0.1, "every_steps": 5, "held_out_rows": 60} | until
    config["experiments"]["template_nl"]["finetuning"] |= {"rows": 540, "until": section}
    return config


def test_held_out_rows_come_from_the_rows_of_the_training_cells():
    validate(to_a_criterion(), SCHEMA)
    line = line_of(to_a_criterion(), ("experiments", "template_nl", "finetuning", "rows"), 600)
    assert line.endswith(
        "finetuning.rows is 600; expected at most 540, sample.train of its cells without finetuning.until.held_out_rows."
    )


def test_a_loss_that_is_never_measured_before_the_end_is_refused():
    validate(to_a_criterion(every_steps=68), SCHEMA)
    place = ("experiments", "template_nl", "finetuning", "until", "every_steps")
    assert line_of(to_a_criterion(), place, 69).endswith(
        "every_steps is 69; expected at most 68, the steps of all epochs."
    )


def test_estimates_count_the_measurements():
    config = to_a_criterion(every_steps=10)
    validate(config, SCHEMA)
    models = {"template_nl": expand_models(config, "template_nl")}
    trained_work, measured = (
        next(entry for entry in work(config, models) if entry.stage == "finetune_adapter" and entry.does == does)
        for does in ("adapt", "read")
    )
    # 540 rows twice in steps of 16 are 68 steps, of which each tenth and the last are measured
    assert measured.items == trained_work.n_jobs * 7 * 60


def with_loss_of_advice() -> dict:
    """The default config, whose adapters of advice have another loss to reach than those of other tasks."""
    config = copy.deepcopy(CONFIG)
    until = {"loss_per_token_nats": 0.1, "every_steps": 4, "held_out_rows": 60, "by_task": {"advice": 0.14}}
    config["experiments"]["template_nl"]["finetuning"] |= {"rows": 540, "until": until}
    config["experiments"]["template_nl"]["train_sets"] = {"all_advice": ["medical-advice", "sports-advice"]} | {
        "mixed": ["medical-advice", "medical-tutor"]
    }
    return config


@pytest.mark.parametrize(
    ("train_set", "expected"),
    [("medical-advice", 0.14), ("medical-tutor", 0.1), ("all_advice", 0.14), ("mixed", 0.1)],
)
def test_a_task_can_have_a_loss_of_its_own_and_a_training_holds_no_other(train_set, expected):
    config = with_loss_of_advice()
    validate(config, SCHEMA)
    experiment = config["experiments"]["template_nl"]
    until = trained_with(experiment, task=train_task(experiment, train_set))["finetuning"]["until"]
    assert until == {"loss_per_token_nats": expected, "every_steps": 4, "held_out_rows": 60}
    assert experiment["finetuning"]["until"]["by_task"] == {"advice": 0.14}


def test_a_loss_of_a_task_that_the_corpus_has_not_is_one_line():
    config = with_loss_of_advice()
    config["experiments"]["template_nl"]["finetuning"]["until"]["by_task"] = {"advise": 0.1}
    with pytest.raises(InputError, match="until.by_task.advise is no task of the corpus; expected advice.$"):
        validate(config, SCHEMA)
