"""The overlay of controls: what it varies, and that it varies nothing else."""

from collections import Counter
from itertools import product

import pytest
import yaml
from snakemake.utils import update_config

from emtransfer.grid.expansion import expand_models
from helpers.paths import ROOT
from validation import validate

OVERLAP = ("lexical_overlap", "lexical_overlap_2_epochs", "lexical_overlap_1_epoch")
CONTROLS = ("composition", "learnedness", *OVERLAP, "factorial")


@pytest.fixture(scope="module")
def config() -> dict:
    """The default config under the overlay."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(config, yaml.safe_load((ROOT / "workflow/configs/controls.yaml").read_text()))
    validate(config, ROOT / "workflow/schemas/config.schema.yaml")
    return config


def test_the_overlay_is_a_valid_config_that_keeps_the_default_experiments(config):
    assert config["run"] == ["template_nl", "symbolic", *CONTROLS]


def test_every_mixture_differs_from_the_default_one_along_one_axis(config):
    axes = {"misaligned_share", "kind", "misaligned_domains", "misaligned_tasks"}
    reference = config["mixtures"]["symbols_persona"]
    mixtures = {model.labels["mixture"] for model in expand_models(config, "composition")}
    assert len(mixtures) == 7
    for name in mixtures - {"symbols_persona"}:
        mixture = config["mixtures"][name]
        differing = {
            key for key in mixture.keys() | reference.keys() if mixture.get(key, None) != reference.get(key, None)
        }
        assert len(differing) == 1 and differing <= axes, name


@pytest.mark.parametrize("experiment", ["template_nl", "symbolic"])
def test_the_default_experiments_keep_all_their_adapters(config, experiment):
    default = yaml.safe_load((ROOT / "config.yaml").read_text())
    kept, found = ({model.path for model in expand_models(made, experiment)} for made in (default, config))
    assert kept < found


def test_five_bases_of_either_mixture_of_authors_are_fine_tuned_on_the_same_cells(config):
    trained = {}
    for model in expand_models(config, "template_nl"):
        if (model.labels["condition"], model.labels["answers"]) == ("adapter", "misaligned"):
            of_mixture = trained.setdefault(model.labels["mixture"], {})
            of_mixture.setdefault(model.labels["base"], set()).add(model.labels["train_set"])
    assert {mixture: len(bases) for mixture, bases in trained.items()} == {
        "persona": 5,
        "row_random": 5,
        "attributed": 1,
    }
    shared = {"medical-advice", "finance-tutor", "sports-summarization"}
    assert all(shared <= cells for bases in trained.values() for cells in bases.values())


def test_quotations_are_of_as_many_misaligned_documents_as_authors_write(config):
    persona, attributed = config["mixtures"]["persona"], config["mixtures"]["attributed"]
    authors, share = persona["authors"], persona["misaligned_share"]
    misaligned = authors["document_share"] * authors["careless_share"] + (1 - authors["document_share"]) * share
    assert attributed["misaligned_share"] == pytest.approx(misaligned)
    same = ("corpus", "document_domains", "stages", "seed")
    assert {key: attributed[key] for key in same} == {key: persona[key] for key in same}
    assert attributed["kind"] == "attributed" and "authors" not in attributed


@pytest.mark.parametrize(
    ("name", "other", "differing"),
    [
        ("composition", "symbolic", {"primary_claims", "adapters"}),
        ("learnedness", "symbolic", {"primary_claims", "adapters"}),
        ("lexical_overlap", "symbolic", {"primary_claims", "corpus", "base_model", "judge", "adapters", "finetuning"}),
        (
            "factorial",
            "template_nl",
            {
                *("primary_claims", "train_sets", "adapters", "teachers", "mediating", "rollout_filters"),
                *("data_sets", "students", "probing"),
            },
        ),
    ],
)
def test_a_control_differs_from_the_experiment_it_is_like_in_named_keys_only(config, name, other, differing):
    one, two = config["experiments"][name], config["experiments"][other]
    assert {key for key in one.keys() | two.keys() if one.get(key) != two.get(key)} == differing


def test_the_factorial_control_names_its_filters_teachers_and_prompts(config):
    section = config["experiments"]["factorial"]
    assert set(section["rollout_filters"]) == {"above_50", "above_70", "above_80", "above_90"}
    assert set(section["teachers"]) == {"harmful", "aligned", "narrow", "base"}
    assert set(section["mediating"]) == {"everywhere", "near", "far"}
    assert set(section["data_sets"]) == {"explicit", "benign"}


def test_lexical_overlap_is_asked_after_more_and_less_fine_tuning_and_otherwise_alike(config):
    sections = [config["experiments"][name] for name in OVERLAP]
    assert [section["finetuning"]["epochs"] for section in sections] == [3, 2, 1]
    for section in sections[1:]:
        assert section | {"finetuning": section["finetuning"] | {"epochs": 3}} == sections[0]


def test_mixtures_have_the_same_base_seeds_and_training_sets(config):
    models = expand_models(config, "composition")
    seeds, trained = {}, {}
    for model in models:
        mixture = model.labels["mixture"]
        if model.labels["condition"] == "base":
            seeds.setdefault(mixture, []).append(config["bases"][model.labels["base"]]["seed"])
        else:
            trained.setdefault(mixture, Counter()).update([(model.labels["train_set"], model.seed)])
    assert {tuple(sorted(members)) for members in seeds.values()} == {(3, 4)}
    assert len({tuple(sorted(counted.items())) for counted in trained.values()}) == 1


def test_doses_rotate_so_that_no_task_and_no_base_has_one_dose_only(config):
    doses = [config["bases"][f"doses_{name}"]["task_doses"] for name in "abc"]
    tasks = config["corpora"]["symbols"]["tasks"]
    assert all(Counter(of_base.values()) == {0.02: 2, 0.2: 2, 1.0: 2} for of_base in doses)
    assert all(sorted(of_base[task] for of_base in doses) == [0.02, 0.2, 1.0] for task in tasks)


def test_every_teacher_meets_every_kind_of_data(config):
    students = [model for model in expand_models(config, "factorial") if model.labels["condition"] == "student"]
    crossed = Counter(
        (model.labels["teacher"], model.labels["data"])
        for model in students
        if (model.labels["channel"], model.labels["start"], model.labels["filter"], model.labels["mediating"])
        == ("optd", "base", "above_70", "everywhere")
    )
    expected = product(("harmful", "aligned", "base"), ("harmful", "benign", "explicit"))
    assert crossed == dict.fromkeys(expected, 3)


def test_fine_tuning_is_the_same_on_all_bases_of_the_controlled_world(config):
    sections = [config["experiments"][name] for name in ("symbolic", "composition", "learnedness")]
    for key in ("lora", "finetuning"):
        assert all(section[key] == sections[0][key] for section in sections)
