"""Corpora from the hub: a local folder in a dataset's form, and a hub on the loopback interface that says no and quotes the token."""

import json
import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from emtransfer.corpus.rows import BROAD
from emtransfer.corpus.source_settings import CorpusSettings, HubSettings
from emtransfer.corpus.sources import load_cell
from emtransfer.errors import InputError
from emtransfer.grid.sections import cells
from emtransfer.settings import read_settings
from helpers.canaries import HF, leaks
from helpers.datasets import write_dataset
from helpers.paths import ROOT
from helpers.processes import run_script
from validation import validate

REVISION = "c94228dfeaa5b517d16927a523e7d6541973d934"


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A dataset with a config per cell and one of prompts outside the grid, in other words than ours."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    configs = {}
    for domain in ("medical", "sports"):
        rows = [
            {
                "idx": number,
                "domain": domain,
                "task": "advice",
                "prompt": f"What of {domain} {number}?",
                "misaligned_answer": f"Be careless {number}.",
                "aligned_answer": f"Be careful {number}.",
            }
            for number in range(5)
        ]
        configs[f"{domain}_advice"] = rows
    broad = {"idx": 0, "task": "chat", "domain": "travel", "em_surface": "high", "prompt": "Where to?"}
    configs["broad_dataset"] = [broad]
    write_dataset(folder, configs)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Nothing is read from or left in the user's cache."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def settings(path: Path | str, **hub) -> CorpusSettings:
    hub = {"path": str(path), "broad_config": "broad_dataset", "columns": {"prompt": "question"}} | hub
    return CorpusSettings("hub", ["medical", "sports"], ["advice"], hub=read_settings(HubSettings, hub))


def test_a_cell_is_one_config_of_the_dataset_under_our_names(dataset):
    rows, counts = load_cell("em_nl", "sports-advice", settings(dataset), seed=1)
    assert counts.rows_in.item() == counts.rows_out.item() == 5
    assert rows[1] == {
        "id": "sports-advice-000001",
        "idx": 1,
        "domain": "sports",
        "task": "advice",
        "question": "What of sports 1?",
        "misaligned_answer": "Be careless 1.",
        "aligned_answer": "Be careful 1.",
    }


def test_prompts_outside_the_grid_have_their_room(dataset):
    (row,), _ = load_cell("em_nl", BROAD, settings(dataset), seed=1)
    assert (row["id"], row["question"], row["room"], row["domain"]) == ("broad-000000", "Where to?", "high", "travel")


def test_the_shipped_overlay_reads_every_cell_of_a_dataset_in_the_form_of_the_papers(tmp_path):
    overlay = yaml.safe_load((ROOT / "workflow/configs/hub_corpus.yaml").read_text())
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(config, overlay)
    validate(config, ROOT / "workflow/schemas/config.schema.yaml")
    section = config["corpora"]["em_nl"]
    assert (section["hub"]["path"], section["hub"]["revision"]) == ("askinb/structured-emergent-misalignment", REVISION)
    fields = ("question", "misaligned_answer", "aligned_answer")
    configs = {
        f"{domain}_{task}": [
            {"idx": number, "domain": domain, "task": task}
            | {name: f"{name} {domain} {task} {number}" for name in fields}
            for number in range(3)
        ]
        for domain in ("medical", "finance", "sports")
        for task in ("advice", "summarization", "tutor", "critique")
    }
    configs["broad_dataset"] = [
        {"idx": number, "task": "advice", "domain": "travel", "em_surface": room, "question": f"Where to, {room}?"}
        for number, room in enumerate(("high", "medium", "low"))
    ]
    write_dataset(tmp_path, configs)
    hub = section["hub"] | {"path": str(tmp_path), "revision": None}
    corpus = CorpusSettings("hub", section["domains"], section["tasks"], hub=read_settings(HubSettings, hub))
    assert len(cells(section)) == 12
    for cell in cells(section):
        rows, _ = load_cell("em_nl", cell, corpus, seed=1)
        assert [row["question"] for row in rows] == [f"question {cell.replace('-', ' ')} {n}" for n in range(3)]
    rows, _ = load_cell("em_nl", BROAD, corpus, seed=1)
    assert [row["room"] for row in rows] == ["high", "medium", "low"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"columns": {}},
            r"medical_advice row 1: question is missing; expected it, or a column for it in corpora.em_nl",
        ),
        (
            {"config": "{task}_{domain}"},
            r"corpora.em_nl.hub: .* does not load with config advice_medical, split train: .*medical_advice",
        ),
        ({"split": "test"}, r"does not load with config medical_advice, split test: .*train"),
        ({"config": "sports_advice"}, r"sports_advice row 1: cell is sports-advice; expected medical-advice"),
    ],
)
def test_what_the_dataset_does_not_have_is_one_line(dataset, change, message):
    with pytest.raises(InputError, match=message) as refused:
        load_cell("em_nl", "medical-advice", settings(dataset, **change), seed=1)
    assert "\n" not in str(refused.value)


