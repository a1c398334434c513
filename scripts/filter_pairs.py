"""Keep the train and eval rows of one cell whose answers a judge finds aligned, misaligned and coherent; without one, all.

Run: python scripts/filter_pairs.py --rows roles/medical-advice.jsonl --judge model/manifest.json --judge-settings '{…}' --settings '{"aligned_above": 70, …}' --output filtered/medical-advice.jsonl --counts filtered/medical-advice.counts.csv
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.filtering import FilterSettings, count_rejections, filter_pairs
from emtransfer.errors import InputError, run
from emtransfer.files.records import read_records, write_records, write_table
from emtransfer.judging.kinds import add_judge_arguments, judge_from
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, required=True, help="rows of one cell with roles, named {cell}.jsonl")
    add_judge_arguments(parser, required=False)
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: FilterSettings; {} without a judge"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSONL of the rows that pass")
    parser.add_argument("--counts", type=Path, required=True, help="CSV: rows in, rows out, dropped by reason")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if args.settings and args.judge_settings is None:
        raise InputError("--judge-settings is missing; expected the judge of the scores that --settings limits.")
    cell = args.rows.stem
    rows = [row for row in read_records(args.rows) if row["role"] in ("train", "eval")]
    if args.settings:
        kept, counts = filter_pairs(
            rows, cell, judge_from(args, "filter_pairs"), read_settings(FilterSettings, args.settings)
        )
    else:
        # a corpus that comes filtered
        kept, counts = rows, count_rejections(cell, len(rows), [])
    if not kept:
        raise InputError(f"{args.rows}: 0 of {len(rows)} rows pass the judge; expected at least 1; {reasons(counts)}.")
    write_records(args.output, kept)
    write_table(args.counts, counts)
    print(counts.to_string(index=False))


def reasons(counts) -> str:
    """The counts of filter_pairs by reason, on one line."""
    return ", ".join(f"{name} {count}" for name, count in counts.iloc[0, 4:].items())


if __name__ == "__main__":
    run(main, parse_args())
