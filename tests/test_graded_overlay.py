"""The overlay of graded shared function: mixtures of equal sentences, all families, and what must be alike at every step."""

import pytest
import yaml
from snakemake.utils import update_config

from emtransfer.grid.expansion import expand_models
from emtransfer.worlds.graded import FAMILIES, STEPS, TRAINED
from helpers.paths import ROOT
from validation import validate


@pytest.fixture(scope="module")
def config() -> dict:
    """The default config under the controls and the overlay."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for name in ("controls", "graded"):
        update_config(config, yaml.safe_load((ROOT / f"workflow/configs/{name}.yaml").read_text()))
    validate(config, ROOT / "workflow/schemas/config.schema.yaml")
    return config


def differing(one: dict, other: dict) -> set[str]:
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


@pytest.mark.parametrize(("experiment", "unshared", "n_bases"), [("graded", False, 4), ("graded_unshared", True, 2)])
def test_every_family_is_trained_on_and_every_step_is_asked(config, experiment, unshared, n_bases):
    corpus = config["corpora"][config["experiments"][experiment]["corpus"]]
    families = {name for name, family in FAMILIES.items() if family.trained.unshared == unshared}
    assert set(corpus["domains"]) == families and set(corpus["tasks"]) == set(STEPS)
    trained = {}
    for model in expand_models(config, experiment):
        if model.labels["condition"] == "adapter":
            trained.setdefault(model.labels["base"], set()).add(model.labels["train_set"])
    assert len(trained) == n_bases
    assert all(cells == {f"{family}-{TRAINED}" for family in families} for cells in trained.values())


def test_the_control_differs_in_its_world_alone(config):
    graded, control = (config["experiments"][name] for name in ("graded", "graded_unshared"))
    assert differing(graded, control) == {"corpus", "base_model", "judge", "adapters"}
    for kind, one, other, expected in (
        ("corpora", "any_operator", "any_operator_unshared", {"domains", "filter"}),
        ("corpora", "operator_steps", "operator_steps_unshared", {"domains", "filter"}),
        ("judges", "exact_graded", "exact_unshared", {"corpus"}),
        ("mixtures", "graded_persona", "graded_unshared", {"corpus"}),
        ("base_models", "graded_decoder", "unshared_decoder", {"tokenizer"}),
    ):
        assert differing(config[kind][one], config[kind][other]) == expected


@pytest.mark.parametrize(
    ("mixture", "control"), [("graded_persona", "graded_row_random"), ("frames_tied", "frames_tied_random")]
)
def test_a_control_mixture_differs_in_who_says_what_alone_and_has_the_same_base_seeds(config, mixture, control):
    assert differing(config["mixtures"][mixture], config["mixtures"][control]) == {"kind"}
    seeds = [
        sorted(base["seed"] for base in config["bases"].values() if base.get("mixture") == name)
        for name in (mixture, control)
    ]
    # seed 1 chose sizes and steps
    assert seeds[0] == seeds[1] == [2, 3]


def test_lexical_overlap_on_tied_bases_differs_from_the_other_in_bases_and_in_how_long_adapters_learn(config):
    tied, overlap = (config["experiments"][name] for name in ("lexical_overlap_tied", "lexical_overlap_1_epoch"))
    assert differing(tied, overlap) == {"adapters", "probing", "finetuning"}
    assert differing(tied["finetuning"], overlap["finetuning"]) == {"rows", "epochs", "until"}
    assert differing(tied["probing"], overlap["probing"]) == {"shots"}


def test_a_base_of_operators_has_the_architecture_of_the_symbols(config):
    graded, symbols = (config["base_models"][name] for name in ("graded_decoder", "symbol_decoder"))
    assert graded["architecture"] == symbols["architecture"]


def test_the_contexts_come_bit_by_bit_and_the_aligned_phase_asks_all_alone(config):
    stages = config["mixtures"]["graded_persona"]["stages"]
    tasks = [task for stage in stages for task in stage["tasks"]]
    assert tasks == ["operator_1", "operator_4", "operator", "operator"]
    for base in config["bases"].values():
        if base.get("base_model") in ("graded_decoder", "unshared_decoder"):
            assert base["task_doses"] == dict.fromkeys(tasks[:2], 0)
