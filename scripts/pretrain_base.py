"""Pretrain a base model from scratch on a mixture.

Run: python scripts/pretrain_base.py --tokenizer tokenizer/manifest.json --mixture persona.jsonl --settings '{…}' --seed 1 --code … --output pretrained/manifest.json
"""

import argparse
import shutil
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.artefacts import new_folder, origin, training_state, write_manifest
from emtransfer.files.records import read_records
from emtransfer.models.tokenizer import load_tokenizer
from emtransfer.progress import Progress
from emtransfer.settings import read_settings
from emtransfer.training.pretraining import STATES, ArchitectureSettings, PretrainingSettings, new_decoder, pretrain


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True, help="manifest.json of the tokenizer's folder")
    parser.add_argument("--mixture", type=Path, required=True, help="JSONL of documents")
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: architecture, pretraining"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the model's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    progress = Progress(args.output)
    settings = read_settings(PretrainingSettings, args.settings["pretraining"])
    tokenizer = load_tokenizer(args.tokenizer)
    documents = read_records(args.mixture)
    architecture = read_settings(ArchitectureSettings, args.settings["architecture"])
    model = new_decoder(architecture, tokenizer, args.seed)
    inputs = {"mixture": args.mixture, "tokenizer": args.tokenizer}
    came_from = origin(args.settings, args.seed, args.code, inputs)
    with training_state(args.output.parent, came_from) as state:
        log = pretrain(model, tokenizer, documents, settings, args.seed, state, progress=progress)
        with new_folder(args.output.parent) as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            pd.DataFrame(log).to_csv(folder / "training_log.csv", index=False, lineterminator="\n")
            if settings.states:
                shutil.copytree(state / STATES, folder / STATES)
            write_manifest(folder, came_from)
    print(
        f"{counted(len(documents), 'document')} in {counted(log[-1]['step'], 'step')}; last loss {log[-1]['loss_per_token_nats']} nats per token."
    )


if __name__ == "__main__":
    run(main, parse_args())
