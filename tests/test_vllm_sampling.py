"""What is asked of vLLM, which needs a GPU: a module that records it stands in its place, so no draw of vLLM's is tested."""

import sys
from dataclasses import fields, replace
from types import ModuleType, SimpleNamespace

import pytest
from peft import IA3Config, LoHaConfig, LoraConfig, PeftConfig

from emtransfer.answering.sampling import load_answering, sample, sample_with_ends
from emtransfer.answering.settings import SamplingSettings
from emtransfer.answering.vllm import UNSERVED, VllmChat, served_rank
from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST, new_folder, origin, write_manifest
from emtransfer.models.adapters import fresh_lora, save_adapter, save_whole
from emtransfer.models.loading import Chat, load_chat
from emtransfer.models.ready_models import ReadySettings
from emtransfer.settings import Repository
from helpers.chat_families import FAMILIES, write_family
from helpers.ready_bases import write_base
from helpers.tiny_models import LORA, write_tiny_base

SETTINGS = SamplingSettings(max_new_tokens=7, temperature=0.5, engine="vllm")
QUESTIONS, KEYS = ["Rest?", "What of my back?"], ["a", "b"]


@pytest.fixture
def vllm(monkeypatch):
    """The stand-in: every prompt is answered with the tokens that `answers` holds."""
    asked = SimpleNamespace(engine={}, requests=[], answers=[], finish_reason="stop")

    class LLM:
        def __init__(self, **options):
            asked.engine = options

        def generate(self, prompts, parameters, lora_request, use_tqdm):
            asked.requests = list(zip(prompts, parameters, strict=True))
            asked.lora = lora_request
            outputs = [SimpleNamespace(token_ids=ids, finish_reason=asked.finish_reason) for ids in asked.answers]
            return [SimpleNamespace(outputs=[output]) for output in outputs]

    modules = {"vllm": ModuleType("vllm"), "vllm.inputs": ModuleType("vllm.inputs")}
    modules |= {"vllm.lora": ModuleType("vllm.lora"), "vllm.lora.request": ModuleType("vllm.lora.request")}
    modules["vllm"].LLM, modules["vllm"].SamplingParams = LLM, SimpleNamespace
    modules["vllm.inputs"].TokensPrompt = dict
    modules["vllm.lora.request"].LoRARequest = lambda name, number, path: (name, number, path)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return asked


@pytest.fixture
def base(tmp_path):
    """Manifest of a base that stands on a tiny model."""
    return write_base(tmp_path / "base", ReadySettings(Repository(str(write_family(tmp_path / "model", "olmo3")))))


def test_every_row_has_a_seed_of_its_own_and_ends_where_the_template_does(vllm, base, tmp_path):
    chat = load_answering(base, None, SETTINGS)
    assert vllm.engine["model"] == str(tmp_path / "model") and vllm.engine["dtype"] == "bfloat16"
    form, end = chat.format, chat.format.end_id
    vllm.answers = [form.answer_ids("Yes, rest."), form.answer_ids("It is bad.")]
    assert sample(chat, QUESTIONS, KEYS, SETTINGS, seed=1) == ["Yes, rest.", "It is bad."]
    assert [prompt["prompt_token_ids"] for prompt, _ in vllm.requests] == [form.prompt_ids(q) for q in QUESTIONS]
    first, second = (parameters for _, parameters in vllm.requests)
    assert end in first.stop_token_ids and form.tokenizer.convert_tokens_to_ids(FAMILIES["olmo3"].end) == end
    assert (first.temperature, first.top_p, first.max_tokens, vllm.lora) == (0.5, 1.0, 7, None)
    assert first.seed != second.seed
    # a row keeps its seed, whatever is asked beside it
    vllm.answers = [[end]]
    sample(chat, QUESTIONS[1:], KEYS[1:], SETTINGS, seed=1)
    assert vllm.requests[0][1].seed == second.seed
    sample(chat, QUESTIONS[1:], KEYS[1:], SETTINGS, seed=2)
    assert vllm.requests[0][1].seed != second.seed


@pytest.mark.parametrize("finish_reason, finished", [("stop", True), ("length", False)])
def test_an_answer_that_vllm_cut_at_the_limit_is_known_as_cut(vllm, base, finish_reason, finished):
    chat = load_answering(base, None, SETTINGS)
    vllm.answers, vllm.finish_reason = [chat.format.answer_ids("Rest", finished=finished)], finish_reason
    assert sample_with_ends(chat, QUESTIONS[:1], KEYS[:1], SETTINGS, seed=1) == [("Rest", finished)]


@pytest.mark.parametrize("installed, engine", [(True, "vllm"), (False, "transformers")])
def test_the_job_looks_for_vllm_where_the_config_leaves_it_open(vllm, base, monkeypatch, capsys, installed, engine):
    """On the machine that draws; the one that submits the job may have other packages."""
    monkeypatch.setattr("emtransfer.answering.sampling.find_spec", lambda name: object() if installed else None)
    chat = load_answering(base, None, replace(SETTINGS, engine="auto"))
    assert isinstance(chat, VllmChat) is installed
    assert capsys.readouterr().out == f"sampling with {engine}.\n"


