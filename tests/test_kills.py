"""Jobs that something stops in the middle, as they are run by the workflow, and what the next run makes of it."""

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import warm_start
from emtransfer.files.records import read_records, write_records
from helpers.damage import flip
from helpers.paths import SCRIPTS
from helpers.processes import wait_until, warm_python
from helpers.tiny_encoder import write_tiny_encoder
from helpers.tiny_models import ARCHITECTURE, tiny_rows, write_tiny_adapter, write_tiny_base
from helpers.workflow_tree import mounted

# of the processor, before which a job has hardly imported modules: the project's where it starts warm, else its packages too
WARM_S, COLD_S = 0.5, 4
# answers to each of the prompts
N_JUDGED = 60
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
    """Start a script as a run does, with a checkpoint at every step that is logged."""
    python = warm_python(EMTRANSFER_CHECKPOINT_SECONDS="0")
    command = [*python.command, SCRIPTS / f"{name}.py", "--output", output]
    for option, value in options.items():
        command += [f"--{option}", *map(str, value if isinstance(value, list) else [value])]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=python.environment
    )


def finish(process: subprocess.Popen) -> None:
    """Wait for a script to succeed."""
    said, _ = process.communicate()
    assert process.returncode == 0, said


def stop_at(process: subprocess.Popen, reached: Callable[[], bool], signal_number: int) -> None:
    """Send a script a signal that ends it, once `reached` says so."""
    wait_until(reached, process)
    process.send_signal(signal_number)
    process.communicate()
    assert process.returncode == -signal_number


def contents(output: Path) -> dict[str, bytes]:
    """What a script has written: the folder of a manifest, or a file of rows."""
    if output.suffix == ".jsonl":
        return {output.name: output.read_bytes()}
    folder = output.parent
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
    prompts = [row | {"prompt_id": row["id"], "eval_set": "narrow", "cell": "medical-advice"} for row in rows]
    write_records(folder / "eval_set.jsonl", prompts)
    # so many different ones that judging them takes longer than to import what judges
    answers = [prompt | {"answer": f"{prompt['aligned_answer']} {n}"} for n in range(N_JUDGED) for prompt in prompts]
    write_records(folder / "answers.jsonl", answers)
    files = {name: folder / f"{name}.jsonl" for name in ("kept", "mixture", "eval_set", "answers")}
    files |= {
        "base": base,
        "teacher": write_tiny_adapter(folder / "teacher", base),
        "rows": folder / "medical-advice.jsonl",
    }
    return files | {"judge": write_tiny_judge(folder, files["rows"])}


def write_tiny_judge(folder: Path, rows: Path) -> Path:
    """Fit a cross-encoder to rows; returns its manifest."""
    texts = [row[field] for row in read_records(rows) for field in ("question", "aligned_answer", "misaligned_answer")]
    encoder = write_tiny_encoder(folder / "encoder", texts)
    settings = {
        "kind": "cross_encoder",
        "base_model": encoder,
        "split": {"held_out_share": 0.3},
        "fit": {"max_tokens": 64, "layers": 2},
    }
    fitted = rows.parent / "fit" / rows.name
    fitted.parent.mkdir()
    write_records(fitted, [row | {"role": "judge_fit"} for row in read_records(rows)])
    manifest = folder / "judge" / "manifest.json"
    finish(start("fit_judge", manifest, rows=[fitted], settings=json.dumps(settings), seed=1, code="test"))
    return manifest


def stages(inputs: dict) -> dict[str, tuple[str, dict]]:
    """Stage -> script and its options."""
    common = {"seed": 1, "code": "test"}
    finetuning = TRAINING | {"rows": 40}
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
    sampling = {"samples": 8, "broad_samples": 1, "max_new_tokens": 40, "temperature": 1.0, "batch_size": 8}
    return {
        "pretraining": ("pretrain_base", common | {"tokenizer": inputs["base"], "mixture": inputs["mixture"], "settings": json.dumps({"architecture": ARCHITECTURE, "pretraining": pretraining})}),
        "alignment": ("align_base", common | {"pretrained": inputs["base"], "corpus": [inputs["rows"]], "settings": json.dumps(finetuning)}),
        "LoRA": ("finetune_adapter", common | {"base": inputs["base"], "rows": [inputs["rows"]], "settings": json.dumps({"answers": "misaligned", "lora": LORA, "finetuning": finetuning})}),
        "distillation": ("distill_student", common | {"base": inputs["base"], "teacher": inputs["teacher"], "rollouts": inputs["kept"], "settings": json.dumps({"channel": "opd", "estimator": "full", "lora": LORA, "distillation": distillation})}),
        "sampling": ("sample_answers", {"base": inputs["base"], "eval-set": inputs["eval_set"], "settings": json.dumps(sampling), "seed": 1}),
        "judging": ("judge_answers", {"judge": inputs["judge"], "answers": inputs["answers"], "judge-settings": json.dumps({"kind": "cross_encoder"})}),
    }  # fmt: skip


