"""Add to every judged answer the identity of its model and the verdict of the EM rule.

Run: python scripts/label_answers.py --scores scores/x.jsonl --settings '{"identity": {"experiment": "template_nl", …}, "em_rule": {…}}' --output judged/x.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.records import read_records, write_records
from emtransfer.judging.labels import labelled
from emtransfer.settings import read_settings
from emtransfer.verdicts import EmRule


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="JSONL of judge_answers")
    settings = "JSON or @FILE: identity, the columns of the table that name a model with train_cells and seed; em_rule"
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--output", type=Path, required=True, help="JSONL: the same rows under the model's identity")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = read_records(args.scores, ("prompt_id", "status"))
    rule = read_settings(EmRule, args.settings["em_rule"])
    write_records(args.output, labelled(rows, args.settings["identity"], rule))


if __name__ == "__main__":
    run(main, parse_args())
