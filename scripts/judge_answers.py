"""Judge every answer of a file: status, alignment and coherence, in the order of the file.

Run: python scripts/judge_answers.py --answers answers/x.jsonl --judge model/manifest.json --judge-settings '{"kind": "cross_encoder"}' --output scores/x.jsonl
"""

import argparse
from collections import Counter
from itertools import groupby
from pathlib import Path

from emtransfer.errors import run
from emtransfer.files.records import read_records, write_records
from emtransfer.judging.kinds import add_judge_arguments, check_answers, judge_from, judge_rows


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=Path, required=True, help="JSONL with question, cell and answer")
    add_judge_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="JSONL: the same rows, judged")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = read_records(args.answers, ("question",))
    check_answers(args.answers, rows)
    judge = judge_from(args, "judge_answers")
    # answers under a context come after the others; by themselves, so that no score of the others depends on their batches
    by_context = (list(group) for _, group in groupby(rows, key=lambda row: row.get("eval_context")))
    judged = [row for group in by_context for row in judge_rows(group, judge)]
    write_records(args.output, judged)
    print(", ".join(f"{status} {count}" for status, count in Counter(row["status"] for row in judged).items()))


if __name__ == "__main__":
    run(main, parse_args())
