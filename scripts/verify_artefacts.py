"""List the artefacts of a results folder that are missing or no longer what they were when they were written.

Run: python scripts/verify_artefacts.py --results results
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from emtransfer.errors import InputError, run
from emtransfer.files.artefacts import MANIFEST, checked_folder
from emtransfer.files.records import check_hash


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder to look through")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Raises InputError, whose lines are the findings, if there are any."""
    manifests = sorted(args.results.rglob(MANIFEST))
    hashed = sorted(path.with_suffix("") for path in args.results.rglob("*.sha256"))
    findings = [*damaged(manifests, checked_folder), *damaged(hashed, check_hash)]
    if findings:
        raise InputError("\n".join(findings))
    print(f"{len(manifests)} folders and {len(hashed)} files are what they were when they were written.")


def damaged(paths: list[Path], check: Callable[[Path], object]) -> Iterator[str]:
    """A line for every artefact that is missing or has changed."""
    for path in paths:
        try:
            check(path)
        except InputError as error:
            yield str(error)
        except FileNotFoundError:
            yield f"{path}: missing; expected it beside its hash."


if __name__ == "__main__":
    run(main, parse_args())
