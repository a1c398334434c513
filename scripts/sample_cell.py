"""Draw the train and the eval rows of one cell from the survivors of dedup_pairs.

Run: python scripts/sample_cell.py --corpus grammar --rows deduped/medical-advice.jsonl --curve deduped/medical-advice.survivors.csv --settings '{"train": 600, "eval": 40}' --seed 1 --train cells/medical-advice/train.jsonl --eval cells/medical-advice/eval.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.samples import SampleSettings, sample_cell
from emtransfer.errors import run
from emtransfer.files.records import read_records, read_table, write_records
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="its name in the config, for error messages")
    parser.add_argument("--rows", type=Path, required=True, help="survivors of one cell, named {cell}.jsonl")
    parser.add_argument("--curve", type=Path, required=True, help="CSV of dedup_pairs, which names the threshold")
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of SampleSettings"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--train", type=Path, required=True, help="JSONL of train rows")
    parser.add_argument("--eval", type=Path, required=True, help="JSONL of eval rows")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    curve = read_table(args.curve)
    threshold = curve.threshold[curve.chosen].item()
    settings = read_settings(SampleSettings, args.settings)
    train, held_out = sample_cell(read_records(args.rows), settings, args.seed, args.corpus, args.rows.stem, threshold)
    write_records(args.train, train)
    write_records(args.eval, held_out)


if __name__ == "__main__":
    run(main, parse_args())
