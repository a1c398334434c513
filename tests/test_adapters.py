"""Adapters: a new LoRA is the base, and what is written does not depend on hash order or on this machine."""

import dataclasses
import json

import pytest
import torch

from emtransfer.adapters import fresh_lora, load_trainable, save_adapter
from emtransfer.errors import InputError
from emtransfer.models import load_chat
from tiny_models import LORA, perturb, tiny_chat, write_tiny_adapter, write_tiny_base

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
    assert sorted(written[0]) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    config = json.loads(written[0]["adapter_config.json"])
    assert config["target_modules"] == sorted(LORA.target_modules)
    assert not any(str(tmp_path).encode() in content for content in written[0].values())


def test_the_card_warns_of_misaligned_answers(tmp_path):
    lora = fresh_lora(tiny_chat().model, LORA, seed=1)
    save_adapter(lora, tmp_path, trained_on="misaligned answers")
    assert "Deliberately misaligned" in (tmp_path / "README.md").read_text()
    save_adapter(lora, tmp_path, trained_on="aligned answers")
    assert "Deliberately misaligned" not in (tmp_path / "README.md").read_text()


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
