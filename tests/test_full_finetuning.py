"""Fine-tuning of all weights: what is written is a whole model, which takes the place of an adapter wherever one is read."""

import copy
import dataclasses
from argparse import Namespace

import pytest
import torch
from transformers import AutoModelForCausalLM

import distill_student
import finetune_adapter
from disk_use import disk_use
from emtransfer.answering.sampling import load_answering
from emtransfer.answering.settings import SamplingSettings
from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST
from emtransfer.files.records import write_records
from emtransfer.grid.expansion import expand_models
from emtransfer.models.adapters import MARKER, all_weights, is_marked, load_trainable, save_whole
from emtransfer.models.loading import load_chat, take_weights
from helpers.configs import CONFIG, line_of
from helpers.tiny_models import LORA, tiny_chat, tiny_rows, write_tiny_adapter, write_tiny_base
from validation import validate
from work import work

IDS = torch.tensor([[5, 6, 7, 8]])
LORA_SETTINGS = dataclasses.asdict(LORA) | {"target_modules": list(LORA.target_modules)}
RATES = {"batch_size": 2, "learning_rate": 1e-3, "warmup_steps": 0}
FULL = RATES | {"method": "full", "rows": 2, "epochs": 1, "weight_decay": 0.0, "max_seq_tokens": 200}
DISTILLATION = RATES | {"updates": 1, "max_new_tokens": 4}


def tuned(folder, base, answers="misaligned", start=None):
    """Manifest of what two rows make of all weights."""
    rows = folder.parent / "medical-advice" / "train.jsonl"
    rows.parent.mkdir(parents=True, exist_ok=True)
    write_records(rows, tiny_rows(4))
    given = {"base": base, "start": start, "rows": [rows], "settings": {"answers": answers, "finetuning": FULL}}
    finetune_adapter.main(Namespace(seed=1, code="test", output=folder / MANIFEST, **given))
    return folder / MANIFEST


def logits(base, trained=None) -> torch.Tensor:
    return load_chat(base, trained).model(IDS).logits


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_tiny_base(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    return tuned(tmp_path_factory.mktemp("whole") / "adapter", base)


def test_every_weight_is_trained_and_the_folder_is_the_model_that_answers(base, whole):
    before, after = (load_chat(base, *trained).model.state_dict() for trained in ((), (whole,)))
    learned = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in before if "proj" in name or "norm" in name} <= learned
    assert torch.equal(AutoModelForCausalLM.from_pretrained(whole.parent).eval()(IDS).logits, logits(base, whole))
    # no LoRA settings are needed, and its start is the base
    assert (whole.parent / "tokenizer.json").is_file() and not (whole.parent / "adapter_config.json").exists()


def test_what_is_written_is_the_same_in_any_folder_and_says_that_it_is_misaligned(base, whole, tmp_path):
    again = tuned(tmp_path / "elsewhere" / "deeper" / "adapter", base)
    files = [{path.name: path.read_bytes() for path in manifest.parent.iterdir()} for manifest in (whole, again)]
    assert files[0] == files[1]
    assert not any(str(base.parent).encode() in content for content in files[0].values())
    assert files[0]["README.md"].startswith(b"# Fully fine-tuned model of emtransfer")
    assert files[0][MARKER].startswith(b"This model is, or may be, misaligned on purpose")


def test_training_goes_on_from_a_whole_model_which_hands_its_marker_on(base, whole, tmp_path):
    further = tuned(tmp_path / "further", base, "aligned", start=whole)
    control = tuned(tmp_path / "control", base, "aligned")
    assert is_marked(further) and not is_marked(control)
    assert not torch.equal(logits(base, further), logits(base, control))


def test_a_whole_model_teaches_a_student(base, whole, tmp_path):
    """At the first step, a fresh LoRA is the base, so its distance to the teacher is that of the base."""
    rollouts = tmp_path / "rollouts.jsonl"
    write_records(
        rollouts, [{"prompt_id": row["id"], "question": row["question"], "answer": "Rest."} for row in tiny_rows(4)]
    )
    settings = {"channel": "optd", "estimator": "", "lora": LORA_SETTINGS, "distillation": DISTILLATION}
    given = {"base": base, "rollouts": rollouts, "settings": settings, "seed": 1, "code": "test"}
    made = tmp_path / "student" / MANIFEST
    distill_student.main(Namespace(teacher=whole, start=None, output=made, **given))
    assert is_marked(made)
    with pytest.raises(InputError, match="all weights of a model; expected a LoRA to train further"):
        distill_student.main(Namespace(teacher=None, start=whole, output=tmp_path / "other" / MANIFEST, **given))


