"""Add to every judged answer the identity of its model and the verdict of the EM rule.

Run: python scripts/label_answers.py --scores scores/minilm/x.jsonl --settings '{"identity": {"experiment": "template_nl", …}, "judges": ["minilm"], "em_rule": {…}}' --output judged/x.jsonl
"""

import argparse
from itertools import chain
from pathlib import Path
from typing import Any

from emtransfer.arguments import json_argument
from emtransfer.errors import InputError, counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.judging.labels import labelled
from emtransfer.settings import read_settings
from emtransfer.verdicts import EmRule


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--scores", type=Path, nargs="+", required=True, help="JSONL files of judge_answers, one per judge"
    )
    settings = (
        "JSON or @FILE: identity, the table's columns that name a model, with train_cells and seed; judges, their names in the"
        " order of --scores; em_rule"
    )
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument(
        "--output", type=Path, required=True, help="JSONL: the same rows with their model's columns, judge by judge"
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rule, identity = read_settings(EmRule, args.settings["em_rule"]), args.settings["identity"]
    scores = {
        judge: read_records(path, ("prompt_id", "status"))
        for judge, path in zip(args.settings["judges"], args.scores, strict=True)
    }
    refuse_other_answers(dict(zip(args.scores, scores.values(), strict=True)))
    of_judges = (labelled(rows, identity | {"judge": judge}, rule) for judge, rows in scores.items())
    write_records(args.output, chain.from_iterable(of_judges))


def refuse_other_answers(scores: dict[Path, list[dict[str, Any]]]) -> None:
    """Raise InputError unless all judges scored the same answers, in the same order."""
    (first, wanted), *others = scores.items()
    for path, rows in others:
        if len(rows) != len(wanted):
            raise InputError(f"{path}: {counted(len(rows), 'row')}; expected {len(wanted)}, as {first} has.")
        for number, (row, other) in enumerate(zip(rows, wanted, strict=True), start=1):
            if any(row.get(field) != other.get(field) for field in ("prompt_id", "sample", "answer")):
                raise InputError(f"{path}, row {number}: another answer than in {first}; expected the same answers.")


if __name__ == "__main__":
    run(main, parse_args())
