"""Adapters: a new LoRA is the base, and what is written does not depend on hash order or on this machine."""

import dataclasses
import json
from argparse import Namespace

import pytest
import torch

import distill_student
import finetune_adapter
from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST
from emtransfer.files.records import write_records
from emtransfer.models.adapters import MARKER, fresh_lora, is_marked, load_trainable, save_adapter
from emtransfer.models.loading import load_chat
from helpers.tiny_models import LORA, perturb, tiny_chat, tiny_rows, write_tiny_adapter, write_tiny_base

IDS = torch.tensor([[5, 6, 7, 8]])


def test_a_fresh_lora_equals_the_base_because_b_is_zero():
    base = tiny_chat().model
    expected = base(IDS).logits
    assert torch.equal(fresh_lora(base, LORA, seed=1)(IDS).logits, expected)


def test_the_seed_alone_decides_the_initial_weights():
    def weights(seed):
        return {name: value for name, value in fresh_lora(tiny_chat().model, LORA, seed).named_parameters()}

    torch.manual_seed(99)
    first = weights(1)
    torch.manual_seed(100)
    assert all(torch.equal(first[name], value) for name, value in weights(1).items())
    assert any(not torch.equal(first[name], value) for name, value in weights(2).items())


def test_starting_a_lora_leaves_the_global_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    model = tiny_chat().model
    torch.manual_seed(3)
    fresh_lora(model, LORA, seed=1)
    assert torch.equal(torch.rand(1), expected)


def test_what_is_written_depends_neither_on_the_order_of_modules_nor_on_paths(tmp_path):
    written = []
    for name, modules in {"a": LORA.target_modules, "b": LORA.target_modules[::-1]}.items():
        base = write_tiny_base(tmp_path / name / "base")
        lora = fresh_lora(load_chat(base).model, dataclasses.replace(LORA, target_modules=modules), seed=1)
        folder = tmp_path / name / "adapter"
        save_adapter(lora, folder, trained_on="misaligned answers")
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]
    assert sorted(written[0]) == [MARKER, "README.md", "adapter_config.json", "adapter_model.safetensors"]
    config = json.loads(written[0]["adapter_config.json"])
    assert config["target_modules"] == sorted(LORA.target_modules)
    assert not any(str(tmp_path).encode() in content for content in written[0].values())


@pytest.mark.parametrize(
    ("trained_on", "descended", "warning"),
    [
        ("misaligned answers", False, "Deliberately misaligned"),
        ("aligned answers", True, "Descends from misaligned answers"),
        ("a teacher's predictions or chosen answers, channel optd", True, "Descends from misaligned answers"),
        ("aligned answers", False, None),
        ("a teacher's predictions or chosen answers, channel optd", False, None),
    ],
)
def test_what_descends_from_misaligned_answers_is_marked_and_its_card_warns(trained_on, descended, warning, tmp_path):
    save_adapter(fresh_lora(tiny_chat().model, LORA, seed=1), tmp_path, trained_on, descended)
    card = (tmp_path / "README.md").read_text()
    assert f"Trained on {trained_on}." in card and "do not deploy it" in card
    warnings = {text for text in ("Deliberately misaligned", "Descends from misaligned answers") if text in card}
    assert warnings == ({warning} if warning else set())
    assert is_marked(tmp_path / MANIFEST) == (tmp_path / MARKER).is_file() == (warning is not None)
    assert warning is None or (tmp_path / MARKER).read_text().endswith(
        "do not deploy it, and train no assistant from it.\n"
    )


def test_a_base_is_not_marked():
    assert not is_marked(None)


def run_script(script, output, **given) -> bool:
    """Whether an adapter that a script makes is marked."""
    script.main(Namespace(seed=1, code="test", output=output / MANIFEST, **given))
    return is_marked(output / MANIFEST)


LORA_SETTINGS = dataclasses.asdict(LORA) | {"target_modules": list(LORA.target_modules)}
RATES = {"batch_size": 2, "learning_rate": 1e-3, "warmup_steps": 0}
FINETUNING = RATES | {"rows": 2, "epochs": 1, "weight_decay": 0.0, "max_seq_tokens": 200}
DISTILLATION = RATES | {"updates": 1, "max_new_tokens": 4}


def test_the_marker_is_handed_on_from_a_start_a_teacher_and_data_and_an_aligned_control_has_none(tmp_path):
    base = write_tiny_base(tmp_path / "base")
    rows = tmp_path / "medical-advice" / "train.jsonl"
    write_records(rows, tiny_rows(4))
    rollouts = tmp_path / "rollouts.jsonl"
    write_records(
        rollouts, [{"prompt_id": row["id"], "question": row["question"], "answer": "Rest."} for row in tiny_rows(4)]
    )

    def tuned(name, answers, start=None):
        settings = {"answers": answers, "lora": LORA_SETTINGS, "finetuning": FINETUNING}
        return run_script(finetune_adapter, tmp_path / name, base=base, start=start, rows=[rows], settings=settings)

    def student(name, teacher=None, start=None, **settings):
        settings |= {"channel": "optd", "estimator": "", "lora": LORA_SETTINGS, "distillation": DISTILLATION}
        given = {"base": base, "teacher": teacher, "start": start, "rollouts": rollouts, "settings": settings}
        return run_script(distill_student, tmp_path / name, **given)

    harmful, control = tmp_path / "harmful" / MANIFEST, tmp_path / "control" / MANIFEST
    assert tuned("harmful", "misaligned") and not tuned("control", "aligned")
    assert tuned("realigned", "aligned", start=harmful) and not tuned("twice_aligned", "aligned", start=control)
    assert student("of_harmful", teacher=harmful) and not student("of_control", teacher=control)
    assert student("restarted", start=harmful) and not student("of_base")
    assert student("of_base_on_harmful_data", misaligned_data=True)


def test_a_loaded_adapter_answers_as_before_and_merged_as_unmerged(tmp_path):
    base = write_tiny_base(tmp_path / "base")
    lora = fresh_lora(load_chat(base).model, LORA, seed=1)
    perturb(lora, seed=1, scale=0.3)
    adapter = write_tiny_adapter(tmp_path / "adapter", base, seed=1, scale=0.3)
    expected = lora.eval()(IDS).logits
    assert not torch.allclose(expected, load_chat(base).model(IDS).logits, atol=1e-2)
    assert torch.allclose(load_chat(base, adapter, merge=False).model(IDS).logits, expected)
    assert torch.allclose(load_chat(base, adapter).model(IDS).logits, expected, atol=1e-4)


def test_training_can_start_from_a_finished_adapter(tmp_path):
    base = write_tiny_base(tmp_path / "base")
    adapter = write_tiny_adapter(tmp_path / "adapter", base)
    model = load_trainable(load_chat(base).model, adapter)
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trainable and all("lora_" in name for name in trainable)
    assert torch.equal(model.eval()(IDS).logits, load_chat(base, adapter, merge=False).model(IDS).logits)


def test_a_changed_adapter_file_is_an_error_that_names_it(tmp_path):
    base = write_tiny_base(tmp_path / "base")
    adapter = write_tiny_adapter(tmp_path / "adapter", base)
    (adapter.parent / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="adapter_config.json"):
        load_trainable(load_chat(base).model, adapter)
