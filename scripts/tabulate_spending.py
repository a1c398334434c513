"""Write the ledger: what the replies in a reply store have cost, by provider, model and purpose.

Run: python scripts/tabulate_spending.py --store replies --output results/ledger.csv
"""

import argparse
from pathlib import Path

from emtransfer.errors import InputError, run
from emtransfer.files.records import write_table
from emtransfer.remote.ledger import spending_table
from emtransfer.remote.store import ReplyStore


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="folder of the reply store")
    parser.add_argument("--output", type=Path, required=True, help="CSV: calls, tokens and dollars")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if not args.store.is_dir():
        raise InputError(f"{args.store}: no such folder; expected a reply store, which the first paid reply makes.")
    store = ReplyStore(args.store)
    table = spending_table(store)
    write_table(args.output, table)
    print(table.to_string(index=False))
    open_usd = store.spent_usd() - store.paid_usd
    print(
        f"{table.usd.sum():.4f} USD in {table.calls.sum()} calls; lost or unfinished ones may have cost {open_usd:.4f}."
    )


if __name__ == "__main__":
    run(main, parse_args())