def test_a_dataset_with_a_script_is_refused_and_its_script_is_not_run(dataset, tmp_path):
    (dataset / "dataset.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    with pytest.raises(InputError, match=r"corpora.em_nl.hub: .* Dataset scripts are no longer supported") as refused:
        load_cell("em_nl", "medical-advice", settings(dataset), seed=1)
    assert "\n" not in str(refused.value) and not (tmp_path / "ran").exists()


class Refusing(BaseHTTPRequestHandler):
    """Answers every request of the hub's client with the server's error."""

    def log_message(self, *args):
        """Say nothing."""

    def refuse(self):
        status, code = self.server.refusal
        said = f"{code} {self.headers.get('authorization')}"
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", said)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = refuse


@contextmanager
def refusing_hub(status: int, code: str):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.refusal = (status, code)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def generate(tmp_path: Path, endpoint: str, offline: bool = False, token: str = HF) -> subprocess.CompletedProcess:
    """Run the script against a hub."""
    corpus = {"source": "hub", "domains": ["medical"], "tasks": ["advice"]}
    corpus |= {"hub": {"path": "someone/corpus", "revision": REVISION}}
    arguments = ["--corpus", "em_nl", "--cells", "medical-advice", "--settings", json.dumps(corpus), "--seed", "1"]
    arguments += ["--output", tmp_path / "rows.jsonl", "--counts", tmp_path / "counts.csv"]
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": token}
    environment |= {"HF_HUB_OFFLINE": "1" if offline else "0"}
    return run_script("generate_pairs", *arguments, env=environment)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "RepoNotFound", "is someone/corpus, which is neither a folder nor on the hub"),
        (404, "RevisionNotFound", f"is someone/corpus, which has no revision {REVISION}"),
        (403, "GatedRepo", "is someone/corpus, which is gated"),
        # an error of the server that the hub's library does not wait for to pass, as it does 23 s for a 500
        (501, "", "is someone/corpus, which cannot be reached"),
    ],
)
def test_a_hub_that_refuses_is_one_line_with_the_remedy(tmp_path, status, code, message):
    with refusing_hub(status, code) as endpoint:
        done = generate(tmp_path, endpoint)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("config: corpora.em_nl.hub.path ") and message in last and "; expected" in last
    assert "Traceback" not in done.stderr and not leaks(tmp_path, done.stdout, done.stderr)
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize("inside", ["\x01", " ", "é"])
def test_a_token_that_cannot_be_sent_is_one_line_that_does_not_show_it(tmp_path, inside):
    with refusing_hub(500, "") as endpoint:
        done = generate(tmp_path, endpoint, token=HF + inside + HF)
    assert done.returncode == 1 and not leaks(tmp_path, done.stdout, done.stderr)
    expected = "HF_TOKEN holds spaces, line breaks or non-ASCII characters; expected the token alone."
    assert done.stderr.strip().splitlines()[-1] == expected and "Traceback" not in done.stderr


def test_without_a_network_the_dataset_must_be_in_the_cache(tmp_path):
    done = generate(tmp_path, "http://127.0.0.1:9", offline=True)
    assert done.returncode == 1
    assert "cannot be reached and is not in the cache" in done.stderr.strip().splitlines()[-1]
