"""The finished models of a run: where each lies, what it came from, and its rows of the transfer table."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from emtransfer.drawing.rates import NAMES, NUMBERS
from emtransfer.files.artefacts import checked_folder
from emtransfer.files.records import read_records, read_table

# rule that makes a model -> its path, whose parts are named as the table's columns
PATHS = {
    "align_base": r"results/bases/(?P<base>\w+)/aligned/manifest\.json",
    "finetune_adapter": (
        r"results/(?P<experiment>\w+)/adapters/(?P<base>\w+)/(?P<start>\w+)/(?P<train_set>[\w-]+)/(?P<answers>[a-z]+)(?:-(?P<capacity>\w+))?"
        r"/seed(?P<seed>\d+)/manifest\.json"
    ),
    "distill_student": (
        r"results/(?P<experiment>\w+)/students/(?P<base>\w+)/(?P<start>\w+)/(?P<teacher>\w+)/(?P<mediating>\w+)"
        r"/(?P<filter>\w+)/(?P<data>\w+)/(?P<channel>[a-z]+)-?(?P<estimator>[a-z]*)/seed(?P<seed>\d+)/manifest\.json"
    ),
}
CONDITIONS = {"align_base": "base", "finetune_adapter": "adapter", "distill_student": "student"}
CORPUS = re.compile(r"results/corpora/(\w+)/")


class Trained(NamedTuple):
    """A model that a run has trained.

    Attributes:
        folder: of the artefact, whose files have their recorded hashes.
        labels: columns of the table, with their values, that it has a row for.
        seed: of its training.
        rows: of the table, seeds pooled.
        corpora: whose prompts it was asked, by experiment.
    """

    folder: Path
    labels: dict[str, str]
    seed: int
    rows: pd.DataFrame
    corpora: dict[str, str]


def read_rows(path: Path) -> pd.DataFrame:
    """The transfer table, empty cells of text as empty text."""
    return read_table(path, keep_default_na=False, na_values={name: [""] for name in NUMBERS}, dtype=NAMES)


def trained_models(results: Path, declared: Path, table: pd.DataFrame) -> list[Trained]:
    """Every model of a run that has rows in the table, except models that others have trained, which are theirs to publish.

    Args:
        results: folder of all results.
        declared: list of what runs have made, `declared.jsonl`.
        table: transfer table, empty text where nothing applies.

    Raises:
        InputError: a file is missing or has changed.
    """
    outputs = read_records(declared, required=("output", "rule"))
    corpora = {row["output"].split("/")[1]: corpus_of(row) or "" for row in outputs if row["rule"] == "build_eval_set"}
    found = []
    for row in outputs:
        match = re.fullmatch(PATHS[row["rule"]], row["output"]) if row["rule"] in PATHS else None
        if match:
            labels = labels_of(row["rule"], match.groupdict())
            own = table[(table[[*labels]] == pd.Series(labels)).all(axis=1)]
            if len(own):
                folder = checked_folder(results / Path(row["output"]).relative_to("results"))
                asked = {name: corpora[name] for name in own["experiment"].unique() if corpora.get(name)}
                found.append(Trained(folder, labels, row["seed"], own, asked))
    return found


def labels_of(rule: str, parts: dict[str, str]) -> dict[str, str]:
    """The columns of the table that name a model, from the parts of its path."""
    labels = {"condition": CONDITIONS[rule]} | {name: value or "" for name, value in parts.items() if name != "seed"}
    # an on-policy student learns from its own answers
    return labels | ({"data": ""} if labels.get("channel") == "opd" else {})


def corpus_of(row: dict[str, Any]) -> str | None:
    """The corpus that the evaluation prompts of an experiment are from."""
    found = [CORPUS.match(path) for path in row["inputs"]]
    return next((match[1] for match in found if match), None)
