"""Drop near-duplicates within each cell, and record how many rows each threshold would leave.

Run: python scripts/dedup_pairs.py --corpus grammar --rows filtered/medical-advice.jsonl … --settings '{"model": "all-MiniLM-L6-v2", "field": "misaligned_answer", "threshold": null, "leave": 1000}' --output deduped/medical-advice.jsonl … --curve deduped/medical-advice.survivors.csv …
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.dedup import IDENTITY, DedupSettings, dedup_equal, dedup_rows
from emtransfer.errors import run
from emtransfer.files.records import read_records, write_records, write_table
from emtransfer.models.embedding import embed_texts
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="name of the corpus in the config, for error messages")
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="rows, one {cell}.jsonl per cell")
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of DedupSettings"
    )
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="JSONL per cell of the survivors")
    parser.add_argument("--curve", type=Path, nargs="+", required=True, help="CSV per cell: survivors per threshold")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = read_settings(DedupSettings, args.settings)
    for path, output, curve_file in zip(args.rows, args.output, args.curve, strict=True):
        rows = read_records(path, required=(settings.field,))
        if settings.model == IDENTITY:
            survivors, curve = dedup_equal(rows, settings, path.stem)
        else:
            vectors = embed_texts([row[settings.field] for row in rows], settings.model)
            survivors, curve = dedup_rows(rows, vectors, settings, args.corpus, path.stem)
        write_records(output, survivors)
        write_table(curve_file, curve)
        print(f"{path.stem}: {len(survivors)} of {len(rows)} survive at cosine {curve.threshold[curve.chosen].item()}.")


if __name__ == "__main__":
    run(main, parse_args())
