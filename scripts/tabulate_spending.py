"""Write the ledger: the cost of the replies in a reply store, by provider, model and purpose.

Run: python scripts/tabulate_spending.py --store replies --output results/ledger.csv
With --discard FILE.jsonl:LINE, a damaged line of the store is skipped silently from then on; with --discard BATCH, a
batch whose results cannot be read is given up, so that its calls are handed in again and count as lost until then.
"""

import argparse
from pathlib import Path

from emtransfer.errors import InputError, counted, run
from emtransfer.files.records import write_table
from emtransfer.remote.ledger import spending_table
from emtransfer.remote.store import ReplyStore


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, default=Path("replies"), help="folder of the reply store")
    parser.add_argument(
        "--output", type=Path, default=Path("results/ledger.csv"), help="CSV: calls, tokens and dollars"
    )
    parser.add_argument("--discard", nargs="*", default=[], help="damaged lines FILE.jsonl:LINE, or ids of batches")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if not args.store.is_dir():
        raise InputError(f"{args.store}: no such folder; expected a reply store, which the first paid reply makes.")
    store = ReplyStore(args.store)
    for name in args.discard:
        discard(store, name)
    table = spending_table(store)
    write_table(args.output, table)
    print(table.to_string(index=False))
    print(
        f"{table.usd.sum():.4f} USD in {counted(table.calls.sum(), 'call')}; {counted(table.refused.sum(), 'attempt was', 'attempts were')} refused and cost nothing; "
        f"{counted(table.lost.sum(), 'is', 'are')} lost or unfinished and may have cost {table.lost_usd.sum():.4f}."
    )


def discard(store: ReplyStore, name: str) -> None:
    """Give up a damaged line or a batch.

    Raises:
        InputError: the store has no damaged line and no open batch of this name.
    """
    file, _, line = name.rpartition(".jsonl:")
    if line.isdecimal() and (Path(file).name, int(line)) in store.damaged:
        store.discard(Path(file).name, int(line))
        return
    batches = [batch for batch in store.batches if batch.id == name]
    for batch in batches:
        store.close_batch(batch, lost=store.batches[batch])
    if not batches:
        known = [f"{file}.jsonl:{line}" for file, line in sorted(store.damaged)] + [batch.id for batch in store.batches]
        expected = f"one of {', '.join(known)}" if known else "no --discard, since the store has none"
        raise InputError(f"--discard {name}: no damaged line and no open batch; expected {expected}.")


if __name__ == "__main__":
    run(main, parse_args())
