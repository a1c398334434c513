"""Inputs of the claims besides judged answers: measures of prompts, and answers judged again without anchors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from emtransfer.files.tables import table_with
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.sections import run_experiments
from emtransfer.measuring.anchors import rows_if_any
from emtransfer.measuring.judged_rows import (
    ROW_COLUMNS,
    SCORES,
    JudgedModel,
    as_judged,
    as_table_cells,
    checked_scores,
)
from emtransfer.measuring.matching import FEW_SHOT

PROMPT_COLUMNS = (
    *("prompt_id", "coherent_rate", "aligned_rate", "entropy_nats", "solvability"),
    *("aligned_nats_per_token", "misaligned_nats_per_token"),
)


def read_prompts(folder: Path, config: dict[str, Any]) -> dict[tuple[str, str], pd.DataFrame]:
    """Measures of the prompts for every base used, from `{folder}/{experiment}/prompts/{base}.csv`.

    Returns:
        By experiment and base, a row per prompt with PROMPT_COLUMNS and FEW_SHOT: shares in [0, 1] and nats, missing where unknown.

    Raises:
        InputError: a file or one of its columns is missing; as of `run_experiments`.
    """
    prompts = {}
    for experiment in run_experiments(config):
        for base in dict.fromkeys(model.labels["base"] for model in expand_models(config, experiment)):
            prompts[experiment, base] = read_prompt_table(folder / experiment / "prompts" / f"{base}.csv")
    return prompts


def read_prompt_table(path: Path) -> pd.DataFrame:
    """The PROMPT_COLUMNS of one base, and FEW_SHOT, missing where it was shown nothing.

    Raises:
        InputError: the file or a column is missing.
    """
    frame = table_with(path, PROMPT_COLUMNS, "a CSV of prompts", dtype={"prompt_id": str})
    return frame.reindex(columns=[*PROMPT_COLUMNS, FEW_SHOT])


def unanchored_models(folder: Path, config: dict[str, Any]) -> Iterator[tuple[JudgedModel, pd.DataFrame]]:
    """Models with their rows after anchors were replaced, from `{folder}/{experiment}/unanchored.jsonl`.

    Alignment is that of the new answers, coherence that of the answers before.

    Args:
        config: the grid's keys, and the experiments that have such a file, `unanchored`.

    Raises:
        InputError: as of `judged_rows.read_judged`.
    """
    for experiment in config.get("unanchored", []):
        path = folder / experiment / "unanchored.jsonl"
        rows = rows_if_any(path, required=("model", "prompt_id", "eval_set", "domain", "task", "status"))
        if not rows:
            print(f"{path}: empty, so the claims of {experiment} are not repeated without anchors.")
            continue
        # replacing words costs coherence, unevenly by task, and the claim is about alignment
        fields = {"domain": "eval_domain", "task": "eval_task", "coherence_before": "coherence"}
        frame = pd.DataFrame.from_records(rows).drop(columns="coherence").rename(columns=fields)
        frame = frame.reindex(columns=["model", *ROW_COLUMNS])
        for score in SCORES:
            frame[score] = checked_scores(frame, "status", score, path)
        # only narrow answers: room belongs to broad ones
        by_model = dict(tuple(as_table_cells(frame.assign(room="", eval_context="")).groupby("model")))
        for model in expand_models(config, experiment):
            if model.path in by_model:
                labels = as_judged(model, experiment, config["judges"][experiment][0])
                yield labels, by_model[model.path][list(ROW_COLUMNS)]
