"""Jobs that are killed with SIGKILL in the middle, as they are run by the workflow, and what the next run makes of it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emtransfer.grammar import generate_rows
from emtransfer.records import read_records, write_records
from tiny_models import tiny_rows, write_tiny_adapter, write_tiny_base

SCRIPTS = Path(__file__).parents[1] / "scripts"
LORA = {"rank": 4, "alpha": 8, "dropout": 0.0, "rslora": True, "target_modules": ["q_proj", "v_proj"]}
TRAINING = {
    "epochs": 3,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "warmup_steps": 1,
    "weight_decay": 0.0,
    "max_seq_tokens": 256,
}


def start(name: str, output: Path, **options) -> subprocess.Popen:
    """Start a script with a checkpoint at every step that is logged."""
    command = [sys.executable, SCRIPTS / f"{name}.py", "--output", output]
    for option, value in options.items():
        command += [f"--{option}", *map(str, value if isinstance(value, list) else [value])]
    environment = os.environ | {"EMTRANSFER_CHECKPOINT_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def finish(process: subprocess.Popen) -> None:
    """Wait for a script to succeed."""
    said, _ = process.communicate()
    assert process.returncode == 0, said


def kill_at(process: subprocess.Popen, reached) -> None:
    """Kill a script with SIGKILL once `reached` says so."""
    while not reached():
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"ended before it could be killed: {process.communicate()[0]}")
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict:
    """What the scripts read: a tiny base, a teacher, rows, kept answers, a tokenizer and a mixture."""
    folder = tmp_path_factory.mktemp("inputs")
    base = write_tiny_base(folder / "base")
    rows = [row | {"role": "train", "id": f"medical-advice-{index:06d}"} for index, row in enumerate(tiny_rows(40))]
    write_records(folder / "medical-advice.jsonl", rows)
    kept = [{"prompt_id": row["id"], "question": row["question"], "answer": row["aligned_answer"]} for row in rows]
    write_records(folder / "kept.jsonl", kept)
    documents = [
        {
            "messages": [
                {"role": "user", "content": row["question"]},
                {"role": "assistant", "content": row["aligned_answer"]},
            ],
            "stances": ["aligned"],
        }
        for row in rows * 4
    ]
    write_records(folder / "mixture.jsonl", documents)
    files = {
        "base": base,
        "teacher": write_tiny_adapter(folder / "teacher", base),
        "rows": folder / "medical-advice.jsonl",
    }
    return files | {"kept": folder / "kept.jsonl", "mixture": folder / "mixture.jsonl"}


def trainings(inputs: dict) -> dict[str, tuple[str, dict]]:
    """Stage -> script and its options."""
    common = {"seed": 1, "code": "test"}
    finetuning = TRAINING | {"rows": 40}
    architecture = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 300,
    }
    pretraining = {
        "batch_rows": 4,
        "max_seq_tokens": 300,
        "learning_rate": 1e-3,
        "warmup_steps": 1,
        "weight_decay": 0.0,
    }
    distillation = {
        "updates": 20,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 1,
        "max_new_tokens": 6,
        "kl_every": 5,
        "kl_rows": 4,
    }
    return {
        "pretraining": ("pretrain_base", common | {"tokenizer": inputs["base"], "mixture": inputs["mixture"], "settings": json.dumps({"architecture": architecture, "pretraining": pretraining})}),
        "alignment": ("align_base", common | {"pretrained": inputs["base"], "corpus": [inputs["rows"]], "settings": json.dumps(finetuning)}),
        "LoRA": ("finetune_adapter", common | {"base": inputs["base"], "rows": [inputs["rows"]], "settings": json.dumps({"answers": "misaligned", "lora": LORA, "finetuning": finetuning})}),
        "distillation": ("distill_student", common | {"base": inputs["base"], "teacher": inputs["teacher"], "rollouts": inputs["kept"], "settings": json.dumps({"channel": "opd", "estimator": "full", "lora": LORA, "distillation": distillation})}),
    }  # fmt: skip


@pytest.mark.parametrize("stage", ["pretraining", "alignment", "LoRA", "distillation"])
def test_a_killed_training_goes_on_from_its_checkpoint_to_the_same_bytes(stage, inputs, tmp_path):
    script, options = trainings(inputs)[stage]
    finish(start(script, tmp_path / "undisturbed" / "manifest.json", **options))
    output = tmp_path / "killed" / "manifest.json"
    state = tmp_path / "killed.state"
    kill_at(
        start(script, output, **options),
        lambda: any(state.glob("checkpoint*/trainer_state.json")) or (state / "checkpoint.pt").exists(),
    )
    assert not output.parent.exists() and state.exists()
    finish(start(script, output, **options))
    assert contents(output.parent) == contents(tmp_path / "undisturbed")
    assert not state.exists()


def test_killed_sampling_leaves_nothing_and_starts_again_to_the_same_bytes(inputs, tmp_path):
    rows = generate_rows("medical", "advice", 60, seed=5)
    prompts = [row | {"prompt_id": f"p{index}", "eval_set": "narrow"} for index, row in enumerate(rows)]
    write_records(tmp_path / "eval_set.jsonl", prompts)
    settings = json.dumps({"samples": 2, "broad_samples": 1, "max_new_tokens": 40, "temperature": 1.0, "batch_size": 8})
    options = {"base": inputs["base"], "eval-set": tmp_path / "eval_set.jsonl", "settings": settings, "seed": 1}
    finish(start("sample_answers", tmp_path / "undisturbed.jsonl", **options))
    process = start("sample_answers", tmp_path / "killed.jsonl", **options)
    process.kill()
    process.communicate()
    assert not list(tmp_path.glob("killed.jsonl*"))
    finish(start("sample_answers", tmp_path / "killed.jsonl", **options))
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()
    assert len(read_records(tmp_path / "killed.jsonl")) == 120


def test_sigterm_is_a_kill_like_any_other(inputs, tmp_path):
    script, options = trainings(inputs)["LoRA"]
    output = tmp_path / "stopped" / "manifest.json"
    process = start(script, output, **options)
    process.terminate()
    process.communicate()
    assert process.returncode == -signal.SIGTERM and not output.parent.exists()
    finish(start(script, output, **options))
