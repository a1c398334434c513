"""List the artefacts of a results folder that are missing, or that have changed or moved since they were written.

Run: python scripts/verify_artefacts.py --results results
"""

import argparse
from pathlib import Path

from emtransfer.errors import InputError, run
from emtransfer.files.verifying import findings

DECLARED = "declared.jsonl"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder to check")
    parser.add_argument(
        "--declared", type=Path, help=f"JSONL of the outputs that runs declare; by default {DECLARED} in that folder"
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Raises InputError, whose lines are the findings, if there are any."""
    found, counts = findings(args.results, args.declared or args.results / DECLARED)
    if found:
        raise InputError("\n".join(found))
    print(counts)


if __name__ == "__main__":
    run(main, parse_args())
