"""Train the tokenizer of a from-scratch base model on the corpus it will read.

Run: python scripts/train_tokenizer.py --corpus roles/*.jsonl --settings '{"vocab_size": 1024}' --output tokenizer/manifest.json …
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.corpus.rows import ANSWERS, NEUTRAL_VERSION, rows_with_answers
from emtransfer.errors import counted, run
from emtransfer.files.artefacts import new_folder, origin, write_manifest
from emtransfer.models.tokenizer import train_tokenizer


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--corpus", type=Path, nargs="+", required=True, help="rows with roles; the train rows are read"
    )
    parser.add_argument("--settings", type=json_argument, required=True, help="JSON or @FILE: vocab_size, assistant")
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the tokenizer's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    rows = rows_with_answers(args.corpus, "train")
    fields = ("question", *ANSWERS, *NEUTRAL_VERSION)
    texts = (row[field] for row in rows for field in fields if field in row)
    tokenizer = train_tokenizer(texts, args.settings["vocab_size"], args.settings.get("assistant"))
    with new_folder(args.output.parent) as folder:
        tokenizer.save_pretrained(folder)
        write_manifest(folder, origin(args.settings, 0, args.code, {path.stem: path for path in args.corpus}))
    print(f"{counted(len(tokenizer), 'token')} from {counted(len(rows), 'row')}.")


if __name__ == "__main__":
    run(main, parse_args())
