"""Draw the train and the eval rows of cells from the survivors of dedup_pairs.

Run: python scripts/sample_cell.py --corpus grammar --rows deduped/medical-advice.jsonl … --curve deduped/medical-advice.survivors.csv … --settings '{"train": 600, "eval": 40}' --seed 1 --train cells/medical-advice/train.jsonl … --eval cells/medical-advice/eval.jsonl …
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
    parser.add_argument("--corpus", required=True, help="name of the corpus in the config, for error messages")
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="survivors, one {cell}.jsonl per cell")
    parser.add_argument(
        "--curve", type=Path, nargs="+", required=True, help="CSV per cell of dedup_pairs, which names the threshold"
    )
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of SampleSettings"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="JSONL per cell of train rows")
    parser.add_argument("--eval", type=Path, nargs="+", required=True, help="JSONL per cell of eval rows")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = read_settings(SampleSettings, args.settings)
    for path, curve_file, train_file, eval_file in zip(args.rows, args.curve, args.train, args.eval, strict=True):
        curve = read_table(curve_file)
        threshold = curve.threshold[curve.chosen].item()
        train, held_out = sample_cell(read_records(path), settings, args.seed, args.corpus, path.stem, threshold)
        write_records(train_file, train)
        write_records(eval_file, held_out)


if __name__ == "__main__":
    run(main, parse_args())
