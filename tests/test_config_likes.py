"""An experiment that is like another one: what it is then, and where its mistakes are told."""

import copy

import pytest
from snakemake.utils import update_config

from config_likes import resolve_likes
from helpers.configs import CONFIG, SCHEMA, line_for, line_with, overlaid, overlay
from validation import LOADER, validate

TEMPLATE = CONFIG["experiments"]["template_nl"]


def checked(experiments: dict) -> dict:
    """The experiments of the default config and these, as validation leaves them."""
    config = copy.deepcopy(CONFIG)
    update_config(config, {"experiments": experiments})
    validate(config, SCHEMA)
    return config["experiments"]


def test_mappings_are_merged_and_lists_and_other_values_replaced():
    adapters = [
        {"base": "persona", "start": "base", "train_sets": ["medical-advice"], "answers": "misaligned", "seeds": [1, 2]}
    ]
    own = {"lora": {"rank": 8}, "adapters": adapters, "students": [], "corpus": "grammar"}
    found = checked({"own": {"like": "template_nl", **own}})
    assert found["own"] == TEMPLATE | own | {"lora": TEMPLATE["lora"] | {"rank": 8}}
    assert found["template_nl"] == TEMPLATE


def test_null_removes_a_key_that_may_be_left_out_and_a_name_but_stays_where_it_is_a_value():
    own = {
        "probing": {"inference_questions": None},
        "teachers": {"base": None},
        "mediating": {"everywhere": {"prompts_per_cell": None}},
        "students": [],
    }
    found = checked({"own": {"like": "template_nl", **own}})["own"]
    assert found["probing"] == {
        key: value for key, value in TEMPLATE["probing"].items() if key != "inference_questions"
    }
    assert [*found["teachers"]] == ["harmful"]
    assert found["mediating"] == {"everywhere": {"cells": "all_cells", "prompts_per_cell": None}}


def test_null_of_a_key_that_has_to_be_there_is_told_as_missing():
    assert line_for(("experiments", "own"), {"like": "template_nl", "lora": {"rank": None}}) == (
        "config.yaml: experiments.own.lora.rank is missing; expected a whole number of at least 1."
    )


def test_an_experiment_takes_over_what_one_has_that_is_like_a_third_whatever_their_order():
    found = checked(
        {
            "last": {"like": "middle", "lora": {"alpha": 4}},
            "middle": {"like": "template_nl", "lora": {"rank": 8}, "students": []},
        }
    )
    assert found["last"] == TEMPLATE | {"students": [], "lora": TEMPLATE["lora"] | {"rank": 8, "alpha": 4}}


def test_what_an_overlay_changes_in_an_experiment_holds_for_one_that_is_like_it():
    found = checked({"own": {"like": "template_nl", "lora": {"rank": 8}}, "template_nl": {"lora": {"alpha": 4}}})
    assert found["own"]["lora"] == TEMPLATE["lora"] | {"rank": 8, "alpha": 4}


def test_a_config_whose_likes_are_resolved_stays_as_it_is():
    config = overlaid("controls")
    validate(config, SCHEMA)
    again = copy.deepcopy(config)
    resolve_likes(again, LOADER(SCHEMA.read_text()).get_single_data())
    assert again == config


@pytest.mark.parametrize(
    ("like", "line"),
    [
        ("template_nm", 'experiments.own.like is "template_nm"; expected template_nl.'),
        ("own", 'experiments.own.like is "own"; expected an experiment that is not like own in turn.'),
        (["template_nl"], 'experiments.own.like is ["template_nl"]; expected template_nl.'),
        (None, "experiments.own.like is null; expected one of template_nl, symbolic."),
    ],
)
def test_an_unknown_name_and_an_experiment_like_itself_are_one_line(like, line):
    assert line_for(("experiments", "own"), {"like": like}) == f"config.yaml: {line}"


def test_a_circle_of_experiments_is_one_line(tmp_path):
    path = overlay(tmp_path, "own", {"experiments": {name: {"like": "ab"[name == "a"]} for name in "ab"}})
    assert line_with(path) == f'{path}: experiments.b.like is "a"; expected an experiment that is not like b in turn.'


def test_a_mistake_is_told_where_it_was_written(tmp_path):
    own = overlay(tmp_path, "own", {"experiments": {"own": {"like": "template_nl", "lora": {"rank": "x"}}}})
    assert line_with(own).startswith(f'{own}: experiments.own.lora.rank is "x"; expected a whole number')
    plain = overlay(tmp_path, "plain", {"experiments": {"own": {"like": "template_nl", "corpus": "symbols"}}})
    assert line_with(plain).startswith(
        "config.yaml: experiments.template_nl.adapters[1].train_sets[0], taken over as experiments.own.adapters[1].train_sets[0],"
        ' is "finance-tutor"; expected '
    )


def test_a_list_hides_that_of_the_experiment_which_is_taken_over(tmp_path):
    adapter = {"base": "persona", "start": "base", "train_sets": ["medical-advice"], "answers": "misaligned"}
    own = overlay(tmp_path, "own", {"experiments": {"own": {"like": "template_nl", "adapters": [adapter]}}})
    assert line_with(own).startswith(f"{own}: experiments.own.adapters[0].seeds is missing")


def test_a_mistake_of_a_chain_is_told_where_it_was_written(tmp_path):
    middle = overlay(
        tmp_path, "middle", {"experiments": {"middle": {"like": "template_nl", "sampling": {"samples": 0}}}}
    )
    last = overlay(tmp_path, "last", {"experiments": {"last": {"like": "middle"}, "middle": {"like": "template_nl"}}})
    assert line_with(middle, last).startswith(f"{middle}: experiments.middle.sampling.samples")