def test_a_model_of_the_run_never_answers_through_vllm_by_itself(vllm, tmp_path, monkeypatch):
    monkeypatch.setattr("emtransfer.answering.sampling.find_spec", lambda name: object())
    chat = load_answering(write_tiny_base(tmp_path / "tiny"), None, replace(SETTINGS, engine="auto"))
    assert isinstance(chat, Chat) and not vllm.engine


def test_an_adapter_comes_with_every_request(vllm, base, tmp_path):
    model = fresh_lora(load_chat(base).model, LORA, seed=1)
    with new_folder(tmp_path / "adapter") as unfinished:
        save_adapter(model, unfinished, trained_on="aligned answers")
        write_manifest(unfinished, origin({}, 1, "test", {}))
    chat = load_answering(base, tmp_path / "adapter" / MANIFEST, SETTINGS)
    assert vllm.engine["enable_lora"] and vllm.engine["max_lora_rank"] == 8
    vllm.answers = [[chat.format.end_id]] * 2
    sample(chat, QUESTIONS, KEYS, SETTINGS, seed=1)
    assert vllm.lora == ("adapter", 1, str(tmp_path / "adapter"))


def write_config(folder, config: PeftConfig):
    """Write what PEFT says of an adapter, and return the folder."""
    config.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("rank", "served"), [(4, 8), (8, 8), (32, 32), (33, 64), (256, 256), (257, 320), (400, 512), (512, 512)]
)
def test_an_adapter_is_served_at_the_smallest_rank_it_fits_in(rank, served, tmp_path):
    assert served_rank(write_config(tmp_path, LoraConfig(r=rank))) == served


@pytest.mark.parametrize(
    "patterns",
    [
        # alpha / r is 2 in every module, or alpha / sqrt(r) is
        {"rank_pattern": {"q_proj": 40, "v_proj": 2}, "alpha_pattern": {"q_proj": 80, "v_proj": 4}, "lora_alpha": 8},
        {"rank_pattern": {"q_proj": 64}, "alpha_pattern": {"q_proj": 16}, "lora_alpha": 4, "use_rslora": True},
    ],
)
def test_an_adapter_with_ranks_by_module_is_served_at_the_highest_where_all_have_one_scale(patterns, tmp_path):
    assert served_rank(write_config(tmp_path, LoraConfig(r=4, **patterns))) == 64


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (LoraConfig(r=513), "rank is 513; expected at most 512"),
        (LoraConfig(r=8, rank_pattern={"q_proj": 600}), "rank is 600; expected at most 512"),
        (
            LoraConfig(r=8, lora_alpha=8, rank_pattern={"q_proj": 2}),
            "rank_pattern and alpha_pattern scale modules by 1 to 4; expected one scale",
        ),
        (LoraConfig(use_dora=True), "adapter has use_dora; expected none"),
        (LoraConfig(modules_to_save=["lm_head"]), "adapter has modules_to_save; expected none"),
        (LoraConfig(bias="lora_only"), "bias is lora_only; expected none"),
        (LoHaConfig(r=8), "peft_type is LOHA; expected LORA"),
        (IA3Config(), "peft_type is IA3; expected LORA"),
    ],
)
def test_an_adapter_that_vllm_cannot_serve_is_refused_in_one_line(config, problem, tmp_path):
    with pytest.raises(InputError) as refused:
        served_rank(write_config(tmp_path, config))
    line = f"{tmp_path}: {problem} for engine vllm; sampling.engine transformers supports every kind of adapter."
    assert str(refused.value) == line


def test_a_model_of_which_all_weights_were_trained_is_not_served_as_an_adapter(vllm, base, tmp_path):
    chat = load_chat(base)
    with new_folder(tmp_path / "whole") as folder:
        save_whole(chat.model, chat.format.tokenizer, folder, chat.model.dtype, "aligned answers")
        write_manifest(folder, origin({}, 1, "test", {}))
    manifest = tmp_path / "whole" / MANIFEST
    with pytest.raises(InputError, match="all weights of a model; expected a LoRA for engine vllm"):
        load_answering(base, manifest, SETTINGS)
    assert load_chat(base, manifest).model.dtype == chat.model.dtype
    assert not vllm.engine


def test_every_setting_that_is_refused_is_one_of_pefts():
    assert set(UNSERVED) <= {field.name for field in fields(LoraConfig)}


def test_a_base_that_vllm_cannot_serve_is_refused_in_one_line(vllm, tmp_path):
    with pytest.raises(
        InputError, match="base was trained in the run; expected a ready model, or sampling.engine: transformers"
    ):
        load_answering(write_tiny_base(tmp_path / "own"), None, SETTINGS)
