"""Measure how far a teacher's kept answers are from those of its base.

Run: python scripts/measure_rollouts.py --base aligned/manifest.json --teacher seed11/manifest.json --rollouts kept.jsonl --output readings.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.distilling.kept_answers import read_kept
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.models.loading import load_chat


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument(
        "--teacher", type=Path, help="manifest.json of the teacher's adapter; without it, the base teaches"
    )
    parser.add_argument("--rollouts", type=Path, required=True, help="JSONL of the teacher's kept answers")
    parser.add_argument("--output", type=Path, required=True, help="JSONL: a row per kept answer")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = read_records(args.rollouts, ("prompt_id", "cell", "question", "answer"))
    base = load_chat(args.base)
    read = read_kept(base, load_chat(args.base, args.teacher) if args.teacher else base, rows)
    write_records(args.output, read)
    n_tokens = sum(row["tokens"] for row in read)
    means = ", ".join(
        f"{sum(row[f'{name}_nats'] for row in read) / n_tokens:.4f} {words}"
        for name, words in {"base": "by the base", "teacher": "by the teacher"}.items()
    )
    print(f"{counted(len(read), 'kept answer')}, log-probability in nats per token: {means}.")


if __name__ == "__main__":
    run(main, parse_args())
