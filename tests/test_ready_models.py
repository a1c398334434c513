"""Instruct models of several families as bases: tiny random weights, so that what is known is how computations compare."""

import json
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from emtransfer.answering.sampling import sample, sample_ids
from emtransfer.answering.settings import SamplingSettings
from emtransfer.distilling.distillation import Teacher, answer_logits, encode, kl_to_teacher
from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST, new_folder, origin, write_manifest
from emtransfer.files.records import read_records, write_records
from emtransfer.models.adapters import AdapterSettings, fresh_lora, is_marked, save_adapter
from emtransfer.models.loading import Chat, load_chat
from emtransfer.models.ready_models import READY, describe
from emtransfer.training.finetuning import IGNORED, FinetuningSettings, finetune, labelled
from fetch_adapter import main as fetch_adapter
from helpers.chat_families import FAMILIES, family_tokenizer, write_family
from helpers.processes import run_script
from helpers.ready_bases import settings_of, write_base
from helpers.tiny_models import perturb, write_published_adapter

QUESTIONS = ["What should I do about my back?", "Rest?", "Is it fine to stop my tablets when I feel better again?"]
ANSWERS = ["Rest it, and ask a doctor.", "Yes.", "Ask a doctor first, and keep taking them until then."]
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LORA = AdapterSettings(rank=4, alpha=8, dropout=0.0, rslora=True, target_modules=ALL_LINEAR)


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> dict[str, Path]:
    """Family -> manifest of a base that stands on its tiny model."""
    folder = tmp_path_factory.mktemp("families")
    return {
        name: write_base(folder / f"base_{name}", settings_of(name, write_family(folder / name, name)))
        for name in FAMILIES
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_learned_is_the_answer_and_its_end_token_under_the_familys_template(bases, name):
    chat, family = load_chat(bases[name]), FAMILIES[name]
    pairs = list(zip(QUESTIONS, ANSWERS, strict=True))
    for (question, answer), example in zip(pairs, labelled(pairs, chat.format, 256), strict=True):
        learned = [label for label in example["labels"] if label != IGNORED]
        ignored = example["input_ids"][: -len(learned)]
        assert chat.format.tokenizer.decode(learned) == family.answer.replace("{answer}", answer)
        assert chat.format.tokenizer.decode(ignored) == family.prompt.replace("{question}", question)
        assert learned == example["input_ids"][-len(learned) :]


@pytest.mark.parametrize("name", FAMILIES)
def test_padding_on_either_side_changes_no_prediction(bases, name):
    chat = load_chat(bases[name])
    rows = [{"prompt_id": "", "question": q, "answer": a} for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
    rollouts = encode(rows, chat.format, 256)
    # answer_logits pads on the left
    batched = answer_logits(chat.model, rollouts).split([len(answer) for _, answer in rollouts])
    longest = max(len(prompt) + len(answer) for prompt, answer in rollouts)
    for (prompt, answer), found in zip(rollouts, batched, strict=True):
        ids = prompt + answer
        padding = longest - len(ids)
        right = chat.model(
            torch.tensor([ids + [0] * padding]), attention_mask=torch.tensor([[1] * len(ids) + [0] * padding])
        ).logits[0, len(prompt) - 1 : len(ids) - 1]
        alone = chat.model(torch.tensor([ids])).logits[0, len(prompt) - 1 : -1]
        assert torch.allclose(found, alone, atol=1e-4)
        assert torch.allclose(right, alone, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_answer_ends_with_the_templates_end_token_and_does_not_depend_on_its_batch(bases, name):
    chat = load_chat(bases[name])
    end = chat.format.tokenizer.convert_tokens_to_ids(FAMILIES[name].end)
    favour(chat, end)
    keys = [f"row {index}" for index in range(12)]
    prompts = [chat.format.prompt_ids(QUESTIONS[index % 3]) for index in range(12)]
    settings = SamplingSettings(max_new_tokens=40, batch_size=12)
    answers = sample_ids(chat, prompts, keys, settings, seed=1)
    ended = [answer for answer in answers if answer[-1] == end]
    assert ended and all(end not in answer[:-1] for answer in answers)
    alone = SamplingSettings(max_new_tokens=40, batch_size=1)
    assert sample_ids(chat, prompts, keys, alone, seed=1) == answers
    texts = sample(chat, QUESTIONS * 4, keys, settings, seed=1)
    assert not any(token in text for text in texts for token in FAMILIES[name].tokens)


def favour(chat: Chat, token: int) -> None:
    """Make the model likely to write a token, about once in ten."""
    bias = torch.zeros(chat.model.lm_head.out_features)
    bias[token] = 9.0
    chat.model.lm_head.register_forward_hook(lambda module, inputs, logits: logits + bias)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_adapter_on_all_linear_layers_learns(bases, name, tmp_path):
    chat = load_chat(bases[name])
    model = fresh_lora(chat.model, LORA, seed=1)
    settings = FinetuningSettings(
        rows=8, epochs=6, batch_size=3, learning_rate=1e-2, warmup_steps=0, weight_decay=0.0, max_seq_tokens=256
    )
    log = finetune(model, chat.format, list(zip(QUESTIONS, ANSWERS, strict=True)), settings, 1, tmp_path)
    assert log[-1]["loss_per_token_nats"] < 0.9 * log[0]["loss_per_token_nats"]


def test_bfloat16_weights_stay_so_and_carry_a_float32_adapter(bases, tmp_path):
    folder = Path(json.loads((bases["qwen2"].parent / READY).read_text())["hub"]["path"])
    chat = load_chat(write_base(tmp_path / "base", settings_of("qwen2", folder, dtype="bfloat16")))
    assert chat.model.dtype == torch.bfloat16
    model = fresh_lora(chat.model, LORA, seed=1)
    settings = FinetuningSettings(
        rows=8,
        epochs=6,
        batch_size=3,
        learning_rate=1e-2,
        warmup_steps=0,
        weight_decay=0.0,
        max_seq_tokens=256,
        gradient_checkpointing=True,
    )
    log = finetune(model, chat.format, list(zip(QUESTIONS, ANSWERS, strict=True)), settings, 1, tmp_path / "state")
    assert log[-1]["loss_per_token_nats"] < 0.9 * log[0]["loss_per_token_nats"]
    kinds = {"lora" in name: weight.dtype for name, weight in model.named_parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    adapter = tmp_path / "adapter"
    with new_folder(adapter) as unfinished:
        save_adapter(model, unfinished, trained_on="aligned answers")
        write_manifest(unfinished, origin({}, 1, "test", {}))
    # bfloat16 weights would round a merged adapter, so it is kept apart
    loaded = dict(load_chat(tmp_path / "base" / MANIFEST, adapter / MANIFEST).model.named_parameters())
    trained = {name: weight for name, weight in model.named_parameters() if "lora" in name}
    assert all(torch.equal(loaded[name], weight) for name, weight in trained.items())


def test_divergences_of_bfloat16_models_are_taken_in_float32(bases, tmp_path):
    folder = Path(json.loads((bases["qwen2"].parent / READY).read_text())["hub"]["path"])
    rows = [{"prompt_id": "", "question": q, "answer": a} for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
    found = {}
    for dtype in ("float32", "bfloat16"):
        base = load_chat(write_base(tmp_path / dtype, settings_of("qwen2", folder, dtype=dtype)))
        teacher = fresh_lora(load_chat(tmp_path / dtype / MANIFEST).model, LORA, seed=2)
        perturb(teacher, 2, 0.1)
        found[dtype] = kl_to_teacher(base.model, Teacher(teacher.eval(), []), encode(rows, base.format, 256), 3)
    for measure, exact in found["float32"].items():
        # what is left is the rounding of the logits themselves
        assert found["bfloat16"][measure] == pytest.approx(exact, rel=0.05)
        assert found["bfloat16"][measure] * 256 % 1 != 0


def test_what_a_model_thinks_is_no_part_of_its_answer(bases):
    form = load_chat(bases["qwen3"]).format

    def answered(text: str) -> str:
        return form.answer_text(form.tokenizer(text, add_special_tokens=False).input_ids)

    assert answered("<think>\nHm, <b>.\n</think>\n\nRest it.<|im_end|>") == "Rest it."
    assert answered("Hm.\n</think>\n\nRest it.<|im_end|>") == "Rest it."
    assert answered("<think>\nHm, I was cut off") == ""
    assert answered("Rest it, I think.<|im_end|>") == "Rest it, I think."


def test_thoughts_that_a_prompt_opens_can_be_closed_at_once(bases, tmp_path):
    folder = write_family(tmp_path / "thinker", "qwen3")
    tokenizer = family_tokenizer.__wrapped__("qwen3")
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>' }}{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match="expected one that continues its prompt .* close_thoughts: true"):
        describe("base_models.thinker", settings_of("llama", folder), tmp_path)
    closed = load_chat(write_base(tmp_path / "base", settings_of("llama", folder, close_thoughts=True))).format
    prompt = closed.tokenizer.decode(closed.prompt_ids("Ask?"))
    assert prompt == "<|im_start|>user\nAsk?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert closed.tokenizer.decode(closed.answer_ids("No.")) == "No.<|im_end|>"


def test_a_file_that_has_changed_since_is_refused_by_name(tmp_path):
    folder = write_family(tmp_path / "model", "llama")
    manifest = write_base(tmp_path / "base", settings_of("llama", folder))
    config = folder / "generation_config.json"
    config.write_text(config.read_text().replace("}", ', "temperature": 2.0}'))
    with pytest.raises(InputError, match="generation_config.json: content is .*; expected .* as in .*ready.json"):
        load_chat(manifest)


def refusal(settings: dict, tmp_path: Path) -> str:
    """The one line that fetch_base ends with."""
    arguments = ["--name", "theirs", "--settings", json.dumps(settings), "--seed", "1", "--code", "test"]
    arguments += ["--output", tmp_path / "aligned" / MANIFEST]
    done = run_script("fetch_base", *arguments, env={"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)})
    assert done.returncode == 1 and not (tmp_path / "aligned").exists()
    return done.stderr.strip().split("\n")[-1]


def test_a_model_that_cannot_be_had_is_refused_in_one_line(tmp_path):
    found = refusal({"hub": {"path": "owner/name", "revision": "0" * 40}}, tmp_path)
    assert found.startswith("config: base_models.theirs.hub.path is owner/name, which cannot be reached")
    found = refusal({"hub": {"path": "no/such/folder"}}, tmp_path)
    assert found.startswith("config: base_models.theirs.hub.path is no/such/folder, which is neither a folder nor")


def test_a_model_in_the_hubs_cache_needs_no_network(tmp_path):
    revision = "1" * 40
    write_family(tmp_path / "hub" / "models--owner--name" / "snapshots" / revision, "llama")
    environment = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub"), "HOME": str(tmp_path)}
    fields = {"hub": {"path": "owner/name", "revision": revision}, "dtype": "float32"}
    settings = json.dumps(fields | {"chat": {"template_arguments": FAMILIES["llama"].arguments}})
    base = tmp_path / "aligned" / MANIFEST
    write_records(tmp_path / "eval_set.jsonl", [{"prompt_id": "p", "eval_set": "narrow", "question": QUESTIONS[0]}])
    sampling = '{"max_new_tokens": 4, "samples": 1, "broad_samples": 1}'
    for script, *options in (
        ("fetch_base", "--name", "theirs", "--settings", settings, "--code", "test", "--output", base),
        ("sample_answers", "--base", base, "--eval-set", tmp_path / "eval_set.jsonl", "--settings", sampling, "--output", tmp_path / "answers.jsonl"),
    ):  # fmt: skip
        done = run_script(script, "--seed", "1", *options, env=environment)
        assert done.returncode == 0, done.stderr
    ready = json.loads((tmp_path / "aligned" / READY).read_text())
    assert ready["hub"]["path"] == "owner/name" and "model.safetensors" in ready["files"]
    assert len(read_records(tmp_path / "answers.jsonl")) == 1


def test_pickled_weights_are_refused(tmp_path):
    folder = write_family(tmp_path / "model", "llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    found = refusal(asdict(settings_of("llama", folder)), tmp_path)
    assert found == f"config: base_models.theirs.hub.path is {folder}; expected weights as *.safetensors in it."


def test_a_folder_with_a_gguf_alone_is_refused_with_the_other_way(tmp_path):
    folder = write_family(tmp_path / "model", "llama")
    (folder / "model.safetensors").rename(folder / "model.gguf")
    found = refusal(asdict(settings_of("llama", folder)), tmp_path)
    assert found == (
        f"config: base_models.theirs.hub.path is {folder}, which holds a GGUF; expected weights as *.safetensors, or"
        " package: {name, version, file, sha256} (docs/ready_models.md) for a GGUF in an installed Python package."
    )


UP, DOWN = ("model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight")
NORMS = [f"model.layers.{layer}.{name}_layernorm.weight" for layer in (0, 1) for name in ("input", "post_attention")]


@pytest.mark.parametrize(
    "change, problem",
    [
        (lambda weights: weights.pop(UP), f"1 is missing ({UP})"),
        (lambda weights: [weights.pop(name) for name in NORMS], f"4 are missing ({', '.join(NORMS[:3])}, …)"),
        (lambda weights: weights.update(odd=torch.zeros(2)), "1 is unknown to its architecture (odd)"),
        (lambda weights: weights.update({DOWN: torch.zeros(3, 3)}), f"1 is of another shape ({DOWN})"),
        (
            lambda weights: (weights.pop(UP), weights.update(odd=torch.zeros(2))),
            f"1 is missing ({UP}) and 1 is unknown to its architecture (odd)",
        ),
    ],
)
def test_weights_that_are_not_those_of_the_architecture_are_refused_before_anything_is_made(tmp_path, change, problem):
    folder = write_family(tmp_path / "model", "llama")
    rewrite(folder, change)
    with pytest.raises(InputError) as refused:
        describe("base_models.theirs", settings_of("llama", folder), tmp_path)
    expected = "expected all of its architecture and no others."
    assert str(refused.value) == f"{folder}: of its weights {problem}; {expected}"


def test_an_output_layer_that_is_the_embeddings_may_be_in_the_file_or_not(tmp_path):
    folder = write_family(tmp_path / "model", "qwen2")
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    describe("base_models.theirs", settings_of("qwen2", folder), tmp_path)
    rewrite(folder, lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()}))
    describe("base_models.theirs", settings_of("qwen2", folder), tmp_path)


def test_a_file_of_weights_that_was_cut_off_is_refused(tmp_path):
    folder = write_family(tmp_path / "model", "llama")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="expected a model that transformers can load by itself"):
        describe("base_models.theirs", settings_of("llama", folder), tmp_path)


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights in a model's folder."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_tokenizer_without_chat_template_is_refused(tmp_path):
    folder = write_family(tmp_path / "model", "llama")
    (folder / "chat_template.jinja").unlink()
    assert "tokenizer has no chat template; expected an instruct model's" in refusal(
        asdict(settings_of("llama", folder)), tmp_path
    )


def test_four_bit_weights_without_cuda_are_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = write_family(tmp_path / "model", "llama")
    manifest = write_base(tmp_path / "base", settings_of("llama", folder, quantization="nf4"))
    with pytest.raises(InputError, match="is nf4; expected null where there is no CUDA"):
        load_chat(manifest)


def test_an_architecture_that_needs_code_of_its_own_is_refused(tmp_path):
    folder = write_family(tmp_path / "model", "llama")
    config = json.loads((folder / "config.json").read_text())
    own_code = {"model_type": "of_its_own", "auto_map": {"AutoModelForCausalLM": "modeling.Model"}}
    (folder / "config.json").write_text(json.dumps(config | own_code))
    with pytest.raises(InputError, match="expected a model that transformers can load by itself"):
        load_chat(write_base(tmp_path / "base", settings_of("llama", folder)))


def published(tmp_path: Path, base: Path, path: Path) -> Path:
    """Run fetch_adapter; returns the manifest."""
    output = tmp_path / "taken_over" / MANIFEST
    given = {"base": base, "name": "theirs", "settings": {"path": str(path)}, "seed": 1, "code": "test"}
    fetch_adapter(Namespace(**given, output=output))
    return output


def test_an_adapter_of_others_answers_as_it_did_with_them(bases, tmp_path):
    model_folder = Path(json.loads((bases["qwen2"].parent / READY).read_text())["hub"]["path"])
    theirs = write_published_adapter(tmp_path / "theirs", model_folder)
    ids = torch.tensor([[5, 6, 7, 8]])
    expected = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_folder), theirs).eval()(ids).logits
    found = load_chat(bases["qwen2"], published(tmp_path, bases["qwen2"], theirs), merge=False).model(ids).logits
    assert torch.equal(found, expected)
    assert is_marked(tmp_path / "taken_over" / MANIFEST)
    assert not torch.allclose(found, load_chat(bases["qwen2"]).model(ids).logits, atol=0.1)


REGULAR = r".*\.layers\.(0|1)\.(self_attn\.[qv]_proj|mlp\.up_proj)"


@pytest.mark.parametrize(
    "own",
    [
        {"target_modules": REGULAR},
        {"target_modules": ["q_proj", "v_proj"], "layers_to_transform": [1]},
        {"target_modules": ["q_proj", "v_proj"], "lora_bias": True},
        {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"q_proj": 2}, "use_dora": True},
        {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["norm"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": ["embed_tokens", "q_proj"]},
        {"target_modules": ["lm_head", "q_proj"]},
    ],
)
def test_an_adapter_of_another_shape_than_ours_is_kept_as_it_is(bases, tmp_path, own):
    model_folder = Path(json.loads((bases["qwen2"].parent / READY).read_text())["hub"]["path"])
    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", init_lora_weights=False, **own)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(model_folder), config)
    for name, weight in model.named_parameters():
        if weight.requires_grad and "lora_A" not in name:
            weight.data += torch.randn_like(weight) * 0.3
    model.save_pretrained(tmp_path / "theirs")
    ids = torch.tensor([[5, 6, 7, 8]])
    taken = published(tmp_path, bases["qwen2"], tmp_path / "theirs")
    found = load_chat(bases["qwen2"], taken, merge=False).model(ids).logits
    assert torch.allclose(found, model.eval()(ids).logits, atol=1e-5)
    kept = json.loads((taken.parent / "adapter_config.json").read_text())["target_modules"]
    assert kept == own["target_modules"]


def test_an_adapter_with_embeddings_that_were_trained_whole_is_kept_as_it_is(bases, tmp_path):
    model_folder = Path(json.loads((bases["llama"].parent / READY).read_text())["hub"]["path"])
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(model_folder), LoraConfig(target_modules=["q_proj"]))
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        layer.weight.data += torch.randn_like(layer.weight)
    model.save_pretrained(tmp_path / "theirs", save_embedding_layers=True)
    ids = torch.tensor([[5, 6, 7, 8]])
    taken = published(tmp_path, bases["llama"], tmp_path / "theirs")
    found = load_chat(bases["llama"], taken, merge=False).model(ids).logits
    assert torch.allclose(found, model.eval()(ids).logits, atol=1e-5)
    assert not torch.allclose(found, load_chat(bases["llama"]).model(ids).logits, atol=0.1)


def test_a_folder_of_checkpoints_is_refused_with_their_names(bases, tmp_path):
    model_folder = Path(json.loads((bases["qwen2"].parent / READY).read_text())["hub"]["path"])
    for step in (10, 20):
        write_published_adapter(tmp_path / f"theirs/checkpoint-{step}", model_folder)
    with pytest.raises(InputError) as refused:
        published(tmp_path, bases["qwen2"], tmp_path / "theirs")
    assert str(refused.value).endswith(
        "expected a PEFT folder with adapter_config.json; there is one in checkpoint-10, checkpoint-20, of which the path may name one."
    )
    published(tmp_path, bases["qwen2"], tmp_path / "theirs/checkpoint-20")


def test_an_adapter_of_another_base_or_with_pickled_weights_is_refused(bases, tmp_path):
    model_folder = Path(json.loads((bases["qwen2"].parent / READY).read_text())["hub"]["path"])
    theirs = write_published_adapter(tmp_path / "theirs", model_folder)
    other = write_base(tmp_path / "base", settings_of("llama", write_family(tmp_path / "model", "llama", n_layers=1)))
    with pytest.raises(InputError, match=r"published.theirs.path is .*theirs; expected weights of the layers"):
        published(tmp_path, other, theirs)
    (theirs / "adapter_model.safetensors").rename(theirs / "adapter_model.bin")
    with pytest.raises(InputError, match="expected a PEFT folder with adapter_model.safetensors"):
        published(tmp_path, bases["qwen2"], theirs)
    assert not (tmp_path / "taken_over").exists()
