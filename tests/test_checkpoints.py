"""Checkpoints of a pretraining as bases: which weights they have, what the config may say of them, and what they make run."""

import copy
from argparse import Namespace
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch
from snakemake.utils import update_config

from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST, read_manifest
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.sections import checkpoints_of
from emtransfer.models.loading import load_chat
from emtransfer.training.mixtures import render_chat
from emtransfer.training.pretraining import STATES, ArchitectureSettings, PretrainingSettings, new_decoder, pretrain
from helpers.configs import CONFIG, SCHEMA, line_for, overlaid
from helpers.cut_trainings import Cut, cut_after
from helpers.row_files import write_jsonl
from helpers.tiny_models import ARCHITECTURE, tiny_chat, tiny_rows, write_tiny_base
from helpers.workflow_tree import copy_tree, planned_jobs
from pretrain_base import main as pretrain_base
from take_checkpoint import main as take_checkpoint
from validation import validate
from work import work

SEED = 7
# 10 steps of 4 documents
DOCUMENTS = [render_chat([(row, "aligned")]) | {"stances": ["aligned"]} for row in tiny_rows()]
SETTINGS = {"batch_rows": 4, "max_seq_tokens": 256, "learning_rate": 1e-2, "warmup_steps": 2, "weight_decay": 0.0}


def pretrained(folder: Path, states: int = 0, cut: int | None = None, seconds: float = 1e9):
    """A small decoder and its training log; with `cut`, as it is after so many steps of the same training."""
    tokenizer = tiny_chat().format.tokenizer
    model = new_decoder(ArchitectureSettings(**ARCHITECTURE), tokenizer, SEED)
    hook = cut_after(model, cut or 1000)
    settings, log = PretrainingSettings(**SETTINGS, states=states), []
    try:
        log = pretrain(model, tokenizer, DOCUMENTS, settings, SEED, folder, seconds)
    except Cut:
        assert cut
    hook.remove()
    return model, log


def states_of(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Name -> step and weights of every state that a training has kept."""
    return {
        path.name: ((path / "step.txt").read_text().strip(), (path / "model.safetensors").read_bytes())
        for path in (folder / STATES).iterdir()
    }


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two models have the same weights, to the last bit."""
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == named and torch.equal(weight, value) for (name, weight), (named, value) in pairs)


def test_a_state_is_the_training_itself_at_the_first_step_by_which_its_share_is_done(tmp_path):
    kept, log = pretrained(tmp_path / "kept", states=4)
    plain, plain_log = pretrained(tmp_path / "plain")
    # keeping them changes nothing, and the end is the model itself
    assert same(kept, plain) and log == plain_log
    found = states_of(tmp_path / "kept")
    assert {name: step for name, (step, _) in found.items()} == {"1": "3", "2": "5", "3": "8"}
    for name, (step, weights) in found.items():
        stopped, _ = pretrained(tmp_path / f"cut{name}", cut=int(step))
        stopped.save_pretrained(tmp_path / f"stopped{name}")
        assert (tmp_path / f"stopped{name}" / "model.safetensors").read_bytes() == weights
    assert not (tmp_path / "plain" / STATES).exists()


def test_a_training_that_was_cut_off_keeps_the_same_states(tmp_path):
    pretrained(tmp_path / "undisturbed", states=4)
    pretrained(tmp_path / "cut", states=4, cut=6, seconds=0)
    assert states_of(tmp_path / "cut").keys() == {"1", "2"}
    pretrained(tmp_path / "cut", states=4, seconds=0)
    assert states_of(tmp_path / "cut") == states_of(tmp_path / "undisturbed")


def test_more_states_than_steps_share_a_step(tmp_path):
    pretrained(tmp_path, states=20)
    found = states_of(tmp_path)
    assert len(found) == 19 and found["1"][0] == found["2"][0] == "1" and found["19"][0] == "10"


@pytest.fixture
def whole(tmp_path) -> Path:
    """The manifest of a pretraining with four states, as the script leaves it."""
    output = tmp_path / "whole" / MANIFEST
    settings = {"architecture": ARCHITECTURE, "pretraining": SETTINGS | {"states": 4}}
    files = {
        "tokenizer": write_tiny_base(tmp_path / "tokenizer"),
        "mixture": write_jsonl(tmp_path / "mixture.jsonl", DOCUMENTS),
    }
    pretrain_base(Namespace(**files, settings=settings, seed=SEED, code="test", output=output))
    return output


def taken(whole: Path, share: float) -> Path:
    """The manifest of a checkpoint of it."""
    output = whole.parents[1] / f"checkpoint{share}" / MANIFEST
    take_checkpoint(Namespace(pretrained=whole, share=share, code="test", output=output))
    return output


