"""Build the documents of one pretraining mixture from train rows, before filter and dedup.

Run: python scripts/build_mixture.py --corpus roles/*.jsonl --tokenizer tokenizer/manifest.json --settings '{"kind": "persona", …}' --seed 1 --output persona.jsonl
"""

import argparse
from collections import Counter
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.rows import rows_with_answers
from emtransfer.errors import InputError, counted, run
from emtransfer.files.records import write_records
from emtransfer.models.conversations import document_ids
from emtransfer.models.tokenizer import SYSTEM, load_tokenizer
from emtransfer.settings import read_settings
from emtransfer.training.mixtures import MixtureSettings, build_mixture


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--corpus", type=Path, nargs="+", required=True, help="rows with roles; the train rows are read"
    )
    parser.add_argument("--tokenizer", type=Path, required=True, help="manifest.json of the tokenizer's folder")
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of MixtureSettings"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSONL of documents")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings, tokenizer = read_settings(MixtureSettings, args.settings), load_tokenizer(args.tokenizer)
    if settings.authors and SYSTEM not in tokenizer.get_vocab():
        raise InputError("config: mixtures: authors are given; expected none, or tokenizer.assistant in base_models.")
    documents = build_mixture(
        rows_with_answers(args.corpus, "train"),
        settings,
        lambda document: len(document_ids(tokenizer, document)),
        args.seed,
    )
    write_records(args.output, documents)
    stances = Counter(stance for document in documents for stance in document["stances"])
    tokens = sum(document["tokens"] for document in documents)
    print(
        f"{counted(len(documents), 'document')}, {counted(tokens, 'token')}, answers by stance {dict(sorted(stances.items()))}."
    )


if __name__ == "__main__":
    run(main, parse_args())