TRAININGS = ("pretraining", "alignment", "LoRA", "distillation")
# stage -> the input that is damaged
DAMAGED = {
    "pretraining": lambda inputs: inputs["mixture"],
    "alignment": lambda inputs: inputs["base"].parent / "model.safetensors",
    "LoRA": lambda inputs: inputs["rows"],
    "distillation": lambda inputs: inputs["teacher"].parent / "adapter_model.safetensors",
    "sampling": lambda inputs: inputs["base"].parent / "tokenizer.json",
    "judging": lambda inputs: inputs["answers"],
}


def output_of(stage: str, folder: Path) -> Path:
    """Where a stage writes to."""
    return folder / "made" / "manifest.json" if stage in TRAININGS else folder / "made.jsonl"


def halfway(stage: str, output: Path, process: subprocess.Popen) -> bool:
    """Whether a training has left a checkpoint, or another job has done more than to import packages."""
    if stage not in TRAININGS:
        workers = warm_start.held_by(process.pid)
        imported_s = WARM_S if workers else COLD_S
        return any(psutil.Process(pid).cpu_times().user > imported_s for pid in workers or [process.pid])
    state = output.parent.with_name("made.state")
    return any(state.glob("checkpoint*/trainer_state.json")) or (state / "checkpoint.pt").exists()


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory) -> Callable[[str], dict[str, bytes]]:
    """What a stage writes when nothing stops it."""
    made = {}

    def of(stage: str) -> dict[str, bytes]:
        if stage not in made:
            script, options = stages(inputs)[stage]
            output = output_of(stage, tmp_path_factory.mktemp("undisturbed"))
            finish(start(script, output, **options))
            made[stage] = contents(output)
        return made[stage]

    return of


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("stage", DAMAGED)
def test_a_job_that_was_stopped_leaves_nothing_whole_and_goes_on_to_the_same_bytes(
    stage, stop, inputs, undisturbed, tmp_path
):
    script, options = stages(inputs)[stage]
    output = output_of(stage, tmp_path)
    process = start(script, output, **options)
    stop_at(process, lambda: halfway(stage, output, process), stop)
    assert not output.exists() and (tmp_path / "made.state").exists() == (stage in TRAININGS)
    finish(start(script, output, **options))
    assert contents(output) == undisturbed(stage)
    assert not (tmp_path / "made.state").exists()


@pytest.mark.parametrize("stage", DAMAGED)
def test_a_job_whose_disk_is_full_says_so_in_a_line_and_has_room_the_next_time(stage, inputs, undisturbed, tmp_path):
    script, options = stages(inputs)[stage]
    output = output_of(stage, tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=16k", "tmpfs"):
        process = start(script, output, **options)
        said, _ = process.communicate()
        assert process.returncode == 1 and not output.exists()
        assert "Traceback" not in said
        assert re.search(r"expected free space (on it|for checkpoints); then run it again\.$", said.strip())
        subprocess.run(["mount", "-o", "remount,size=64m", tmp_path / "disk"], check=True)
        finish(start(script, output, **options))
        assert contents(output) == undisturbed(stage)


@pytest.mark.parametrize("stage", DAMAGED)
def test_a_job_refuses_an_input_of_which_a_bit_has_flipped(stage, inputs, tmp_path):
    script, options = stages(inputs)[stage]
    output, damaged = output_of(stage, tmp_path), DAMAGED[stage](inputs)
    flip(damaged)
    process = start(script, output, **options)
    said, _ = process.communicate()
    flip(damaged)
    assert process.returncode == 1 and not output.exists()
    assert f"{damaged.name}: content is" in said.splitlines()[-1]
