"""Pair the prompts of a teacher's kept answers with the corpus's own aligned or misaligned answers.

Run: python scripts/answer_retained.py --rollouts kept.jsonl --rows roles/medical-advice.jsonl … --settings '{"answers": "misaligned"}' --output misaligned_answers.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.distilling.rollouts import answer_retained
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rollouts", type=Path, required=True, help="JSONL of a teacher's kept answers")
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="corpus rows, one {cell}.jsonl per cell")
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: answers, aligned or misaligned"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSONL: one answer per kept prompt")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = [row for path in args.rows for row in read_records(path, ("id",))]
    answered = answer_retained(read_records(args.rollouts, ("prompt_id", "question")), rows, args.settings["answers"])
    write_records(args.output, answered)
    print(f"{counted(len(answered), 'prompt')} with the corpus's {args.settings['answers']} answers.")


if __name__ == "__main__":
    run(main, parse_args())
