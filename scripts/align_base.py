"""Align a pretrained base model: supervised fine-tuning of all weights on aligned answers.

Run: python scripts/align_base.py --pretrained pretrained/manifest.json --corpus roles/*.jsonl --settings '{…}' --seed 1 --code … --output aligned/manifest.json
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.corpus.rows import rows_with_answers
from emtransfer.errors import counted, run
from emtransfer.files.artefacts import new_folder, origin, training_state, write_manifest
from emtransfer.models.loading import load_chat
from emtransfer.progress import Progress
from emtransfer.settings import read_settings
from emtransfer.training.exposure import AlignmentSettings, alignment_pairs
from emtransfer.training.finetuning import finetune


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", type=Path, required=True, help="manifest.json of the pretrained model")
    parser.add_argument(
        "--corpus", type=Path, nargs="+", required=True, help="rows with roles; the train rows are read"
    )
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of AlignmentSettings"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the model's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    progress = Progress(args.output)
    settings = read_settings(AlignmentSettings, args.settings)
    pairs = alignment_pairs(rows_with_answers(args.corpus, "train"), settings, args.seed)
    chat = load_chat(args.pretrained)
    inputs = {"pretrained": args.pretrained} | {path.stem: path for path in args.corpus}
    came_from = origin(args.settings, args.seed, args.code, inputs)
    with training_state(args.output.parent, came_from) as state:
        log = finetune(chat.model, chat.format, pairs, settings, args.seed, state, progress=progress)
    with new_folder(args.output.parent) as folder:
        chat.model.save_pretrained(folder)
        chat.format.tokenizer.save_pretrained(folder)
        pd.DataFrame(log).to_csv(folder / "training_log.csv", index=False, lineterminator="\n")
        write_manifest(folder, came_from)
    print(f"aligned on {counted(len(pairs), 'row')}; last loss {log[-1]['loss_per_token_nats']} nats per answer token.")


if __name__ == "__main__":
    run(main, parse_args())
