"""Score published token probabilities as a judge does, and compare the scores with those that were published.

Run: python scripts/score_token_probabilities.py --records judged.jsonl --probabilities judge_raw_answer --score judge_answer --output compared.csv
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.errors import InputError, counted, run
from emtransfer.files.records import write_table
from emtransfer.judging.published_scores import Fields, compared, read_token_records


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, required=True, help=".jsonl or .csv with one judged answer per row")
    source = parser.add_mutually_exclusive_group()
    tokens = "field with the tokens, dotted if it is nested"
    source.add_argument("--probabilities", default="probabilities", help=f"{tokens}, and their probabilities")
    source.add_argument("--logprobs", help=f"{tokens}, and the logarithms of their probabilities")
    parser.add_argument("--score", default="score", help="field with their score; null for none")
    parser.add_argument("--id", help="field with a name for the record; by default its position in the file")
    parser.add_argument("--tolerance", type=float, default=0.01, help="largest difference that counts as agreement")
    parser.add_argument("--output", type=Path, required=True, help="CSV: our score and theirs")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    fields = Fields(args.logprobs or args.probabilities, args.score, args.id, logarithms=args.logprobs is not None)
    table = compared(read_token_records(args.records), fields)
    write_table(args.output, table)
    print(summary(table, args.tolerance))
    n_differ = int((table.difference > args.tolerance).sum())
    if n_differ:
        raise InputError(
            f"{args.records}: {n_differ} of {counted(len(table), 'score')} {'differs' if n_differ == 1 else 'differ'} by more than {args.tolerance}; expected none."
        )


def summary(table: pd.DataFrame, tolerance: float) -> str:
    """How many records agree, in words."""
    ours, theirs = table.our_score.isna(), table.their_score.isna()
    both = table[~ours & ~theirs]
    worst = f"{both.difference.max():.6g}" if len(both) else "none"
    return (
        f"{counted(len(table), 'record')}: {(ours & theirs).sum()} without a score in both, {(ours & ~theirs).sum()} only in ours,"
        f" {(~ours & theirs).sum()} only in theirs; {(both.difference <= tolerance).sum()} of {counted(len(both), 'score')} agree within"
        f" {tolerance}, worst difference {worst}."
    )


if __name__ == "__main__":
    run(main, parse_args())
