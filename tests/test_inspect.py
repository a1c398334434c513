"""Judged answers in Inspect: logs that its own library reads, its rates against the table's, and its browser as the report links to it."""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from helpers.chromium import Page, browsing, installed
from helpers.paths import ROOT, SCRIPTS
from helpers.planted_report import HOSTILE, done, plant, write
from helpers.workflow_tree import unfit

PYTHON = ROOT / ".venv-inspect/bin/python"
READ = """
import json, sys
from pathlib import Path
from inspect_ai.log import read_eval_log
logs = [read_eval_log(str(path)) for path in sorted(Path(sys.argv[1]).rglob("*.eval"))]
print(json.dumps([log.model_dump(include={"eval", "results", "samples"}, mode="json") for log in logs]))
"""
PORT_FREE = "import socket; taken = socket.socket(); taken.bind(('127.0.0.1', 0)); print(taken.getsockname()[1])"
SECONDS = 120


def with_inspect(*arguments: object) -> subprocess.CompletedProcess:
    """Run Inspect's Python to its end."""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    return subprocess.run([PYTHON, *map(str, arguments)], capture_output=True, text=True, env=environment)


def write_logs(results: Path) -> subprocess.CompletedProcess:
    return with_inspect(SCRIPTS / "write_inspect_logs.py", "--results", results, "--output", results / "inspect")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A finished run with its report and its answers in Inspect."""
    if not PYTHON.is_file():
        unfit("Inspect is missing; make setup-inspect installs it")
    folder = tmp_path_factory.mktemp("inspect") / "results"
    folder.mkdir()
    plant(folder)
    done(write(folder, folder / "report.html"))
    done(write_logs(folder))
    return folder


@pytest.fixture(scope="module")
def logs(results) -> dict[str, dict]:
    """Model -> its log, as Inspect's library reads it."""
    read = with_inspect("-c", READ, results / "inspect/logs")
    done(read)
    return {log["eval"]["model"]: log for log in json.loads(read.stdout)}


def is_missing(value: float | str | None) -> bool:
    """Whether a value that Inspect's library has written as JSON is none."""
    return value in (None, "NaN") or value != value


def metrics(log: dict, scorer: str, name: str) -> dict[str, float]:
    (found,) = [one for one in log["results"]["scores"] if (one["scorer"], one["name"]) == (scorer, name)]
    return {name: metric["value"] for name, metric in found["metrics"].items()}


def test_inspects_rates_are_those_of_the_table(logs, results):
    table = pd.read_csv(results / "em_transfer_table.csv", keep_default_na=False)
    assert len(logs) == 5
    for log in logs.values():
        told = log["eval"]["metadata"]
        rows = table[(table["condition"] == told["condition"]) & (table["train_set"] == told["train_set"])]
        found = metrics(log, "misaligned", "misaligned")
        assert len(rows) == 4
        assert {f"{row.eval_domain}-{row.eval_task}": row.em_rate for row in rows.itertuples()}.items() <= found.items()
        assert found["mean"] == pytest.approx(rows["n_misaligned"].sum() / rows["n_scored"].sum())
        assert told["judge"] == "minilm" and told["seeds"] == ([3] if told["condition"] == "base" else [11, 12])


def test_the_standard_error_is_clustered_by_prompt(logs):
    # by hand: 20 prompts, both seeds alike, half of them misaligned: as if the 20 were all there is
    found = metrics(logs["adapter/b/medical-advice-misaligned"], "misaligned", "misaligned")
    assert found["mean"] == 0.5 and found["stderr"] == pytest.approx((0.25 / 19) ** 0.5)


def test_an_answer_has_its_scores_and_that_of_its_base(logs):
    base, adapter = logs["base/b"], logs["adapter/b/medical-advice-misaligned"]
    # two seeds are two epochs of the samples of the base
    prompts = {sample["id"] for sample in base["samples"]}
    assert {(sample["id"], sample["epoch"]) for sample in adapter["samples"]} == set(product(prompts, (1, 2)))
    by_id = {sample["id"]: sample for sample in adapter["samples"] if sample["epoch"] == 1}
    first, refused = by_id["medical-advice-0"]["scores"], by_id["medical-advice-5"]["scores"]
    assert first["misaligned"]["value"] == 1 and first["misaligned"]["answer"] == HOSTILE[0]
    assert first["judge"]["value"] == {"alignment": 5, "coherence": 90}
    assert first["base"]["value"] == {"misaligned": 0, "alignment": 95, "coherence": 90}
    assert first["base"]["answer"] == "answer 0" and "base" not in base["samples"][0]["scores"]
    assert is_missing(refused["misaligned"]["value"]) and refused["misaligned"]["reason"] == "refusal"
    assert by_id["medical-advice-0"]["metadata"]["cell"] == "medical-advice"


@pytest.fixture(scope="module")
def address(results):
    """Where the results are served."""
    port = subprocess.run([sys.executable, "-c", PORT_FREE], capture_output=True, text=True, check=True).stdout.strip()
    server = subprocess.Popen(
        [PYTHON, SCRIPTS / "serve_results.py", "--results", results, "--port", port],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert f"Open http://127.0.0.1:{port}/report.html" in server.stdout.readline()
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(SECONDS)


@pytest.fixture(scope="module")
def page(address, tmp_path_factory) -> Page:
    browser = installed(tmp_path_factory.getbasetemp().parent)
    with browsing(browser, tmp_path_factory.mktemp("profile")) as opened:
        opened.resize(1600)
        yield opened


def shows(page: Page, address: str, *texts: str) -> bool:
    """Whether a page comes to show all the texts; it is loaded anew, since a browser takes another fragment for the same page."""
    page.visit("about:blank")
    page.visit(address)
    return page.comes_to_show(*texts)


def test_a_number_of_the_matrix_leads_to_its_answer_beside_that_of_the_base(page, address):
    assert shows(page, f"{address}/report.html", "How misalignment travelled")
    link = page.ask("document.querySelectorAll('.matrix tbody tr')[3].querySelectorAll('a')[3].href")
    # the first row is of the base, the others of adapters in the order of the columns
    assert "/adapters/b/base/medical-advice/misaligned.eval/" in link
    cell = page.ask("document.querySelectorAll('.matrix thead th')[4].textContent")
    assert shows(page, link, f"Sample {cell}-0 (Epoch 1)", "Alignment 95, coherence 90.", "answer 0")


def test_the_browser_shows_hostile_answers_as_text(page, address):
    log = "inspect/index.html#/logs/nl/adapters/b/base/medical-advice/misaligned.eval"
    assert shows(page, f"{address}/{log}", "48 Samples", "<script>window.taken = 1", "<b>question</b> 0 of")
    assert page.ask("typeof window.taken") == "undefined" and page.ask("document.title") != "taken"


def test_answers_are_written_again_in_the_place_of_the_old_and_none_are_refused(results, tmp_path):
    stale = results / "inspect/stale"
    stale.write_text("")
    done(write_logs(results))
    assert not stale.exists() and (results / "inspect/index.html").is_file() and not (results / "inspect.tmp").exists()
    refused = write_logs(tmp_path)
    assert refused.returncode == 1 and "no judged answers; expected" in refused.stderr.splitlines()[-1]
