"""Assemble the evaluation prompts of an experiment: narrow ones from the eval rows of every cell, broad ones from outside the grid.

Run: python scripts/build_eval_set.py --corpus grammar --cells cells/*/eval.jsonl --broad roles/broad.jsonl --settings '{"prompts": 120}' --seed 1 --output eval_set.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.eval_prompts import BroadEvalSettings, broad_prompts, narrow_prompts
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="name of the corpus in the config, for error messages")
    parser.add_argument("--cells", type=Path, nargs="+", required=True, help="eval rows, one JSONL per cell")
    parser.add_argument("--broad", type=Path, help="JSONL of broad rows with roles; without it, no broad prompts")
    parser.add_argument(
        "--settings", type=json_argument, default={"prompts": 0}, help="JSON or @FILE: BroadEvalSettings"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSONL of prompts")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    narrow = narrow_prompts([row for path in args.cells for row in read_records(path)])
    rows = [row for row in read_records(args.broad) if row["role"] == "eval"] if args.broad else []
    broad = broad_prompts(rows, read_settings(BroadEvalSettings, args.settings), args.seed, args.corpus)
    write_records(args.output, narrow + broad)
    print(f"{len(narrow)} narrow and {counted(len(broad), 'broad prompt')}.")


if __name__ == "__main__":
    run(main, parse_args())