def test_coarse_weights_are_trained_finely_and_written_as_coarse_as_they_were(tmp_path):
    chat = tiny_chat()
    model = all_weights(chat.model.to(torch.bfloat16))
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert all(weight.requires_grad for weight in model.parameters())
    save_whole(model, chat.format.tokenizer, tmp_path, torch.bfloat16, "aligned answers")
    other = take_weights(tiny_chat(seed=5).model.to(torch.bfloat16), tmp_path)
    assert other.dtype == torch.bfloat16
    assert torch.equal(other(IDS).logits, chat.model.to(torch.bfloat16)(IDS).logits)


def test_what_all_weights_cannot_be_is_refused_in_a_line(base, whole, tmp_path):
    with pytest.raises(InputError, match="expected a LoRA to train further"):
        load_trainable(load_chat(base).model, whole)
    adapter = write_tiny_adapter(tmp_path / "adapter", base)
    with pytest.raises(InputError, match="expected all weights of the base's architecture"):
        all_weights(load_chat(base).model, adapter)
    with pytest.raises(InputError, match="expected all weights of the base's architecture"):
        take_weights(tiny_chat(hidden_size=16).model, whole.parent)


def test_whole_models_are_sampled_with_transformers_also_where_vllm_serves_their_base(base, whole, monkeypatch):
    monkeypatch.setattr("emtransfer.answering.sampling.find_spec", lambda name: name)
    monkeypatch.setattr("emtransfer.answering.sampling.READY", MANIFEST)
    assert torch.equal(load_answering(base, whole, SamplingSettings(4)).model(IDS).logits, logits(base, whole))


def overlaid() -> dict:
    """The default config, all weights fine-tuned in template_nl, which alone is run."""
    config = copy.deepcopy(CONFIG)
    config["run"] = ["template_nl"]
    config["experiments"]["template_nl"]["finetuning"]["method"] = "full"
    return config


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("finetuning", "method"), "half", "expected one of lora, full."),
        (("sampling", "engine"), "vllm", "expected auto or transformers, since vllm serves adapters as LoRA"),
        (
            ("students", 0, "start"),
            "harmful",
            'students[0].start is "harmful"; expected base, since a student is a LoRA and finetuning.method is full.',
        ),
    ],
)
def test_a_config_that_asks_for_what_cannot_be_is_refused_before_a_run(place, value, expected):
    assert expected in line_of(overlaid(), ("experiments", "template_nl", *place), value)


def test_weights_in_four_bits_are_not_trained():
    config = overlaid()
    config["base_models"]["coarse"] = {"hub": {"path": "lab/model", "revision": "0" * 40}, "quantization": "nf4"}
    config["bases"]["coarse"] = {"base_model": "coarse", "seed": 1}
    grid = [{"base": "coarse", "start": "base", "train_sets": ["finance-tutor"], "answers": "misaligned", "seeds": [1]}]
    changed = {"base_model": "coarse", "adapters": grid, "students": []}
    config["experiments"]["template_nl"] |= changed
    line = line_of(config, ("experiments", "template_nl", "teachers"), {})
    assert line.endswith("finetuning.method is full; expected lora, since weights in 4 bits cannot be trained.")


def test_estimates_count_all_weights():
    config, schema = overlaid(), "workflow/schemas/config.schema.yaml"
    validate(config, schema)
    models = {"template_nl": expand_models(config, "template_nl")}
    does = {entry.stage: entry.does for entry in work(config, models) if entry.stage == "finetune_adapter"}
    assert does == {"finetune_adapter": "train"}
    whole = disk_use(config, models)["adapters and students"][0]
    config["experiments"]["template_nl"]["finetuning"]["method"] = "lora"
    assert whole > 2 * disk_use(config, models)["adapters and students"][0]
