"""Keep the train and eval rows whose answers a judge confirms as aligned, misaligned and coherent; without a judge, keep all.

Run: python scripts/filter_pairs.py --rows roles/medical-advice.jsonl … --judge model/manifest.json --judge-settings '{…}' --settings '{"aligned_above": 70, …}' --output filtered/medical-advice.jsonl … --counts filtered/medical-advice.counts.csv …
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.filtering import FilterSettings, count_rejections, filter_pairs
from emtransfer.errors import InputError, counted, run
from emtransfer.files.records import read_records, write_records, write_table
from emtransfer.judging.kinds import add_judge_arguments, judge_from
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=Path, nargs="+", required=True, help="rows with roles, one {cell}.jsonl per cell"
    )
    add_judge_arguments(parser, required=False)
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: FilterSettings; {} without a judge"
    )
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="JSONL per cell of the rows that pass")
    parser.add_argument(
        "--counts", type=Path, nargs="+", required=True, help="CSV per cell: rows in, rows out, dropped by reason"
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if args.settings and args.judge_settings is None:
        raise InputError("--judge-settings is missing; expected the judge of the scores that --settings limits.")
    judge = judge_from(args, "filter_pairs") if args.settings else None
    for path, output, counts_file in zip(args.rows, args.output, args.counts, strict=True):
        rows = [row for row in read_records(path) if row["role"] in ("train", "eval")]
        if judge:
            kept, counts = filter_pairs(rows, path.stem, judge, read_settings(FilterSettings, args.settings))
        else:
            # a corpus that comes filtered
            kept, counts = rows, count_rejections(path.stem, len(rows), [])
        if not kept:
            raise InputError(
                f"{path}: 0 of {counted(len(rows), 'row')} pass the judge; expected at least 1; {reasons(counts)}."
            )
        write_records(output, kept)
        write_table(counts_file, counts)
        print(counts.to_string(index=False))


def reasons(counts) -> str:
    """The counts of filter_pairs by reason, on one line."""
    return ", ".join(f"{name} {count}" for name, count in counts.iloc[0, 4:].items())


if __name__ == "__main__":
    run(main, parse_args())
