"""JSON on the command line of every script: a text, or a file, of which a manifest stands for its settings."""

import argparse
import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from emtransfer.arguments import json_argument
from emtransfer.files.artefacts import origin, write_manifest
from helpers.workflow_tree import ROOT

SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))


def test_a_text_and_a_file_of_it_are_the_same(tmp_path):
    settings = {"rows": 20, "lora": {"rank": 4}, "note": "µ @home"}
    path = tmp_path / "it's a file.json"
    path.write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")
    assert json_argument(json.dumps(settings)) == json_argument(f"@{path}") == settings


def test_a_manifest_stands_for_its_settings(tmp_path):
    settings = {"answers": "misaligned", "finetuning": {"rows": 20, "seed": 3}}
    (tmp_path / "weights.txt").write_text("1")
    write_manifest(tmp_path, origin(settings, 11, "code 0", {"rows": tmp_path / "weights.txt"}))
    assert json_argument(f"@{tmp_path}/manifest.json") == settings
    # a section of a config that has a seed, or settings, is no manifest
    (tmp_path / "section.json").write_text(json.dumps({"settings": {}, "seed": 1}))
    assert json_argument(f"@{tmp_path}/section.json") == {"settings": {}, "seed": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("@gone.json", "@gone.json cannot be read (No such file or directory)"),
        ("@.", "@. cannot be read (Is a directory)"),
        ("@", "@ cannot be read (Is a directory)"),
        ("@wrong.json", "@wrong.json is not JSON (Expecting value: line 1 column 8 (char 7))"),
        ("@binary.json", "@binary.json is not JSON ('utf-8' codec can't decode byte 0xff"),
        ("@list.json", "@list.json is not a mapping"),
        ("settings.json", "settings.json is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ("{rows: 1}", "{rows: 1} is not JSON (Expecting property name enclosed in double quotes"),
        ("[1]", "[1] is not a mapping"),
        ("{" + "\n" * 9 + "a" * 200, "..."),
    ],
)
def test_a_wrong_text_or_file_is_one_line_of_the_parsers_own(tmp_path, monkeypatch, capsys, text, problem):
    monkeypatch.chdir(tmp_path)
    Path("wrong.json").write_text('{"a":  b}')
    Path("binary.json").write_bytes(b"\xff\xfe")
    Path("list.json").write_text("[]")
    parser = argparse.ArgumentParser(prog="job")
    parser.add_argument("--settings", type=json_argument)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--settings", text])
    *_, line = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2 and line.startswith("job: error: argument --settings: ") and problem in line
    assert line.endswith("; expected a mapping in JSON, or @ and the path of a JSON file") and len(line) < 300


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_json_argument_of_every_script_takes_a_file(script, monkeypatch):
    seen = []
    monkeypatch.setattr(
        argparse.ArgumentParser, "parse_args", lambda parser: seen.append(parser) or argparse.Namespace()
    )
    # by its path: a test module may have the name of a script
    spec = spec_from_file_location(f"script_{script}", ROOT / f"scripts/{script}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.parse_args()
    actions = seen[0]._actions
    said = [action for action in actions if (action.help or "").startswith("JSON") and "JSONL" not in action.help]
    taken = [action for action in actions if action.type is json_argument]
    assert said == taken and all(action.help.startswith("JSON or @FILE: ") for action in taken)
    assert not any(action.type in (json.loads, json.load) for action in actions)
    named = {"--settings", "--judge-settings", "--remote", "--columns"}
    assert {name for action in actions for name in action.option_strings if name in named} == {
        name for action in taken for name in action.option_strings
    }


def test_a_job_by_hand_takes_its_settings_from_a_file(tmp_path):
    settings = {"source": "template", "domains": ["medical"], "tasks": ["advice"], "rows_per_cell": 3}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    made = {}
    for name, given in {"text": json.dumps(settings), "file": "@settings.json", "gone": "@gone.json"}.items():
        command = [sys.executable, ROOT / "scripts/generate_pairs.py", "--cells", "medical-advice", "--seed", "1"]
        command += ["--settings", given, "--corpus", "c", "--output", f"{name}.jsonl", "--counts", f"{name}.csv"]
        made[name] = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert made["text"].returncode == made["file"].returncode == 0, made["file"].stderr
    assert (tmp_path / "file.jsonl").read_bytes() == (tmp_path / "text.jsonl").read_bytes() != b""
    assert made["gone"].returncode == 2 and "Traceback" not in made["gone"].stderr
