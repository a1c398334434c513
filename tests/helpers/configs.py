"""The project's own config with one thing changed, and the line that validation says of it."""

import copy
from functools import reduce
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from config_files import read_config_files
from config_likes import resolve_likes
from emtransfer.errors import InputError
from helpers.paths import ROOT
from validation import validate

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
GENERATED = yaml.safe_load((ROOT / "workflow/configs/generated_corpus.yaml").read_text(encoding="utf-8"))

GRAMMAR = ("corpora", "grammar")
ABSENT = object()


def line_for(place: tuple, value: object) -> str:
    """The line that validation ends with once `value` stands at `place`; ABSENT removes the key."""
    return line_of(copy.deepcopy(CONFIG), place, value)


def line_of(config: dict, place: tuple, value: object) -> str:
    """As `line_for`, in another config, which is changed."""
    put(config, place, value)
    with pytest.raises(InputError) as caught:
        validate(config, SCHEMA)
    return str(caught.value)


def put(config: dict, place: tuple, value: object) -> None:
    """Set a value in a config, or remove its key for ABSENT."""
    *parents, last = place
    section = reduce(lambda tree, part: tree[part], parents, config)
    if value is ABSENT:
        del section[last]
    else:
        section[last] = value


def written(**changes) -> dict:
    """The default config with the shipped written corpus, and changes to places in it given by dotted keys."""
    config = copy.deepcopy(CONFIG)
    for section in ("corpora", "judges"):
        config[section] |= copy.deepcopy(GENERATED[section])
    for key, value in changes.items():
        put(config, tuple(key.split("__")), value)
    return config


def claude_config() -> dict:
    """The default config with Claude in the place of the judge of `template_nl`, but not of its corpus."""
    config = copy.deepcopy(CONFIG)
    config["judges"]["claude"] = config["judges"]["minilm"] | {
        "kind": "anthropic",
        "model": "claude-haiku-4-5",
        "rubric": "resources/rubrics/grid.yaml",
        "split": {"held_out_share": 0.2, "phrase_share": 0.05},
    }
    config["experiments"]["template_nl"]["judge"] = "claude"
    return config


def overlaid(*names: str) -> dict:
    """The default config with shipped overlays, experiments that are like others resolved as a run does."""
    config = copy.deepcopy(CONFIG)
    for name in names:
        update_config(config, yaml.safe_load((ROOT / f"workflow/configs/{name}.yaml").read_text(encoding="utf-8")))
    resolve_likes(config, yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    return config


def overlay(folder: Path, name: str, content: dict) -> Path:
    """Write an overlay into a folder."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def line_with(*overlays: Path) -> str:
    """The line that validation ends in for the default config under overlays, from the config's own files."""
    config = copy.deepcopy(CONFIG)
    contents = read_config_files([ROOT / "config.yaml", *overlays])
    for content in contents.values():
        update_config(config, content)
    with pytest.raises(InputError) as caught:
        validate(config, SCHEMA, contents)
    return str(caught.value)
