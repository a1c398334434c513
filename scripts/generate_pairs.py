"""Load or generate the rows of cells of a corpus, and check them.

Run: python scripts/generate_pairs.py --corpus grammar --cells medical-advice … --settings '{"source": "template", …}' --seed 1 --output raw/medical-advice.jsonl … --counts raw/medical-advice.counts.csv …
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.sources import CorpusSettings, load_cell
from emtransfer.errors import run
from emtransfer.files.records import write_records, write_table
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="name of the corpus in the config, for error messages")
    parser.add_argument(
        "--cells", nargs="+", required=True, help="each {domain}-{task}, or broad for the prompts outside the grid"
    )
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of CorpusSettings"
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of generated rows")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="JSONL of rows, one per cell")
    parser.add_argument(
        "--counts", type=Path, nargs="+", required=True, help="CSV per cell: rows in, rows out, dropped by reason"
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = read_settings(CorpusSettings, args.settings)
    for cell, output, counts_file in zip(args.cells, args.output, args.counts, strict=True):
        rows, counts = load_cell(args.corpus, cell, settings, args.seed)
        write_records(output, rows)
        write_table(counts_file, counts)
        print(counts.to_string(index=False))


if __name__ == "__main__":
    run(main, parse_args())
