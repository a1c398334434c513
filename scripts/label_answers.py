"""Add to every judged answer the identity of its model and the verdict of the EM rule.

Run: python scripts/label_answers.py --scores scores/minilm/x.jsonl --settings '{"identity": {"experiment": "template_nl", …}, "judges": ["minilm"], "em_rule": {…}}' --output judged/x.jsonl
"""

import argparse
from itertools import chain
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.records import read_records, write_records
from emtransfer.judging.labels import labelled
from emtransfer.settings import read_settings
from emtransfer.verdicts import EmRule


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="JSONL of judge_answers, one a judge")
    settings = (
        "JSON or @FILE: identity, the columns of the table that name a model with train_cells and seed; judges, the names of those"
        " who gave the scores, in that order; em_rule"
    )
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument(
        "--output", type=Path, required=True, help="JSONL: the same rows and whose they are, judge by judge"
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rule, identity = read_settings(EmRule, args.settings["em_rule"]), args.settings["identity"]
    scores = {
        judge: read_records(path, ("prompt_id", "status"))
        for judge, path in zip(args.settings["judges"], args.scores, strict=True)
    }
    of_judges = (labelled(rows, identity | {"judge": judge}, rule) for judge, rows in scores.items())
    write_records(args.output, chain.from_iterable(of_judges))


if __name__ == "__main__":
    run(main, parse_args())
