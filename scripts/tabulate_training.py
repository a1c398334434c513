"""Tabulate how well every model of a run fits its training data, and the KL of every student to its teacher.

Run: python scripts/tabulate_training.py --settings '{…}' --results results --output training_losses.csv
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.artefacts import MANIFEST, checked_file
from emtransfer.files.records import write_table
from emtransfer.grid import LABELS, Model, expand_models, run_experiments

LOG_COLUMNS = ("loss_per_token_nats", "kl_to_teacher_nats", "reverse_kl_to_teacher_nats")


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
        {"experiment": name}
        | model.labels
        | {"seed": model.seed}
        | first_and_last(training_log(args.results, name, model))
        for name in run_experiments(args.settings)
        for model in expand_models(args.settings, name)
    ]
    columns = ["experiment", *LABELS, "seed", "steps"]
    columns += [f"{end}_{column}" for column in LOG_COLUMNS for end in ("first", "last")]
    table = pd.DataFrame(rows).reindex(columns=columns)
    write_table(args.output, table.astype({"seed": "Int64", "steps": "Int64"}).round(6))


def training_log(results: Path, experiment: str, model: Model) -> pd.DataFrame:
    """The log of a model's last training stage: of a base, its alignment."""
    folder = results / experiment / model.path if model.seed is not None else results / model.path / "aligned"
    path = checked_file(folder / MANIFEST, "training_log.csv")
    # a ready model and an adapter of others were not trained here
    return pd.read_csv(path) if path else pd.DataFrame(columns=["step"])


def first_and_last(log: pd.DataFrame) -> dict[str, float]:
    """Steps, and the first and last value of each column the log has."""
    found = {"steps": int(log["step"].iloc[-1])} if len(log) else {}
    for column in LOG_COLUMNS:
        if column in log:
            values = log[column].dropna()
            found |= {f"first_{column}": values.iloc[0], f"last_{column}": values.iloc[-1]}
    return found


if __name__ == "__main__":
    run(main, parse_args())
