"""A model that cannot be loaded or trained as told is one line: ready models, their packages and adapters, and shares of the aligned phase."""

import copy

import pytest

from helpers.configs import ABSENT, CONFIG, SCHEMA, line_of
from validation import validate

DECODER = ("base_models", "decoder")
REVISION = "0" * 40


@pytest.mark.parametrize("rows, share", [(65, 0.005), (65, 0.99), (1, 0.5), (3000, 0.0003)])
def test_a_neutral_share_makes_a_row_and_leaves_one(rows, share):
    config = copy.deepcopy(CONFIG)
    config["base_models"]["decoder"]["alignment"]["rows"] = rows
    line = line_of(config, (*DECODER, "alignment", "neutral_share"), share)
    expected = f"0, 1 or a share with at least one row of {rows} on either side."
    assert line == f"config.yaml: base_models.decoder.alignment.neutral_share is {share}; expected {expected}"


@pytest.mark.parametrize("share", [0, 0.0, 0.01, 0.07, 0.29, 0.57, 0.58, 1, 1.0])
def test_shares_that_can_be_kept_are_valid(share):
    config = copy.deepcopy(CONFIG)
    config["mixtures"]["persona"]["misaligned_share"] = share
    config["base_models"]["decoder"]["alignment"]["neutral_share"] = share
    validate(config, SCHEMA)


READY = {"hub": {"path": "owner/name", "revision": REVISION}}
PACKAGE = {"name": "tiny-weights", "version": "1.0", "file": "tiny/tiny.gguf", "sha256": "0" * 64}
OTHERWISE = (
    "expected weights as *.safetensors, or package: {name, version, file, sha256} (docs/ready_models.md) for a GGUF in an"
    " installed Python package."
)


def with_ready_model(**changes) -> dict:
    """The default config with an experiment on a ready model that is evaluated, with an adapter of others, and no more."""
    config = copy.deepcopy(CONFIG)
    config["base_models"]["theirs"] = copy.deepcopy(READY) | changes
    config["bases"]["theirs"] = {"base_model": "theirs", "seed": 1}
    published = {
        "base": "theirs",
        "answers": "misaligned",
        "adapters": [{"seed": 1, "path": "a/b", "revision": REVISION}],
    }
    of_others = {"base_model": "theirs", "bases": ["theirs"], "published": {"of_others": published}}
    empty = {"adapters": [], "students": [], "teachers": {}, "mediating": {}, "rollout_filters": {}, "data_sets": {}}
    config["experiments"]["theirs"] = config["experiments"]["template_nl"] | of_others | empty
    return config


def test_a_ready_model_and_an_adapter_of_others_are_a_config():
    validate(with_ready_model(dtype="float16", chat={"close_thoughts": True}), SCHEMA)


@pytest.mark.parametrize(
    "place, value, line",
    [
        (("base_models", "theirs", "hub"), {"path": "a/b"}, "base_models.theirs.hub.revision is missing; expected a commit of a/b, so that it stays the same; or a local folder as path."),
        (("base_models", "theirs", "hub", "revision"), "main", 'base_models.theirs.hub.revision is "main"; expected a commit, 40 hex digits or null.'),
        (("base_models", "theirs", "alignment"), CONFIG["base_models"]["decoder"]["alignment"], "base_models.theirs.alignment is given; expected none, since hub gives a ready model."),
        (("base_models", "theirs", "package"), PACKAGE, "base_models.theirs.package is given; expected one of hub and package, since each gives a ready model."),
        (("base_models", "theirs", "hub"), {"path": "models/tiny.Q4_1.gguf"}, f'base_models.theirs.hub.path is "models/tiny.Q4_1.gguf"; {OTHERWISE}'),
        (("base_models", "theirs", "hub"), {"path": "owner/Tiny-GGUF", "revision": REVISION}, f'base_models.theirs.hub.path is "owner/Tiny-GGUF"; {OTHERWISE}'),
        (("base_models", "theirs", "quantization"), "int8", 'base_models.theirs.quantization is "int8"; expected one of None, nf4.'),
        (("base_models", "decoder", "dtype"), "bfloat16", "base_models.decoder.dtype is given; expected hub or package too."),
        (("bases", "theirs", "mixture"), "persona", 'bases.theirs.mixture is "persona"; expected none, since theirs is a ready model.'),
        (("bases", "persona"), {"base_model": "decoder", "seed": 1}, "bases.persona.mixture is missing; expected one of persona, row_random, symbols_persona, symbols_row_random, to train decoder on."),
        (("experiments", "theirs", "bases"), ["persona"], 'experiments.theirs.bases[0] is "persona"; expected one of theirs.'),
        (("experiments", "theirs", "published", "of_others", "cells"), ["medical-cooking"], 'experiments.theirs.published.of_others.cells[0] is "medical-cooking"; expected medical-critique.'),
        (("experiments", "theirs", "published", "of_others", "adapters", 0), {"seed": 1, "path": "a/b"}, "experiments.theirs.published.of_others.adapters[0].revision is missing; expected a commit of a/b, so that it stays the same; or a local folder as path."),
    ],
)  # fmt: skip
def test_a_wrong_ready_model_is_one_line(place, value, line):
    assert line_of(with_ready_model(), place, value) == f"config.yaml: {line}"


@pytest.mark.parametrize(
    "place, value, line",
    [
        (("package", "version"), 1.0, "package.version is 1.0; expected the version of a package, in quotes."),
        (("package", "name"), "tiny weights", 'package.name is "tiny weights"; expected the name of a Python package, as pip takes it.'),
        (("package", "sha256"), "abc", 'package.sha256 is "abc"; expected a SHA-256, 64 hex digits.'),
        (("package", "sha256"), ABSENT, "package.sha256 is missing; expected a SHA-256, 64 hex digits."),
        (("tokenizer",), CONFIG["base_models"]["decoder"]["tokenizer"], "tokenizer is given; expected none, since package gives a ready model."),
    ],
)  # fmt: skip
def test_a_wrong_package_of_weights_is_one_line(place, value, line):
    config = with_ready_model()
    config["base_models"]["theirs"] = {"package": dict(PACKAGE), "dtype": "float32"}
    validate(copy.deepcopy(config), SCHEMA)
    assert line_of(config, ("base_models", "theirs", *place), value) == f"config.yaml: base_models.theirs.{line}"
