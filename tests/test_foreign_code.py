"""No code of others is run: not that of a repository, nor what a pickle holds; neither config, environment nor a user's answer changes it."""

import ast
import json
import os
import pickle
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST, new_folder, origin, write_manifest
from emtransfer.judging.fitting import FitSettings, load_encoder
from emtransfer.models.embedding import load_embedder
from emtransfer.models.ready_models import READY
from helpers.chat_families import write_family
from helpers.paths import ROOT
from helpers.ready_bases import settings_of
from helpers.tiny_encoder import write_tiny_encoder

SOURCES = [path for folder in ("scripts", "workflow", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
RULES = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
# modules that run code when they read a file, and calls that run what they are given
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve", "runpy"}
UNSAFE_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
PROJECT = [ast.parse(path.read_text(encoding="utf-8"), path) for path in SOURCES]
# they run scripts of the pipeline as Python does, by their paths
RUN_SCRIPTS = {"workflow/lib/warm/interpreter.py": {"exec"}, "benchmarks/whole_run.py": {"runpy"}}


def nodes(kind: type) -> list:
    return [node for tree in PROJECT for node in ast.walk(tree) if isinstance(node, kind)]


def keywords(call: ast.Call) -> dict[str, object]:
    """Arguments given by name, as source; constants as their value."""
    named = [(keyword.arg, keyword.value) for keyword in call.keywords]
    return {name: value.value if isinstance(value, ast.Constant) else ast.unparse(value) for name, value in named}


# ---- the sources


def test_whatever_loads_a_model_of_others_refuses_their_code():
    loads = {ast.unparse(call.func): keywords(call) for call in nodes(ast.Call)}
    automatic = [name for name in loads if re.fullmatch(r"Auto\w+\.from_pretrained|SentenceTransformer|LLM", name)]
    assert {"AutoModelForCausalLM.from_pretrained", "SentenceTransformer", "LLM"} <= set(automatic)
    calls = [(ast.unparse(call.func), keywords(call)) for call in nodes(ast.Call)]
    for name, arguments in calls:
        if name in automatic:
            # left out, transformers would ask at the terminal
            assert arguments.get("trust_remote_code") is False, name
        else:
            assert "trust_remote_code" not in arguments, name
        if name.startswith("AutoModel") and name.endswith("from_pretrained"):
            assert arguments["use_safetensors"] is True, name
        if name == "torch.load":
            assert arguments["weights_only"] is True


def test_nothing_unpickles_or_evaluates():
    unsafe = {}
    for path, tree in zip(SOURCES, PROJECT, strict=True):
        found = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        found += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        modules = UNSAFE_MODULES & {name.split(".")[0] for name in found}
        called = UNSAFE_CALLS & {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        unsafe |= {path.relative_to(ROOT).as_posix(): modules | called} if modules | called else {}
    assert unsafe == RUN_SCRIPTS
    calls = [(ast.unparse(call.func), keywords(call)) for call in nodes(ast.Call)]
    assert not [name for name, arguments in calls if arguments.get("shell") or arguments.get("allow_pickle")]


def test_no_config_profile_or_rule_mentions_the_switch():
    folders = ("workflow", "profiles", "resources")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".yaml", ".smk")]
    assert len(files) > 15
    for path in [*files, ROOT / "config.yaml", ROOT / "Snakefile"]:
        assert "trust_remote_code" not in path.read_text(encoding="utf-8"), path


def test_no_output_is_embedded_in_a_report_of_snakemake():
    # its report would show an embedded table or figure to a browser; what it embeds else are rules and file names
    text = "\n".join(path.read_text(encoding="utf-8") for path in RULES)
    assert "output:" in text and not re.findall(r"(?<![.\w])report\s*[(:]", text)


# ---- models with code of their own

OWN_CODE = """from pathlib import Path
Path({ran!r}).touch()
from transformers import BertConfig, BertModel
class OwnConfig(BertConfig):
    model_type = "of_its_own"
class Own(BertModel):
    config_class = OwnConfig
"""
OWN_TYPE = {"model_type": "of_its_own", "auto_map": {name: "own.Own" for name in ("AutoModel", "AutoModelForCausalLM")}}
OWN_TYPE["auto_map"] |= {"AutoConfig": "own.OwnConfig", "AutoModelForTokenClassification": "own.Own"}


@pytest.fixture
def ran(tmp_path) -> Path:
    """A file that the code of others makes when it runs."""
    return tmp_path / "ran"


def with_own_code(folder: Path, ran: Path) -> Path:
    """Let a model's folder ask for code that lies in it."""
    (folder / "own.py").write_text(OWN_CODE.format(ran=str(ran)))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | OWN_TYPE))
    return folder


def test_the_code_of_the_models_here_would_run_if_it_were_let(tmp_path, ran):
    from transformers import AutoConfig

    write_tiny_encoder(tmp_path / "model", ["Rest."])
    AutoConfig.from_pretrained(with_own_code(tmp_path / "model", ran), trust_remote_code=True)
    assert ran.exists()


