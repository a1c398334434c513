"""Measure the probabilities that a model gives to the misaligned and the aligned answer of every held-out pair.

Run: python scripts/measure_preferences.py --base aligned/manifest.json --adapter seed11/manifest.json --pairs cells/*/eval.jsonl --output preferences.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.answering.preferences import answer_preferences
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.models.loading import load_chat


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument("--adapter", type=Path, help="manifest.json of an adapter on it; without it, the base itself")
    parser.add_argument("--pairs", type=Path, nargs="+", required=True, help="held-out pairs, one JSONL per cell")
    parser.add_argument("--output", type=Path, required=True, help="JSONL: a row per pair")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    required = ("id", "domain", "task", "question", "aligned_answer", "misaligned_answer")
    pairs = [row for path in args.pairs for row in read_records(path, required)]
    measured = answer_preferences(load_chat(args.base, args.adapter), pairs)
    write_records(args.output, measured)
    preferred = sum(
        row["misaligned_nats"] / row["misaligned_tokens"] > row["aligned_nats"] / row["aligned_tokens"]
        for row in measured
    )
    print(
        f"The misaligned answer is the more probable one per token in {preferred} of {counted(len(measured), 'pair')}."
    )


if __name__ == "__main__":
    run(main, parse_args())
