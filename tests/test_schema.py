"""The schema of the config, the keys that rules pass on and the reference page against the dataclasses they are written from."""

import json
from dataclasses import fields

import pytest
import yaml

import config_tree
import write_schema
from emtransfer.answering.settings import AnsweringSettings
from emtransfer.errors import InputError
from emtransfer.grid.sections import Teacher
from emtransfer.models.adapters import AdapterSettings
from emtransfer.remote.access import RemoteSettings
from emtransfer.remote.prices import Price
from emtransfer.settings import read_settings
from emtransfer.training.exposure import AlignmentSettings
from emtransfer.training.finetuning import FinetuningSettings
from emtransfer.training.mixtures import MixtureSettings, Stage
from emtransfer.training.pretraining import ArchitectureSettings, PretrainingSettings

ROOT = write_schema.ROOT


@pytest.mark.parametrize("path", write_schema.files())
def test_what_is_written_from_the_dataclasses_is_up_to_date(path):
    """Else: make schema."""
    assert (ROOT / path).read_text(encoding="utf-8") == write_schema.files()[path]


def test_every_key_has_a_line_that_describes_it():
    lacking = [
        f"{kind.__name__}.{field.name}"
        for kind in write_schema.sections()
        for field, _ in write_schema.keys_of(kind)
        if not write_schema.descriptions(kind).get(field.name, "").strip().endswith(".")
    ]
    assert lacking == [] and len(write_schema.sections()) > 30


def test_a_field_that_a_job_has_from_elsewhere_is_no_key():
    keys = json.loads((ROOT / "workflow/schemas/settings_keys.json").read_text(encoding="utf-8"))
    assert "channel" not in keys["DistillationSettings"] and "updates" in keys["DistillationSettings"]
    assert "provider" not in keys["Generator"] and {"prompts", "model"} <= set(keys["Generator"])
    assert {"store", "replay_only"} <= {field.name for field in fields(RemoteSettings)} - set(keys["RemoteSettings"])


def test_a_section_of_several_kinds_has_the_keys_of_each_and_requires_none_of_them():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    judge = schema["$defs"]["Judge"]
    assert {"rubric", "batch_size", "attempts", "fit"} <= judge["properties"].keys()
    assert judge["required"] == ["kind", "corpus", "seed", "split", "calibration"]
    assert "null" not in judge["properties"]["rubric"]["type"]


def test_settings_are_made_of_their_json_down_to_the_dataclasses_in_them():
    found = read_settings(
        MixtureSettings,
        {"kind": "persona", "misaligned_share": 0.3, "stages": [{"rows_per_document": 1, "tokens": 9}]},
    )
    assert found.stages == (Stage(1, 9),) and found.neutral_share == 0.0
    price = {"input": 1.0, "output": 5.0, "cache_write": 1.25, "cache_read": 0.1}
    remote = read_settings(RemoteSettings, {"prices": {"date": "2026-01-01", "models": {"m": price}}})
    assert remote.prices.models == {"m": Price(**price)}
    assert read_settings(Teacher, {}) == Teacher()


@pytest.mark.parametrize(
    "section, line",
    [
        (
            {"rows_per_document": 1, "token": 9},
            "settings: token is not a key of this section; expected one of neutral_share, rows_per_document, tasks, tokens.",
        ),
        ({"tokens": 9}, "settings: rows_per_document is missing; expected all of rows_per_document, tokens."),
        ({"rows_per_document": 0, "tokens": 9}, "settings: rows_per_document is 0; expected a number at least 1."),
        (
            {"rows_per_document": True, "tokens": 9},
            "settings: rows_per_document is True; expected a number at least 1.",
        ),
        ({"rows_per_document": "1", "tokens": 9}, "settings: rows_per_document is '1'; expected a number at least 1."),
    ],
)
def test_settings_with_a_wrong_or_a_missing_key_or_a_number_beyond_its_limits_are_one_line(section, line):
    with pytest.raises(InputError, match=line):
        read_settings(Stage, section)


def test_the_dataclasses_read_the_shipped_config_as_jobs_do():
    """A key that no dataclass knows, or one that it wants and the config lacks, would be an error."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    read = [read_settings(config_tree.Mixture, section) for section in config["mixtures"].values()]
    read += [read_settings(config_tree.Base, section) for section in config["bases"].values()]
    parts = {"architecture": ArchitectureSettings, "pretraining": PretrainingSettings, "alignment": AlignmentSettings}
    read += [
        read_settings(kind, model[name]) for model in config["base_models"].values() for name, kind in parts.items()
    ]
    parts = {"lora": AdapterSettings, "finetuning": FinetuningSettings, "sampling": AnsweringSettings}
    read += [read_settings(kind, own[name]) for own in config["experiments"].values() for name, kind in parts.items()]
    assert len(read) == 4 + 8 + 2 * 3 + 2 * 3