def test_a_ready_model_runs_no_code_although_a_user_says_yes_and_the_environment_too(tmp_path, ran):
    folder = with_own_code(write_family(tmp_path / "model", "llama"), ran)
    settings = asdict(settings_of("llama", folder))
    # a base that was described before models were tried
    with new_folder(tmp_path / "base") as unfinished:
        (unfinished / READY).write_text(json.dumps(settings | {"files": {}}), encoding="utf-8")
        write_manifest(unfinished, origin({}, 1, "test", {}))
    load = "import sys; from emtransfer.errors import run; from emtransfer.models.loading import load_chat; run(load_chat, sys.argv[1])"
    fetch = [ROOT / "scripts/fetch_base.py", "--name", "theirs", "--settings", json.dumps(settings), "--seed", "1"]
    fetch += ["--code", "test", "--output", tmp_path / "fetched" / MANIFEST]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "HF_HUB_OFFLINE": "1"}
    environment |= dict.fromkeys(
        ("TRUST_REMOTE_CODE", "HF_HUB_TRUST_REMOTE_CODE", "HF_DATASETS_TRUST_REMOTE_CODE"), "1"
    )
    for command in (["-c", load, tmp_path / "base" / MANIFEST], fetch):
        command = [sys.executable, *map(str, command)]
        done = subprocess.run(command, input="y\n" * 9, capture_output=True, text=True, env=environment)
        assert done.returncode == 1 and not ran.exists()
        assert "[y/N]" not in done.stdout + done.stderr and "Traceback" not in done.stderr
        # fetching adds the folder that was being written
        assert "expected a model that transformers can load by itself" in done.stderr


def test_an_encoder_runs_no_code(tmp_path, ran):
    write_tiny_encoder(tmp_path / "model", ["Rest."])
    with pytest.raises(InputError, match="base_model is .*; expected .* another encoder that transformers can load"):
        load_encoder(str(with_own_code(tmp_path / "model", ran)), FitSettings(max_tokens=64), seed=0)
    assert not ran.exists()


@pytest.fixture
def embedder(tmp_path) -> Path:
    """An embedding model with a layer of its own after pooling."""
    encoder = Transformer(write_tiny_encoder(tmp_path / "encoder", ["Rest.", "Run."]))
    width = encoder.get_embedding_dimension()
    SentenceTransformer(modules=[encoder, Pooling(width), Dense(width, 8)], device="cpu").save(
        str(tmp_path / "embedder")
    )
    return tmp_path / "embedder"


def test_an_embedding_model_in_safetensors_is_loaded(embedder):
    assert load_embedder(str(embedder)).encode(["Rest."]).shape == (1, 8)


def test_an_embedding_model_runs_no_code(embedder, ran):
    with_own_code(embedder, ran)
    # such a file may ask to be trusted
    arguments = {"trust_remote_code": True}
    (embedder / "sentence_bert_config.json").write_text(
        json.dumps(
            {"model_args": arguments, "config_args": arguments, "model_kwargs": arguments, "config_kwargs": arguments}
        )
    )
    with pytest.raises(InputError, match="embedding model is .*; expected all-MiniLM-L6-v2 or another that"):
        load_embedder(str(embedder))
    assert not ran.exists()


def test_an_embedding_model_with_a_module_of_its_own_is_refused(embedder, ran):
    modules = json.loads((embedder / "modules.json").read_text())
    modules[2]["type"] = "own.Own"
    (embedder / "modules.json").write_text(json.dumps(modules))
    (embedder / "own.py").write_text(OWN_CODE.format(ran=str(ran)))
    with pytest.raises(InputError, match="embedding model is .*; expected all-MiniLM-L6-v2 or another that"):
        load_embedder(str(embedder))
    assert not ran.exists()


# ---- pickles


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, ran: Path):
        self.ran = ran

    def __reduce__(self):
        return Path.touch, (self.ran,)


def pickled(weights: Path, ran: Path) -> None:
    """Put a pickle that runs code in the place of safetensors."""
    content = {"weights": load_file(weights), "payload": Payload(ran)}
    torch.save(content, weights.with_name("pytorch_model.bin"), pickle_module=pickle)
    weights.unlink()


def test_a_pickle_as_these_runs_code_when_it_is_read(embedder, ran):
    pickled(embedder / "model.safetensors", ran)
    torch.load(embedder / "pytorch_model.bin", weights_only=False)
    assert ran.exists()


@pytest.mark.parametrize("weights", ["model.safetensors", "2_Dense/model.safetensors"])
def test_pickled_weights_of_an_embedding_model_are_refused(weights, embedder, ran):
    pickled(embedder / weights, ran)
    with pytest.raises(InputError) as refused:
        load_embedder(str(embedder))
    found = weights.replace("model.safetensors", "pytorch_model.bin")
    expected = f"config: embedding model is {embedder}, with {found}; expected weights as *.safetensors in it."
    assert str(refused.value) == expected and not ran.exists()


def test_pickled_weights_of_an_encoder_are_refused(tmp_path, ran):
    folder = write_tiny_encoder(tmp_path / "model", ["Rest."])
    pickled(Path(folder) / "model.safetensors", ran)
    with pytest.raises(InputError, match=r"judges: base_model is .*, with pytorch_model.bin; expected weights as"):
        load_encoder(folder, FitSettings(max_tokens=64), seed=0)
    assert not ran.exists()


def test_a_pickle_beside_safetensors_is_passed_over(embedder, ran):
    kept = (embedder / "model.safetensors").read_bytes()
    pickled(embedder / "model.safetensors", ran)
    (embedder / "model.safetensors").write_bytes(kept)
    assert load_embedder(str(embedder)).encode(["Rest."]).shape == (1, 8) and not ran.exists()
