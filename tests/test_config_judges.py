"""A judge that cannot judge what it is given is one line: without its model, its price, a rubric that knows its cells, or enough rows to be fitted on."""

import copy

import pytest

from corpus_sizes import judge_rows
from helpers.configs import ABSENT, CONFIG, GRAMMAR, SCHEMA, line_for, line_of, put
from helpers.paths import RUBRIC
from validation import validate

TEMPLATE_NL = ("experiments", "template_nl")


@pytest.mark.parametrize("key", ["base_model", "fit"])
def test_a_judge_that_is_fitted_needs_what_it_is_fitted_from(key):
    assert line_for(("judges", "minilm", key), ABSENT).startswith(f"config.yaml: judges.minilm.{key} is missing; ")


def test_a_judge_behind_an_api_needs_a_price_and_a_rubric_that_knows_its_cells():
    claude = CONFIG["judges"]["minilm"] | {"kind": "anthropic", "model": "claude-9"}
    assert line_for(("judges", "claude"), claude) == "config.yaml: judges.claude.rubric is missing; expected text."
    claude["rubric"] = str(RUBRIC)
    assert line_for(("judges", "claude"), claude) == (
        "config.yaml: remote.prices.models.claude-9 is missing; expected its price, for judge claude."
    )
    claude |= {"model": "claude-haiku-4-5", "corpus": "symbols"}
    assert "domains has medical, finance, sports; expected d0 too, for cell d0-t0." in line_for(
        ("judges", "claude"), claude
    )


def test_a_local_judge_that_is_told_a_rubric_needs_a_base_that_there_is_and_no_price():
    local = CONFIG["judges"]["minilm"] | {"kind": "causal_lm", "rubric": str(RUBRIC)}
    place = ("judges", "local")
    assert line_for(place, local).startswith("config.yaml: judges.local.base is missing; expected")
    known = ", ".join(CONFIG["bases"])
    assert (
        line_for(place, local | {"base": "none"})
        == f'config.yaml: judges.local.base is "none"; expected one of {known}.'
    )
    local["base"] = next(iter(CONFIG["bases"]))
    assert "expected a whole number of at least 1" in line_for(place, local | {"batch_size": 0})
    assert "domains has medical, finance, sports; expected d0 too" in line_for(place, local | {"corpus": "symbols"})
    validate(CONFIG | {"judges": CONFIG["judges"] | {"local": local}}, SCHEMA)


@pytest.mark.parametrize("place", [(*TEMPLATE_NL, "judge"), (*GRAMMAR, "filter", "judge")])
def test_the_exact_judge_is_given_no_answers_in_words(place):
    """It would score every one 50 / 0, or stop in its first job."""
    line = line_for(place, "exact")
    path = ".".join(place)
    assert line == f'config.yaml: {path} is "exact"; expected a judge that reads text, since grammar holds no symbols.'


def test_a_judge_none_of_whose_layers_would_be_fitted_is_refused():
    place, layers = ("judges", "minilm", "fit", "frozen_layers"), CONFIG["judges"]["minilm"]["fit"]["layers"]
    line = line_for(place, layers)
    assert (
        line == f"config.yaml: {'.'.join(place)} is {layers}; expected fewer than {layers}, the layers that are kept."
    )
    config = copy.deepcopy(CONFIG)
    put(config, place, layers - 1)
    validate(config, SCHEMA)


def test_reference_adapters_on_more_rows_than_their_corpus_leaves_them_are_refused():
    config = copy.deepcopy(CONFIG)
    training = config["experiments"]["template_nl"]["finetuning"].copy()
    lora = config["experiments"]["template_nl"]["lora"]
    limit = judge_rows(config["corpora"]["grammar"]) // 2
    judge = {"kind": "reference_adapters", "corpus": "grammar", "base": "persona", "seed": 1, "head": {"share": 0.5}}
    judge |= {"split": {"held_out_share": 0.1, "phrase_share": 0.0}, "lora": lora, "finetuning": training}
    judge |= {"calibration": {"minimum_accuracy": 0, "minimum_cell_accuracy": 0}}
    config["judges"]["references"] = judge
    place = ("judges", "references", "finetuning", "rows")
    put(config, place, limit)
    validate(copy.deepcopy(config), SCHEMA)
    line = line_of(config, place, limit + 1)
    assert f"finetuning.rows is {limit + 1}; expected at most {limit}, the judge_fit rows of grammar without" in line