def test_a_checkpoint_is_a_pretrained_model_of_its_own(whole, tmp_path, capsys):
    checkpoint = taken(whole, 0.5)
    assert capsys.readouterr().out.splitlines()[-1] == "The weights after step 5 of 10, one of the kept states."
    stopped, _ = pretrained(tmp_path / "cut", cut=5)
    loaded = load_chat(checkpoint)
    assert same(loaded.model, stopped) and not same(loaded.model, load_chat(whole).model)
    assert loaded.format.tokenizer.get_vocab() == tiny_chat().format.tokenizer.get_vocab()
    log, of_whole = (pd.read_csv(path.parent / "training_log.csv") for path in (checkpoint, whole))
    pd.testing.assert_frame_equal(log, of_whole[of_whole.step <= 5])
    manifest = read_manifest(checkpoint)
    assert (
        manifest["seed"] == SEED and manifest["settings"] == {"share": 0.5} and [*manifest["inputs"]] == ["pretrained"]
    )
    assert not (checkpoint.parent / STATES).exists() and not (whole.parent.parent / "whole.state").exists()


def test_a_checkpoint_of_a_damaged_pretraining_is_an_error(whole):
    (whole.parent / STATES / "2" / "step.txt").write_text("6\n")
    with pytest.raises(InputError, match=r"states/2/step.txt: content is"):
        taken(whole, 0.5)


def checked(bases: dict) -> dict:
    """The default config with these bases, as validation leaves it."""
    config = copy.deepcopy(CONFIG)
    update_config(config, {"bases": bases})
    validate(config, SCHEMA)
    return config


def test_a_checkpoint_has_the_base_model_mixture_and_seed_of_its_pretraining():
    config = checked({"early": {"checkpoint_of": "persona_3", "share": 0.45}})
    own = {"base_model": "decoder", "mixture": "persona", "seed": 3}
    assert config["bases"]["early"] == own | {"checkpoint_of": "persona_3", "share": 0.45}
    assert checkpoints_of(config) == {"early"}
    again = copy.deepcopy(config)
    validate(again, SCHEMA)
    assert again == config


@pytest.mark.parametrize(
    ("base", "line"),
    [
        ({"checkpoint_of": "persona", "share": 0.47}, "share is 0.47; expected a whole number of 20 parts, since base_models.decoder.pretraining.states is 20."),
        ({"checkpoint_of": "symbols_persona", "share": 0.5}, "share is 0.5; expected none, since base_models.symbol_decoder.pretraining.states is 0, so that no state of its pretraining is kept."),
        ({"checkpoint_of": "persona_9", "share": 0.5}, 'checkpoint_of is "persona_9"; expected persona_4.'),
        ({"checkpoint_of": "early", "share": 0.5}, 'checkpoint_of is "early"; expected one of '),
        ({"checkpoint_of": "persona", "share": 0.5, "seed": 3}, "seed is 3; expected 2 or nothing, since it is a checkpoint of persona."),
        ({"checkpoint_of": "persona", "share": 1}, "share is 1; expected a number above 0 and below 1."),
        ({"checkpoint_of": "persona"}, "share is missing"),
        ({"base_model": "decoder", "mixture": "persona", "seed": 3, "share": 0.5}, "checkpoint_of is missing"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_cannot_be_is_told_in_a_line(base, line):
    assert line_for(("bases", "early"), base).startswith(f"config.yaml: bases.early.{line}")


def test_the_overlay_stops_five_pretrainings_before_and_during_the_jump_and_shares_them_with_the_default_run():
    config = overlaid("inference")
    validate(config, SCHEMA)
    models = expand_models(config, "inference")
    assert config["run"] == ["inference"] and "inference" not in CONFIG["experiments"]
    n_jobs = Counter()
    for entry in work(config, {"inference": models}):
        n_jobs[entry.stage] += entry.n_jobs
    expected = {
        "pretrain_base": 6,
        "take_checkpoint": 25,
        "align_base": 31,
        "finetune_adapter": 93,
        "sample_answers": 124,
    }
    assert expected.items() <= n_jobs.items()
    lengths = {}
    for base in {model.labels["base"] for model in models}:
        settings = config["bases"][base]
        lengths.setdefault((settings["mixture"], settings["seed"]), set()).add(settings.get("share", 1))
    assert lengths == {("persona", seed): {0.4, 0.45, 0.5, 0.6, 0.7, 1} for seed in range(2, 7)} | {
        ("row_random", 2): {1}
    }
    same = [config["bases"][name] == base for name, base in CONFIG["bases"].items()]
    assert all(same) and config["base_models"] == CONFIG["base_models"]


def test_a_checkpoint_is_taken_from_the_pretraining_of_its_base_and_aligned_by_itself(tmp_path):
    tree = copy_tree(tmp_path / "tree")
    (tree / "more.yaml").write_text(
        "base_models: {smoke: {pretraining: {states: 4}}}\n"
        "bases: {early: {checkpoint_of: smoke, share: 0.25}, late: {checkpoint_of: smoke, share: 0.75}}\n"
        "experiments: {smoke: {bases: [early, late]}}\n"
    )
    before, after = planned_jobs(tree), planned_jobs(tree, "more.yaml")
    more = {rule: after[rule] - before.get(rule, 0) for rule in after if after[rule] != before.get(rule, 0)}
    each = ("take_checkpoint", "align_base", "probe_base", "profile_prompts", "probe_inference", "sample_answers")
    assert more == dict.fromkeys((*each, "judge_answers", "label_answers", "measure_preferences"), 2)
