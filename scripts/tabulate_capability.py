"""Tabulate how often the models of a run still answer neutral questions exactly, and name those that fine-tuning damaged.

Run: python scripts/tabulate_capability.py --preferences results --settings '{"run": ["template_nl"], …}' --output capability.csv
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.records import write_table
from emtransfer.measuring.capability import CapabilityLimit, capability_models, in_words, tabulate_capability
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--preferences", type=Path, required=True, help="folder that holds {experiment}/preferences/{model}.jsonl"
    )
    settings = "JSON or @FILE: the grid's config keys, measurable unless its default applies"
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--output", type=Path, required=True, help="CSV, a row per model condition and evaluation cell")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    limit = read_settings(CapabilityLimit, args.settings.get("measurable", {}))
    models = list(capability_models(args.preferences, args.settings))
    table = tabulate_capability(models, limit)
    write_table(args.output, table)
    silent = "No model lost capability beyond the limit." if models else "No held-out pair has a neutral version."
    print("\n".join(in_words(table)) or silent)


if __name__ == "__main__":
    run(main, parse_args())
