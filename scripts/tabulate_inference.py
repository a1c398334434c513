"""Tabulate the persona inference of every base of a run, and name the bases without it.

Run: python scripts/tabulate_inference.py --settings '{"bases": {"template_nl": […]}, …}' --results results --output inference.csv
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.records import read_records, write_table
from emtransfer.measuring.inference import COLUMNS, InferenceLimit, absent_lines, inference_row
from emtransfer.settings import read_settings
from emtransfer.verdicts import EmRule


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--settings",
        type=json_argument,
        required=True,
        help="JSON or @FILE: bases (experiment -> base -> base_model, mixture, pretraining and its share), em_rule, measurable",
    )
    parser.add_argument("--results", type=Path, required=True, help="folder that holds {experiment}/inference")
    parser.add_argument("--output", type=Path, required=True, help="CSV, a row per experiment, base and phase")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    em_rule = read_settings(EmRule, args.settings["em_rule"])
    limit = read_settings(InferenceLimit, args.settings.get("measurable", {})).inference_nats_at_least
    table = []
    for experiment, bases in args.settings["bases"].items():
        for base, labels in bases.items():
            required = ("phase", "prompt_id", "context", "stance", "log_odds_nats", "status")
            probes = read_records(args.results / experiment / "inference" / f"{base}.jsonl", required)
            for phase in dict.fromkeys(row["phase"] for row in probes):
                measured = inference_row([row for row in probes if row["phase"] == phase], em_rule, limit)
                table.append({"experiment": experiment, "base": base, "phase": phase} | labels | measured)
    frame = pd.DataFrame(table, columns=list(COLUMNS)).round(6)
    write_table(args.output, frame)
    print(
        "\n".join(absent_lines(frame, limit)) or "Persona inference has appeared in every base that was trained here."
    )


if __name__ == "__main__":
    run(main, parse_args())
