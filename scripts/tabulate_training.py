"""Tabulate how well every model of a run fits its training data, what was trained of it, and the KL of every student to its teacher.

Run: python scripts/tabulate_training.py --settings '{…}' --results results --output training_losses.csv
"""

import argparse
from math import prod
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open

from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.artefacts import MANIFEST, checked_file, read_manifest, recorded_files
from emtransfer.files.records import write_table
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import LABELS, Model
from emtransfer.grid.sections import run_experiments

LOG_COLUMNS = (
    "loss_per_token_nats",
    "kl_to_teacher_nats",
    "reverse_kl_to_teacher_nats",
    "held_out_loss_per_token_nats",
)
# of an adapter, and of a model of which all weights were trained
WEIGHTS = ("adapter_model.safetensors", "model.safetensors")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the config sections that make the grid"
    )
    parser.add_argument("--results", type=Path, required=True, help="folder of all results")
    parser.add_argument("--output", type=Path, required=True, help="CSV, one row per model")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = [
        {"experiment": name} | model.labels | {"seed": model.seed} | trained(folder_of(args.results, name, model))
        for name in run_experiments(args.settings)
        for model in expand_models(args.settings, name)
    ]
    columns = ["experiment", *LABELS, "seed", "steps"]
    columns += [f"{end}_{column}" for column in LOG_COLUMNS for end in ("first", "last")]
    columns += ["trained_parameters", "criterion_nats", "criterion_reached"]
    whole = dict.fromkeys(("seed", "steps", "trained_parameters"), "Int64")
    table = pd.DataFrame(rows).reindex(columns=columns).astype(whole | {"criterion_reached": "boolean"}).round(6)
    write_table(args.output, table)
    for row in table[table["criterion_reached"].eq(False).fillna(False)].itertuples():
        names = (row.experiment, row.base, row.train_set, row.answers, row.capacity, f"seed {row.seed}")
        print(
            f"{', '.join(filter(None, names))}: the held-out loss is {row.last_held_out_loss_per_token_nats:.4f} nats per answer"
            f" token after {counted(row.steps, 'step')}, the limit; finetuning.until asks for {row.criterion_nats:g}."
        )


def folder_of(results: Path, experiment: str, model: Model) -> Path:
    """The folder of a model's last training stage: of a base, its alignment."""
    return results / experiment / model.path if model.seed is not None else results / model.path / "aligned"


def trained(folder: Path) -> dict[str, Any]:
    """What is known of the training of a model; nothing of one that was not trained here, a ready model or an adapter of others."""
    path = checked_file(folder / MANIFEST, "training_log.csv")
    if path is None:
        return {}
    found = first_and_last(pd.read_csv(path)) | n_trained(folder)
    until = read_manifest(folder / MANIFEST)["settings"].get("finetuning", {}).get("until")
    if until:
        wanted = until["loss_per_token_nats"]
        found |= {"criterion_nats": wanted, "criterion_reached": found["last_held_out_loss_per_token_nats"] <= wanted}
    return found


def n_trained(folder: Path) -> dict[str, int]:
    """The number of trained weights, by the shapes of what was written."""
    name = next((name for name in WEIGHTS if name in recorded_files(folder / MANIFEST)), None)
    if name is None:
        return {}
    with safe_open(folder / name, framework="numpy") as weights:
        return {"trained_parameters": sum(prod(weights.get_slice(key).get_shape()) for key in weights.keys())}  # noqa: SIM118


def first_and_last(log: pd.DataFrame) -> dict[str, float]:
    """Steps, and the first and last value of each column the log has."""
    found: dict[str, float] = {"steps": int(log["step"].iloc[-1])} if len(log) else {}
    for column in LOG_COLUMNS:
        if column in log:
            values = log[column].dropna()
            found |= {f"first_{column}": values.iloc[0], f"last_{column}": values.iloc[-1]}
    return found


if __name__ == "__main__":
    run(main, parse_args())
